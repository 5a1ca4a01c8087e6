import { describe, expect, it } from 'vitest';
import { JOB, PULL } from '../limits/jobs.ts';
import { smallPuller } from '../testing/small-puller.ts';
import { settle } from '../testing/virtual-clock.ts';

describe('an idle worker', () => {
  it('asks a coordinator that it hears of, not in step with others that do, and runs what comes', async () => {
    const { clock, pull, state, who } = smallPuller({ random: () => 0.9 });
    state.waiting.set('a', 1);
    pull.heardOf('a');
    await clock.advance(0.8 * PULL.spreadMs);
    expect(who()).toEqual([]);
    await clock.advance(0.2 * PULL.spreadMs);
    expect(who()).toEqual(['a']);
    expect(state.running).toBe(1);
  });

  it('asks the coordinator that had least here first, and no more than fill its slots', async () => {
    const { clock, pull, state, asked } = smallPuller({ slots: 3, counters: { a: 30, b: 10, c: 20, d: 40 } });
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
    const { clock, pull, state, asked } = smallPuller({ slots: 100, counters: { a: 1, b: 2, c: 3 } });
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
    const { clock, pull, state, who } = smallPuller();
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
    const { clock, pull, state, who, end, lift } = smallPuller({ counters });
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
    const { clock, pull, state, end, who } = smallPuller();
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
    const { clock, pull, state, asked } = smallPuller({ slots: 4 });
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
    const { clock, pull, asked, who } = smallPuller();
    const crowd = Array.from({ length: 3 * PULL.maxAsks }, (_, i) => `node ${i}`);
    for (const node of crowd) pull.heardOf(node);
    await clock.advance(1000);
    expect(new Set(who())).toEqual(new Set(crowd));
    const looks = [...new Set(asked.map(({ at }) => at))];
    expect(looks).toHaveLength(3);
    expect((looks[1] ?? 0) - (looks[0] ?? 0)).toBeGreaterThanOrEqual(PULL.gapMs);
  });

  it('does not ask more often the shorter its jobs are', async () => {
    const { clock, pull, state, who } = smallPuller();
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
    const { clock, pull, state, who } = smallPuller({ counters: { empty: 1, away: 2, liar: 3, honest: 4 } });
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
    const { clock, pull, state, who, end } = smallPuller({ counters: { honest: 100 } });
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
    const { clock, pull, state, who } = smallPuller({ counters: { honest: 100 } });
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
    const { clock, pull, state, asked } = smallPuller({ slots: 3, counters: { slow: 1 } });
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
    const { clock, pull, state, end, who } = smallPuller();
    state.running = 1;
    pull.loadChanged();
    pull.heardOf('old');
    await clock.advance(PULL.knownMs);
    pull.heardOf('young');
    await end();
    expect(who()).toEqual(['young']);
  });

  it('stops without a timer left behind', async () => {
    const { clock, pull, state, who } = smallPuller({ slots: 2 });
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
