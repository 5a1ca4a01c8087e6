import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { BadCounts, Rates } from './rates.ts';

describe('Rates', () => {
  it('allows twice a second’s worth at once, and from then on the sustained rate', async () => {
    const clock = new VirtualClock();
    const rates = new Rates<string>({ perSecond: 10, maxKeys: 4 }, clock);
    const allowed = (times: number) => Array.from({ length: times }, () => rates.allows('a')).filter(Boolean).length;
    expect(allowed(100)).toBe(20);
    await clock.advance(1000);
    expect(allowed(100)).toBe(10);
    await clock.advance(60_000);
    expect(allowed(100)).toBe(20);
  });

  it('counts each key for itself, and forgets the oldest past its bound', () => {
    const clock = new VirtualClock();
    const rates = new Rates<string>({ perSecond: 1, maxKeys: 2 }, clock);
    for (const key of ['a', 'a', 'b', 'b']) expect(rates.allows(key)).toBe(true);
    expect(rates.allows('a')).toBe(false);
    expect(rates.allows('c')).toBe(true);
    expect(rates.allows('b')).toBe(false);
    // `a` made room for `c`: it begins anew.
    expect(rates.allows('a')).toBe(true);
  });
});

describe('BadCounts', () => {
  it('bears as many as it is told, and then no more', () => {
    const counts = new BadCounts({ max: 3, maxKeys: 10 }, new VirtualClock());
    expect([1, 2, 3, 4].map(() => counts.add('a'))).toEqual([false, false, false, true]);
    expect(counts.add('b')).toBe(false);
  });

  it('forgives within a minute, however many there were', async () => {
    const clock = new VirtualClock();
    const counts = new BadCounts({ max: 3, maxKeys: 10 }, clock);
    for (let i = 0; i < 10_000; i++) counts.add('a');
    await clock.advance(60_000);
    expect(counts.add('a')).toBe(false);
  });
});
