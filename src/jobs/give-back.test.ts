import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { JOB } from '../limits/jobs.ts';
import type { JobInput } from '../protocol/job.ts';
import type { Continues } from '../protocol/profile.ts';
import { OWNER, request, rest, smallProvider, textOf, tokensOf, until, untilHeld } from '../testing/small-provider.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { answerTokens, promptOf } from '../testing/word-engine.ts';

const answer = (words: number) => answerTokens(promptOf(request().input), words).join('');
const chat = (more: object): JobInput =>
  ({ kind: 'chat', messages: [{ role: 'user', content: 'x' }], ...more }) as JobInput;

describe("the owner's job", () => {
  test('takes the place of a running one, of which every written word is sent before it is given back', async () => {
    const { ask, engine, book } = smallProvider({ words: 5_000 });
    const asked = request();
    const remote = ask(asked);
    await until(remote.channel, 'chunk');
    const own = ask(request(), OWNER);
    const heard = await rest(remote.channel);
    expect(heard.at(-1)).toMatchObject({ type: 'handOver', reason: 'owner' });
    expect(await until(own.channel, 'chunk')).not.toContainEqual(expect.objectContaining({ type: 'busy' }));
    expect(engine.mostActive).toBe(1);
    expect(await book.get(asked.job)).toMatchObject({ state: 'cancelled', reason: 'preempted' });
    expect(book.totals()).toMatchObject({ running: 0, cancelled: 0, failed: 0 });
    own.channel.close();
    await own.served;
  });

  test('costs the other one no word: it comes back to the place that was kept for it, and goes on where it was', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 60 }), async (words, after) => {
        const { ask } = smallProvider({ words, room: 0 });
        const asked = request();
        const remote = ask(asked);
        const heard = [];
        while (tokensOf(heard) < after && heard.at(-1)?.type !== 'end') heard.push((await remote.channel.receive())!);
        const own = ask(request(), OWNER);
        heard.push(...(await rest(remote.channel)));
        const last = heard.at(-1);
        if (last?.type === 'handOver') {
          const text = textOf(heard);
          const resume = text === '' ? {} : { resume: { text: text.trimEnd(), tokens: tokensOf(heard) } };
          const again = ask({ ...asked, ...resume });
          heard.push(...(await rest(again.channel)));
        }
        expect(heard.at(-1)).toEqual({ type: 'end', reason: 'stop' });
        expect(textOf(heard)).toBe(answer(words));
        expect((await rest(own.channel)).at(-1)).toMatchObject({ type: 'end' });
      }),
      { numRuns: 100 },
    );
  });

  test('finds every written word sent of one whose reader lags behind', async () => {
    const { ask, book, provider } = smallProvider({ words: 100_000, contextLength: 100_000 }, new VirtualClock());
    const asked = request();
    const remote = ask(asked);
    await untilHeld(provider);
    const own = ask(request(), OWNER);
    await until(own.channel, 'accepted');
    const heard = await rest(remote.channel);
    expect(heard.at(-1)).toMatchObject({ type: 'handOver', reason: 'owner' });
    expect(tokensOf(heard)).toBe((await book.get(asked.job))?.tokensOut);
    own.channel.close();
    await own.served;
  });

  test('takes the place of the one that has run shortest', async () => {
    const clock = new VirtualClock();
    const { ask, engine } = smallProvider({ slots: 2 }, clock);
    engine.faults.push({ afterTokens: 3, how: 'hang' }, { afterTokens: 3, how: 'hang' });
    const older = ask(request());
    await until(older.channel, 'chunk');
    await clock.advance(1_000);
    const younger = ask(request(), 'other');
    await until(younger.channel, 'chunk');
    const own = ask(request(), OWNER);
    expect((await rest(younger.channel)).at(-1)).toMatchObject({ type: 'handOver', reason: 'owner' });
    expect((await rest(own.channel)).at(-1)).toMatchObject({ type: 'end' });
    older.channel.close();
    await older.served;
    expect(clock.pending).toBe(0);
  });

  test('asks one to leave for each of its own, also when several come at once', async () => {
    const { ask } = smallProvider({ slots: 3, words: 500 });
    const remotes = ['a', 'b', 'c'].map((from) => ask(request(), from));
    for (const { channel } of remotes) await until(channel, 'chunk');
    const owns = [ask(request(), OWNER), ask(request(), OWNER)];
    const ends = await Promise.all(
      [...remotes, ...owns].map(async ({ channel }) => (await rest(channel)).at(-1)?.type),
    );
    expect(ends).toEqual(['end', 'handOver', 'handOver', 'end', 'end']);
  });

  test('waits for one that nobody could continue: it thinks, or its model goes on with nothing', async () => {
    for (const how of ['thinks', 'cannot go on', 'may not go on', 'is found not to go on'] as const) {
      const { ask, engine } = smallProvider({ words: 30 });
      const models = engine.models();
      let continues: Continues = how === 'cannot go on' ? 'no' : how === 'may not go on' ? 'unknown' : 'yes';
      engine.models = () => models.map((model) => ({ ...model, continues }));
      const run = engine.run.bind(engine);
      if (how === 'thinks') {
        engine.run = async function* (call, signal) {
          yield { type: 'chunk', tokens: 1, thinking: 'hm' };
          yield* run(call, signal);
        };
      }
      const remote = ask(request());
      await until(remote.channel, 'chunk');
      if (how === 'is found not to go on') continues = 'no';
      const own = ask(request(), OWNER);
      expect((await rest(remote.channel)).at(-1), how).toMatchObject({ type: 'end' });
      expect((await rest(own.channel)).at(-1)).toMatchObject({ type: 'end' });
    }
  });

  test('takes the place of one of which it turns out that it can go on elsewhere', async () => {
    const { ask, engine } = smallProvider({ words: 2000 });
    const models = engine.models();
    let continues: Continues = 'unknown';
    engine.models = () => models.map((model) => ({ ...model, continues }));
    const remote = ask(request());
    await until(remote.channel, 'chunk');
    const own = ask(request(), OWNER);
    expect(await own.channel.receive()).toMatchObject({ type: 'queued' });
    continues = 'yes';
    // The engine tells that something changed.
    engine.reachable = true;
    expect((await rest(remote.channel)).at(-1)).toEqual(expect.objectContaining({ type: 'handOver', reason: 'owner' }));
    await until(own.channel, 'chunk');
    own.channel.close();
  });

  test('never takes the place of another of the owner that has written nothing yet', async () => {
    const { ask, engine } = smallProvider();
    engine.faults.push({ afterTokens: 0, how: 'hang' });
    const first = ask(request(), OWNER);
    await vi.waitFor(() => expect(engine.active).toBe(1));
    const second = ask(request(), OWNER);
    expect(await second.channel.receive()).toMatchObject({ type: 'queued' });
    expect(engine.active).toBe(1);
    first.channel.close();
    expect((await rest(second.channel)).at(-1)).toMatchObject({ type: 'end' });
  });

  test.each([
    ['has called a tool', chat({ tools: [{ type: 'function' }] })],
    ['answers in a grammar', { kind: 'generate', prompt: 'x', format: 'json' } as JobInput],
  ])('waits for one that %s and has begun to write: that is never killed', async (_what, input) => {
    const { ask, engine } = smallProvider({ words: 60 });
    const remote = ask(request({ input }));
    await until(remote.channel, 'chunk');
    const own = ask(request(), OWNER);
    expect((await rest(remote.channel)).at(-1)).toMatchObject({ type: 'end' });
    expect((await rest(own.channel)).at(-1)).toMatchObject({ type: 'end' });
    expect(engine.mostActive).toBe(1);
  });

  test('takes the place of one that has written nothing, whatever it is', async () => {
    const { ask, engine } = smallProvider({ words: 60 });
    engine.faults.push({ afterTokens: 0, how: 'hang' });
    const remote = ask(request({ input: chat({ tools: [{ type: 'function' }] }) }));
    await vi.waitFor(() => expect(engine.active).toBe(1));
    const own = ask(request(), OWNER);
    expect((await rest(remote.channel)).at(-1)).toMatchObject({ type: 'handOver', reason: 'owner' });
    expect((await rest(own.channel)).at(-1)).toMatchObject({ type: 'end' });
  });

  test('never takes the place of another of the owner, and takes only as many as it needs', async () => {
    const { ask, engine } = smallProvider({ slots: 3, words: 300 });
    const remotes = [ask(request(), 'a'), ask(request(), 'b')];
    const owns = [ask(request(), OWNER)];
    for (const { channel } of [...remotes, ...owns]) await until(channel, 'chunk');
    owns.push(ask(request(), OWNER));
    const ends = await Promise.all(
      [...remotes, ...owns].map(async ({ channel }) => (await rest(channel)).at(-1)?.type),
    );
    expect(ends.filter((type) => type === 'handOver')).toHaveLength(1);
    expect(ends.slice(2)).toEqual(['end', 'end']);
    expect(engine.mostActive).toBe(3);
  });

  test('waits for an engine that stops at its next turn, however late this process gives it one', async () => {
    const clock = new VirtualClock();
    const { ask, engine } = smallProvider({ words: 500 }, clock);
    const remote = ask(request());
    await until(remote.channel, 'chunk');
    const own = ask(request(), OWNER);
    // The time passes before the engine has its turn.
    await clock.advance(JOB.cancelWithinMs);
    expect(await rest(remote.channel)).toContainEqual(expect.objectContaining({ type: 'handOver' }));
    expect((await rest(own.channel)).at(-1)).toMatchObject({ type: 'end' });
    expect(engine.mostActive).toBe(1);
  });

  test('starts within the bound although the engine does not stop', async () => {
    const clock = new VirtualClock();
    const { ask, engine, provider } = smallProvider({}, clock);
    engine.run = async function* () {
      engine.active++;
      yield { type: 'chunk', tokens: 1, text: 'a' };
      await new Promise(() => {});
    };
    const remote = ask(request());
    await until(remote.channel, 'chunk');
    const own = ask(request(), OWNER);
    await clock.advance(JOB.cancelWithinMs);
    expect(await until(remote.channel, 'handOver')).toHaveLength(1);
    await until(own.channel, 'chunk');
    const finished = provider.finish(AbortSignal.abort());
    await clock.advance(60_000);
    await finished;
    expect(clock.pending).toBe(0);
  });
});

