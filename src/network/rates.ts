/** Two counters that judge peers: how fast somebody is, and how much of what it sends is bad. Both bounded, both forgiving. */

import type { Clock } from '../clock.ts';

interface Bucket {
  tokens: number;
  at: number;
}

/** Token buckets, one a key: `perSecond` sustained, twice that at once. */
export class Rates<Key> {
  readonly #perSecond: number;
  readonly #maxKeys: number;
  readonly #clock: Clock;
  readonly #buckets = new Map<Key, Bucket>();

  /** @param maxKeys keys remembered; the one that was new longest ago makes room */
  constructor(options: { readonly perSecond: number; readonly maxKeys: number }, clock: Clock) {
    this.#perSecond = options.perSecond;
    this.#maxKeys = options.maxKeys;
    this.#clock = clock;
  }

  /** Whether `key` may do it once more now; counts it when it may. */
  allows(key: Key): boolean {
    const now = this.#clock.elapsed();
    const bucket = this.#buckets.get(key) ?? this.#add(key, now);
    const refill = ((now - bucket.at) / 1000) * this.#perSecond;
    bucket.tokens = Math.min(2 * this.#perSecond, bucket.tokens + refill);
    bucket.at = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  #add(key: Key, now: number): Bucket {
    const oldest = this.#buckets.size >= this.#maxKeys ? this.#buckets.keys().next().value : undefined;
    if (oldest !== undefined) this.#buckets.delete(oldest);
    const bucket = { tokens: 2 * this.#perSecond, at: now };
    this.#buckets.set(key, bucket);
    return bucket;
  }
}

/** Bad messages, one count a peer; a count halves every minute, so that nobody is shut out for an old fault. */
export class BadCounts {
  readonly #max: number;
  readonly #maxKeys: number;
  readonly #clock: Clock;
  readonly #counts = new Map<string, { count: number; at: number }>();

  /** @param options.max bad messages that are borne within about a minute */
  constructor(options: { readonly max: number; readonly maxKeys: number }, clock: Clock) {
    this.#max = options.max;
    this.#maxKeys = options.maxKeys;
    this.#clock = clock;
  }

  /** Counts one more. Returns whether that was too many. */
  add(peer: string): boolean {
    const now = this.#clock.elapsed();
    const before = this.#counts.get(peer);
    const decayed = before === undefined ? 0 : before.count * 2 ** (-(now - before.at) / 60_000);
    // Capped, so that a peer is borne again a minute after its last fault, however many there were.
    const count = Math.min(decayed + 1, this.#max + 1);
    this.#counts.delete(peer);
    this.#counts.set(peer, { count, at: now });
    const oldest = this.#counts.size > this.#maxKeys ? this.#counts.keys().next().value : undefined;
    if (oldest !== undefined) this.#counts.delete(oldest);
    return count > this.#max;
  }
}
