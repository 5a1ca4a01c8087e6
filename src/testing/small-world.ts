/** A world of memory for commands: what they print, a home without a disk, signals by hand. */

import type { Home, NodeSession, Processes, RunningNode, Typed, World } from '../cli/world.ts';
import type { LedgerAudit } from '../contract/credits.ts';
import type { MachineFacts } from '../doctor/facts.ts';
import { GoGridError } from '../errors.ts';
import { silentLogger } from '../telemetry/logger.ts';

export interface SmallWorld {
  readonly world: World;
  /** What was printed so far. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** The text of the configuration file. */
  readonly config: () => string | undefined;
  /** Sends a signal, SIGINT when none is named: Ctrl-C. */
  readonly signal: (name?: string) => void;
  /** Types at a prompt: a line, Ctrl-C (`interrupt`) or Ctrl-D (`end`). */
  readonly type: (typed: string | Typed) => void;
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
  /** What people write to start the program. */
  readonly program?: string;
  /** A terminal of this many columns. */
  readonly columns?: number;
  readonly home?: Partial<Home>;
  /** The node that `gogrid up` gets. */
  readonly runningNode?: RunningNode;
  readonly session?: Partial<NodeSession>;
  readonly machine?: MachineFacts;
  readonly processes?: Partial<Processes>;
  /** Bytes. */
  readonly freeMemory?: number;
  readonly edit?: (file: string) => Promise<number>;
  readonly auditLedger?: (file: string) => Promise<LedgerAudit>;
  /** What commands save, by file. */
  readonly saved?: Map<string, string>;
  /** Waiting, instead of the real one where it gives something. */
  readonly wait?: (ms: number) => Promise<void> | undefined;
}

export function smallWorld(args: readonly string[], options: SmallWorldOptions = {}): SmallWorld {
  const printed = { stdout: [] as string[], stderr: [] as string[] };
  const signals = new Set<(signal: string) => void>();
  const typing = typist();
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
    mesh: { create: noMesh, show: noMesh, reissue: noMesh },
    look: async () => options.machine ?? testMachine,
    tailLog: async () => [],
    openNode: async () => {
      if (options.runningNode === undefined) throw new Error('this world has no node');
      return {
        node: options.runningNode,
        logger: silentLogger,
        announce: async () => {},
        close: async () => {},
        flushSync: () => {},
        onLogPrinted: () => () => {},
        ...options.session,
      };
    },
    ...options.home,
  };
  const world: World = {
    args,
    env: options.env ?? {},
    workingFolder: '/w',
    program: options.program ?? 'gogrid',
    version: '1.2.3',
    stdout: { ...tty, write: (text) => printed.stdout.push(text) },
    stderr: { ...tty, write: (text) => printed.stderr.push(text) },
    stdin: { isTty: options.stdin === undefined, readAll: async () => options.stdin ?? '' },
    now: () => 1_700_000_000_000,
    wait: (ms) => options.wait?.(ms) ?? new Promise((resolve) => setTimeout(resolve, ms)),
    home: async (given) => (given === undefined ? home : { ...home, folder: given, flags: ` --home ${given}` }),
    lines: () => typing.lines,
    lookAtPort: async (host, port) => ({ at: `${host}:${port}`, state: 'free', by: undefined }),
    lookAtOllama: async () => undefined,
    processes: { isAlive: () => false, startedAt: async () => undefined, terminate: () => {}, ...options.processes },
    onSignal: (listener) => remember(signals, listener),
    onCrash: (listener) => remember(crashes, listener),
    openSandbox: async () => {
      throw new Error('this world has no processes');
    },
    freeMemory: () => options.freeMemory ?? 8e9,
    edit: options.edit ?? (async () => 0),
    auditLedger:
      options.auditLedger ??
      (async () => {
        throw new Error('this world has no files');
      }),
    async saveFile(file, parts, replace) {
      if (!replace && options.saved?.has(file)) throw new GoGridError({ code: 'usage', message: `${file} is there` });
      let text = '';
      for await (const part of parts) text += part;
      options.saved?.set(file, text);
    },
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
    signal: (name = 'SIGINT') => callAll(signals, name),
    type: typing.type,
    crash: (thrown) => callAll(crashes, thrown),
    exits,
  };
}

async function noMesh(): Promise<never> {
  throw new Error('this world has no mesh of its own');
}

/** A machine with which all is well. */
export const testMachine: MachineFacts = {
  nodeVersion: '24.1.0',
  memory: { totalBytes: 16e9, freeBytes: 8e9 },
  home: { path: '/h', problem: undefined, freeBytes: 100e9 },
  cache: { path: '/c', problem: undefined, freeBytes: 100e9 },
  logBytes: 1000,
};

/** Lines that wait for a question, and questions that wait for a line. */
function typist() {
  const typed: Typed[] = [];
  const waiting: ((typed: Typed) => void)[] = [];
  const give = (next: Typed) => {
    const asker = waiting.shift();
    if (asker === undefined) typed.push(next);
    else asker(next);
  };
  return {
    type: (next: string | Typed) => give(typeof next === 'string' ? { kind: 'line', text: next } : next),
    lines: {
      ask: () => {
        const next = typed.shift();
        return next === undefined ? new Promise<Typed>((resolve) => waiting.push(resolve)) : Promise.resolve(next);
      },
      close: () => waiting.shift()?.({ kind: 'end' }),
    },
  };
}

function remember<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function callAll<T extends unknown[]>(listeners: ReadonlySet<(...values: T) => void>, ...values: T): void {
  for (const listener of listeners) listener(...values);
}
