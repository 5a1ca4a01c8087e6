import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JOB, TRANSCRIPT } from '../limits/jobs.ts';
import type { ToRequester } from '../protocol/job.ts';
import { request, rest, smallProvider, textOf, tokensOf, until, untilHeld } from '../testing/small-provider.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { answerTokens, promptOf, WordEngine } from '../testing/word-engine.ts';
import { memoryChannel } from './memory-channel.ts';
import { Run } from './run.ts';
import { Transcript, Transcripts } from './transcripts.ts';

const answer = (words: number) => answerTokens(promptOf(request().input), words).join('');

/** As a requester that has these messages asks again. */
function resumeOf(heard: readonly ToRequester[]) {
  const text = textOf(heard);
  return text === '' ? {} : { resume: { text: text.trimEnd(), tokens: tokensOf(heard) } };
}

/** The two parts as one answer: white space that was cut off comes again with the second part. */
function joined(first: readonly ToRequester[], second: readonly ToRequester[]): string {
  return textOf(first).trimEnd() + textOf(second);
}

describe('a job that is sent again', () => {
  test('joins the run that is there: the new stream goes on where its requester is, the old one ends', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 1, max: 5 }), async (after, perChunk) => {
        const { ask, engine, provider } = smallProvider({ words: 200, perChunk });
        const asked = request();
        const first = ask(asked);
        const heard: ToRequester[] = [];
        while (tokensOf(heard) < after) heard.push((await first.channel.receive())!);
        const second = ask({ ...asked, ...resumeOf(heard) });
        const more = await rest(second.channel);
        expect((await rest(first.channel)).at(-1)).toMatchObject({ code: 'cancelled' });
        expect(joined(heard, more)).toBe(answer(200));
        expect(engine.calls).toHaveLength(1);
        const usage = more.at(-2);
        if (usage?.type !== 'usage') throw new Error('no usage');
        // What a requester adds up: its own tokens, and the rest by the last provider's count.
        const delivered = after === 0 ? 0 : tokensOf(heard);
        expect(usage.outputTokens).toBe(200 - delivered);
        expect(usage.promptTokens).toBe(5 + delivered);
        await Promise.all([first.served, second.served]);
        expect(provider.load.running).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test('keeps its place in the queue', async () => {
    const { ask, engine } = smallProvider({ words: 500 });
    const running = ask(request());
    const asked = request();
    const first = ask(asked, 'other');
    const behind = ask(request(), 'other');
    await until(first.channel, 'queued');
    const second = ask(asked, 'other');
    expect(await second.channel.receive()).toMatchObject({ type: 'queued', position: 1 });
    expect((await rest(first.channel)).at(-1)).toMatchObject({ type: 'reject', code: 'cancelled' });
    running.channel.close();
    await until(second.channel, 'accepted');
    for (const { channel } of [second, behind]) channel.close();
    await Promise.all([running, first, second, behind].map(({ served }) => served));
    expect(engine.mostActive).toBe(1);
  });

  test('is not ended by the old stream that breaks later, and is by the new one', async () => {
    const { ask, engine } = smallProvider({ words: 100_000, contextLength: 100_000 });
    const asked = request();
    const first = ask(asked);
    await until(first.channel, 'chunk');
    const second = ask(asked);
    await until(second.channel, 'chunk');
    first.channel.abort(new Error('gone'));
    await until(second.channel, 'chunk');
    expect(engine.active).toBe(1);
    second.channel.close();
    await Promise.all([first.served, second.served]);
    expect(engine.active).toBe(0);
  });

  test('lets the engine go on that the old stream held back, and obeys the new deadline', async () => {
    const clock = new VirtualClock();
    const { ask, provider } = smallProvider({ words: 20_000, contextLength: 100_000 }, clock);
    const asked = request({ deadlineMs: 1_000 });
    const first = ask(asked);
    await untilHeld(provider);
    const second = ask({ ...asked, deadlineMs: 5_000 });
    await clock.advance(1_000);
    const messages = await rest(second.channel);
    expect(textOf(messages)).toBe(answer(20_000));
    expect(messages.at(-1)).toMatchObject({ type: 'end' });
    await first.served;

    const slow = smallProvider({}, clock);
    slow.engine.faults.push({ afterTokens: 0, how: 'hang' });
    void slow.ask(asked);
    const late = slow.ask({ ...asked, deadlineMs: 5_000 });
    await clock.advance(4_999);
    expect(slow.engine.active).toBe(1);
    await clock.advance(1);
    expect((await rest(late.channel)).at(-1)).toMatchObject({ type: 'error', code: 'deadline_exceeded' });
  });

  test('with a part of another answer starts again, when the older run has ended', async () => {
    const { ask, engine } = smallProvider({ words: 200 });
    const asked = request();
    const first = ask(asked);
    await until(first.channel, 'chunk');
    const other = { text: answer(200), tokens: 200 };
    const second = ask({ ...asked, resume: other });
    expect((await rest(first.channel)).at(-1)).toMatchObject({ type: 'error', code: 'cancelled' });
    expect((await rest(second.channel)).at(-1)).toMatchObject({ type: 'end' });
    expect([engine.mostActive, engine.calls.length]).toEqual([1, 2]);
  });

  test('with a pinned digest gets no answer of another model', async () => {
    const { ask, engine } = smallProvider({ words: 40 });
    const asked = request();
    const models = engine.models();
    const [ab, cd] = [models[0]!.digest, 'cd'.repeat(32)];
    await rest(ask(asked).channel);
    engine.models = () => models.map((model) => ({ ...model, digest: cd }));
    expect(await rest(ask({ ...asked, digest: ab }).channel)).toMatchObject([{ code: 'model_not_found' }]);
    const second = ask({ ...asked, digest: cd });
    expect(await until(second.channel, 'accepted')).toMatchObject([{ digest: cd }]);
    engine.models = () => models;
    const third = ask({ ...asked, digest: ab });
    expect(await until(third.channel, 'accepted')).toMatchObject([{ digest: ab }]);
    expect((await rest(second.channel)).at(-1)).toMatchObject({ type: 'error', code: 'cancelled' });
    expect(textOf(await rest(third.channel))).toBe(answer(40));
  });

  test('says that it waits for its older self, and not that it is being read', async () => {
    const clock = new VirtualClock();
    const { requester, provider } = memoryChannel(clock);
    const run = new Run('peer', request(), provider, clock);
    await clock.advance(JOB.progressEveryMs);
    run.finish();
    expect(await rest(requester)).toMatchObject([{ type: 'queued', position: 1 }]);
  });

  test('by another peer is another job', async () => {
    const { ask, engine } = smallProvider({ words: 20, slots: 2 });
    const asked = request();
    const both = await Promise.all([ask(asked, 'a'), ask(asked, 'b')].map(({ channel }) => rest(channel)));
    expect(both.map(textOf)).toEqual([answer(20), answer(20)]);
    expect(engine.calls).toHaveLength(2);
  });

  test('after its end gets the rest, without the engine and without a second charge', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(40), async (has) => {
        const clock = new VirtualClock();
        const { ask, engine, provider } = smallProvider({ words: 40 }, clock);
        const asked = request();
        const first = await rest(ask(asked).channel);
        const before = [provider.counterOf('peer'), provider.tokens.out];
        const part = first.filter(({ type }) => type === 'chunk').slice(0, has);
        const again = await rest(ask({ ...asked, ...resumeOf(part) }).channel);
        expect(again[0]).toMatchObject({ type: 'accepted' });
        expect(joined(part, again)).toBe(answer(40));
        expect(again.at(-2)).toMatchObject({ type: 'usage', outputTokens: 40 - has, promptTokens: 5 + has });
        expect(again.at(-1)).toEqual({ type: 'end', reason: 'stop' });
        expect(engine.calls).toHaveLength(1);
        expect([provider.counterOf('peer'), provider.tokens.out]).toEqual(before);
        await clock.advance(TRANSCRIPT.keepMs);
        expect((await rest(ask(asked).channel)).at(-1)).toMatchObject({ type: 'end' });
        expect(engine.calls).toHaveLength(2);
        expect(clock.pending).toBe(1);
        await provider.finish(new AbortController().signal);
        expect(clock.pending).toBe(0);
      }),
      { numRuns: 30 },
    );
  });
});

