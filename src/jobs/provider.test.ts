import { describe, expect, test, vi } from 'vitest';
import { systemClock } from '../clock.ts';
import { JOB } from '../limits/jobs.ts';
import { newJobId } from '../protocol/ids.ts';
import type { JobRequest, ToRequester } from '../protocol/job.ts';
import { smallMesh } from '../testing/small-mesh.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { memoryChannel } from './memory-channel.ts';
import type { RequesterChannel } from './ports.ts';

function request(changes: Partial<JobRequest> = {}): JobRequest {
  const job = newJobId(Date.now(), crypto.getRandomValues(new Uint8Array(10)));
  return { type: 'request', job, model: 'words:latest', input: { kind: 'generate', prompt: 'x' }, ...changes };
}

async function rest(channel: RequesterChannel): Promise<ToRequester[]> {
  const messages: ToRequester[] = [];
  for (let next = await channel.receive(); next !== undefined; next = await channel.receive()) messages.push(next);
  return messages;
}

function onlyNode(options: Parameters<typeof smallMesh>[0]['nodes'][number] = {}, clock = systemClock) {
  const [node] = smallMesh({ nodes: [options] }, clock);
  const ask = (asked: JobRequest, from = 'peer') => {
    const { requester, provider } = memoryChannel(clock);
    const served = node!.provider.handleJob(from, asked, provider);
    return { channel: requester, served };
  };
  return { ...node!, ask };
}

describe('a provider', () => {
  test('ends with usage and end, and closes', async () => {
    const { ask } = onlyNode();
    const messages = await rest(ask(request()).channel);
    expect(messages[0]).toMatchObject({ type: 'accepted' });
    expect(messages.slice(-2)).toMatchObject([
      { type: 'usage', outputTokens: 12 },
      { type: 'end', reason: 'stop' },
    ]);
  });

  test('asked for the same job again ends the older run before it starts the new one', async () => {
    const { ask, engine } = onlyNode({ words: 200 });
    const asked = request();
    const first = ask(asked);
    await first.channel.receive();
    const second = rest(ask(asked).channel);
    expect((await rest(first.channel)).at(-1)).toMatchObject({ type: 'error', code: 'cancelled' });
    expect((await second).at(-1)).toMatchObject({ type: 'end' });
    expect(engine.mostActive).toBe(1);
  });

  test('that a reader holds back stops all the same when it is told to', async () => {
    const { ask, engine, provider } = onlyNode({ words: 100_000 });
    const { served } = ask(request());
    let before = -1;
    await vi.waitFor(() => {
      const { out } = provider.tokens;
      const isHeld = out > 0 && out === before;
      before = out;
      expect(isHeld).toBe(true);
    });
    await provider.finish(AbortSignal.abort());
    await served;
    expect(engine.active).toBe(0);
    expect(provider.load.running).toBe(0);
  });

  test('rejects a model it does not have, another digest, and a continuation it cannot give', async () => {
    const { ask } = onlyNode();
    for (const wrong of [{ model: 'other:latest' }, { digest: 'cd'.repeat(32) }]) {
      expect(await rest(ask(request(wrong)).channel)).toMatchObject([{ type: 'reject', code: 'model_not_found' }]);
    }
  });

  test('does not serve more streams of one peer than its bound', async () => {
    const { ask } = onlyNode({ words: 5_000, room: 1_000 });
    const streams = Array.from({ length: JOB.maxOpenPerPeer + 1 }, () => ask(request()));
    expect(await rest(streams.at(-1)!.channel)).toMatchObject([{ type: 'busy' }]);
    const other = ask(request(), 'somebody else');
    expect(await other.channel.receive()).toMatchObject({ type: 'queued' });
    for (const { channel } of [...streams, other]) channel.close();
    await Promise.all([...streams, other].map(({ served }) => served));
  });

  test('takes nothing new while it drains, lets a job finish, and cuts off what outlasts the grace', async () => {
    const { ask, provider, engine } = onlyNode({ words: 20 });
    const finishes = ask(request());
    await finishes.channel.receive();
    const answer = rest(finishes.channel);
    provider.drain();
    expect(await rest(ask(request()).channel)).toMatchObject([{ type: 'reject', code: 'shutting_down' }]);
    await provider.finish(new AbortController().signal);
    expect((await answer).at(-1)).toMatchObject({ type: 'end' });

    const slow = onlyNode();
    slow.engine.faults.push({ afterTokens: 1, how: 'hang' });
    const hangs = slow.ask(request());
    await vi.waitFor(() => expect(slow.engine.active).toBe(1));
    await slow.provider.finish(AbortSignal.abort());
    expect((await rest(hangs.channel)).at(-1)).toMatchObject({ type: 'error', code: 'shutting_down' });
    expect([engine.active, slow.engine.active]).toEqual([0, 0]);
  });

  test('gives signs of life while its engine says nothing, and stops when the job may run no longer', async () => {
    const clock = new VirtualClock();
    const { ask, engine } = onlyNode({}, clock);
    engine.faults.push({ afterTokens: 0, how: 'hang' });
    const { channel } = ask(request());
    await clock.advance(2_000);
    channel.receive().catch(() => {});
    await clock.advance(600_000);
    const messages = await rest(channel);
    expect(messages.filter(({ type }) => type === 'progress').length).toBeGreaterThan(2_000 / JOB.progressEveryMs);
    expect(messages.at(-1)).toMatchObject({ type: 'error', code: 'deadline_exceeded' });
    expect(clock.pending).toBe(0);
  });

  test('obeys the owner of the machine alone in what steers the machine', async () => {
    const { ask, engine } = onlyNode();
    const options = { num_gpu: 99, num_thread: 64, num_ctx: 1_000_000, temperature: 0, seed: null };
    const input = { kind: 'generate', prompt: 'x', options, keepAlive: -1 } as const;
    await rest(ask(request({ input })).channel);
    expect(engine.calls[0]?.input).toEqual({
      kind: 'generate',
      prompt: 'x',
      options: { num_ctx: 4096, temperature: 0 },
    });
    await rest(ask(request({ input }), 'node0').channel);
    expect(engine.calls[1]?.input).toEqual(input);
  });

  test('unloads a model for the owner of the machine alone, and loads none instead', async () => {
    const { ask, engine } = onlyNode();
    const input = { kind: 'load', keepAlive: 0 } as const;
    const refused = await rest(ask(request({ input })).channel);
    expect(refused.at(-1)).toMatchObject({ type: 'error', code: 'unsupported' });
    expect(engine.calls).toEqual([]);
    await rest(ask(request({ input }), 'node0').channel);
    expect(engine.calls[0]?.input).toEqual(input);
  });
});
