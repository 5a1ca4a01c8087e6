/** How fast something comes and when it will be there, over the last seconds. */

import { STORE } from '../../limits/engine.ts';

interface Sample {
  readonly at: number;
  readonly bytes: number;
}

/** Pure: the caller says what time it is, in milliseconds of a clock that never goes back. */
export class RateMeter {
  readonly #samples: Sample[] = [];

  /**
   * Begins anew. What was there before counts as no speed: a download that goes on does not start with a leap.
   * @param bytes that are there already
   */
  restart(at: number, bytes: number): void {
    this.#samples.splice(0, this.#samples.length, { at, bytes });
  }

  /** `bytes` are there at `at`; fewer than before begin anew. */
  sample(at: number, bytes: number): void {
    const last = this.#samples.at(-1);
    if (last === undefined || bytes < last.bytes || at < last.at) {
      this.restart(at, bytes);
      return;
    }
    // Samples that come too close take the place of the last one, so that few of them span the whole window.
    const before = this.#samples.at(-2);
    if (before !== undefined && last.at - before.at < STORE.rateWindowMs / STORE.maxRateSamples) this.#samples.pop();
    this.#samples.push({ at, bytes });
    this.#forget(at);
  }

  /** Samples kept. */
  get size(): number {
    return this.#samples.length;
  }

  /** Bytes a second over the window that ends now; undefined before there is anything to tell it by. */
  bytesPerSecond(now: number): number | undefined {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || this.#samples.length < 2) return undefined;
    const spanMs = now - first.at;
    return spanMs >= STORE.minRateSpanMs ? ((last.bytes - first.bytes) / spanMs) * 1000 : undefined;
  }

  /** Seconds until `totalBytes` are there if it goes on so; undefined when nobody can tell. */
  secondsLeft(now: number, totalBytes: number): number | undefined {
    const rate = this.bytesPerSecond(now);
    const last = this.#samples.at(-1);
    if (rate === undefined || last === undefined || rate <= 0) return undefined;
    return Math.max(0, totalBytes - last.bytes) / rate;
  }

  /** Keeps one sample at or before the window's beginning: the span is then never shorter than the window. */
  #forget(now: number): void {
    const begin = now - STORE.rateWindowMs;
    let old = 0;
    while (old + 1 < this.#samples.length && (this.#samples[old + 1]?.at ?? now) <= begin) old++;
    this.#samples.splice(0, old);
  }
}
