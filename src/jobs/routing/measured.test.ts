import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ROUTING } from '../../limits/jobs.ts';
import type { JobInput } from '../../protocol/job.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import { lowerBound, Measured } from './measured.ts';

const INPUT: JobInput = { kind: 'chat', messages: [{ role: 'user', content: 'hello' }] };
const USAGE = { promptTokens: 100, outputTokens: 50, loadMs: 0, prefillMs: 100, decodeMs: 1_000 };
const TOOK_MS = 1_100;

describe('the lower bound of success', () => {
  it('lies within 0 and 1, below the share itself, and grows with successes and not with failures', () => {
    const count = fc.integer({ min: 0, max: 10_000 });
    const rounding = 1e-12;
    fc.assert(
      fc.property(count, count, (good, bad) => {
        const bound = lowerBound(good, bad);
        expect(bound).toBeGreaterThanOrEqual(0);
        expect(bound).toBeLessThanOrEqual(good + bad === 0 ? 0 : good / (good + bad) + rounding);
        expect(lowerBound(good + 1, bad)).toBeGreaterThanOrEqual(bound - rounding);
        expect(lowerBound(good, bad + 1)).toBeLessThanOrEqual(bound + rounding);
      }),
    );
  });

  it('has the values of the published formula', () => {
    // Wilson score interval, z = 1, worked out by hand: 8 of 8 is 8/9, 1 of 2 is (0.5 + 0.25 - √(0.125 + 0.0625)) / 1.5.
    expect(lowerBound(8, 0)).toBeCloseTo(8 / 9, 10);
    expect(lowerBound(1, 1)).toBeCloseTo((0.75 - Math.sqrt(0.1875)) / 1.5, 10);
  });
});

