import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { QUEUE } from '../../limits/jobs.ts';
import { queueOf, ticket } from '../../testing/small-queue.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import type { FairQueue, Place, Ticket } from './fair-queue.ts';
import { LANES } from './lanes.ts';
import { INPUT_WEIGHT, OUTPUT_WEIGHT } from './vtc.ts';

/** Lets the jobs run one after the other, each writing `tokens`; returns the accounts in the order in which they had a turn. */
function runAll(places: Map<Place, string>, tokens: (account: string) => number = () => 1): string[] {
  const order: string[] = [];
  while (places.size > 0) {
    const [place, account] = [...places].find(([candidate]) => candidate.position() === 0) ?? [];
    if (place === undefined || account === undefined) throw new Error('nobody runs, and somebody waits');
    order.push(account);
    place.wrote(tokens(account));
    places.delete(place);
    place.leave();
  }
  return order;
}

describe('the fair queue', () => {
  test('runs as many as it has slots and refuses past its room (G76)', () => {
    const queue = queueOf({ slots: 1, room: 2 });
    const [a, b, c] = ['a', 'b', 'c'].map((account) => queue.enter(ticket(account)));
    expect(queue.enter(ticket('d'))).toBeUndefined();
    expect([a, b, c].map((place) => place?.position())).toEqual([0, 1, 2]);
    b?.leave();
    expect(c?.position()).toBe(1);
    a?.leave();
    a?.leave();
    expect(c?.position()).toBe(0);
    expect([queue.running, queue.depth]).toEqual([1, 0]);
  });

  test('gives one of a hundred jobs of another its turn at once', () => {
    const queue = queueOf({ room: 1_000 });
    const places = new Map<Place, string>();
    for (let i = 0; i < 100; i++) places.set(queue.enter(ticket('heavy'))!, 'heavy');
    places.set(queue.enter(ticket('light'))!, 'light');
    expect(runAll(places, () => 10).indexOf('light')).toBe(1);
  });

  test('lets one account hold a quarter of the room, and at least one place; the owner is exempt', () => {
    for (const [room, quarter] of [
      [32, 8],
      [3, 1],
    ] as const) {
      const queue = queueOf({ room });
      queue.enter(ticket('running'));
      let held = 0;
      while (queue.enter(ticket('heavy')) !== undefined) held++;
      expect(held).toBe(quarter);
      expect(queue.enter(ticket('other'))).toBeDefined();
      let own = 0;
      while (queue.enter(ticket('me', { lane: 'owner' })) !== undefined) own++;
      expect(own).toBe(room);
    }
  });

  test("counts the owner's jobs and those of peers apart: neither fills the room of the other", () => {
    const queue = queueOf({ room: 4 });
    queue.enter(ticket('running'));
    for (let i = 0; i < 4; i++) expect(queue.enter(ticket('me', { lane: 'owner' }))).toBeDefined();
    for (const account of ['a', 'b', 'c', 'd']) expect(queue.enter(ticket(account))).toBeDefined();
    expect(queue.enter(ticket('e'))).toBeUndefined();
    expect(queue.enter(ticket('me', { lane: 'owner' }))).toBeUndefined();
  });

  test('takes a job that was given back though there be no room, in front of its account, and does not charge it twice', () => {
    const queue = queueOf({ room: 4 });
    const first = ticket('a', { inputTokens: 7 });
    const running = queue.enter(first)!;
    const second = queue.enter(ticket('a'))!;
    const others = ['b', 'c', 'd'].map((account) => queue.enter(ticket(account))!);
    const owner = queue.enter(ticket('me', { lane: 'owner' }))!;
    queue.keepFor(first.key);
    running.leave();
    expect(owner.position()).toBe(0);
    const before = queue.counterOf({ lane: 'paid', account: 'a' });
    expect(queue.enter(ticket('e'))).toBeUndefined();
    const returned = queue.enter(first)!;
    expect([returned, second, ...others].map((place) => place.position())).toEqual([1, 2, 3, 4, 5]);
    owner.leave();
    expect(returned.position()).toBe(0);
    expect(queue.counterOf({ lane: 'paid', account: 'a' })).toBe(before);
    returned.counted({ promptTokens: 50, outputTokens: 0 });
    expect(queue.counterOf({ lane: 'paid', account: 'a' })).toBe(before);
  });

  test('keeps a place once, not for ever, and not for any number of jobs', async () => {
    const clock = new VirtualClock();
    const queue = queueOf({ room: 0 }, clock);
    queue.enter(ticket('running'));
    const one = ticket('a');
    queue.keepFor(one.key);
    expect(queue.enter(one)).toBeDefined();
    expect(queue.enter(one)).toBeUndefined();
    queue.keepFor(one.key);
    await clock.advance(QUEUE.keepPlaceMs);
    expect(queue.enter(one)).toBeUndefined();
    const many = Array.from({ length: QUEUE.maxKeptPlaces + 5 }, () => ticket('a'));
    for (const { key } of many) queue.keepFor(key);
    expect(many.filter((kept) => queue.enter(kept) !== undefined)).toHaveLength(QUEUE.maxKeptPlaces);
  });

  test('starts free jobs when nobody else waits, and no more of one account than its share of a minute', async () => {
    const clock = new VirtualClock();
    const queue = queueOf({ freeJobsPerPeerPerMinute: 2 }, clock);
    const free = (account: string) => queue.enter(ticket(account, { lane: 'free' }))!;
    const running = queue.enter(ticket('running'))!;
    const [a1, a2, a3, b1] = [free('a'), free('a'), free('a'), free('b')];
    const paid = queue.enter(ticket('c'))!;
    running.leave();
    expect(paid.position()).toBe(0);
    paid.leave();
    for (const next of [a1, b1, a2]) {
      expect(next.position()).toBe(0);
      next.wrote(5);
      next.leave();
    }
    expect(queue.running).toBe(0);
    expect(a3.position()).toBe(1);
    expect(a3.estimateMs()).toBe(60_000);
    await clock.advance(59_999);
    expect(a3.position()).toBe(1);
    await clock.advance(1);
    expect(a3.position()).toBe(0);
    a3.leave();
    expect(clock.pending).toBe(0);
  });

  test('refuses free jobs where none may start', () => {
    expect(queueOf({ freeJobsPerPeerPerMinute: 0 }).enter(ticket('a', { lane: 'free' }))).toBeUndefined();
  });

  test('puts what the engine counted in the place of what was estimated', () => {
    const queue = queueOf();
    const place = queue.enter(ticket('a', { inputTokens: 1_000 }))!;
    place.wrote(3);
    place.counted({ promptTokens: 400, outputTokens: 5 });
    place.leave();
    expect(queue.counterOf({ lane: 'paid', account: 'a' })).toBe(INPUT_WEIGHT * 400 + OUTPUT_WEIGHT * 5);
  });

  test.each(['ends', 'is cancelled'])('charges every start, also of a job that reads nothing and %s', (how) => {
    const queue = queueOf({ room: 100 });
    const enter = (account: string, work: string) => ({ account, place: queue.enter(ticket(account, { work }))! });
    const jobs = ['empty', 'empty', 'empty', 'honest', 'honest'].map((account) => enter(account, account));
    const turns = { empty: 0, honest: 0 };
    for (let i = 0; i < 1_000; i++) {
      const at = jobs.findIndex(({ place }) => place.running);
      const [job] = jobs.splice(at, 1);
      if (job === undefined) break;
      turns[job.account as keyof typeof turns]++;
      if (job.account === 'honest') job.place.wrote(10);
      else if (how === 'ends') job.place.counted({ promptTokens: 0, outputTokens: 0 });
      jobs.push(enter(job.account, job.account));
      job.place.leave();
    }
    expect(turns.empty / turns.honest).toBeCloseTo((QUEUE.minInputTokens + 20) / QUEUE.minInputTokens, 1);
  });
});

