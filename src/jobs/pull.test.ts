import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JOB, PULL } from '../limits/jobs.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { settle, VirtualClock } from '../testing/virtual-clock.ts';
import { Pull } from './pull.ts';

/** A worker with a number of slots, and coordinators with jobs that wait; a pulled job arrives at once and runs. */
function world({ slots = 1, counters = {} as Record<string, number>, random = (): number => 0.5 } = {}) {
  const clock = new VirtualClock();
  const asked: { at: number; node: string; slots: number }[] = [];
  const walks: { at: number; found: readonly string[] }[] = [];
  const state = {
    running: 0,
    models: ['words:latest'],
    /** Another node's or this machine's job waits here. */
    queued: 0,
    waiting: new Map<string, number>(),
    /** Who stands in the DHT, jobs or none. */
    records: [] as string[],
    /** Coordinators whose promised jobs never come. */
    liars: new Set<string>(),
    /** Coordinators that cannot be reached. */
    away: new Set<string>(),
    /** A walk through the DHT rejects. */
    broken: false,
    /** Milliseconds that an answer takes; jobs come first. */
    answerMs: 0,
    mostAsking: 0,
  };
  let asking = 0;
  let level = 0;
  const freeSlots = () => (state.queued > 0 ? 0 : slots - state.running);
  const pull = new Pull({
    clock,
    random,
    log: silentLogger,
    models: () => state.models,
    freeSlots,
    counterOf: (node) => Math.max(level, counters[node] ?? 0),
    servedTo: (node) => counters[node] ?? 0,
    findWork: async (_model, _signal, skip) => {
      const found = state.records.filter((node) => !skip(node));
      walks.push({ at: clock.elapsed(), found });
      if (state.broken) throw new Error('a record that cannot be read');
      return found;
    },
    askWork: async (node, _models, free) => {
      asked.push({ at: clock.elapsed(), node, slots: free });
      expect(free).toBeGreaterThan(0);
      expect(free).toBeLessThanOrEqual(freeSlots());
      state.mostAsking = Math.max(state.mostAsking, ++asking);
      if (state.away.has(node)) {
        asking--;
        throw new Error('away');
      }
      const jobs = state.liars.has(node) ? free : Math.min(free, state.waiting.get(node) ?? 0);
      if (!state.liars.has(node)) {
        state.waiting.set(node, (state.waiting.get(node) ?? 0) - jobs);
        for (let i = 0; i < jobs; i++) {
          pull.jobArrived(node);
          state.running++;
          pull.loadChanged();
        }
      }
      if (state.answerMs > 0) await new Promise<void>((resolve) => void clock.after(state.answerMs, resolve));
      asking--;
      return jobs;
    },
  });
  const end = async () => {
    state.running--;
    pull.loadChanged();
    await clock.advance(PULL.gapMs);
  };
  /** The service that whoever comes now is lifted to. */
  const lift = (to: number) => {
    level = to;
  };
  return { clock, pull, asked, walks, state, end, lift, who: () => asked.map(({ node }) => node) };
}

