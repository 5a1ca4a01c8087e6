import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { QUEUE } from '../../limits/jobs.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import { FairQueue, type Place } from './fair-queue.ts';
import { LANES } from './lanes.ts';

/** What jobs of each work take, always. */
const WORKS = {
  short: { ms: 300, outputTokens: 3 },
  middling: { ms: 2_000, outputTokens: 40 },
  long: { ms: 9_000, outputTokens: 200 },
} as const;
type Work = keyof typeof WORKS;
/** What the machine's rates say of any of them. */
const PRIOR = { ms: 40_000, outputTokens: 256 };

let keys = 0;

/** A queue that has seen one job of each work. */
async function taught(clock: VirtualClock, slots: number, room = 1_000): Promise<FairQueue> {
  const queue = new FairQueue({ slots, room, freeJobsPerPeerPerMinute: 1_000 }, clock);
  for (const work of Object.keys(WORKS) as Work[]) {
    const place = queue.enter({
      key: 'taught',
      lane: 'owner',
      account: 'teacher',
      work,
      prior: PRIOR,
      inputTokens: 0,
    })!;
    await clock.advance(WORKS[work].ms);
    place.counted({ promptTokens: 0, outputTokens: WORKS[work].outputTokens });
    place.leave();
  }
  return queue;
}

interface Job {
  readonly place: Place;
  readonly work: Work;
  readonly inputTokens: number;
  startedAt: number | undefined;
}

const job = fc.record({
  account: fc.constantFrom('a', 'b', 'c', 'd'),
  lane: fc.constantFrom(...LANES),
  work: fc.constantFrom<Work>('short', 'middling', 'long'),
  inputTokens: fc.nat(100),
});

describe('the forecast', () => {
  test('of one slot is what happens, when jobs take what they usually take and nobody comes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(job, { minLength: 1, maxLength: 24 }), async (asked) => {
        const clock = new VirtualClock();
        const queue = await taught(clock, 1);
        const jobs: Job[] = asked.map(({ account, lane, work, inputTokens }) => ({
          place: queue.enter({ key: `job ${keys++}`, lane, account, work, prior: PRIOR, inputTokens })!,
          work,
          inputTokens,
          startedAt: undefined,
        }));
        const foretold = new Map(jobs.map(({ place }) => [place, { ms: place.estimateMs(), at: place.position() }]));
        const begun = clock.elapsed();
        for (let nth = 0; nth < jobs.length; nth++) {
          const runs = jobs.filter(({ place }) => place.running);
          expect(runs).toHaveLength(1);
          const next = runs[0]!;
          expect(foretold.get(next.place)).toEqual({ ms: clock.elapsed() - begun, at: nth });
          const { ms, outputTokens } = WORKS[next.work];
          for (let token = 0; token < outputTokens; token++) next.place.wrote(1);
          await clock.advance(ms);
          next.place.counted({ promptTokens: next.inputTokens, outputTokens });
          next.place.leave();
        }
      }),
      { numRuns: 60 },
    );
  });

  test('of several slots is right where all jobs take the same', async () => {
    const clock = new VirtualClock();
    const queue = await taught(clock, 3);
    const places = Array.from(
      { length: 9 },
      (_, i) =>
        queue.enter({
          key: `job ${keys++}`,
          lane: 'paid',
          account: `a${i}`,
          work: 'middling',
          prior: PRIOR,
          inputTokens: 1,
        })!,
    );
    expect(places.map((place) => place.estimateMs())).toEqual([0, 0, 0, 2_000, 2_000, 2_000, 4_000, 4_000, 4_000]);
    await clock.advance(500);
    expect(places.at(-1)?.estimateMs()).toBe(3_500);
    expect(queue.estimateFor({ lane: 'paid', account: 'new' })).toBe(1_500 + 2 * 2_000);
    expect(queue.estimateFor({ lane: 'owner', account: 'me' })).toBe(1_500);
  });

  test('of one that takes longer than usual grows', async () => {
    const clock = new VirtualClock();
    const queue = await taught(clock, 1);
    const enter = (work: string) =>
      queue.enter({ key: `job ${keys++}`, lane: 'paid', account: 'a', work, prior: PRIOR, inputTokens: 1 })!;
    enter('short');
    const second = enter('short');
    const seen = [];
    for (const ms of [0, 100, 100, 100, 300]) {
      await clock.advance(ms);
      seen.push(second.estimateMs());
    }
    expect(seen.slice(0, 3)).toEqual([300, 200, 100]);
    await clock.advance(QUEUE.forecastEveryMs);
    expect(second.estimateMs()).toBe((600 + QUEUE.forecastEveryMs) / 2);
  });

  test('before any job has ended is what rates say, and then how fast the running one writes', async () => {
    const clock = new VirtualClock();
    const fresh = new FairQueue({ slots: 1, room: 8, freeJobsPerPeerPerMinute: 1 }, clock);
    const running = fresh.enter({ key: 'x', lane: 'paid', account: 'a', work: 'new', prior: PRIOR, inputTokens: 1 })!;
    const waits = fresh.enter({ key: 'y', lane: 'paid', account: 'a', work: 'new', prior: PRIOR, inputTokens: 1 })!;
    expect(waits.estimateMs()).toBe(PRIOR.ms);
    await clock.advance(10_000);
    expect(waits.estimateMs()).toBe(PRIOR.ms - 10_000);
    running.wrote(100);
    await clock.advance(QUEUE.forecastEveryMs);
    expect(waits.estimateMs()).toBe(Math.round(1.56 * (10_000 + QUEUE.forecastEveryMs)));
    running.wrote(500);
    await clock.advance(QUEUE.forecastEveryMs);
    expect(waits.estimateMs()).toBe((10_000 + 2 * QUEUE.forecastEveryMs) / 2);
  });

  test('far behind in a long line is a mean, and everybody has a place', async () => {
    const clock = new VirtualClock();
    const queue = await taught(clock, 1, 10_000);
    const places = Array.from(
      { length: QUEUE.maxForecastJobs + 50 },
      (_, i) =>
        queue.enter({
          key: `job ${keys++}`,
          lane: 'paid',
          account: `a${i}`,
          work: 'short',
          prior: PRIOR,
          inputTokens: 1,
        })!,
    );
    expect(places.map((place) => place.position())).toEqual(places.map((_, i) => i));
    expect(places.at(-1)?.estimateMs()).toBe((places.length - 1) * WORKS.short.ms);
  });
});