describe('a provider that drains', () => {
  test('gives jobs that wait back at once, and those that run at the end of the grace', async () => {
    const { ask, provider, book } = smallProvider({ words: 100_000, contextLength: 100_000 });
    const runs = ask(request());
    await until(runs.channel, 'chunk');
    const asked = request();
    const waits = ask(asked, 'other');
    await until(waits.channel, 'queued');
    provider.drain();
    expect(await rest(waits.channel)).toEqual([{ type: 'handOver', reason: 'drain' }]);
    expect(await book.get(asked.job)).toMatchObject({ state: 'cancelled', reason: 'shutting_down', attempts: [] });
    const grace = new AbortController();
    const finished = provider.finish(grace.signal);
    await until(runs.channel, 'chunk');
    grace.abort();
    const heard = await rest(runs.channel);
    expect(heard.at(-1)).toEqual({ type: 'handOver', reason: 'drain' });
    await finished;
  });

  test('keeps no place for what it gives back', async () => {
    const { ask, provider } = smallProvider();
    const asked = request();
    const first = ask(asked);
    await until(first.channel, 'accepted');
    await provider.finish(AbortSignal.abort());
    expect((await rest(first.channel)).at(-1)).toEqual({ type: 'handOver', reason: 'drain' });
    expect(await rest(ask(asked).channel)).toMatchObject([{ type: 'reject', code: 'shutting_down' }]);
  });
});

