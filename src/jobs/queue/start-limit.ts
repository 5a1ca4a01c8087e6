/** How often each account may start a job for nothing: so many within any one minute. Pure. */

const MINUTE_MS = 60_000;

export class StartLimit {
  readonly #perMinute: number;
  readonly #maxAccounts: number;
  /** `Clock.elapsed()` of the starts within the last minute, oldest first. */
  readonly #starts = new Map<string, number[]>();

  /** @param maxAccounts that start within one minute; more have to wait */
  constructor(perMinute: number, maxAccounts: number) {
    this.#perMinute = perMinute;
    this.#maxAccounts = maxAccounts;
  }

  /** When the account may start its next job, `Clock.elapsed()`: `now` when it may at once, infinite when never. */
  nextAt(account: string, now: number): number {
    if (this.#perMinute === 0) return Number.POSITIVE_INFINITY;
    const starts = this.#starts.get(account);
    if (starts === undefined) return this.#starts.size < this.#maxAccounts ? now : this.#firstGone(now);
    const nth = starts[starts.length - this.#perMinute];
    return nth === undefined ? now : Math.max(now, nth + MINUTE_MS);
  }

  started(account: string, now: number): void {
    this.#forget(now);
    const starts = this.#starts.get(account) ?? [];
    starts.push(now);
    if (starts.length > this.#perMinute) starts.shift();
    this.#starts.set(account, starts);
  }

  /** For a simulation of what will start when. */
  copy(): StartLimit {
    const copy = new StartLimit(this.#perMinute, this.#maxAccounts);
    for (const [account, starts] of this.#starts) copy.#starts.set(account, [...starts]);
    return copy;
  }

  #firstGone(now: number): number {
    this.#forget(now);
    if (this.#starts.size < this.#maxAccounts) return now;
    let first = Number.POSITIVE_INFINITY;
    for (const starts of this.#starts.values()) first = Math.min(first, (starts.at(-1) ?? now) + MINUTE_MS);
    return first;
  }

  #forget(now: number): void {
    for (const [account, starts] of this.#starts) {
      if ((starts.at(-1) ?? 0) + MINUTE_MS <= now) this.#starts.delete(account);
    }
  }
}
