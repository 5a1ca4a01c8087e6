/** All that a command has of the world outside; `main.ts` makes the real one. */

import type { ConfigFile } from '../config/file.ts';
import type { ResolvedConfig } from '../config/resolve.ts';
import type { LedgerAudit } from '../contract/credits.ts';
import type { AdmissionRule, Network, NetworkChanges } from '../contract/network.ts';
import type { News } from '../contract/news.ts';
import type { PullState } from '../contract/pulls.ts';
import type { MachineFacts, PortFacts } from '../doctor/facts.ts';
import type { Logger, LogLevel } from '../telemetry/logger.ts';

/** A stream to a terminal, a file or a pipe. */
export interface Output {
  write(text: string): void;
  readonly isTty: boolean;
  /** Width of the terminal in characters; undefined when it is none. */
  readonly columns: number | undefined;
}

export interface Input {
  readonly isTty: boolean;
  /**
   * Everything up to its end.
   * @throws GoGridError `payload_too_large` when that is more than `maxBytes`
   */
  readAll(maxBytes: number): Promise<string>;
}

/** What came of one look at what a person types. */
export type Typed =
  /** Several lines when they were pasted together. */
  | { readonly kind: 'line'; readonly text: string }
  /** Ctrl-C, with what stood on the line. */
  | { readonly kind: 'interrupt'; readonly text: string }
  /** Ctrl-D, or the end of the input. */
  | { readonly kind: 'end' };

/** Reads line by line: with editing and a history of its own on a terminal, plainly else. */
export interface LineInput {
  /** Waits for the next line. Between two calls the terminal is as it was: there Ctrl-C is a signal. */
  ask(prompt: string): Promise<Typed>;
  /** Ends a call of `ask` that waits, as Ctrl-D would. */
  close(): void;
}

/** What the operating system knows of processes. */
export interface Processes {
  /** Whether there is one of this id; another user's counts too. */
  isAlive(pid: number): boolean;
  /** When it started, in milliseconds since 1970; undefined where that cannot be told. */
  startedAt(pid: number): Promise<number | undefined>;
  /** Asks it to end: SIGTERM. */
  terminate(pid: number): void;
}

/** Where a node of this home says that it runs. */
export interface NodeMark {
  readonly pid: number;
  readonly api: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** Whether that process still exists. */
  readonly alive: boolean;
}

export interface StoredLogLine {
  readonly [field: string]: unknown;
  readonly time: number;
  readonly level: string;
  readonly part?: string | undefined;
  readonly message: string;
}

