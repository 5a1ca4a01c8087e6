/** A clock that stands still until a test lets it go on. */

import type { Clock, Timer } from '../clock.ts';

interface Waiting {
  readonly at: number;
  readonly order: number;
  readonly action: () => void;
}

export class VirtualClock implements Clock {
  #now: number;
  #order = 0;
  readonly #startedAt: number;
  readonly #waiting = new Set<Waiting>();

  /** @param startedAt milliseconds since 1970 */
  constructor(startedAt = 1_800_000_000_000) {
    this.#now = startedAt;
    this.#startedAt = startedAt;
  }

  now(): number {
    return Math.floor(this.#now);
  }

  elapsed(): number {
    return this.#now - this.#startedAt;
  }

  after(ms: number, action: () => void): Timer {
    const waiting = { at: this.#now + ms, order: this.#order++, action };
    this.#waiting.add(waiting);
    return { cancel: () => this.#waiting.delete(waiting) };
  }

  /** Timers still waiting: none should be left when what was tested has ended. */
  get pending(): number {
    return this.#waiting.size;
  }

  /** Lets `ms` pass, timer by timer, and what each one started run until it waits again. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#waiting.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.action();
      await settle();
    }
    this.#now = end;
    await settle();
  }

  #next(end: number): Waiting | undefined {
    let next: Waiting | undefined;
    for (const waiting of this.#waiting) {
      if (waiting.at > end) continue;
      if (next === undefined || waiting.at < next.at || (waiting.at === next.at && waiting.order < next.order)) {
        next = waiting;
      }
    }
    return next;
  }
}

/** Lets every promise that can go on do so. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
}
