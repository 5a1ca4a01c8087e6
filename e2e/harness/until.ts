/** Waiting for conditions. Nothing in `e2e/` waits for a time to pass. */

import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';

export interface Wait {
  /** What is waited for, as it follows "waited for". */
  readonly what: string;
  /** Milliseconds; default 10,000. */
  readonly within?: number;
}

const DEFAULT_WITHIN_MS = 10_000;
/** Polls start quickly and slow down: what comes at once is seen at once, and a long wait costs the machine little. */
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 150;

/**
 * Asks again and again until `condition` returns something true, and returns that. A condition that throws is not met yet.
 * @throws Error that says what was waited for, how long, and what was seen last
 */
export async function until<T>(condition: () => T | Promise<T>, { what, within }: Wait): Promise<Truthy<T>> {
  const limit = within ?? DEFAULT_WITHIN_MS;
  const startedAt = performance.now();
  let pause = FIRST_PAUSE_MS;
  for (;;) {
    let seen: unknown;
    try {
      const value = await condition();
      if (value) return value as Truthy<T>;
      seen = value;
    } catch (error) {
      seen = error;
    }
    const waited = performance.now() - startedAt;
    if (waited > limit) {
      const shown = seen instanceof Error ? seen.message : inspect(seen, { depth: 6, breakLength: 140 });
      throw new Error(`waited ${(waited / 1000).toFixed(1)} s for ${what}; seen last: ${shown}`, {
        cause: seen instanceof Error ? seen : undefined,
      });
    }
    await sleep(Math.min(pause, Math.max(1, limit - waited)));
    pause = Math.min(LONGEST_PAUSE_MS, pause * 1.5);
  }
}

type Truthy<T> = Exclude<T, false | undefined | null | 0 | ''>;

/**
 * Asks again and again until `read` has returned the same for `forMs` milliseconds, and returns that: the way to see that
 * something has stopped.
 */
export function untilStill<T>(read: () => Promise<T>, forMs: number, wait: Wait): Promise<Truthy<{ value: T }>> {
  let last: { value: T; since: number } | undefined;
  return until(async () => {
    const value = await read();
    if (last === undefined || last.value !== value) last = { value, since: performance.now() };
    return performance.now() - last.since >= forMs ? last : undefined;
  }, wait) as Promise<{ value: T }>;
}
