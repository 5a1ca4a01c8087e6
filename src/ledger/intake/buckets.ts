/** Token buckets: so many a second in the long run, and so many at once. They judge authors and peers. */

import type { Clock } from '../../clock.ts';

export interface BucketOptions {
  readonly perSecond: number;
  readonly atOnce: number;
  /** Keys remembered; the one that was used longest ago makes room. */
  readonly maxKeys: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

export class Buckets<Key> {
  readonly #options: BucketOptions;
  readonly #clock: Pick<Clock, 'elapsed'>;
  readonly #buckets = new Map<Key, Bucket>();

  constructor(options: BucketOptions, clock: Pick<Clock, 'elapsed'>) {
    this.#options = options;
    this.#clock = clock;
  }

  /** Whether `key` could do it now. */
  has(key: Key, count = 1): boolean {
    const bucket = this.#buckets.get(key);
    return (bucket === undefined ? this.#options.atOnce : this.#filled(bucket)) >= count;
  }

  /** Counts it, if `key` may do it so often now. */
  take(key: Key, count = 1): boolean {
    const { atOnce, maxKeys } = this.#options;
    const before = this.#buckets.get(key);
    const tokens = before === undefined ? atOnce : this.#filled(before);
    const allowed = tokens >= count;
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: allowed ? tokens - count : tokens, at: this.#clock.elapsed() });
    const oldest = this.#buckets.size > maxKeys ? this.#buckets.keys().next().value : undefined;
    if (oldest !== undefined) this.#buckets.delete(oldest);
    return allowed;
  }

  #filled({ tokens, at }: Bucket): number {
    const { perSecond, atOnce } = this.#options;
    return Math.min(atOnce, tokens + ((this.#clock.elapsed() - at) / 1000) * perSecond);
  }
}
