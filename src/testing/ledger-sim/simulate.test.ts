import { describe, expect, test } from 'vitest';
import { simulateMany } from './many.ts';
import { planOf } from './plan.ts';
import { simulate } from './simulate.ts';

/** Real time that the slice takes; `npm run simulate:ledger` runs as long as one likes. */
const SLICE_MS = 6_000;

describe('simulated histories of ledgers', () => {
  test('of one seed are the same to the last event', { timeout: 60_000 }, async () => {
    const plan = planOf(3, { nodes: [2, 4] });
    const [first, second] = [await simulate(plan), await simulate(plan, true)];
    expect(second.hash).toBe(first.hash);
    expect([second.events, second.virtualMs]).toEqual([first.events, first.virtualMs]);
  });

  test('keep every law, with faults and cheats and from a fresh seed each time', {
    // One history in a thousand takes many times as long as the others.
    timeout: 240_000,
  }, async () => {
    const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 1;
    const { histories, failures, tally } = await simulateMany({
      seed,
      step: 1,
      histories: Number.POSITIVE_INFINITY,
      maxMs: SLICE_MS,
      bounds: { nodes: [2, 6] },
    });
    console.log(`${histories} histories from seed ${seed}, ${tally['double spends tried'] ?? 0} double spends tried`);
    const command = (failure: { seed: number }) => `npm run simulate:ledger -- --replay ${failure.seed} --nodes 2..6`;
    expect(failures.map((failure) => `${command(failure)}: ${failure.law}: ${failure.text}`)).toEqual([]);
    expect(histories).toBeGreaterThan(0);
  });
});
