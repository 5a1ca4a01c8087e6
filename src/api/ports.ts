/** What the API needs of the node, declared by the API; `node.ts` supplies it. */

import type {
  Identity,
  LogLine,
  Model,
  NodeStatusAnswer,
  Peer,
  PeerDecision,
  PeerList,
  RuntimeHealth,
} from '../contract/control.ts';
import type {
  Balance,
  CreditHistory,
  CreditSummary,
  LedgerEntries,
  LedgerHead,
  LedgerVerification,
  TransferAnswer,
} from '../contract/credits.ts';
import type { Diagnosis } from '../contract/doctor.ts';
import type { NodeEvent } from '../contract/events.ts';
import type { Network, NetworkChanges } from '../contract/network.ts';
import type { PullState } from '../contract/pulls.ts';
import type { JobSpec } from '../jobs/output.ts';
import type { LoadedModel, ModelDescription } from '../jobs/ports.ts';
import type { JobRecord } from '../jobs/record.ts';
import type { Explained } from '../jobs/requester.ts';
import type { NodeId } from '../protocol/ids.ts';
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
  /** The nodes of the directory, this one not among them; then those that wait to be accepted, and those that are blocked. */
  peers(): readonly Peer[];
  /** Those that are known and not among `peers`, by their last name. */
  away(): PeerList['away'];
}

/** Carries out what this node's user decides about others, named by PeerId. Each resolves when it is on disk. */
export interface Doorkeeper {
  accept(peer: string): Promise<PeerDecision>;
  block(peer: string): Promise<PeerDecision>;
  unblock(peer: string): Promise<PeerDecision>;
}

/** The peers that may see prompts of the privacy tier `friends`. A change holds at once, and resolves when it is on disk. */
export interface Friends {
  list(): readonly Friend[];
  replace(friends: readonly Friend[]): Promise<void>;
  /** @throws GoGridError `invalid_request` when the list is full */
  add(friend: Friend): Promise<void>;
  remove(node: NodeId): Promise<void>;
}

export interface Friend {
  readonly node: NodeId;
  readonly name: string;
}

/** Where a question would go now, and why. Runs nothing, sends nothing of it, and leaves no record. @throws GoGridError */
export type Explain = (spec: JobSpec, signal: AbortSignal) => Promise<Explained>;

/** Looks at the node and its machine, and says what is wrong with them. */
export type Doctor = () => Promise<Diagnosis>;

/**
 * Has the node stop in order, as by SIGTERM: it drains, then its process ends. Returns at once.
 * @returns the process, and how long it lets running jobs finish
 */
export type StopNode = () => { readonly pid: number; readonly graceSecs: number };

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

/** The mesh that this node is in. */
export interface Descriptor {
  show(): Network;
  /**
   * Signs the next revision, which holds from then on and is told to the mesh.
   * @throws GoGridError `not_founder`, `not_built`, `invalid_descriptor`
   */
  reissue(changes: NetworkChanges): Promise<Network>;
}

/** The account of this node. Every method throws, or rejects with, GoGridError `no_credits` in a mesh that has none. */
export interface Credits {
  balance(): Balance;
  /** @param before the `next` of the page before; undefined for the first */
  history(before: number | undefined, limit: number): Promise<CreditHistory>;
  summary(): Promise<CreditSummary>;
  accounts(): KnownAccounts;
  /**
   * Resolves when the entry is on the disk.
   * @throws GoGridError `insufficient_credits`, `ledger_not_ready`, `ledger_stopped`, `invalid_request`, `overloaded`
   */
  transfer(order: CreditOrder): Promise<TransferAnswer>;
}

/** Whom the ledger tells of: who has an entry, or was sent or promised something, who witnesses, and the founder. */
export interface KnownAccounts {
  has(node: NodeId): boolean;
  all(): Iterable<NodeId>;
}

export interface CreditOrder {
  readonly to: NodeId;
  /** Microcredits, from 1. */
  readonly amount: bigint;
  readonly memo: string;
  /** Two orders with one are one. */
  readonly requestId: string | undefined;
}

/** The ledger as this node holds it; like `Credits` in a mesh that has none. */
export interface LedgerAccess {
  head(): Promise<LedgerHead>;
  /** Takes 0.2 to 0.5 ms an entry or attestation; while one check runs, whoever asks gets its answer. */
  verify(): Promise<LedgerVerification>;
  /** Entries of one account, of this node's own where none is named, from a sequence on. */
  entries(author: NodeId | undefined, from: number, limit: number): Promise<LedgerEntries>;
  /** All of it, as JSON lines without their ends. */
  exportLines(): AsyncIterable<string>;
}

/** What happens in this node. */
export interface Events {
  /**
   * What came behind the event of this id, or `missed` and what is left, when that is not known any more.
   * @param lastId undefined for somebody who begins
   */
  after(lastId: string | undefined): readonly SentEvent[];
  /** Id of the last one so far. */
  newest(): string;
  /** Calls back with every new one; returns the way to stop it. */
  follow(listener: (event: SentEvent) => void): () => void;
}

export interface SentEvent {
  readonly id: string;
  readonly event: NodeEvent;
}

/** Getting models to this machine, and away from it. */
export interface Pulls {
  /**
   * Gets a model; the last state is `done`. Leaving the loop, or `signal`, stops it unless others wait for it too.
   * @throws GoGridError
   */
  pull(name: string, signal: AbortSignal): AsyncIterable<PullState>;
  /** Running ones, then the last that ended; from memory. */
  states(): readonly PullState[];
  /** @throws GoGridError `model_not_found` when this machine has none of that name */
  remove(name: string, signal: AbortSignal): Promise<void>;
}

export interface Logs {
  /** The last `count` lines of `level` and above, oldest first. */
  tail(count: number, level: LogLevel): Promise<readonly LogLine[]>;
  /** Calls back with every new line of `level` and above; returns the way to stop it. */
  follow(level: LogLevel, listener: (line: LogLine) => void): () => void;
}