describe('a job that is cancelled', () => {
  test.each(['cancel', 'close', 'break', 'owner'] as const)('by %s frees its place in every state', async (how) => {
    for (const state of ['queued', 'loading', 'running', 'held back', 'again'] as const) {
      // The clock stands still: what frees the place is the cancel, and not a bound that runs out.
      const clock = new VirtualClock();
      const { ask, engine, provider, book } = smallProvider(
        { words: state === 'held back' ? 100_000 : 200, contextLength: 100_000 },
        clock,
      );
      const asked = request();
      let before = [] as { channel: { close(): void }; served: Promise<void> }[];
      if (state === 'queued') before = [ask(request(), 'other')];
      if (state === 'loading') engine.faults.push({ afterTokens: 0, how: 'hang' });
      if (state === 'again') {
        await rest(ask(asked).channel);
      }
      const { channel, served } = ask(asked);
      if (state === 'queued') await until(channel, 'queued');
      if (state === 'loading') await vi.waitFor(() => expect(engine.active).toBe(1));
      if (state === 'running') await until(channel, 'chunk');
      if (state === 'held back') await untilHeld(provider);
      if (how === 'cancel') channel.send({ type: 'cancel' });
      if (how === 'close') channel.close();
      if (how === 'break') channel.abort(new Error('gone'));
      if (how === 'owner') await book.cancel(asked.job);
      await served;
      for (const other of before) other.channel.close();
      await Promise.all(before.map((other) => other.served));
      expect([engine.active, provider.load.running, provider.load.depth]).toEqual([0, 0, 0]);
    }
  });
});