describe('an idle worker', () => {
  it('asks a coordinator that it hears of, not in step with others that do, and runs what comes', async () => {
    const { clock, pull, state, who } = world({ random: () => 0.9 });
    state.waiting.set('a', 1);
    pull.heardOf('a');
    await clock.advance(0.8 * PULL.spreadMs);
    expect(who()).toEqual([]);
    await clock.advance(0.2 * PULL.spreadMs);
    expect(who()).toEqual(['a']);
    expect(state.running).toBe(1);
  });

  it('asks the coordinator that had least here first, and no more than fill its slots', async () => {
    const { clock, pull, state, asked } = world({ slots: 3, counters: { a: 30, b: 10, c: 20, d: 40 } });
    for (const [node, jobs] of [
      ['a', 5],
      ['b', 1],
      ['c', 1],
      ['d', 5],
    ] as const)
      state.waiting.set(node, jobs);
    for (const node of ['a', 'b', 'c', 'd']) pull.heardOf(node);
    await clock.advance(PULL.spreadMs);
    expect(asked.map(({ node, slots }) => [node, slots])).toEqual([
      ['b', 3],
      ['c', 2],
      ['a', 1],
    ]);
    expect(state.running).toBe(3);
  });

  it('offers a coordinator no more slots than that has jobs open at one node, and goes on to the next', async () => {
    const { clock, pull, state, asked } = world({ slots: 100, counters: { a: 1, b: 2, c: 3 } });
    for (const node of ['a', 'b', 'c']) {
      state.waiting.set(node, JOB.maxOpenAtPeer);
      pull.heardOf(node);
    }
    await clock.advance(PULL.spreadMs);
    expect(asked.map(({ slots }) => slots)).toEqual([
      JOB.maxOpenAtPeer,
      JOB.maxOpenAtPeer,
      100 - 2 * JOB.maxOpenAtPeer,
    ]);
    expect(state.running).toBe(100);
  });

  it('asks nobody while it runs no model: a question without one is a breach of the protocol', async () => {
    const { clock, pull, state, who } = world();
    state.waiting.set('a', 1);
    pull.heardOf('a');
    state.models = [];
    await clock.advance(PULL.spreadMs);
    pull.heardOf('a');
    await clock.advance(PULL.spreadMs);
    expect(who()).toEqual([]);
    state.models = ['words:latest'];
    pull.heardOf('a');
    await clock.advance(PULL.spreadMs);
    expect(who()).toEqual(['a']);
  });

  it('asks whoever has waited before those that had service meanwhile, and lifts who comes as a queue does', async () => {
    const counters: Record<string, number> = { heavy: 0, light: 0, saver: 0 };
    const { clock, pull, state, who, end, lift } = world({ counters });
    for (const node of ['heavy', 'light', 'saver']) state.waiting.set(node, 9);
    state.running = 1;
    pull.loadChanged();
    for (const node of ['heavy', 'light']) pull.heardOf(node);
    // The job that ran was of the heavy one: it is charged, and who comes from now on starts where it stands.
    counters.heavy = 100;
    lift(100);
    await clock.advance(1000);
    pull.heardOf('saver');
    counters.saver = 0;
    await end();
    expect(who()).toEqual(['light']);
    counters.light = 99;
    await end();
    expect(who()).toEqual(['light', 'light']);
    counters.light = 101;
    counters.heavy = 102;
    await end();
    expect(who()).toEqual(['light', 'light', 'saver']);
  });

  it('asks again where a job came from as soon as one ended, until there is none left, once', async () => {
    const { clock, pull, state, end, who } = world();
    state.waiting.set('a', 2);
    pull.heardOf('a');
    await clock.advance(1000);
    await end();
    expect(who()).toEqual(['a', 'a']);
    await end();
    expect(who()).toEqual(['a', 'a', 'a']);
    await clock.advance(60_000);
    pull.loadChanged();
    await clock.advance(60_000);
    expect(who()).toEqual(['a', 'a', 'a']);
  });

  it('asks one coordinator at a time, and who is heard of meanwhile right after', async () => {
    const { clock, pull, state, asked } = world({ slots: 4 });
    state.answerMs = 500;
    for (const node of ['a', 'b']) {
      state.waiting.set(node, 1);
      pull.heardOf(node);
      await clock.advance(PULL.spreadMs + PULL.gapMs);
    }
    await clock.advance(2000);
    expect(asked.map(({ node }) => node)).toEqual(['a', 'b']);
    expect((asked[1]?.at ?? 0) - (asked[0]?.at ?? 0)).toBe(state.answerMs);
    expect(state.running).toBe(2);
    expect(state.mostAsking).toBe(1);
  });

  it('asks a bounded number in one look, and the others in the next', async () => {
    const { clock, pull, asked, who } = world();
    const crowd = Array.from({ length: 3 * PULL.maxAsks }, (_, i) => `node ${i}`);
    for (const node of crowd) pull.heardOf(node);
    await clock.advance(1000);
    expect(new Set(who())).toEqual(new Set(crowd));
    const looks = [...new Set(asked.map(({ at }) => at))];
    expect(looks).toHaveLength(3);
    expect((looks[1] ?? 0) - (looks[0] ?? 0)).toBeGreaterThanOrEqual(PULL.gapMs);
  });

  it('does not ask more often the shorter its jobs are', async () => {
    const { clock, pull, state, who } = world();
    state.waiting.set('a', 1000);
    pull.heardOf('a');
    for (let ms = 0; ms < 2000; ms += 10) {
      await clock.advance(10);
      if (state.running > 0) state.running--;
      pull.loadChanged();
    }
    expect(who().length).toBeGreaterThan(15);
    expect(who().length).toBeLessThanOrEqual(2000 / PULL.gapMs + 1);
  });

  it('goes on to the next when a coordinator has nothing, is away, or breaks its word', async () => {
    const { clock, pull, state, who } = world({ counters: { empty: 1, away: 2, liar: 3, honest: 4 } });
    state.away.add('away');
    state.liars.add('liar');
    state.waiting.set('honest', 1);
    for (const node of ['empty', 'away', 'liar', 'honest']) pull.heardOf(node);
    await clock.advance(PULL.spreadMs);
    expect(who()).toEqual(['empty', 'away', 'liar']);
    await clock.advance(PULL.promiseMs + PULL.gapMs);
    expect(who()).toEqual(['empty', 'away', 'liar', 'honest']);
    expect(state.running).toBe(1);
  });

  it('asks whoever broke its word after those who keep it, however little it had', async () => {
    const { clock, pull, state, who, end } = world({ counters: { honest: 100 } });
    state.liars.add('liar');
    pull.heardOf('liar');
    await clock.advance(PULL.spreadMs + PULL.promiseMs);
    state.waiting.set('honest', 1);
    pull.heardOf('liar');
    pull.heardOf('honest');
    await clock.advance(PULL.spreadMs + PULL.gapMs);
    expect(who()).toEqual(['liar', 'honest']);
    // Not for ever: jobs go elsewhere at the last moment among honest nodes, too.
    await clock.advance(PULL.knownMs);
    pull.heardOf('honest');
    pull.heardOf('liar');
    await end();
    expect(who()).toEqual(['liar', 'honest', 'liar']);
  });

  it('asks whoever did not answer after those who did: each time that costs as long as an answer may take', async () => {
    const { clock, pull, state, who } = world({ counters: { honest: 100 } });
    state.away.add('silent');
    pull.heardOf('silent');
    await clock.advance(PULL.spreadMs);
    expect(who()).toEqual(['silent']);
    state.waiting.set('honest', 1);
    pull.heardOf('silent');
    pull.heardOf('honest');
    await clock.advance(PULL.spreadMs + PULL.gapMs);
    expect(who()).toEqual(['silent', 'honest']);
  });

  it('does not ask for slots that jobs are on their way to', async () => {
    const { clock, pull, state, asked } = world({ slots: 3, counters: { slow: 1 } });
    state.liars.add('slow');
    pull.heardOf('slow');
    await clock.advance(PULL.spreadMs);
    state.waiting.set('a', 5);
    pull.heardOf('a');
    await clock.advance(PULL.promiseMs / 2);
    expect(asked).toHaveLength(1);
    // They come: the slots are taken, and nothing is owed any more.
    for (let i = 0; i < 3; i++) {
      pull.jobArrived('slow');
      state.running++;
      pull.loadChanged();
    }
    state.running -= 2;
    pull.loadChanged();
    await clock.advance(PULL.gapMs);
    expect(asked.at(-1)).toMatchObject({ node: 'a', slots: 2 });
  });

  it('looks beyond its jobs at nothing that was heard of long ago', async () => {
    const { clock, pull, state, end, who } = world();
    state.running = 1;
    pull.loadChanged();
    pull.heardOf('old');
    await clock.advance(PULL.knownMs);
    pull.heardOf('young');
    await end();
    expect(who()).toEqual(['young']);
  });

  it('stops without a timer left behind', async () => {
    const { clock, pull, state, who } = world({ slots: 2 });
    pull.start();
    state.liars.add('a');
    pull.heardOf('a');
    await clock.advance(PULL.spreadMs);
    pull.heardOf('b');
    pull.stop();
    await settle();
    expect(clock.pending).toBe(0);
    await clock.advance(600_000);
    expect(who()).toEqual(['a']);
  });
});