/** What `gogrid network create` makes. */
export interface MeshPlan {
  readonly name: string;
  readonly genesisMicrocredits: bigint;
  readonly terms: { readonly bootstrap: readonly string[]; readonly admission: AdmissionRule };
  /** PeerIds of those who attest its ledger; the founder does where there are none. */
  readonly witnesses: readonly string[];
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

/** The mesh of a home without a running node; `given` is the setting `network.descriptor`. */
export interface HomeMesh {
  /** @throws GoGridError `usage` when the home is not empty, `invalid_descriptor` */
  create(plan: MeshPlan): Promise<Network>;
  /** @throws GoGridError `invalid_descriptor`, `invalid_config` */
  show(given: string): Promise<Network>;
  /** @throws GoGridError `home_in_use`, `not_founder`, `invalid_descriptor` */
  reissue(given: string, changes: NetworkChanges): Promise<Network>;
}

/** A home folder; nothing is made in it until a node opens it. */
export interface Home {
  readonly folder: string;
  readonly configFile: string;
  /** What to write behind `gogrid` so that the same home is meant: empty for the usual one. */
  readonly flags: string;
  readConfig(): Promise<ConfigFile | undefined>;
  writeConfig(text: string): Promise<void>;
  mark(): Promise<NodeMark | undefined>;
  apiKey(): Promise<string | undefined>;
  readonly mesh: HomeMesh;
  /** Reads the log without a node; `file` is the setting `logging.log_file`. */
  tailLog(file: string, count: number, level: LogLevel): Promise<readonly StoredLogLine[]>;
  /** Looks at this machine for `gogrid doctor`; `logFile` is the setting `logging.log_file`. */
  look(logFile: string): Promise<MachineFacts>;
  /** Makes the home's folders, opens its log and builds the node; nothing answers before the node's `start`. */
  openNode(resolved: ResolvedConfig, json: boolean): Promise<NodeSession>;
}

/** The mesh that a node is in. */
export interface MeshFacts {
  readonly name: string;
  /** File of the signed descriptor that others need; undefined for `local`, which has none. */
  readonly descriptor: string | undefined;
  /** Whether machines of the local network find each other by themselves. */
  readonly mdns: boolean;
}

/** The node, as `src/node.ts` gives it to `gogrid up`. */
export interface RunningNode {
  /** Resolves when the API answers. */
  start(): Promise<void>;
  /** Drains and closes everything, within `node.shutdown_grace_secs`. */
  stop(): Promise<void>;
  /** Where it answers; valid after `start`. */
  ready(): {
    readonly api: string;
    readonly peerId: string;
    readonly addresses: readonly string[];
    readonly pid: number;
  };
  /** Calls back when somebody asks through the API that the node stops; returns the way to stop that. */
  onStopAsked(listener: () => void): () => void;
  mesh(): MeshFacts;
  /** Sentences that its user should read at the start. */
  notices(): readonly string[];
  /** The models that can be asked for now. */
  models(): readonly { readonly name: string }[];
  engine(): {
    readonly kind: string;
    readonly state: string;
    readonly version?: string;
    readonly hint?: string | undefined;
  };
  /** Models that are being pulled now, then the last that were: the starter model comes in the background. */
  pulls(): readonly PullState[];
  /** Calls back when something happens that a person at its terminal wants to hear of; returns the way to stop that. */
  onNews(listener: (news: News) => void): () => void;
}

/** A node with what belongs to its process: opened before it starts, closed after it has stopped. */
export interface NodeSession {
  readonly node: RunningNode;
  readonly logger: Logger;
  /** Says in the home folder that the node runs, for other commands to find it. */
  announce(api: string, pid: number): Promise<void>;
  close(): Promise<void>;
  /** Calls back just before the log prints a line on standard error; returns the way to stop that. */
  onLogPrinted(listener: () => void): () => void;
  /** Writes out what the log still holds, before an end that does not wait. */
  flushSync(): void;
}

/** How a process ended: an exit code, or the signal that ended it. */
export interface ProgramEnd {
  readonly code: number | null;
  readonly signal: string | null;
}

/** Another run of this same program, started by a command. */
export interface StartedProgram {
  readonly pid: number;
  /** The first line of its standard output; undefined when it ended without one. */
  readonly firstLine: Promise<string | undefined>;
  /** Resolves when the process is gone, however that came. */
  readonly ended: Promise<ProgramEnd>;
  /** The last of what it said on standard error. */
  said(): string;
  /** Whether `stop` or `kill` was called: its end is no surprise. */
  readonly dismissed: boolean;
  /** Asks it to end. */
  stop(): void;
  /** Ends it at once, with everything that it has started. */
  kill(): void;
}

/** A temporary folder, and programs that run in it. Nothing of it outlives this process, not even when that is killed. */
export interface Sandbox {
  readonly folder: string;
  /** @param env the whole environment of the program */
  start(args: readonly string[], env: Readonly<Record<string, string>>): StartedProgram;
  /** Kills what still runs, and removes the folder. */
  close(): Promise<void>;
}

export interface World {
  /** Without the program's own name. */
  readonly args: readonly string[];
  /** What people write to start it: `gogrid`, or `npx gogrid` where that is the way. */
  readonly program: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute path of the folder in which the command was typed. */
  readonly workingFolder: string;
  readonly version: string;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: Input;
  /** Milliseconds since 1970. */
  now(): number;
  wait(ms: number): Promise<void>;
  /** The home of `--home`, else of `GOGRID_HOME`, else the usual one. */
  home(given: string | undefined): Promise<Home>;
  /** What a person or a pipe gives, line by line. */
  lines(): LineInput;
  readonly processes: Processes;
  /** Calls back at SIGINT, SIGTERM and SIGHUP, instead of ending; returns the way to stop that. */
  onSignal(listener: (signal: string) => void): () => void;
  /** Calls back when something threw where nobody could catch it. */
  onCrash(listener: (thrown: unknown) => void): () => void;
  /** Makes a folder in the system's temporary one, for programs that a command starts; whoever opens it closes it. */
  openSandbox(): Promise<Sandbox>;
  /** Bytes of memory that programs may still take. */
  freeMemory(): number;
  /** Whether a port can be listened on, and else who does. */
  lookAtPort(host: string, port: number): Promise<PortFacts>;
  /** The version of the Ollama at this address; undefined when none answers. */
  lookAtOllama(url: string): Promise<string | undefined>;
  /** Checks an exported ledger; needs no home. @throws GoGridError `usage` when the file cannot be read */
  auditLedger(file: string): Promise<LedgerAudit>;
  /** Writes a file whole or not at all. @throws GoGridError `disk_full`, `usage` when it cannot be written there */
  saveFile(file: string, parts: AsyncIterable<string>, replace: boolean): Promise<void>;
  /** Opens a file in the user's editor, and waits for it; its exit code. */
  edit(file: string): Promise<number>;
  /** Ends the process at once. */
  exit(code: number): never;
}
