/** What two nodes compare to find what one of them lacks: a line for each account, in groups, and one hash over all. */

import { LEDGER } from '../../limits/ledger.ts';
import { encode } from '../../protocol/cbor.ts';
import { sha256, sha256Hex } from '../../protocol/hash.ts';
import type { LedgerLine } from '../../protocol/ledger.ts';
import type { AccountId } from '../entries/entry.ts';
import { fromHex } from '../entries/fields.ts';
import type { Chain } from './chains.ts';

const HEX_DIGITS_PER_BYTE = 2;

export function bucketOf(author: AccountId): number {
  return Number.parseInt(author.slice(0, HEX_DIGITS_PER_BYTE), 16) % LEDGER.buckets;
}

/**
 * What is known of an account, as `protocol/ledger.ts` says. Before an entry of it stands, its tip is the networkId at 0.
 * The proof is over the places of the first fork and of the one that cuts the chain, not over their ids: two nodes that know
 * different pairs of one fork have nothing to tell each other, and an author who signs ten thousand entries for one place must
 * not keep them telling.
 */
export function lineOf(chain: Chain): LedgerLine {
  const { author, tip, root, coveredTip } = chain;
  const first = chain.forks()[0];
  const places = first === undefined ? [] : tip.isFork ? [first.sequence, tip.sequence + 1] : [first.sequence];
  return [
    fromHex(author),
    Math.max(tip.sequence, 0),
    fromHex(tip.id),
    coveredTip + 1,
    root.sequence + 1,
    places.length === 0 ? new Uint8Array(0) : new Uint8Array(sha256(encode([fromHex(author), places]))),
  ];
}

/** SHA-256 over the tips of all who have an entry that stands, as hex: equal digests are equal standing entries. */
export function digestOf(chains: Iterable<Chain>): string {
  const tips = [...chains]
    .filter(({ tip }) => tip.sequence >= 0)
    .toSorted((a, b) => (a.author < b.author ? -1 : 1))
    .map(({ author, tip }) => [fromHex(author), tip.sequence, fromHex(tip.id)]);
  return sha256Hex(encode(tips));
}

/** Lines are made when they are asked for, and only anew for the group of an account that has changed since. */
export class Lines {
  readonly #lineOf: (author: AccountId) => LedgerLine;
  readonly #authors: Set<AccountId>[] = Array.from({ length: LEDGER.buckets }, () => new Set());
  readonly #lines: (readonly LedgerLine[] | undefined)[] = new Array(LEDGER.buckets).fill(undefined);
  readonly #hashes: (Uint8Array | undefined)[] = new Array(LEDGER.buckets).fill(undefined);
  #root: Uint8Array | undefined = undefined;

  constructor(lineOf: (author: AccountId) => LedgerLine) {
    this.#lineOf = lineOf;
  }

  /** Something of this account is new. */
  touch(author: AccountId): void {
    const bucket = bucketOf(author);
    this.#authors[bucket]?.add(author);
    this.#lines[bucket] = undefined;
    this.#hashes[bucket] = undefined;
    this.#root = undefined;
  }

  /** Lines of a group, by author. */
  lines(bucket: number): readonly LedgerLine[] {
    const known = this.#lines[bucket];
    if (known !== undefined) return known;
    const lines = [...(this.#authors[bucket] ?? [])].toSorted().map((author) => this.#lineOf(author));
    this.#lines[bucket] = lines;
    return lines;
  }

  /** A hash for each group: 32 bytes, none for a group without accounts. */
  hashes(): readonly Uint8Array[] {
    return this.#hashes.map((known, bucket) => {
      if (known !== undefined) return known;
      const lines = this.lines(bucket);
      const hash = lines.length === 0 ? new Uint8Array(0) : sha256(encode(lines));
      this.#hashes[bucket] = hash;
      return hash;
    });
  }

  /** 32 bytes over all groups. */
  root(): Uint8Array {
    this.#root ??= sha256(encode(this.hashes()));
    return this.#root;
  }
}