describe('walks through the DHT', () => {
  it('find coordinators that were not heard of', async () => {
    const { clock, pull, state, who } = world();
    state.records = ['a'];
    state.waiting.set('a', 1);
    pull.start();
    await clock.advance(PULL.firstWalkMs + PULL.gapMs);
    expect(who()).toEqual(['a']);
    pull.stop();
  });

  it('go on after one that broke off, be it over what a hostile node has placed there', async () => {
    const { clock, pull, state, who, walks } = world();
    state.broken = true;
    pull.start();
    await clock.advance(PULL.firstWalkMs);
    expect(walks).toHaveLength(1);
    state.broken = false;
    state.records = ['a'];
    await clock.advance(PULL.walkMs + PULL.gapMs);
    expect(who()).toEqual(['a']);
    pull.stop();
    expect(clock.pending).toBe(0);
  });

  it('grow rare while they find nothing: an idle day costs a few hundred', async () => {
    const { clock, pull, walks } = world({ random: () => 0.5 });
    pull.start();
    for (let hour = 0; hour < 24; hour++) {
      // News of the load that frees no slot: a job of this machine's own, a setting.
      pull.loadChanged();
      await clock.advance(3_600_000);
    }
    const pauses = walks.slice(1).map(({ at }, i) => at - (walks[i]?.at ?? 0));
    expect(pauses.slice(0, 5)).toEqual([120_000, 240_000, 480_000, 600_000, 600_000]);
    expect(walks.length).toBeLessThan(150);
    pull.stop();
  });

  it('do not ask again where a record stands and nothing waits: records outlive their jobs', async () => {
    const { clock, pull, state, who, walks } = world();
    state.records = ['a', 'b'];
    pull.start();
    await clock.advance(PULL.quietMs);
    expect(walks.length).toBeGreaterThan(2);
    expect(who().toSorted()).toEqual(['a', 'b']);
    // A new record is news, whatever it said before.
    pull.heardOf('a');
    await clock.advance(PULL.spreadMs + PULL.gapMs);
    expect(who().filter((node) => node === 'a')).toHaveLength(2);
    pull.stop();
  });

  it('come soon again behind a job, and never more often than their pause', async () => {
    const { clock, pull, state, walks, end } = world();
    pull.start();
    await clock.advance(3_600_000);
    const before = walks.length;
    for (let i = 0; i < 100; i++) {
      state.running++;
      pull.loadChanged();
      await clock.advance(500);
      await end();
    }
    // A minute of short jobs: one walk at its beginning, unless one was just over.
    expect(walks.length - before).toBeLessThanOrEqual(2);
    expect(walks.length - before).toBeGreaterThan(0);
    pull.stop();
  });
});

