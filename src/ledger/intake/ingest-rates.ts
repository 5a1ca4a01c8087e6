/** How much of the ledger is taken in of whom: what costs this node time or disk is counted for the one who causes it. */

import type { Clock } from '../../clock.ts';
import { LEDGER } from '../../limits/ledger.ts';
import type { NodeId } from '../../protocol/ids.ts';
import type { AccountId } from '../entries/entry.ts';
import { Buckets } from './buckets.ts';

export class IngestRates {
  readonly #authors: Buckets<AccountId>;
  readonly #newAuthors: Buckets<'all'>;
  readonly #newKeys: Buckets<NodeId>;
  readonly #hinted: Buckets<NodeId>;
  readonly #old: Buckets<NodeId>;
  /** Keys whose first check was paid for. Two sets, filled in turn. */
  #shown = new Set<AccountId>();
  #shownBefore = new Set<AccountId>();

  constructor(clock: Pick<Clock, 'elapsed'>) {
    const of = <Key>(perSecond: number, atOnce: number) =>
      new Buckets<Key>({ perSecond, atOnce, maxKeys: LEDGER.maxBuckets }, clock);
    this.#authors = of(LEDGER.maxPerAuthorPerSecond, LEDGER.maxBurstPerAuthor);
    this.#newAuthors = of(LEDGER.maxNewAuthorsPerSecond, LEDGER.maxBurstNewAuthors);
    this.#newKeys = of(LEDGER.maxNewKeysPerSecond, LEDGER.maxBurstNewKeys);
    this.#hinted = of(LEDGER.maxHintedPerSecond, LEDGER.maxBurstHinted);
    this.#old = of(LEDGER.maxOldPerSecond, LEDGER.maxOld);
  }

  /** Whether a peer may hint at so many entries and attestations now. */
  mayHint(from: NodeId, parts: number): boolean {
    return this.#hinted.take(from, parts);
  }

  /** Whether a peer may show a key that was never seen: its first check costs as much as thirty signatures. */
  mayShowKey(from: NodeId): boolean {
    return this.#newKeys.take(from);
  }

  hasShown(key: AccountId): boolean {
    return this.#shown.has(key) || this.#shownBefore.has(key);
  }

  /** A signature of this key stood. */
  onShown(key: AccountId): void {
    if (this.#shown.size >= LEDGER.maxShownKeys / 2) {
      this.#shownBefore = this.#shown;
      this.#shown = new Set();
    }
    this.#shown.add(key);
  }

  /** Whether a peer may bring an entry of a place that is final here: it is compared with the disk. */
  mayBringOld(from: NodeId): boolean {
    return this.#old.take(from);
  }

  /** Whether an author may write one more. Judged when its signature is checked: before, anybody could use up another's rate. */
  mayWrite(author: AccountId): boolean {
    return this.#authors.take(author);
  }

  /** Whether one more log may begin. */
  mayBegin(): boolean {
    return this.#newAuthors.has('all');
  }

  onBegun(): void {
    this.#newAuthors.take('all');
  }
}
