import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PULL } from '../limits/jobs.ts';
import { smallPuller } from '../testing/small-puller.ts';
import { settle } from '../testing/virtual-clock.ts';

describe('walks through the DHT', () => {
  it('find coordinators that were not heard of', async () => {
    const { clock, pull, state, who } = smallPuller();
    state.records = ['a'];
    state.waiting.set('a', 1);
    pull.start();
    await clock.advance(PULL.firstWalkMs + PULL.gapMs);
    expect(who()).toEqual(['a']);
    pull.stop();
  });

  it('go on after one that broke off, be it over what a hostile node has placed there', async () => {
    const { clock, pull, state, who, walks } = smallPuller();
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
    const { clock, pull, walks } = smallPuller({ random: () => 0.5 });
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
    const { clock, pull, state, who, walks } = smallPuller();
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
    const { clock, pull, state, walks, end } = smallPuller();
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

/** Asking while no slot is free, or for more slots than there are, fails inside `smallPuller`. */
describe('whatever happens', () => {
  it('a worker asks in bounds, and every job that it hears of is run in the end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), async (slots, steps) => {
        const { clock, pull, state, asked, walks } = smallPuller({ slots });
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
