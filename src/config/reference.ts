/** docs/configuration.md, made from the schema by `npx tsx scripts/config-docs.ts`; a test compares the two. */

import type { SCHEMA } from './schema.ts';
import { type NamedSetting, SETTINGS } from './settings.ts';
import { allowed, toText } from './value.ts';

const SECTION_TITLES: Readonly<Record<keyof typeof SCHEMA, string>> = {
  node: 'This node',
  network: 'Other nodes',
  api: 'The local API',
  engine: 'What runs the models',
  resources: 'How much of this machine others may use',
  worker: 'Jobs and queues',
  credits: 'Credits',
  privacy: 'Who may see prompts',
  update: 'Updates',
  logging: 'The log',
};

const INTRODUCTION = `<!-- Made by scripts/config-docs.ts from src/config/schema.ts: change it there. -->

# Configuration

GoGrid runs without any configuration. Whatever you want otherwise, you can say in three ways; the upper one wins:

1. a flag of \`gogrid up\`, such as \`--api-port 5000\`
2. a variable, such as \`GOGRID_API_PORT=5000\`; an empty one means the default
3. the file \`config.toml\`

\`\`\`toml
version = 1

[api]
port = 5000

[network]
listen = "192.168.1.20"
bootstrap = ["/ip4/192.168.1.10/tcp/8443/p2p/12D3KooW…"]
\`\`\`

The names follow from each other: the setting \`api.allowed_hosts\` stands in the file under \`[api]\` as \`allowed_hosts\`, its
variable is \`GOGRID_API_ALLOWED_HOSTS\`, its flag \`--api-allowed-hosts\`. In variables and flags the items of a list are parted
by commas, and a flag may come several times. \`--network-mdns\` and \`--no-network-mdns\` are short for \`true\` and \`false\`.

\`gogrid config\` shows every value and where it comes from. \`gogrid config set api.port 5000\` writes the file and keeps its
comments. A running node reads its configuration once, when it starts.

Everything is checked before the node starts, and all problems are told at once: an unknown key, section or \`GOGRID_\` variable
(with the nearest known one), a value that is not allowed, a file of a newer version. Exit code 2.

## The home folder

| | everything but the configuration file | configuration file |
|---|---|---|
| \`--home DIR\` or \`GOGRID_HOME\` | \`DIR\` | \`DIR/config.toml\` |
| Linux | \`$XDG_DATA_HOME/gogrid\`, else \`~/.local/share/gogrid\` | \`$XDG_CONFIG_HOME/gogrid/config.toml\`, else \`~/.config/gogrid/config.toml\` |
| macOS | \`~/Library/Application Support/gogrid\` | in the same folder |
| Windows | \`%LOCALAPPDATA%\\gogrid\` | in the same folder |

| file | what |
|---|---|
| \`identity.key\` | who this node is: the 32-byte seed of its Ed25519 key (RFC 8032) as one line of base64. Keep a copy; whoever has it is this node. |
| \`identity.unused\` | in a founder's home before its first start: its key has signed nothing yet. No copy of the home counts as unused. |
| \`api.key\` | key of the control API, one line: \`Authorization: Bearer …\`. Take it away and restart to get a new one. |
| \`data/\` | what the node remembers: jobs that ended, peers it met, the ledger. Never the text of a prompt or an answer. |
| \`models/\` | models that this program runs itself: every \`*.gguf\` in it counts; \`engine.models_dir\` moves it |
| \`logs/gogrid.log\` | one line of JSON per event; \`gogrid logs\` shows it |
| \`gogrid.lock\` | process and address of the running node |

The starter model lies apart, once for all homes, in the user's cache folder: \`$XDG_CACHE_HOME/gogrid/models\` (else
\`~/.cache/gogrid/models\`), \`~/Library/Caches/gogrid/models\` or \`%LOCALAPPDATA%\\gogrid\\cache\\models\`. It can be fetched again.

The two keys can be read by their owner alone (mode 0600); a key file that others could read is closed to them at the next
start, with a warning in the log.

## Settings

*Not built yet* marks settings that are known and checked and have no effect in this version. A value whose disregard would
open what you wanted closed is refused instead, until its part is built.
`;

/** The text of docs/configuration.md. */
export function configReference(): string {
  const parts = [INTRODUCTION];
  for (const [section, title] of Object.entries(SECTION_TITLES)) {
    const rows = SETTINGS.filter((setting) => setting.section === section).map(row);
    parts.push(
      `### \`[${section}]\` ${title}\n\n| setting and variable | values | default | |\n|---|---|---|---|\n${rows.join('\n')}\n`,
    );
  }
  return parts.join('\n');
}

function row(setting: NamedSetting): string {
  const built = setting.built ? '' : ' *Not built yet.*';
  const planned = 'planned' in setting && setting.planned !== undefined ? plannedSentence(setting.planned) : '';
  const cells = [
    `\`${setting.key}\`<br>\`${setting.variable}\``,
    valuesCell(setting),
    defaultCell(setting),
    `${setting.doc}${planned}${built}`,
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function plannedSentence(planned: Readonly<Record<string, string>>): string {
  const names = Object.keys(planned).map((value) => `\`${value}\``);
  const joined = names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
  return ` ${joined} ${names.length < 2 ? 'is' : 'are'} refused until built.`;
}

function valuesCell(setting: NamedSetting): string {
  switch (setting.type) {
    case 'choice':
      return setting.values
        .filter((value) => value !== '')
        .map((value) => `\`${value}\``)
        .join(', ');
    case 'list':
      return `${allowed(setting)}; at most ${setting.maxItems}`;
    case 'integer':
    case 'number':
      return `${setting.min} to ${setting.max} ${setting.unit}`.trim();
    default:
      return allowed(setting);
  }
}

/** What holds when nothing is set, in words where the value does not say it. */
export function defaultCell(setting: NamedSetting): string {
  if ((setting.type === 'text' || setting.type === 'choice') && setting.default === '')
    return setting.whenEmpty ?? 'empty';
  if ((setting.type === 'integer' || setting.type === 'number') && setting.default === undefined) {
    return setting.whenUnset ?? 'none';
  }
  if (setting.type === 'list' && setting.default.length === 0) return 'none';
  return `\`${toText(setting.default)}\``;
}
