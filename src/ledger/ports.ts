/** What the ledger's flows need of the world, declared by the flows; `storage/` and `network/` implement it. */

import type { NodeId } from '../protocol/ids.ts';
import type { LedgerAnswer, LedgerAsk } from '../protocol/ledger.ts';
import type { AccountId, EntryId, EntryName } from './entry.ts';

/** Entry and attestation as they lie on the disk. */
export interface StoredEntry extends EntryName {
  readonly sealed: Uint8Array;
}

/** One change of the store; the parts of one change are on disk all or not at all. */
export interface LedgerBatch {
  readonly entries?: readonly StoredEntry[];
  /** Of every witness whose attestations this node keeps. */
  readonly attestations?: readonly (StoredEntry & { readonly witness: AccountId })[];
  /** The final state in canonical form; replaces the one before. */
  readonly snapshot?: Uint8Array;
}

/**
 * The ledger on disk. What is read may be damaged: `sealed` bytes are to be checked against the id under which they were found.
 * Every method rejects with GoGridError `damaged`, `disk_full` or `home_unusable`.
 */
export interface LedgerStore {
  /**
   * @param durable resolve only when a crash of the machine would not lose it (fsync); else it is on its way, and a later
   * durable write takes it along
   */
  write(batch: LedgerBatch, durable: boolean): Promise<void>;
  snapshot(): Promise<Uint8Array | undefined>;
  /** Every author that has an entry, in the order of their bytes. */
  authors(): AsyncIterable<AccountId>;
  /** Entries of one author from a sequence on, in order; of a forked place all. @param limit of entries */
  chain(author: AccountId, from: number, limit?: number): AsyncIterable<StoredEntry>;
  entry(name: EntryName): Promise<Uint8Array | undefined>;
  /** Ids that are stored at one place. */
  idsAt(author: AccountId, sequence: number): Promise<readonly EntryId[]>;
  /** Attestations over entries of one author from a sequence on, in order. */
  attestations(author: AccountId, from: number): AsyncIterable<StoredEntry & { readonly witness: AccountId }>;
  /** Removes what was found damaged, so that it is fetched again. */
  drop(names: readonly EntryName[]): Promise<void>;
  /** Small things that must survive, by name: journals of the own log, of the witness, of losses. */
  readonly notes: LedgerNotes;
}

/** A small durable map. */
export interface LedgerNotes {
  get(key: string): Promise<Uint8Array | undefined>;
  /** Entries whose key begins with `prefix`, in the order of keys. */
  list(prefix: string): AsyncIterable<readonly [key: string, value: Uint8Array]>;
  /** All or nothing; on disk (fsync) when it resolves. `undefined` removes. */
  put(changes: readonly (readonly [key: string, value: Uint8Array | undefined])[]): Promise<void>;
}

/** The mesh, as the ledger's flows use it. */
export interface LedgerLink {
  /** Admitted peers that are connected and speak the ledger's protocol. */
  peers(): readonly NodeId[];
  /**
   * Opens `/gogrid/ledger/1` to a peer.
   * @throws GoGridError `peer_unreachable`, or what `signal` was aborted with
   */
  open(peer: NodeId, signal: AbortSignal): Promise<LedgerSession>;
  /** Sends a hint to the mesh by gossip; at most `LEDGER.maxHintBytes`. Never throws. */
  publish(hint: Uint8Array): void;
  /** A peer sent what no honest node sends. */
  onViolation(peer: NodeId, message: string): void;
}

/** One stream: a request, its answer, the next request. */
export interface LedgerSession {
  /** @throws GoGridError `peer_unreachable`, `provider_lost`, `protocol_violation`, `overloaded` */
  ask(request: LedgerAsk): Promise<LedgerAnswer>;
  close(): void;
}