describe('what is remembered of a provider', () => {
  const setUp = () => {
    const clock = new VirtualClock();
    return { clock, measured: new Measured(clock) };
  };

  it('puts a newcomer behind a proven one and before a doubtful one', () => {
    const { measured } = setUp();
    for (let i = 0; i < 20; i++) measured.completed('proven', 'd', TOOK_MS, { input: INPUT, usage: USAGE });
    for (let i = 0; i < 20; i++) {
      measured.completed('doubtful', 'd', TOOK_MS, { input: INPUT, usage: USAGE });
      measured.failed('doubtful');
    }
    expect(measured.reliabilityOf('proven')).toBeGreaterThan(measured.reliabilityOf('new'));
    expect(measured.reliabilityOf('new')).toBeGreaterThan(measured.reliabilityOf('doubtful'));
    expect(measured.reliabilityOf('new')).toBeGreaterThan(0.8);
  });

  it('avoids who failed, less with time, and not at all after a success', async () => {
    const { clock, measured } = setUp();
    expect(measured.avoidanceOf('n')).toBe(1);
    measured.failed('n');
    expect(measured.avoidanceOf('n')).toBe(1 + ROUTING.avoidancePerFailure);
    await clock.advance(ROUTING.avoidanceHalfLifeMs);
    expect(measured.avoidanceOf('n')).toBeCloseTo(1 + ROUTING.avoidancePerFailure / 2);
    measured.failed('n');
    expect(measured.avoidanceOf('n')).toBeCloseTo(1 + ROUTING.avoidancePerFailure * 1.5);
    for (let i = 0; i < 100; i++) measured.failed('n');
    expect(measured.avoidanceOf('n')).toBe(1 + ROUTING.maxAvoidance);
    measured.completed('n', 'd', TOOK_MS, { input: INPUT, usage: USAGE });
    expect(measured.avoidanceOf('n')).toBe(1);
  });

  it('lets a provider mend, however often it failed', () => {
    const { measured } = setUp();
    for (let i = 0; i < 1_000; i++) measured.failed('n');
    expect(measured.reliabilityOf('n')).toBeLessThan(0.2);
    for (let i = 0; i < 3 * ROUTING.rememberedJobs; i++)
      measured.completed('n', 'd', TOOK_MS, { input: INPUT, usage: USAGE });
    expect(measured.reliabilityOf('n')).toBeGreaterThan(0.85);
  });

  it('corrects announced rates by measured ones, which fade', async () => {
    const { clock, measured } = setUp();
    const announced = { tokensPerSecond: 10, prefillTokensPerSecond: 0, loadMs: 700 };
    expect(measured.ratesOf('n', 'd', announced)).toEqual(announced);
    measured.completed('n', 'd', TOOK_MS, { input: INPUT, usage: USAGE });
    expect(measured.ratesOf('n', 'd', announced)).toEqual({
      tokensPerSecond: 50,
      prefillTokensPerSecond: 1_000,
      loadMs: 700,
    });
    expect(measured.ratesOf('n', 'other', announced)).toEqual(announced);
    // Half measured, half announced: the mean of 20 ms and 100 ms a token.
    await clock.advance(ROUTING.ratesHalfLifeMs);
    expect(measured.ratesOf('n', 'd', announced).tokensPerSecond).toBeCloseTo(1_000 / 60);
    await clock.advance(20 * ROUTING.ratesHalfLifeMs);
    expect(measured.ratesOf('n', 'd', announced).tokensPerSecond).toBeCloseTo(10, 1);
  });

  it('does not forget a measured rate over an announced one that is beyond belief', async () => {
    const { clock, measured } = setUp();
    for (let i = 0; i < 50; i++) measured.completed('n', 'd', TOOK_MS, { input: INPUT, usage: USAGE });
    const boast = { tokensPerSecond: 9e12, prefillTokensPerSecond: 9e12, loadMs: 0 };
    await clock.advance(ROUTING.ratesHalfLifeMs);
    expect(measured.ratesOf('n', 'd', boast)).toEqual({
      tokensPerSecond: expect.closeTo(2 * 50),
      prefillTokensPerSecond: expect.closeTo(2 * 1_000),
      loadMs: 0,
    });
  });

  it('knows how long jobs usually take there', () => {
    const { measured } = setUp();
    expect(measured.usualMs('n', 'd')).toBe(0);
    measured.completed('n', 'd', 1_000, undefined);
    measured.completed('n', 'd', 2_000, undefined);
    expect(measured.usualMs('n', 'd')).toBe(1_300);
  });

  it('knows how long answers usually are', () => {
    const { measured } = setUp();
    expect(measured.usualAnswer('m')).toBe(ROUTING.usualOutputTokens);
    for (let i = 0; i < 20; i++) measured.answered('m', 40, undefined);
    expect(measured.usualAnswer('m')).toBe(40);
  });

  it('does not take answers for short that were cut by their bound', () => {
    const { measured } = setUp();
    for (let i = 0; i < 20; i++) measured.answered('m', 1, 1);
    expect(measured.usualAnswer('m')).toBe(ROUTING.usualOutputTokens);
    measured.answered('m', 3, 100);
    expect(measured.usualAnswer('m')).toBe(3);
    measured.answered('m', 100, 100);
    expect(measured.usualAnswer('m')).toBeGreaterThan(30);
  });

  it('knows that a job of its own has loaded the model, until that must have been heard otherwise', async () => {
    const { clock, measured } = setUp();
    await clock.advance(1_000_000);
    measured.completed('n', 'd', TOOK_MS, undefined);
    const heardBefore = clock.elapsed() - 20_000;
    await clock.advance(ROUTING.warmNewsMs);
    expect(measured.ranSince('n', 'd', heardBefore)).toBe(true);
    expect(measured.ranSince('n', 'd', clock.elapsed())).toBe(false);
    expect(measured.ranSince('n', 'other', heardBefore)).toBe(false);
  });

  it('is bounded', () => {
    const { measured } = setUp();
    measured.failed('first');
    for (let i = 0; i < ROUTING.maxNodes; i++) measured.failed(`n${i}`);
    expect(measured.avoidanceOf('first')).toBe(1);
    expect(measured.avoidanceOf('n0')).toBeGreaterThan(1);
  });
});