type Step =
  | { readonly what: 'heard'; readonly node: string; readonly jobs: number }
  | { readonly what: 'own' | 'ended' | 'queued' | 'unqueued' }
  | { readonly what: 'fails'; readonly node: string; readonly how: 'away' | 'liars' }
  | { readonly what: 'passes'; readonly ms: number };

const node = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k');
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ what: fc.constant('heard' as const), node, jobs: fc.nat({ max: 5 }) }),
  fc.record({ what: fc.constantFrom('own' as const, 'ended' as const, 'queued' as const, 'unqueued' as const) }),
  fc.record({ what: fc.constant('fails' as const), node, how: fc.constantFrom('away' as const, 'liars' as const) }),
  fc.record({ what: fc.constant('passes' as const), ms: fc.nat({ max: 5000 }) }),
);

/** Asking while no slot is free, or for more slots than there are, fails inside `askWork` above. */
describe('whatever happens', () => {
  it('a worker asks in bounds, and every job that it hears of is run in the end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), async (slots, steps) => {
        const { clock, pull, state, asked, walks } = world({ slots });
        pull.start();
        const occasions = () => steps.length + walks.length;
        for (const one of steps) {
          if (one.what === 'heard') {
            state.waiting.set(one.node, (state.waiting.get(one.node) ?? 0) + one.jobs);
            pull.heardOf(one.node);
          } else if (one.what === 'own' && state.running < slots) state.running++;
          else if (one.what === 'ended' && state.running > 0) state.running--;
          else if (one.what === 'queued') state.queued = 1;
          else if (one.what === 'unqueued') state.queued = 0;
          else if (one.what === 'fails') state[one.how].add(one.node);
          else if (one.what === 'passes') await clock.advance(one.ms);
          pull.loadChanged();
          await settle();
          expect(state.running).toBeLessThanOrEqual(slots);
        }
        // Nobody is asked without an occasion, and each occasion is worth few questions.
        expect(asked.length).toBeLessThanOrEqual(occasions() * PULL.maxAsks);
        for (let i = 0; i + PULL.maxAsks < asked.length; i++) {
          expect((asked[i + PULL.maxAsks]?.at ?? 0) - (asked[i]?.at ?? 0)).toBeGreaterThanOrEqual(PULL.gapMs);
        }
        // Now all goes well: coordinators that still have jobs say so again, and jobs end.
        state.away.clear();
        state.liars.clear();
        state.queued = 0;
        for (let round = 0; round < 300 && [...state.waiting.values()].some((jobs) => jobs > 0); round++) {
          for (const [name, jobs] of state.waiting) if (jobs > 0) pull.heardOf(name);
          if (state.running > 0) state.running--;
          pull.loadChanged();
          await clock.advance(1000);
        }
        expect([...state.waiting.values()].every((jobs) => jobs === 0)).toBe(true);
        pull.stop();
        expect(clock.pending).toBe(0);
      }),
      { numRuns: 150 },
    );
  });
});
