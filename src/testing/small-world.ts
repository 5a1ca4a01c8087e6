/** A world of memory for commands: what they print, a home without a disk, signals by hand. */

import type { Home, NodeSession, RunningNode, World } from '../cli/world.ts';
import { silentLogger } from '../telemetry/logger.ts';

export interface SmallWorld {
  readonly world: World;
  /** What was printed so far. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** The text of the configuration file. */
  readonly config: () => string | undefined;
  /** Sends a signal: Ctrl-C. */
  readonly signal: () => void;
  readonly crash: (thrown: unknown) => void;
  /** Exit codes of ends that did not wait. */
  readonly exits: readonly number[];
}

export interface SmallWorldOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Where a node of this home answers, and with which key. */
  readonly node?: { readonly api: string; readonly key: string; readonly alive?: boolean };
  readonly config?: string;
  readonly stdin?: string;
  /** A terminal of this many columns. */
  readonly columns?: number;
  readonly home?: Partial<Home>;
  /** The node that `gogrid up` gets. */
  readonly runningNode?: RunningNode;
  readonly session?: Partial<NodeSession>;
  readonly edit?: (file: string) => Promise<number>;
}

export function smallWorld(args: readonly string[], options: SmallWorldOptions = {}): SmallWorld {
  const printed = { stdout: [] as string[], stderr: [] as string[] };
  const signals = new Set<() => void>();
  const crashes = new Set<(thrown: unknown) => void>();
  const exits: number[] = [];
  let config = options.config;
  const { node } = options;
  const tty = { isTty: options.columns !== undefined, columns: options.columns };

  const home: Home = {
    folder: '/h',
    configFile: '/h/config.toml',
    flags: '',
    readConfig: async () => (config === undefined ? undefined : { path: '/h/config.toml', text: config }),
    writeConfig: async (text) => {
      config = text;
    },
    mark: async () =>
      node === undefined ? undefined : { pid: 4711, api: node.api, startedAt: 1, alive: node.alive ?? true },
    apiKey: async () => node?.key,
    tailLog: async () => [],
    openNode: async () => {
      if (options.runningNode === undefined) throw new Error('this world has no node');
      return {
        node: options.runningNode,
        logger: silentLogger,
        announce: async () => {},
        close: async () => {},
        flushSync: () => {},
        ...options.session,
      };
    },
    ...options.home,
  };
  const world: World = {
    args,
    env: options.env ?? {},
    version: '1.2.3',
    stdout: { ...tty, write: (text) => printed.stdout.push(text) },
    stderr: { ...tty, write: (text) => printed.stderr.push(text) },
    stdin: { isTty: options.stdin === undefined, readAll: async () => options.stdin ?? '' },
    now: () => 1_700_000_000_000,
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    home: async (given) => (given === undefined ? home : { ...home, folder: given, flags: ` --home ${given}` }),
    onSignal: (listener) => remember(signals, listener),
    onCrash: (listener) => remember(crashes, listener),
    edit: options.edit ?? (async () => 0),
    exit(code) {
      exits.push(code);
      throw new Error(`ended with ${code}`);
    },
  };
  return {
    world,
    stdout: () => printed.stdout.join(''),
    stderr: () => printed.stderr.join(''),
    config: () => config,
    signal: () => callAll(signals),
    crash: (thrown) => callAll(crashes, thrown),
    exits,
  };
}

function remember<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function callAll<T extends unknown[]>(listeners: ReadonlySet<(...values: T) => void>, ...values: T): void {
  for (const listener of listeners) listener(...values);
}
