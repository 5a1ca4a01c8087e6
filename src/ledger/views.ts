/** What those who write into the ledger need of it; `ledger.ts` and `ingest.ts` are it. */

import type { Fork } from './books/chains.ts';
import type { Status } from './books/ledger.ts';
import type { OpenLeg, OpenTransfer } from './books/state.ts';
import type { AccountId, Attestation, Entry, EntryId, EntryName } from './entries/entry.ts';

export interface BooksView {
  /** Undefined when it is not open. */
  leg(hold: EntryName, leg: number): OpenLeg | undefined;
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
  status(name: EntryName): Status;
  available(author: AccountId): { readonly available: bigint; readonly final: bigint };
  openTransfersTo(author: AccountId): readonly OpenTransfer[];
  openTransfersOf(author: AccountId): readonly OpenTransfer[];
  openLegsOf(author: AccountId): readonly OpenLeg[];
  openLegsTo(author: AccountId): readonly OpenLeg[];
  forks(): readonly Fork[];
  /** What makes the certificates of this author's tail, by place. */
  attestationsOf(author: AccountId, from: number): readonly Attestation[];
  /** What a witness attested last of each author's tail, by author. */
  newestVotesOf(witness: AccountId): Iterable<Attestation>;
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
