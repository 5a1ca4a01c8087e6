import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { STORE } from '../../limits/engine.ts';
import { RateMeter } from './rate.ts';

const steps = fc.array(
  fc.record({ afterMs: fc.integer({ min: 0, max: 20_000 }), bytes: fc.integer({ min: 0, max: 1e9 }) }),
  { minLength: 1, maxLength: 300 },
);

describe('the rate of a download', () => {
  it('at a steady pace is that pace, and the time left is exact', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1, max: 1e9, noNaN: true }),
        fc.integer({ min: 1, max: 3_000 }),
        fc.integer({ min: 2, max: 400 }),
        fc.nat(1e9),
        (perSecond, everyMs, count, there) => {
          const meter = new RateMeter();
          meter.restart(0, there);
          const bytesAt = (ms: number) => there + (perSecond * ms) / 1000;
          for (let index = 1; index <= count; index++) meter.sample(index * everyMs, bytesAt(index * everyMs));
          const now = count * everyMs;
          if (now < STORE.minRateSpanMs) {
            expect(meter.bytesPerSecond(now)).toBeUndefined();
            return;
          }
          const rate = meter.bytesPerSecond(now) ?? 0;
          expect(Math.abs(rate - perSecond) / perSecond).toBeLessThan(1e-6 + 1e-6 * (there / perSecond));
          const left = meter.secondsLeft(now, bytesAt(now) + 10 * perSecond) ?? 0;
          expect(Math.abs(left - 10)).toBeLessThan(0.001 + 1e-5 * (there / perSecond));
        },
      ),
    );
  });

  it('is never negative, never endless, and never more than the fastest moment of its window', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const meter = new RateMeter();
        let now = 0;
        let bytes = 0;
        meter.restart(now, bytes);
        for (const step of list) {
          now += step.afterMs;
          bytes += step.bytes;
          meter.sample(now, bytes);
          const rate = meter.bytesPerSecond(now);
          if (rate !== undefined) {
            expect(Number.isFinite(rate)).toBe(true);
            expect(rate).toBeGreaterThanOrEqual(0);
          }
          const left = meter.secondsLeft(now, bytes + 1);
          if (left !== undefined) expect(left).toBeGreaterThanOrEqual(0);
          expect(meter.secondsLeft(now, 0) ?? 0).toBe(0);
        }
      }),
    );
  });

  it('falls to nothing while nothing comes', () => {
    const meter = new RateMeter();
    meter.restart(0, 0);
    for (let ms = 100; ms <= 2_000; ms += 100) meter.sample(ms, ms * 1000);
    const moving = meter.bytesPerSecond(2_000) ?? 0;
    expect(moving).toBeCloseTo(1e6, 0);
    const rates = [4_000, 8_000, 60_000].map((ms) => meter.bytesPerSecond(ms) ?? 0);
    expect(rates).toEqual(rates.toSorted((a, b) => b - a));
    expect(rates.at(-1)).toBeLessThan(moving / 20);
  });

  it('forgets what lies before its window, and what was there at the beginning', () => {
    const meter = new RateMeter();
    meter.restart(0, 5e9);
    expect(meter.bytesPerSecond(10)).toBeUndefined();
    for (let ms = 50; ms <= 20_000; ms += 50) meter.sample(ms, 5e9 + (ms <= 10_000 ? 0 : (ms - 10_000) * 1000));
    expect(meter.bytesPerSecond(20_000)).toBeCloseTo(1e6, -4);
  });

  it('begins anew when there is less than before', () => {
    const meter = new RateMeter();
    meter.restart(0, 0);
    meter.sample(1_000, 1e6);
    meter.sample(2_000, 10);
    expect(meter.bytesPerSecond(2_000)).toBeUndefined();
    meter.sample(3_000, 1_010);
    expect(meter.bytesPerSecond(3_000)).toBeCloseTo(1_000, 3);
  });

  it('keeps few samples, however often it is told', () => {
    const meter = new RateMeter();
    meter.restart(0, 0);
    for (let ms = 1; ms <= 30_000; ms++) meter.sample(ms, ms * 100);
    expect(meter.bytesPerSecond(30_000)).toBeCloseTo(100_000, -3);
    expect(meter.size).toBeLessThanOrEqual(STORE.maxRateSamples * 2);
  });
});
