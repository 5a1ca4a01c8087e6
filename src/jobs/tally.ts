/** Tokens that this machine has read and written for anybody, and how many it writes in a second now. */

import type { Clock } from '../clock.ts';

/** Seconds over which the present rate is counted. */
const WINDOW_SECS = 10;

export class TokenTally {
  readonly #clock: Clock;
  readonly #bySecond: { second: number; tokens: number }[] = [];
  #in = 0;
  #out = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  read(tokens: number): void {
    this.#in += tokens;
  }

  wrote(tokens: number): void {
    this.#out += tokens;
    const second = Math.floor(this.#clock.elapsed() / 1000);
    const last = this.#bySecond.at(-1);
    if (last?.second === second) last.tokens += tokens;
    else this.#bySecond.push({ second, tokens });
    if (this.#bySecond.length > WINDOW_SECS) this.#bySecond.shift();
  }

  totals(): { in: number; out: number; perSecond: number } {
    const since = Math.floor(this.#clock.elapsed() / 1000) - WINDOW_SECS;
    const lately = this.#bySecond.reduce((sum, { second, tokens }) => sum + (second > since ? tokens : 0), 0);
    return { in: this.#in, out: this.#out, perSecond: lately / WINDOW_SECS };
  }
}
