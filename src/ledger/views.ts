/** What those who write into the ledger need of it; `ledger.ts` and `ingest.ts` are it. */

import type { AccountId, Attestation, Entry, EntryId, EntryName } from './entries/entry.ts';

/** How far an entry has come: `stands` is counted, `fallen` is worth nothing, `unknown` is not here. */
export type EntryStatus = 'final' | 'certified' | 'stands' | 'fallen' | 'unknown';

/** A transfer that nobody has accepted yet. */
export interface OpenTransferView {
  readonly name: EntryName;
  readonly to: AccountId;
  /** Microcredits. */
  readonly amount: bigint;
}

/** A leg of which something is left. */
export interface OpenLegView {
  /** Its author is the payer. */
  readonly hold: EntryName;
  readonly leg: number;
  readonly payee: AccountId;
  /** Microcredits, as the next two. */
  readonly max: bigint;
  readonly paid: bigint;
  readonly givenBack: bigint;
  /** The payee's claim that closed it. */
  readonly closedBy: EntryName | undefined;
  /** What a release alone left of it. */
  readonly cap: bigint | undefined;
}

/** Two entries of one author at one place. */
export interface ForkView {
  readonly author: AccountId;
  readonly sequence: number;
  /** The one that a certificate picked. */
  readonly resolved: EntryId | undefined;
}

export interface BooksView {
  /** Undefined when it is not open. */
  leg(hold: EntryName, leg: number): OpenLegView | undefined;
}

/** The ledger as it is now. */
export interface LedgerView {
  /** The newest entry of an author that stands. */
  tip(author: AccountId): EntryName | undefined;
  /** The newest final entry of an author; what is behind it is no longer in memory. */
  finalTip(author: AccountId): EntryName | undefined;
  /** All ends of an author's tree, standing or not. */
  heads(author: AccountId): readonly EntryName[];
  /** What follows directly on an entry, standing or not; on the newest final one if there is no `id`. In memory only. */
  children(author: AccountId, id?: EntryId): readonly Entry[];
  /** In memory only: final entries are not. */
  find(id: EntryId): Entry | undefined;
  status(name: EntryName): EntryStatus;
  available(author: AccountId): { readonly available: bigint; readonly final: bigint };
  openTransfersTo(author: AccountId): readonly OpenTransferView[];
  openTransfersOf(author: AccountId): readonly OpenTransferView[];
  openLegsOf(author: AccountId): readonly OpenLegView[];
  openLegsTo(author: AccountId): readonly OpenLegView[];
  forks(): readonly ForkView[];
  books(): BooksView;
  /** The books of what is final. */
  finalBooks(): BooksView;
}

/** What came into the ledger. */
export interface Taken {
  readonly entries: readonly Entry[];
  readonly attestations: readonly Attestation[];
  /** Pairs of entries of one author at one place, one of which is new. */
  readonly forks: readonly (readonly [Entry, Entry])[];
  /** Undefined for what this node wrote itself. */
  readonly from: string | undefined;
}

/** The ledger's flow, as those who write into it use it. */
export interface LedgerFlow {
  /** Read it anew each time: it may be built again. */
  readonly ledger: LedgerView;
  /** Resolves when the entry is on disk and in the ledger; then it goes out. */
  own(entry: Entry): Promise<void>;
  onTaken(listener: (news: Taken) => void): () => void;
}

export function nameOnly({ author, sequence, id }: EntryName): EntryName {
  return { author, sequence, id };
}

export function sameName(a: EntryName, b: EntryName): boolean {
  return a.id === b.id;
}
