/** All that a command has of the world outside; `main.ts` makes the real one. */

import type { ConfigFile } from '../config/file.ts';
import type { ResolvedConfig } from '../config/resolve.ts';
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
  /** Reads the log without a node; `file` is the setting `logging.log_file`. */
  tailLog(file: string, count: number, level: LogLevel): Promise<readonly StoredLogLine[]>;
  /** Makes the home's folders, opens its log and builds the node; nothing answers before the node's `start`. */
  openNode(resolved: ResolvedConfig, json: boolean): Promise<NodeSession>;
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
  /** Sentences that its user should read at the start. */
  notices(): readonly string[];
  /** The models that can be asked for now. */
  models(): readonly { readonly name: string }[];
  engine(): { readonly kind: string; readonly state: string; readonly hint?: string | undefined };
}

/** A node with what belongs to its process: opened before it starts, closed after it has stopped. */
export interface NodeSession {
  readonly node: RunningNode;
  readonly logger: Logger;
  /** Says in the home folder that the node runs, for other commands to find it. */
  announce(api: string, pid: number): Promise<void>;
  close(): Promise<void>;
  /** Writes out what the log still holds, before an end that does not wait. */
  flushSync(): void;
}

export interface World {
  /** Without the program's own name. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: Input;
  /** Milliseconds since 1970. */
  now(): number;
  wait(ms: number): Promise<void>;
  /** The home of `--home`, else of `GOGRID_HOME`, else the usual one. */
  home(given: string | undefined): Promise<Home>;
  /** Calls back at SIGINT, SIGTERM and SIGHUP, instead of ending; returns the way to stop that. */
  onSignal(listener: () => void): () => void;
  /** Calls back when something threw where nobody could catch it. */
  onCrash(listener: (thrown: unknown) => void): () => void;
  /** Opens a file in the user's editor, and waits for it; its exit code. */
  edit(file: string): Promise<number>;
  /** Ends the process at once. */
  exit(code: number): never;
}
