import { describe, expect, test } from 'vitest';
import { simulateMany } from './many.ts';
import { planOf } from './plan.ts';
import { simulate } from './simulate.ts';

/** Real time that the slice takes; `npm run simulate` runs as long as one likes. */
const SLICE_MS = 15_000;

describe('simulated histories', () => {
  test('of one seed are the same to the last event', async () => {
    for (const seed of [1, 2, 3]) {
      const plan = planOf(seed);
      const [first, second] = [await simulate(plan), await simulate(planOf(seed), true)];
      expect(second.hash).toBe(first.hash);
      expect([second.events, second.virtualMs]).toEqual([first.events, first.virtualMs]);
    }
  });

  test('keep every law, with faults and from a fresh seed each time', { timeout: 4 * SLICE_MS }, async () => {
    const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 1;
    const { histories, failures } = await simulateMany({
      seed,
      step: 1,
      histories: Number.POSITIVE_INFINITY,
      maxMs: SLICE_MS,
      bounds: {},
    });
    console.log(`${histories} simulated histories from seed ${seed}`);
    expect(
      failures.map((failure) => `npm run simulate -- --replay ${failure.seed}: ${failure.law}: ${failure.text}`),
    ).toEqual([]);
    expect(histories).toBeGreaterThan(0);
  });
});
