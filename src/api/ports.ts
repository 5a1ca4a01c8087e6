/** What the API needs of the node, declared by the API; `node.ts` supplies it. */

import type { Identity, LogLine, Model, NodeStatusAnswer, Peer, RuntimeHealth } from '../contract/control.ts';
import type { LoadedModel, ModelDescription } from '../jobs/ports.ts';
import type { JobRecord } from '../jobs/record.ts';
import type { LogLevel } from '../telemetry/logger.ts';

/** Every model that an admitted node of the mesh runs, this one included. */
export interface Catalogue {
  /**
   * One line a canonical name: this machine's own first, then by name. Answers from memory. A model that only peers have is
   * as old as this node's knowledge of it.
   */
  models(): readonly Model[];
  /**
   * What this machine's engine says of a model it has.
   * @returns undefined when only peers have it
   */
  describe(name: string, signal: AbortSignal): Promise<ModelDescription | undefined>;
  /** The models in this machine's memory now. */
  loaded(signal: AbortSignal): Promise<readonly LoadedModel[]>;
}

/** What this node says of itself. Every method answers from memory, in well under a millisecond. */
export interface Runtime {
  health(): RuntimeHealth;
  status(): NodeStatusAnswer;
  identity(): Identity;
  /** The nodes of the directory, this one not among them. */
  peers(): readonly Peer[];
}

export interface Jobs {
  /** Newest first, running ones included. */
  list(limit: number): Promise<{ readonly jobs: readonly JobRecord[]; readonly total: number }>;
  get(id: string): Promise<JobRecord | undefined>;
  /**
   * Cancels a job; one that is over stays as it is.
   * @returns the job as it is then, or undefined when there is none of that id
   */
  cancel(id: string): Promise<JobRecord | undefined>;
}

export interface Logs {
  /** The last `count` lines of `level` and above, oldest first. */
  tail(count: number, level: LogLevel): Promise<readonly LogLine[]>;
  /** Calls back with every new line of `level` and above; returns the way to stop it. */
  follow(level: LogLevel, listener: (line: LogLine) => void): () => void;
}
