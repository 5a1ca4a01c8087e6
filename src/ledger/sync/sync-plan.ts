/** What a node lacks of an account, read off two lines: the peer's and its own. Pure. */

import type { LedgerLine } from '../../protocol/ledger.ts';
import type { AccountId, EntryName } from '../entries/entry.ts';
import { hexOf } from '../entries/fields.ts';

export interface Lack {
  readonly author: AccountId;
  /** The peer's chain is longer: entries from a sequence on, up to a count. */
  readonly chain: { readonly from: number; readonly count: number } | undefined;
  /** The peer's newest entry is not longer, but another one: it is behind, or stands on another branch. */
  readonly other: EntryName | undefined;
  /** If `other` stands on another branch: the certificates that picked it may be from this sequence on. */
  readonly otherFrom: number | undefined;
  /** The peer knows certificates from this sequence on. */
  readonly certificatesFrom: number | undefined;
  /** The peer knows of a fork that is not known here. */
  readonly proof: boolean;
}

/** A line, read. */
export interface Line {
  readonly author: AccountId;
  /** Standing entries. */
  readonly count: number;
  readonly tip: EntryName;
  readonly certified: number;
  readonly final: number;
  readonly proof: string;
}

/** @param networkId 32 bytes: the tip of an account of which nothing stands */
export function readLine([key, sequence, id, certified, final, proof]: LedgerLine, networkId: Uint8Array): Line {
  const author = hexOf(key);
  const isEmpty = Buffer.compare(id, networkId) === 0;
  const tip = { author, sequence, id: hexOf(id) };
  return { author, count: isEmpty ? 0 : sequence + 1, tip, certified, final, proof: hexOf(proof) };
}

/** @returns undefined when the peer has nothing to give of this account */
export function lackOf(theirs: Line, ours: Line | undefined): Lack | undefined {
  const { author, count, tip } = theirs;
  const own = ours ?? { count: 0, tip: undefined, certified: 0, final: 0, proof: '' };
  const isLonger = count > own.count;
  const isOther = !isLonger && count > 0 && tip.id !== own.tip?.id;
  const hasCertificates = theirs.certified > own.certified || theirs.final > own.final;
  // A chain that ends before ours may be cut by a fork that is not known here, though an earlier one is.
  const proof = theirs.proof !== '' && (theirs.proof !== own.proof || count < own.count);
  if (!isLonger && !isOther && !hasCertificates && !proof) return undefined;
  return {
    author,
    chain: isLonger ? { from: own.count, count } : undefined,
    other: isOther ? tip : undefined,
    otherFrom: isOther && theirs.certified > 0 ? Math.min(own.final, tip.sequence, theirs.certified - 1) : undefined,
    certificatesFrom: hasCertificates ? own.final : undefined,
    proof,
  };
}