describe('the record of a job of a peer', () => {
  test('shows that it waits, for what and how long', async () => {
    const { ask, book } = smallProvider({ words: 2_000 });
    const first = request();
    const running = ask(first);
    await until(running.channel, 'chunk');
    const second = request();
    const waiting = ask(second, 'other');
    await until(waiting.channel, 'queued');
    expect(await book.get(second.job)).toMatchObject({
      state: 'queued',
      direction: 'in',
      lane: 'paid',
      requester: 'other',
      provider: null,
      waiting: { where: 'queue', ahead: 1, estimateMs: expect.any(Number) },
    });
    running.channel.close();
    await until(waiting.channel, 'chunk');
    const record = await book.get(second.job);
    expect(record).toMatchObject({ state: 'running', provider: OWNER });
    expect(record?.waiting).toBeUndefined();
    waiting.channel.close();
    await Promise.all([running.served, waiting.served]);
  });
});

describe('a deadline', () => {
  test('that passes in the queue ends the job as expired, and the engine never sees it', async () => {
    const clock = new VirtualClock();
    const { ask, engine, book } = smallProvider({}, clock);
    engine.faults.push({ afterTokens: 0, how: 'hang' });
    const running = ask(request());
    const asked = request({ deadlineMs: 1_000 });
    const waiting = ask(asked, 'other');
    await clock.advance(1_000);
    expect((await rest(waiting.channel)).at(-1)).toMatchObject({ type: 'reject', code: 'deadline_exceeded' });
    expect(await book.get(asked.job)).toMatchObject({ state: 'expired', attempts: [] });
    running.channel.close();
    await clock.advance(10);
    await running.served;
    expect(engine.calls).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  test('is obeyed however late the timers of a machine are that slept', async () => {
    const clock = new VirtualClock();
    const { ask, engine } = smallProvider({}, clock);
    engine.faults.push({ afterTokens: 0, how: 'hang' });
    const running = ask(request());
    const waiting = ask(request({ deadlineMs: 1_000 }), 'other');
    await until(waiting.channel, 'queued');
    const elapsed = clock.elapsed.bind(clock);
    clock.elapsed = () => elapsed() + 5_000;
    running.channel.close();
    expect((await rest(waiting.channel)).at(-1)).toMatchObject({ type: 'reject', code: 'deadline_exceeded' });
    expect(engine.calls).toHaveLength(1);
  });
});
