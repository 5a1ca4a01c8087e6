/** A clock that stands still until a test lets it go on. */

import type { Clock, Timer } from '../clock.ts';

interface Waiting {
  readonly at: number;
  readonly order: number;
  /** Undefined once it was cancelled or has run: it stays in the heap until it comes to the top. */
  action: (() => void) | undefined;
}

export class VirtualClock implements Clock {
  #now: number;
  #order = 0;
  #pending = 0;
  readonly #startedAt: number;
  /** A binary heap, the next to run at the top: a simulation of hundreds of nodes has thousands waiting. */
  readonly #heap: Waiting[] = [];

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
    const waiting: Waiting = { at: this.#now + ms, order: this.#order++, action };
    push(this.#heap, waiting);
    this.#pending++;
    return {
      cancel: () => {
        if (waiting.action === undefined) return;
        waiting.action = undefined;
        this.#pending--;
      },
    };
  }

  /** Timers still waiting: none should be left when what was tested has ended. */
  get pending(): number {
    return this.#pending;
  }

  /** Lets `ms` pass, timer by timer, and what each one started run until it waits again. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    while (this.#runNext(end)) await settle();
    this.#now = end;
    await settle();
  }

  /**
   * Goes to the next timer, if it is due by `end` (milliseconds of `elapsed`), and runs it alone. What it started goes on
   * at the caller's next `await`; a caller that wants the same run every time waits for `turn()`.
   * @returns whether there was one
   */
  step(end: number): boolean {
    return this.#runNext(this.#startedAt + end);
  }

  #runNext(end: number): boolean {
    for (let top = this.#heap[0]; top !== undefined && top.at <= end; top = this.#heap[0]) {
      pop(this.#heap);
      const { action } = top;
      if (action === undefined) continue;
      top.action = undefined;
      this.#pending--;
      this.#now = Math.max(this.#now, top.at);
      action();
      return true;
    }
    return false;
  }
}

/** Lets every promise that can go on do so, also through a few turns of the event loop. */
export async function settle(): Promise<void> {
  for (let count = 0; count < 3; count++) await turn();
}

/** Every promise that can go on without the event loop does so, in the one order the language gives: one turn, 1 µs. */
export function turn(): Promise<void> {
  return new Promise(setImmediate);
}

function isBefore(a: Waiting, b: Waiting): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function push(heap: Waiting[], waiting: Waiting): void {
  let at = heap.push(waiting) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent] as Waiting;
    if (isBefore(above, waiting)) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = waiting;
}

/** Takes the top away. */
function pop(heap: Waiting[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  while (true) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    const right = heap[child + 1];
    if (right !== undefined && isBefore(right, heap[child] as Waiting)) child++;
    const below = heap[child] as Waiting;
    if (isBefore(last, below)) break;
    heap[at] = below;
    at = child;
  }
  heap[at] = last;
}
