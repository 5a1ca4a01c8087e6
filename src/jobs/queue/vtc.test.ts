import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { INPUT_WEIGHT, OUTPUT_WEIGHT, TokenCounters } from './vtc.ts';

/** Runs a job of an account from its arrival to its end. */
function serve(counters: TokenCounters, account: string, inputTokens: number, outputTokens: number): void {
  counters.arrives(account);
  counters.leaves(account, 'starts');
  counters.charge(account, inputTokens, outputTokens);
  counters.ends(account);
}

describe('the virtual token counter', () => {
  test('charges output twice as much as input, and takes back what was estimated too high', () => {
    const counters = new TokenCounters(8);
    serve(counters, 'a', 10, 3);
    expect(counters.of('a')).toBe(INPUT_WEIGHT * 10 + OUTPUT_WEIGHT * 3);
    counters.arrives('a');
    counters.charge('a', -4, 0);
    expect(counters.of('a')).toBe(12);
  });

  test('lifts who comes to the smallest counter of those that wait, and nobody above his own', () => {
    const counters = new TokenCounters(8);
    serve(counters, 'heavy', 100, 0);
    counters.arrives('heavy');
    serve(counters, 'heavier', 300, 0);
    counters.arrives('heavier');
    counters.arrives('new');
    expect(counters.of('new')).toBe(100);
    expect(counters.of('heavier')).toBe(400);
  });

  test('lifts who comes to an empty queue to the account whose job left last, as that stands now', () => {
    const counters = new TokenCounters(8);
    counters.arrives('a');
    counters.leaves('a', 'starts');
    counters.charge('a', 50, 0);
    counters.arrives('new');
    expect(counters.of('new')).toBe(50);
  });

  test('does not lift an account again while a job of it waits', () => {
    const counters = new TokenCounters(8);
    counters.arrives('a');
    counters.arrives('b');
    counters.charge('b', 70, 0);
    counters.arrives('a');
    expect(counters.of('a')).toBe(0);
  });

  const account = fc.integer({ min: 0, max: 9 }).map((n) => `account ${n}`);
  const step = fc.oneof(
    fc.record({ do: fc.constant('arrives' as const), account }),
    fc.record({ do: fc.constant('starts' as const), account, tokens: fc.nat(50) }),
    fc.record({ do: fc.constant('gives-up' as const), account }),
    fc.record({ do: fc.constant('writes' as const), account, tokens: fc.nat(20) }),
    fc.record({ do: fc.constant('ends' as const), account }),
  );

  /** Does the same to several counters, whatever of it is possible. */
  function play(
    all: readonly TokenCounters[],
    steps: readonly fc.Arbitrary<never>[] | readonly Step[],
    after: () => void,
  ) {
    const waiting = new Map<string, number>();
    const running = new Map<string, number>();
    const count = (map: Map<string, number>, key: string, by: number) => map.set(key, (map.get(key) ?? 0) + by);
    for (const next of steps as readonly Step[]) {
      const waits = (waiting.get(next.account) ?? 0) > 0;
      const runs = (running.get(next.account) ?? 0) > 0;
      if (next.do === 'arrives') {
        for (const counters of all) counters.arrives(next.account);
        count(waiting, next.account, 1);
      } else if ((next.do === 'starts' || next.do === 'gives-up') && waits) {
        for (const counters of all) counters.leaves(next.account, next.do);
        count(waiting, next.account, -1);
        if (next.do === 'starts') {
          for (const counters of all) counters.charge(next.account, next.tokens, 0);
          count(running, next.account, 1);
        }
      } else if (next.do === 'writes' && runs) {
        for (const counters of all) counters.charge(next.account, 0, next.tokens);
      } else if (next.do === 'ends' && runs) {
        for (const counters of all) counters.ends(next.account);
        count(running, next.account, -1);
      }
      after();
    }
  }
  type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

  test('never lets an account gain by being forgotten, and remembers no more than its bound besides those that are here', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 4 }), (steps, most) => {
        const forgetful = new TokenCounters(most);
        const perfect = new TokenCounters(1_000);
        play([forgetful, perfect], steps, () => {
          for (let n = 0; n <= 10; n++) {
            expect(forgetful.of(`account ${n}`)).toBeGreaterThanOrEqual(perfect.of(`account ${n}`));
          }
        });
        const here = new Set(steps.map((next) => next.account)).size;
        expect(forgetful.size).toBeLessThanOrEqual(Math.max(most, here));
      }),
      { numRuns: 500 },
    );
  });

  test('keeps no more accounts than its bound when none of them is here any more', () => {
    const counters = new TokenCounters(4);
    for (let n = 0; n < 100; n++) serve(counters, `account ${n}`, n, 0);
    expect(counters.size).toBe(4);
    for (let n = 0; n < 100; n++) expect(counters.of(`account ${n}`)).toBeGreaterThanOrEqual(n);
  });
});
