/** What the ledger's flows need of the world, declared by the flows; `storage/` and `network/` implement it. */

import type { NodeId } from '../protocol/ids.ts';
import type { LedgerAnswer, LedgerAsk, WitnessAnswer, WitnessAsk } from '../protocol/ledger.ts';
import type { AccountId, EntryId, EntryName } from './entries/entry.ts';

/** An entry as it lies on the disk. */
export interface StoredEntry extends EntryName {
  /** Empty when what lies on the disk is not what was written; then it is to be dropped, and fetched again. */
  readonly sealed: Uint8Array;
}

/** Which attestation: a witness that lies may sign one place late and not late, and both count as signed. */
export interface AttestationName extends EntryName {
  readonly witness: AccountId;
  readonly late: boolean;
}

/** An attestation as it lies on the disk; `sealed` as with an entry. */
export interface StoredAttestation extends AttestationName {
  readonly sealed: Uint8Array;
}

/** One change of the store; the parts of one change are on disk all or not at all. */
export interface LedgerBatch {
  readonly entries?: readonly StoredEntry[];
  /** Of every witness whose attestations this node keeps. */
  readonly attestations?: readonly StoredAttestation[];
  /** The final state in canonical form; replaces the one before. */
  readonly snapshot?: Uint8Array;
}

/**
 * What is on the disk. It finds by itself what a disk has damaged: such an entry or attestation is listed with no bytes, or is
 * missing. Every method rejects with GoGridError `damaged`, `disk_full` or `home_unusable`.
 */
export interface LedgerReads {
  /** Undefined when there is none, or it is damaged: the state is folded again from the entries. */
  snapshot(): Promise<Uint8Array | undefined>;
  /** Every author that has an entry, in the order of their bytes. */
  authors(): AsyncIterable<AccountId>;
  /** Entries of one author from a sequence on, in order; of a forked place all. @param limit of entries */
  chain(author: AccountId, from: number, limit?: number): AsyncIterable<StoredEntry>;
  /** Undefined when it is not there, or damaged. */
  entry(name: EntryName): Promise<Uint8Array | undefined>;
  /** Ids that are stored at one place. */
  idsAt(author: AccountId, sequence: number): Promise<readonly EntryId[]>;
  /** Attestations over entries of one author from a sequence on, in order. */
  attestations(author: AccountId, from: number): AsyncIterable<StoredAttestation>;
}

/** The disk as it was at one moment, whatever is written meanwhile. */
export interface StoreView extends LedgerReads {
  /** Whoever does not close it keeps on the disk what is written over or dropped meanwhile. */
  close(): Promise<void>;
}

/** The ledger on disk. Each of its reads sees the disk as it is when it begins. */
export interface LedgerStore extends LedgerReads {
  /**
   * What was rejected may be on the disk all the same, and be seen there only after a later write that went well: a failed
   * fsync takes nothing back.
   * @param durable resolve only when a crash of the machine would not lose it (fsync); else it is on its way, and a later
   * durable write takes it along
   */
  write(batch: LedgerBatch, durable: boolean): Promise<void>;
  /**
   * Removes what was found damaged, so that it is fetched again. Attestations over a dropped entry stay: a witness must know
   * what it signed.
   */
  drop(entries: readonly EntryName[], attestations?: readonly AttestationName[]): Promise<void>;
  /** For many reads that have to fit together. It has all that was written when it is asked for, and not what is on its way. */
  view(): Promise<StoreView>;
  /** Small things that must survive, by name: journals of the own log, of the witness, of losses. */
  readonly notes: LedgerNotes;
}

/** A small durable map. A note that is damaged rejects `damaged`: nobody may go on as if it had never been written. */
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

/** The mesh, as those reach witnesses who want something attested. */
export interface WitnessLink {
  /**
   * Asks a witness on `/gogrid/witness/1`; dials it when there is no connection.
   * @throws GoGridError `peer_unreachable`, `provider_lost`, `protocol_violation`, `overloaded`, or what `signal` was aborted with
   */
  ask(node: NodeId, ask: WitnessAsk, signal: AbortSignal): Promise<WitnessAnswer>;
}