/* ---- laws ---- */

interface Known {
  readonly place: Place;
  readonly ticket: Ticket;
  readonly order: number;
  readonly returning: boolean;
  state: 'waiting' | 'running';
}

const account = fc.integer({ min: 0, max: 4 }).map((n) => `account ${n}`);
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('enter' as const), account, lane: fc.constantFrom(...LANES) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('leave' as const), which: fc.nat(100) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('give-back' as const), which: fc.nat(100) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('return' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('write' as const), which: fc.nat(100), tokens: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(30_000) }) },
);

describe('the fair queue, after anything', () => {
  test('holds every bound, never inverts lanes, keeps the order of each account, and forgets nobody', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 80 }),
        fc.integer({ min: 1, max: 3 }),
        fc.nat(12),
        fc.integer({ min: 1, max: 3 }),
        async (steps, slots, room, perMinute) => {
          const clock = new VirtualClock();
          const queue = queueOf({ slots, room, freeJobsPerPeerPerMinute: perMinute }, clock);
          const jobs: Known[] = [];
          const givenBack: Ticket[] = [];
          const freeStarts: { account: string; at: number }[] = [];
          let order = 0;
          const remember = (place: Place | undefined, asked: Ticket, returning: boolean) => {
            if (place !== undefined) jobs.push({ place, ticket: asked, order: order++, returning, state: 'waiting' });
          };
          const drop = (index: number) => jobs.splice(index % Math.max(1, jobs.length), 1)[0];
          for (const next of steps) {
            if (next.do === 'enter') {
              const asked = ticket(next.account, { lane: next.account === 'account 0' ? 'owner' : next.lane });
              remember(queue.enter(asked), asked, false);
            } else if (next.do === 'leave') {
              drop(next.which)?.place.leave();
            } else if (next.do === 'give-back') {
              const job = drop(next.which);
              if (job !== undefined) {
                queue.keepFor(job.ticket.key);
                givenBack.push(job.ticket);
                job.place.leave();
              }
            } else if (next.do === 'return') {
              const back = givenBack.shift();
              if (back !== undefined) remember(queue.enter(back), back, true);
            } else if (next.do === 'write') {
              const running = jobs.filter(({ state }) => state === 'running');
              running[next.which % Math.max(1, running.length)]?.place.wrote(next.tokens);
            } else {
              await clock.advance(next.ms);
            }
            const started = jobs.filter(({ state, place }) => state === 'waiting' && place.position() === 0);
            for (const job of started) {
              job.state = 'running';
              if (job.ticket.lane === 'free') freeStarts.push({ account: job.ticket.account, at: clock.elapsed() });
            }
            const waiting = jobs.filter(({ state }) => state === 'waiting');
            expectFair(started, waiting);
            expectBounds(queue, jobs, { slots, room });
            for (const { account: who } of freeStarts) {
              const lately = freeStarts.filter(({ account, at }) => account === who && at > clock.elapsed() - 60_000);
              expect(lately.length).toBeLessThanOrEqual(perMinute);
            }
          }
          for (const { place } of jobs) place.leave();
          expect([queue.running, queue.depth, clock.pending]).toEqual([0, 0, 0]);
        },
      ),
      { numRuns: 300 },
    );
  });

  function expectFair(started: readonly Known[], waiting: readonly Known[]): void {
    for (const ran of started) {
      for (const waits of waiting) {
        expect(LANES.indexOf(waits.ticket.lane)).toBeGreaterThanOrEqual(LANES.indexOf(ran.ticket.lane));
        if (waits.ticket.account !== ran.ticket.account || waits.ticket.lane !== ran.ticket.lane) continue;
        if (ran.returning === waits.returning) expect(ran.order).toBeLessThan(waits.order);
        else expect(ran.returning).toBe(true);
      }
    }
  }

  function expectBounds(
    queue: FairQueue,
    jobs: readonly Known[],
    { slots, room }: { slots: number; room: number },
  ): void {
    const waiting = jobs.filter(({ state }) => state === 'waiting');
    const running = jobs.length - waiting.length;
    expect([queue.running, queue.depth]).toEqual([running, waiting.length]);
    expect(running).toBeLessThanOrEqual(slots);
    if (waiting.some(({ ticket: { lane } }) => lane !== 'free')) expect(running).toBe(slots);
    const usual = waiting.filter(({ returning }) => !returning);
    const peers = usual.filter(({ ticket: { lane } }) => lane !== 'owner');
    expect(usual.length - peers.length).toBeLessThanOrEqual(Math.max(room, slots));
    expect(peers.length).toBeLessThanOrEqual(room);
    for (const { ticket: one } of peers) {
      const ofAccount = peers.filter(({ ticket: other }) => other.account === one.account).length;
      expect(ofAccount).toBeLessThanOrEqual(Math.max(1, Math.floor(room / 4)));
    }
    const positions = waiting.map(({ place }) => place.position()).sort((a, b) => a - b);
    expect(positions).toEqual(waiting.map((_, i) => i + 1));
  }
});

/** The largest input and output of a job in these laws, tokens. */
