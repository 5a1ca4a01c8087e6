/**
 * Every setting, described once. Defaults, variables, flags, the file, `gogrid up --help` and docs/configuration.md all
 * come from here.
 */

import { hostName, httpUrl, ipAddress, ipAddressOrLocalhost, origin, peerAddress, printable } from './checks.ts';
import type { Setting, SettingValue, ValueOf } from './setting.ts';

/** `version` of the file. A file of a newer program is refused, one without it is of this version. */
export const CONFIG_VERSION = 1;

const PATH = 'a path; a relative one begins at the home folder when it stands in the file, else at the working folder';

export const SCHEMA = {
  node: {
    node_name: {
      type: 'text',
      default: '',
      maxChars: 64,
      check: printable,
      allowed: 'at most 64 characters',
      whenEmpty: "the machine's name, with the home folder's behind it where that is not the usual one",
      doc: 'Name by which people know this node; every peer sees it.',
      built: true,
    },
    region: {
      type: 'text',
      default: '',
      maxChars: 40,
      check: printable,
      allowed: 'at most 40 characters',
      whenEmpty: 'not said',
      doc: 'Where this machine is, such as `home` or `eu-west`; every peer sees it.',
      built: true,
    },
    shutdown_grace_secs: {
      type: 'integer',
      default: 20,
      min: 0,
      max: 600,
      unit: 'seconds',
      doc: 'Time that running jobs get to finish when the node is told to stop.',
      built: true,
    },
  },
  network: {
    port: {
      type: 'integer',
      default: 8443,
      min: 0,
      max: 65_535,
      unit: '',
      doc: 'Port for other nodes, of TCP and of UDP; 0 takes a free one of each.',
      built: true,
    },
    listen: {
      type: 'text',
      default: '0.0.0.0',
      maxChars: 64,
      check: ipAddress,
      allowed: 'an IP address of this machine, or 0.0.0.0 or :: for all of them',
      doc: 'Address at which other nodes reach this one. Whoever reaches it is let in as `network.accept` says; 127.0.0.1 keeps it to this machine.',
      built: true,
    },
    bootstrap: {
      type: 'list',
      default: [],
      maxItems: 64,
      maxChars: 256,
      check: peerAddress,
      allowed: 'multiaddrs that end in /p2p/ and the id of the peer, as `gogrid status` prints them',
      doc: 'Nodes to join through; one that answers is enough.',
      built: true,
    },
    mdns: {
      type: 'boolean',
      default: true,
      doc: 'Find nodes in the local network by multicast DNS, and be found.',
      built: true,
    },
    accept: {
      type: 'choice',
      default: '',
      values: ['', 'all', 'confirm', 'members'],
      whenEmpty: 'as the mesh says; `confirm` in the mesh `local`',
      planned: {
        members: 'membership certificates are not built yet',
      },
      doc: 'Whom this node works with: `all` nodes of the same mesh, or, with `confirm`, those that its user has accepted (`gogrid peers accept`).',
      built: true,
    },
    descriptor: {
      type: 'text',
      default: '',
      maxChars: 4096,
      isPath: true,
      allowed: PATH,
      whenEmpty: 'the mesh `local`',
      doc: 'The `network.json` of the mesh to join; it is copied into the home folder, which then belongs to that mesh.',
      built: true,
    },
    reconnect_delay_secs: {
      type: 'integer',
      default: 10,
      min: 1,
      max: 3600,
      unit: 'seconds',
      doc: 'Wait before the first try to reach a lost bootstrap node again; later waits grow.',
      built: true,
    },
    transports: {
      type: 'list',
      default: ['tcp'],
      maxItems: 2,
      maxChars: 8,
      values: ['tcp', 'quic'],
      allowed: 'tcp, quic, or both',
      doc: 'How nodes connect, in order of preference. `quic` beside `tcp` helps where UDP gets through and TCP does not; it costs 25 MiB of memory and some start time.',
      built: true,
    },
  },
  api: {
    host: {
      type: 'text',
      default: '127.0.0.1',
      maxChars: 64,
      check: ipAddressOrLocalhost,
      allowed: 'an IP address of this machine, or localhost',
      doc: 'Address of the API; on any but a loopback address every request needs a key.',
      built: true,
    },
    port: {
      type: 'integer',
      default: 4301,
      min: 0,
      max: 65_535,
      unit: '',
      doc: 'Port of the API; 0 takes a free one.',
      built: true,
    },
    require_key: {
      type: 'boolean',
      default: false,
      doc: 'Ask for a key on the OpenAI and Ollama endpoints too, and not only on the control endpoints.',
      built: true,
    },
    allowed_origins: {
      type: 'list',
      default: [],
      maxItems: 64,
      maxChars: 256,
      check: origin,
      allowed: 'origins such as https://example.org',
      doc: 'Web pages that may call the OpenAI and Ollama endpoints, beside those of this machine.',
      built: true,
    },
    allowed_hosts: {
      type: 'list',
      default: [],
      maxItems: 64,
      maxChars: 253,
      check: hostName,
      allowed: 'host names without a port',
      doc: 'Names by which the API may be called, beside the names of this machine.',
      built: true,
    },
    public_pages: {
      type: 'boolean',
      default: false,
      doc: 'Serve the pages by which strangers join the mesh.',
      built: false,
    },
  },
  engine: {
    kind: {
      type: 'choice',
      default: 'auto',
      values: ['auto', 'ollama', 'embedded', 'none'],
      doc: 'What runs models on this machine; `auto` means Ollama where it has a model, with the embedded engine beside it; `none` only uses other machines.',
      built: true,
    },
    ollama_url: {
      type: 'text',
      default: 'http://127.0.0.1:11434',
      maxChars: 512,
      check: httpUrl,
      allowed: 'an http or https URL',
      doc: 'Where Ollama answers. `OLLAMA_HOST` is not read: clients set it to the address of GoGrid.',
      built: true,
    },
    models_dir: {
      type: 'text',
      default: '',
      maxChars: 4096,
      isPath: true,
      allowed: PATH,
      whenEmpty: '`models` in the home folder',
      doc: 'Folder of the models that GoGrid itself runs: every `*.gguf` in it counts. The starter model is in the cache folder.',
      built: true,
    },
  },
  resources: {
    mode: {
      type: 'choice',
      default: 'default',
      values: ['conservative', 'default', 'aggressive'],
      doc: 'How much of this machine other nodes may use.',
      built: false,
    },
    enable_adaptive_throttling: {
      type: 'boolean',
      default: true,
      doc: "Pause other nodes' jobs while this machine is busy with something else.",
      built: false,
    },
    cpu_threshold: threshold('Share of the CPU'),
    gpu_threshold: threshold('Share of the GPU'),
    memory_threshold: threshold('Share of the memory'),
  },
  worker: {
    max_concurrent_jobs: {
      type: 'integer',
      default: 1,
      min: 1,
      max: 256,
      unit: 'jobs',
      doc: 'Jobs that run at once on this machine; more than one helps where the engine batches (`OLLAMA_NUM_PARALLEL`).',
      built: true,
    },
    max_queued_jobs: {
      type: 'integer',
      default: 32,
      min: 0,
      max: 10_000,
      unit: 'jobs',
      doc: 'Jobs that may wait on this machine, of all nodes together.',
      built: true,
    },
    max_waiting_jobs: {
      type: 'integer',
      default: 64,
      min: 0,
      max: 10_000,
      unit: 'jobs',
      doc: 'Jobs of this node that may wait here while every node that could run them is full.',
      built: false,
    },
    max_wait_secs: {
      type: 'integer',
      default: 60,
      min: 0,
      max: 3600,
      unit: 'seconds',
      doc: 'Longest time such a job waits before its client is told to come back later.',
      built: false,
    },
    max_job_secs: {
      type: 'integer',
      default: 600,
      min: 1,
      max: 86_400,
      unit: 'seconds',
      doc: 'Longest time a job may run on this machine.',
      built: true,
    },
    heartbeat_interval_secs: {
      type: 'integer',
      default: 30,
      min: 1,
      max: 30,
      unit: 'seconds',
      doc: 'How often this node says how it is; others forget it after 90 seconds of silence.',
      built: true,
    },
    free_jobs_per_peer_per_minute: {
      type: 'integer',
      default: 6,
      min: 0,
      max: 10_000,
      unit: 'jobs a minute',
      doc: 'Jobs without credits that one peer may start here, in a mesh with credits.',
      built: false,
    },
  },
  credits: {
    channel_idle_secs: {
      type: 'integer',
      default: 600,
      min: 1,
      max: 86_400,
      unit: 'seconds',
      doc: 'Time without a job after which a payment channel is closed.',
      built: false,
    },
    require_final: {
      type: 'boolean',
      default: false,
      doc: 'Work only for credits that witnesses have made final.',
      built: false,
    },
    stranger_cap_microcredits: {
      type: 'integer',
      default: 1_000_000,
      min: 0,
      max: Number.MAX_SAFE_INTEGER,
      unit: 'microcredits',
      doc: 'Most credit that one account gets before its payment is final; all accounts together get 20 times it.',
      built: false,
    },
    lone_release_secs: {
      type: 'integer',
      default: 604_800,
      min: 1,
      max: 31_536_000,
      unit: 'seconds',
      doc: 'Time after which a payer whose payee is gone may take back the rest of a hold.',
      built: false,
    },
  },
  privacy: {
    default: {
      type: 'choice',
      default: 'mesh',
      values: ['local', 'own', 'friends', 'mesh'],
      planned: {
        friends: 'lists of friends are not built yet',
      },
      doc: 'Which machines may see a prompt, unless the request says it: this one, those of the same owner, those of friends, or the mesh.',
      built: true,
    },
  },
  update: {
    enable_auto_update: {
      type: 'boolean',
      default: false,
      doc: 'Install updates without asking.',
      built: false,
    },
    update_channel: {
      type: 'choice',
      default: 'stable',
      values: ['stable', 'beta'],
      doc: 'Which releases count as updates.',
      built: false,
    },
  },
  logging: {
    level: {
      type: 'choice',
      default: 'info',
      values: ['trace', 'debug', 'info', 'warn', 'error'],
      doc: 'The least important lines that are logged.',
      built: true,
    },
    log_file: {
      type: 'text',
      default: '',
      maxChars: 4096,
      isPath: true,
      allowed: PATH,
      whenEmpty: '`logs/gogrid.log` in the home folder',
      doc: 'Where the log is written.',
      built: true,
    },
    max_log_size_mb: {
      type: 'integer',
      default: 10,
      min: 1,
      max: 1024,
      unit: 'MiB',
      doc: 'Size at which the log file is put aside as `….1`, in place of the one before.',
      built: true,
    },
    prompts: {
      type: 'boolean',
      default: false,
      doc: "Log the prompts of this node's own jobs.",
      built: false,
    },
  },
} as const satisfies Record<string, Record<string, Setting>>;

