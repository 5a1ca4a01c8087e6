/** `gogrid config`: shows the settings, and changes the file, with or without a node. */

import { NEW_FILE, setInFile, unsetInFile } from '../config/file.ts';
import { defaultCell } from '../config/reference.ts';
import { describeSource, type ResolvedConfig, readValue, settingNamed } from '../config/resolve.ts';
import { type NamedSetting, SETTINGS, valueIn } from '../config/settings.ts';
import { toText } from '../config/value.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import { usage } from './arguments.ts';
import { type Call, printJson, sheetOf } from './command.ts';
import { resolveSettings } from './settings.ts';
import { type Cell, type Column, renderTable } from './table.ts';

export async function run(call: Call): Promise<number> {
  const [action = 'list', key, value, ...more] = call.words;
  const count = call.words.length;
  if (more.length === 0) {
    if (action === 'list' && count <= 1) return list(call);
    if (action === 'path' && count === 1) return path(call);
    if (action === 'edit' && count === 1) return edit(call);
    if (action === 'get' && key !== undefined && count === 2) return get(call, key);
    if (action === 'unset' && key !== undefined && count === 2) return change(call, settingNamed(key), undefined);
    if (action === 'set' && key !== undefined && value !== undefined) return change(call, settingNamed(key), value);
  }
  throw usage(`config cannot '${call.words.join(' ')}'`, 'config');
}

async function list(call: Call): Promise<number> {
  const resolved = await resolveSettings(call);
  if (call.json) {
    const entries = SETTINGS.map((setting) => [
      setting.name,
      { value: valueIn(resolved.config, setting) ?? null, source: sourceOf(resolved, setting), built: setting.built },
    ]);
    printJson(call, Object.fromEntries(entries));
  } else {
    call.world.stdout.write(renderTable(CONFIG_COLUMNS, configRows(resolved), sheetOf(call)));
    for (const warning of resolved.warnings) call.world.stderr.write(`warning: ${warning}\n`);
  }
  return 0;
}

const CONFIG_COLUMNS: readonly Column[] = [
  { title: 'SETTING' },
  { title: 'VALUE', shrinks: true },
  { title: 'FROM', shrinks: true },
];

/** One row per setting: what holds, and why. */
export function configRows(resolved: ResolvedConfig): Cell[][] {
  return SETTINGS.map((setting) => {
    const text = toText(valueIn(resolved.config, setting));
    const chosen = resolved.sources.get(setting.name)?.kind !== 'default';
    const shown = text === '' ? `(${defaultCell(setting).replaceAll('`', '')})` : text;
    const source = `${sourceOf(resolved, setting)}${setting.built ? '' : ', not built yet'}`;
    return [
      setting.name,
      chosen ? { text: shown, style: 'cyan' } : shown,
      chosen ? source : { text: source, style: 'dim' },
    ];
  });
}

function sourceOf(resolved: ResolvedConfig, setting: NamedSetting): string {
  return describeSource(resolved.sources.get(setting.name) ?? { kind: 'default' });
}

async function path(call: Call): Promise<number> {
  if (call.json) printJson(call, { path: call.home.configFile });
  else call.world.stdout.write(`${call.home.configFile}\n`);
  return 0;
}

async function get(call: Call, key: string): Promise<number> {
  const setting = settingNamed(key);
  const resolved = await resolveSettings(call);
  const value = valueIn(resolved.config, setting);
  if (call.json) printJson(call, { key, value: value ?? null, source: sourceOf(resolved, setting) });
  else call.world.stdout.write(`${toText(value)}\n`);
  return 0;
}

/** Writes one value into the file, or takes it out when `text` is undefined or empty. */
async function change(call: Call, setting: NamedSetting, text: string | undefined): Promise<number> {
  const file = (await call.home.readConfig()) ?? { path: call.home.configFile, text: NEW_FILE };
  const takesOut = text === undefined || text.trim() === '';
  const changed = takesOut ? unsetInFile(file, setting) : setInFile(file, setting, readValue(setting, text));
  await call.home.writeConfig(changed);
  if (!call.json) {
    const done = takesOut ? `${setting.name} has its default again` : `${setting.name} = ${text.trim()}`;
    call.world.stdout.write(`${done} (in ${call.home.configFile})\n`);
  }
  return finish(call, setting);
}

async function edit(call: Call): Promise<number> {
  if ((await call.home.readConfig()) === undefined) await call.home.writeConfig(NEW_FILE);
  const code = await call.world.edit(call.home.configFile);
  if (code !== 0) throw new GoGridError({ code: 'internal', message: `the editor ended with code ${code}` });
  return finish(call, undefined);
}

/** Says what is still wrong with the file, what else overrides it, and that a running node does not know of it yet. */
async function finish(call: Call, setting: NamedSetting | undefined): Promise<number> {
  const { stderr } = call.world;
  try {
    const resolved = await resolveSettings(call);
    if (call.json && setting !== undefined) await get(call, setting.name);
    const source = setting === undefined ? undefined : resolved.sources.get(setting.name);
    if (source?.kind === 'variable') stderr.write(`warning: ${source.variable} is set and wins over the file\n`);
    for (const warning of resolved.warnings) stderr.write(`warning: ${warning}\n`);
  } catch (thrown) {
    stderr.write(`warning: a node will not start like this: ${toGoGridError(thrown).message}\n`);
    return 1;
  }
  const mark = await call.home.mark();
  if (mark?.alive === true) stderr.write('The running node reads it at its next start: stop it and start it again.\n');
  return 0;
}
