import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JOB, ROUTING } from '../../limits/jobs.ts';
import { UNKNOWN_RATES } from '../../protocol/profile.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import { expectedMs, fastestRates, priorRates, queueWaitMs, totalMs, usualRates, withPriors } from './expected.ts';
import { Visits } from './visits.ts';

const RATES = { tokensPerSecond: 20, prefillTokensPerSecond: 200, loadMs: 4_000 };

describe('the expected time to finish', () => {
  it('is the sum of its parts', () => {
    const parts = expectedMs(
      { promptTokens: 400, outputTokens: 100 },
      { rates: RATES, warm: false, waitMs: 50, roundTripMs: 3 },
    );
    expect(parts).toEqual({ wait: 50, load: 4_000, prefill: 2_000, decode: 5_000, roundTrip: 3 });
    expect(totalMs(parts)).toBe(11_053);
  });

  it('loads nothing where the model is warm', () => {
    const place = { rates: RATES, warm: true, waitMs: 0, roundTripMs: 0 };
    expect(expectedMs({ promptTokens: 0, outputTokens: 0 }, place).load).toBe(0);
  });

  it('fills in what nobody has measured', () => {
    const some = { tokensPerSecond: 20, prefillTokensPerSecond: 0, loadMs: 0 };
    expect(withPriors(some, priorRates(2_000_000_000))).toEqual({
      tokensPerSecond: 20,
      prefillTokensPerSecond: ROUTING.priorPrefillTokensPerSecond,
      loadMs: ROUTING.priorLoadMs + 4_000,
    });
    const other = { ...some, tokensPerSecond: 5, prefillTokensPerSecond: 7 };
    expect(fastestRates([some, other])).toEqual({ tokensPerSecond: 20, prefillTokensPerSecond: 7, loadMs: 0 });
    expect(usualRates([some, other, UNKNOWN_RATES])).toEqual({
      tokensPerSecond: 5,
      prefillTokensPerSecond: 7,
      loadMs: 0,
    });
    expect(usualRates([some, other, { ...some, tokensPerSecond: 10_000 }]).tokensPerSecond).toBe(20);
    expect(usualRates([UNKNOWN_RATES])).toEqual(UNKNOWN_RATES);
  });
});

describe('the wait in a line', () => {
  const JOB_MS = 1_000;
  const setUp = () => {
    const clock = new VirtualClock();
    const visits = new Visits(clock);
    const wait = (beat: { queueDepth: number; running: number; heardAt: number }) =>
      queueWaitMs({ ...beat, own: visits.at('n') }, JOB_MS, clock.elapsed());
    return { clock, visits, wait };
  };

  it('is what the beat says: nothing at an idle one, half a job at a busy one, and every job in line', () => {
    const { wait } = setUp();
    expect(wait({ queueDepth: 0, running: 0, heardAt: 0 })).toBe(0);
    expect(wait({ queueDepth: 0, running: 1, heardAt: 0 })).toBe(500);
    expect(wait({ queueDepth: 3, running: 1, heardAt: 0 })).toBe(3_500);
    expect(wait({ queueDepth: 4, running: 4, heardAt: 0 })).toBe(1_125);
  });

  it('has the jobs that this node has sent there since the beat, and not those that have come back', async () => {
    const { clock, visits, wait } = setUp();
    const early = visits.open('n');
    await clock.advance(10);
    const beat = { queueDepth: 0, running: 1, heardAt: clock.elapsed() };
    await clock.advance(10);
    expect(wait(beat)).toBe(500);
    visits.open('n');
    visits.open('n');
    expect(wait(beat)).toBe(2_500);
    early.close();
    early.close();
    expect(wait(beat)).toBe(1_500);
    expect(wait({ ...beat, running: 0 })).toBe(1_500);
  });

  it("has this node's new jobs behind those of others", async () => {
    const { clock, visits, wait } = setUp();
    await clock.advance(10);
    const beat = { queueDepth: 1, running: 1, heardAt: clock.elapsed() };
    await clock.advance(10);
    const mine = visits.open('n');
    expect(wait(beat)).toBe(2_500);
    mine.close();
    expect(wait(beat)).toBe(1_500);
  });

  it('is what the provider said itself while no beat is younger, less the time since, more what came behind', async () => {
    const { clock, visits, wait } = setUp();
    const beat = { queueDepth: 9, running: 1, heardAt: clock.elapsed() };
    await clock.advance(10);
    const refused = visits.open('n');
    refused.waits(8_000);
    refused.close();
    expect(wait(beat)).toBe(8_000);
    await clock.advance(3_000);
    expect(wait(beat)).toBe(5_000);
    const queued = visits.open('n');
    queued.waits(5_000);
    expect(wait(beat)).toBe(6_000);
    visits.open('n');
    expect(wait(beat)).toBe(7_000);
    await clock.advance(10);
    expect(wait({ queueDepth: 0, running: 0, heardAt: clock.elapsed() })).toBe(1_500);
  });

  it('is a whole job of the owner that has just begun, also by a beat that is younger', async () => {
    const { clock, visits, wait } = setUp();
    const given = visits.open('n');
    given.givenBack(400);
    given.close();
    expect(wait({ queueDepth: 0, running: 1, heardAt: -1 })).toBe(JOB.minOwnerUseMs);
    await clock.advance(10);
    const beat = { queueDepth: 0, running: 1, heardAt: clock.elapsed() };
    expect(wait(beat)).toBe(JOB_MS - 10);
    await clock.advance(JOB_MS);
    expect(wait(beat)).toBe(JOB_MS / 2);
    expect(wait({ ...beat, running: 0 })).toBe(0);
  });

  it('is never negative, and never shorter for a longer line', () => {
    const count = fc.nat(40);
    fc.assert(
      fc.property(count, count, count, count, fc.nat(100_000), (queueDepth, running, open, net, now) => {
        const own = { open, since: () => net - 20, said: undefined, gaveBackAt: undefined };
        const line = { queueDepth, running, heardAt: 0, own };
        const wait = queueWaitMs(line, JOB_MS, now);
        expect(wait).toBeGreaterThanOrEqual(0);
        expect(queueWaitMs({ ...line, queueDepth: queueDepth + 1 }, JOB_MS, now)).toBeGreaterThanOrEqual(wait);
        expect(queueWaitMs({ ...line, own: { ...own, open: open + 1 } }, JOB_MS, now)).toBeGreaterThanOrEqual(wait);
      }),
    );
  });
});
