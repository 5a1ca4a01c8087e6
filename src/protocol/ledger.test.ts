import { describe, expect, it } from 'vitest';
import { witnessAsk } from './ledger.ts';

describe('a question to a witness', () => {
  it('names amounts of credits alone', () => {
    const key = new Uint8Array(32);
    const asking = (cumulative: unknown) =>
      witnessAsk.safeParse({ type: 'may-release', hold: [key, 0, key], leg: 0, cumulative }).success;
    for (const amount of [0, 7, 7n, 2n ** 63n - 1n]) expect(asking(amount)).toBe(true);
    for (const amount of [-1, -1n, 2n ** 63n, 2n ** 4_000n]) expect(asking(amount)).toBe(false);
  });
});