describe('a transcript', () => {
  const finished = (transcript: Transcript) => ({
    model: new WordEngine().models()[0]!,
    transcript,
    usage: { promptTokens: 1, outputTokens: 1, loadMs: 0, prefillMs: 0, decodeMs: 0 },
    reason: 'stop' as const,
  });
  const of = (text: string) => {
    const transcript = new Transcript(undefined);
    transcript.add({ type: 'chunk', tokens: 1, text });
    return transcript;
  };

  test('goes on behind any beginning of it, in chunks that fit a frame and cut no character', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'grapheme', maxLength: 20 }), { maxLength: 20 }),
        fc.nat(400),
        fc.integer({ min: 1, max: 4 }),
        (pieces, at, times) => {
          const transcript = new Transcript(undefined);
          const all = pieces.map((text) => text.repeat(times * 500));
          for (const text of all) transcript.add({ type: 'chunk', tokens: 2, text });
          const whole = all.join('');
          const text = whole.slice(0, at).trimEnd();
          const rest = transcript.after({ text, tokens: 1 }) ?? [];
          expect(text + rest.map((piece) => piece.text).join('')).toBe(whole);
          expect(rest.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(
            rest.length === 0 ? 0 : Math.max(0, 2 * pieces.length - 1),
          );
          for (const [i, piece] of rest.entries()) {
            expect(piece.text?.length).toBeLessThanOrEqual(JOB.maxChunkBytes);
            if (i > 0) expect(piece.text).not.toMatch(/^[\udc00-\udfff]/);
          }
        },
      ),
    );
  });

  test('with reasoning, a tool call or too much text cannot be told again', () => {
    for (const piece of [
      { thinking: 'x' },
      { toolCalls: [{ name: 'f', arguments: '{}' }] },
      { text: 'x'.repeat(TRANSCRIPT.maxChars + 1) },
    ]) {
      const transcript = of('a');
      transcript.add({ type: 'chunk', tokens: 1, ...piece });
      expect(transcript.after(undefined)).toBeUndefined();
      transcript.add({ type: 'chunk', tokens: 1, text: 'b' });
      expect(transcript.after(undefined)).toBeUndefined();
      expect(transcript.chars).toBe(0);
    }
  });

  test('is forgotten when all of them together are too much, the oldest first', () => {
    const clock = new VirtualClock();
    const transcripts = new Transcripts(clock);
    const each = TRANSCRIPT.maxChars;
    const most = Math.floor(TRANSCRIPT.maxCharsInAll / each);
    for (let i = 0; i <= most; i++) transcripts.keep(`job ${i}`, finished(of('x'.repeat(each))));
    expect(transcripts.find('job 0')).toBeUndefined();
    expect(transcripts.find('job 1')).toBeDefined();
    for (let i = 0; i < JOB.maxRecent + 1; i++) transcripts.keep(`small ${i}`, finished(of('x')));
    expect(transcripts.find('small 0')).toBeUndefined();
    // What made room counts no more.
    const share = 'x'.repeat(TRANSCRIPT.maxCharsInAll / (2 * JOB.maxRecent));
    for (let i = 1; i <= 4 * JOB.maxRecent; i++) transcripts.keep(`share ${i}`, finished(of(share)));
    expect(transcripts.find(`share ${3 * JOB.maxRecent}`)).toBeUndefined();
    expect(transcripts.find(`share ${3 * JOB.maxRecent + 1}`)).toBeDefined();
    transcripts.clear();
    expect(transcripts.find(`share ${4 * JOB.maxRecent}`)).toBeUndefined();
    expect(clock.pending).toBe(0);
  });
});