function threshold<const Subject extends string>(subject: Subject) {
  return {
    type: 'number',
    default: undefined,
    min: 0,
    max: 1,
    unit: '',
    whenUnset: 'as `resources.mode` has it',
    doc: `${subject} in use by other programs above which other nodes' jobs pause.`,
    built: false,
  } as const;
}

type Schema = typeof SCHEMA;

/** All settings of one run, frozen. Keys are those of the file. */
export type Config = {
  readonly [Section in keyof Schema]: {
    readonly [Key in keyof Schema[Section]]: ValueOf<Schema[Section][Key]>;
  };
};

/** A setting's full name, such as `network.listen`. */
export type SettingName = {
  [Section in keyof Schema]: `${Section}.${keyof Schema[Section] & string}`;
}[keyof Schema];

/** A setting with the names by which people reach it. */
export type NamedSetting = Setting & {
  readonly name: SettingName;
  readonly section: string;
  readonly key: string;
  /** `GOGRID_NETWORK_LISTEN` */
  readonly variable: string;
  /** `network-listen`, without the two dashes. */
  readonly flag: string;
};

/** All settings in the order of the reference. */
export const SETTINGS: readonly NamedSetting[] = Object.entries(SCHEMA).flatMap(([section, settings]) =>
  Object.entries(settings as Record<string, Setting>).map(([key, setting]) => ({
    ...setting,
    name: `${section}.${key}` as SettingName,
    section,
    key,
    variable: `GOGRID_${section}_${key}`.toUpperCase(),
    flag: `${section}-${key}`.replaceAll('_', '-'),
  })),
);

/** Variables that are no settings: they say where the settings are. */
export const OTHER_VARIABLES: readonly string[] = ['GOGRID_HOME'];

/** @returns the setting called `name`, such as `network.listen`, or undefined */
export function findSetting(name: string): NamedSetting | undefined {
  return SETTINGS.find((setting) => setting.name === name);
}

/** The value of one setting in a configuration. */
export function valueIn(config: Config, setting: NamedSetting): SettingValue {
  return (config as Record<string, Record<string, SettingValue>>)[setting.section]?.[setting.key];
}
