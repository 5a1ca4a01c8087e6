import { describe, expect, test, vi } from 'vitest';
import { JOB, QUEUE } from '../limits/jobs.ts';
import type { JobRequest } from '../protocol/job.ts';
import { OWNER, request, rest, smallProvider, textOf, tokensOf, until, untilHeld } from '../testing/small-provider.ts';
import { settle, VirtualClock } from '../testing/virtual-clock.ts';
import { answerTokens, promptOf } from '../testing/word-engine.ts';

describe('a provider', () => {
  test('ends with usage and end, and closes', async () => {
    const { ask } = smallProvider();
    const messages = await rest(ask(request()).channel);
    expect(messages[0]).toMatchObject({ type: 'accepted' });
    expect(messages.slice(-2)).toMatchObject([
      { type: 'usage', outputTokens: 12 },
      { type: 'end', reason: 'stop' },
    ]);
  });

  test('that a reader holds back stops all the same when it is told to', async () => {
    const { ask, engine, provider } = smallProvider({ words: 100_000, contextLength: 100_000 });
    const { served } = ask(request());
    await untilHeld(provider);
    await provider.finish(AbortSignal.abort());
    await served;
    expect(engine.active).toBe(0);
    expect(provider.load.running).toBe(0);
  });

  test('rejects a model it does not have, another digest, and a continuation it cannot give', async () => {
    const { ask } = smallProvider();
    for (const wrong of [{ model: 'other:latest' }, { digest: 'cd'.repeat(32) }]) {
      expect(await rest(ask(request(wrong)).channel)).toMatchObject([{ type: 'reject', code: 'model_not_found' }]);
    }
  });

  test('does not serve more streams of one peer than its bound', async () => {
    const { ask } = smallProvider({ words: 5_000, room: 1_000 });
    const streams = Array.from({ length: JOB.maxOpenPerPeer + 1 }, () => ask(request()));
    expect(await rest(streams.at(-1)!.channel)).toMatchObject([{ type: 'busy' }]);
    const other = ask(request(), 'somebody else');
    expect(await other.channel.receive()).toMatchObject({ type: 'queued' });
    for (const { channel } of [...streams, other]) channel.close();
    await Promise.all([...streams, other].map(({ served }) => served));
  });

  test('takes nothing new while it drains, lets a job finish, and gives back what outlasts the grace', async () => {
    const { ask, provider, engine } = smallProvider({ words: 20 });
    const finishes = ask(request());
    await finishes.channel.receive();
    const answer = rest(finishes.channel);
    provider.drain();
    expect(await rest(ask(request()).channel)).toMatchObject([{ type: 'reject', code: 'shutting_down' }]);
    await provider.finish(new AbortController().signal);
    expect((await answer).at(-1)).toMatchObject({ type: 'end' });

    const slow = smallProvider();
    slow.engine.faults.push({ afterTokens: 1, how: 'hang' });
    const hangs = slow.ask(request());
    await vi.waitFor(() => expect(slow.engine.active).toBe(1));
    await slow.provider.finish(AbortSignal.abort());
    expect((await rest(hangs.channel)).at(-1)).toEqual({ type: 'handOver', reason: 'drain' });
    expect([engine.active, slow.engine.active]).toEqual([0, 0]);
  });

  test('gives signs of life while its engine says nothing, and stops when the job may run no longer', async () => {
    const clock = new VirtualClock();
    const { ask, engine } = smallProvider({}, clock);
    engine.faults.push({ afterTokens: 0, how: 'hang' });
    const { channel } = ask(request());
    await clock.advance(2_000);
    channel.receive().catch(() => {});
    await clock.advance(600_000);
    const messages = await rest(channel);
    expect(messages.filter(({ type }) => type === 'progress').length).toBeGreaterThan(2_000 / JOB.progressEveryMs);
    expect(messages.at(-1)).toMatchObject({ type: 'error', code: 'engine_failed' });
    expect(clock.pending).toBe(0);
  });

  test('lets an answer that takes longer than a job may run go on where it was given back', async () => {
    const clock = new VirtualClock();
    const pace = { clock, loadMs: 0, prefillMs: 0, gapMs: () => 100, stopMs: 0 };
    const { ask } = smallProvider({ words: 18, maxJobMs: 1_050, pace }, clock);
    const asked = request();
    const first = rest(ask(asked).channel);
    await settle();
    await clock.advance(1_050);
    const heard = await first;
    expect(heard.at(-1)).toMatchObject({ type: 'handOver', reason: 'pause' });
    const text = textOf(heard);
    const second = rest(ask({ ...asked, resume: { text: text.trimEnd(), tokens: tokensOf(heard) } }).channel);
    await settle();
    await clock.advance(1_050);
    const more = await second;
    expect(more.at(-1)).toMatchObject({ type: 'end' });
    expect(text.trimEnd() + textOf(more)).toBe(answerTokens(promptOf(asked.input), 18).join(''));
  });

  test('gives a job back whose requester takes nothing of it, and to one that is slow its time', async () => {
    const clock = new VirtualClock();
    const { ask, provider } = smallProvider({ words: 20_000, contextLength: 100_000 }, clock);
    const asked = request();
    const unread = ask(asked);
    await untilHeld(provider);
    const other = ask(request({ input: { kind: 'load' } }), 'other');
    await until(other.channel, 'queued');
    await clock.advance(JOB.unreadMs);
    expect((await rest(other.channel)).at(-1)).toMatchObject({ type: 'end' });
    const heard = await rest(unread.channel);
    expect(heard.at(-1)).toMatchObject({ type: 'handOver', reason: 'pause' });
    const again = { ...asked, resume: { text: textOf(heard).trimEnd(), tokens: tokensOf(heard) } };
    const slow = ask(again);
    for (let moments = 0; moments < 3; moments++) {
      await untilHeld(provider);
      await clock.advance(JOB.unreadMs - 1);
      heard.push(...(await until(slow.channel, 'chunk')));
      for (let i = 0; i < 2 * JOB.memoryChannelMessages; i++) heard.push((await slow.channel.receive())!);
    }
    expect((await rest(slow.channel)).at(-1)).toMatchObject({ type: 'end' });
  });

  test('charges by what a job shows, not by what its requester says of it, and no more than the model can read', async () => {
    const jobs: [Partial<JobRequest>, number][] = [
      [{ resume: { text: '', tokens: 1_000_000_000 } }, QUEUE.minInputTokens],
      [{ resume: { text: 'x'.repeat(4_000), tokens: 1 } }, 1_001],
      [{ input: { kind: 'generate', prompt: 'x'.repeat(4_000_000) } }, 4_096],
    ];
    for (const [asked, tokens] of jobs) {
      const { ask, engine, provider } = smallProvider();
      engine.faults.push({ afterTokens: 0, how: 'hang' });
      const { channel, served } = ask(request(asked));
      await until(channel, 'accepted');
      expect(provider.servedTo('peer')).toBe(tokens);
      channel.close();
      await served;
    }
  });

  test('obeys the owner of the machine alone in what steers the machine', async () => {
    const { ask, engine } = smallProvider();
    const options = { num_gpu: 99, num_thread: 64, num_ctx: 1_000_000, temperature: 0, seed: null };
    const input = { kind: 'generate', prompt: 'x', options, keepAlive: -1 } as const;
    await rest(ask(request({ input })).channel);
    expect(engine.calls[0]?.input).toEqual({
      kind: 'generate',
      prompt: 'x',
      options: { num_ctx: 4096, temperature: 0, num_predict: 4096 },
    });
    await rest(ask(request({ input }), OWNER).channel);
    expect(engine.calls[1]?.input).toEqual(input);
  });

  test('unloads a model for the owner of the machine alone, and loads none instead', async () => {
    const { ask, engine } = smallProvider();
    const input = { kind: 'load', keepAlive: 0 } as const;
    const refused = await rest(ask(request({ input })).channel);
    expect(refused.at(-1)).toMatchObject({ type: 'error', code: 'unsupported' });
    expect(engine.calls).toEqual([]);
    await rest(ask(request({ input }), OWNER).channel);
    expect(engine.calls[0]?.input).toEqual(input);
  });

  test('charges a requester what the engine counted, and learns from it how long others will wait', async () => {
    const clock = new VirtualClock();
    const pace = { clock, loadMs: 0, prefillMs: 0, gapMs: () => 100, stopMs: 0 };
    const { ask, provider } = smallProvider({ words: 10, pace }, clock);
    const first = rest(ask(request()).channel);
    await settle();
    await clock.advance(1_000);
    expect((await first).at(-1)).toMatchObject({ type: 'end' });
    expect(provider.counterOf('peer')).toBe(QUEUE.minInputTokens + 2 * 10);
    const second = ask(request());
    await settle();
    await clock.advance(400);
    expect(provider.counterOf('peer')).toBeGreaterThanOrEqual(2 * QUEUE.minInputTokens + 20 + 2 * 4);
    expect(provider.load).toMatchObject({
      depth: 0,
      running: 1,
      lanes: { owner: 0, paid: 0, free: 0 },
      estimateMs: 600,
    });
    expect(provider.estimateFor(OWNER)).toBe(0);
    second.channel.close();
    await clock.advance(1);
    await second.served;
    expect(provider.load.estimateMs).toBe(0);
  });
});
