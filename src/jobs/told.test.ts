/** What the people of both sides are told of a job: true words, and none that the facts do not bear. */

import { describe, expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import { errorOf } from '../testing/failure.ts';
import { collect, occupy, question, smallMesh } from '../testing/small-mesh.ts';

const never = new AbortController().signal;

describe('a job that the owner of its machine cancels there', () => {
  test('ends with a sentence that says so, once', async () => {
    const [here, there] = smallMesh({ nodes: [{ models: [] }, {}] }, systemClock);
    let cancelled = false;
    const run = collect(here!.requester.run(question('q'), never), async (output, text) => {
      if (text === '' || cancelled) return;
      cancelled = true;
      const [job] = (await there!.book.list(9)).jobs;
      await there!.book.cancel(job?.id ?? String(output));
    });
    const error = await errorOf(run);
    expect(error.code).toBe('engine_failed');
    expect(error.message).toBe(
      'the answer broke off: the owner of that machine cancelled the job there; no other machine can go on with it',
    );
  });
});

test('a job that writes waits for nothing, whatever its provider says of its progress', async () => {
  const [here, there] = smallMesh({ nodes: [{ models: [] }, {}] }, systemClock);
  const digest = there!.engine.models()[0]?.digest ?? '';
  const waits: unknown[] = [];
  there!.provider.handleJob = async (_from, _request, channel) => {
    channel.send({ type: 'accepted', digest });
    channel.send({ type: 'progress', phase: 'prefill' });
    channel.send({ type: 'chunk', seq: 0, tokens: 1, text: 'one ' });
    channel.send({ type: 'progress', phase: 'decoding' });
    channel.send({ type: 'chunk', seq: 1, tokens: 1, text: 'two' });
    channel.send({ type: 'usage', promptTokens: 1, outputTokens: 2, loadMs: 0, prefillMs: 1, decodeMs: 1 });
    channel.send({ type: 'end', reason: 'stop' });
    channel.close();
  };
  const { text } = await collect(here!.requester.run(question('q'), never), (output, soFar) => {
    if (output.type === 'waiting') waits.push([output.wait.where, soFar]);
  });
  expect(text).toBe('one two');
  expect(waits).toEqual([['engine', '']]);
});

test('a question that is explained is told how many wait for the same already', async () => {
  const [here, there] = smallMesh({ nodes: [{ models: [] }, { room: 0 }] }, systemClock);
  expect(await here!.requester.explain(question('q'), never)).not.toHaveProperty('waiting');
  const { letGo } = await occupy(here!, there!);
  const client = new AbortController();
  const waits = collect(here!.requester.run(question('waits'), client.signal)).catch(() => undefined);
  await expect.poll(() => here!.requester.waiting.depth).toBe(1);
  const { waiting } = await here!.requester.explain(question('q'), never);
  expect(waiting).toMatchObject({ ahead: 1 });
  expect(waiting?.estimateMs).toBeGreaterThanOrEqual(0);
  expect(await here!.requester.explain(question('q', { privacy: 'friends' }), never)).not.toHaveProperty('waiting');
  expect(here!.requester.waiting.depth).toBe(1);
  client.abort();
  await Promise.all([waits, letGo()]);
});

test('a deadline is told in seconds, with whether the answer had begun', async () => {
  const [here, there] = smallMesh({ nodes: [{ models: [] }, {}] }, systemClock);
  there!.engine.faults.push({ afterTokens: 0, how: 'hang' }, { afterTokens: 2, how: 'hang' });
  const asked = () => errorOf(collect(here!.requester.run(question('q', { deadlineMs: 200 }), never)));
  expect((await asked()).message).toBe('no complete answer within 0.2 s; it had not begun');
  expect((await asked()).message).toBe('no complete answer within 0.2 s');
});
