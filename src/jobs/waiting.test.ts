import { describe, expect, test, vi } from 'vitest';
import { JOB } from '../limits/jobs.ts';
import { errorOf } from '../testing/failure.ts';
import { answerTo, collect, occupy, question, type SmallNode, smallMesh } from '../testing/small-mesh.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import type { JobOutput } from './output.ts';

const never = new AbortController().signal;

/** Waits for a condition; a busy machine may take its time. */
const until = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 5 });

const waits = (outputs: readonly JobOutput[]) =>
  outputs.flatMap((output) => (output.type === 'waiting' ? [output.wait] : []));

describe('a job for which every provider is busy', () => {
  const full = { slots: 1, room: 0 };

  test('waits here, tells its client so, and runs as soon as it is its turn', async () => {
    const clock = new VirtualClock();
    const [here, there, other] = smallMesh({ nodes: [{ models: [] }, full, { models: [] }] }, clock);
    const blocker = await occupy(other!, there!);
    const run = collect(here!.requester.run(question('q'), never));
    await until(() => expect(here!.requester.waiting.depth).toBe(1));
    expect(here!.requester.waiting.models()).toEqual(['words:latest']);
    const { jobs } = await here!.book.list(9);
    expect(jobs[0]).toMatchObject({
      state: 'queued',
      waiting: { where: 'mesh', ahead: 0 },
      attempts: [],
      provider: null,
    });
    expect(jobs[0]?.seenBy).toEqual(['node1']);
    await blocker.letGo();
    await clock.advance(JOB.askAgainMaxMs);
    const { text, all, done } = await run;
    expect(text).toBe(answerTo('q', 12));
    expect(waits(all)[0]).toMatchObject({ where: 'mesh', ahead: 0 });
    // Busy is no failure: the record has one attempt.
    expect(done?.job).toMatchObject({ state: 'completed', seenBy: ['node1'] });
    expect(done?.job.attempts).toHaveLength(1);
    expect(here!.requester.waiting.depth).toBe(0);
  });

  test('is woken when something changes, long before it would ask again', async () => {
    const clock = new VirtualClock();
    const [here, there, other] = smallMesh({ nodes: [{ models: [] }, full, { models: [] }] }, clock);
    const blocker = await occupy(other!, there!);
    const run = collect(here!.requester.run(question('q'), never));
    await until(() => expect(here!.requester.waiting.depth).toBe(1));
    await blocker.letGo();
    await clock.advance(JOB.askAgainMinMs - 1);
    here!.requester.wake(['words:latest']);
    await clock.advance(1);
    expect((await run).text).toBe(answerTo('q', 12));
  });

  test('is woken when a job of its own node makes room, long before it would ask again', async () => {
    const clock = new VirtualClock();
    const [here, there] = smallMesh({ nodes: [{ models: [] }, full] }, clock);
    const blocker = await occupy(here!, there!);
    // Whoever has run so long is expected to run for longer than any waiting job's next look.
    await clock.advance(4 * JOB.askAgainMaxMs);
    const run = collect(here!.requester.run(question('q'), never));
    await until(() => expect(here!.requester.waiting.depth).toBe(1));
    await blocker.letGo();
    await clock.advance(JOB.askAgainMinMs);
    expect((await run).text).toBe(answerTo('q', 12));
  });

  test('stands behind those that came before, and asks nobody until it is its turn', async () => {
    const clock = new VirtualClock();
    const [here, there, other] = smallMesh({ nodes: [{ models: [] }, full, { models: [] }] }, clock);
    const blocker = await occupy(other!, there!);
    const decided = vi.spyOn(here!.router, 'decide');
    const order: string[] = [];
    const ask = (text: string) =>
      collect(here!.requester.run(question(text), never), (output) => {
        if (output.type === 'placed') order.push(text);
      });
    const runs = [ask('a')];
    await until(() => expect(here!.requester.waiting.depth).toBe(1));
    runs.push(ask('b'), ask('c'));
    await until(() => expect(here!.requester.waiting.depth).toBe(3));
    expect(decided).toHaveBeenCalledTimes(1);
    await blocker.letGo();
    for (let i = 0; i < 40; i++) await clock.advance(250);
    const answers = await Promise.all(runs);
    expect(answers.map(({ text }) => text)).toEqual(['a', 'b', 'c'].map((text) => answerTo(text, 12)));
    expect(order).toEqual(['a', 'b', 'c']);
    // The last one was told when its place changed.
    expect(waits(answers[2]!.all).map(({ ahead }) => ahead)).toEqual(expect.arrayContaining([2, 1, 0]));
  });

  test('is turned away past the bounds, and told when to come back', async () => {
    const clock = new VirtualClock();
    const [here, there, other] = smallMesh({ nodes: [{ models: [], maxWaiting: 1 }, full, { models: [] }] }, clock);
    await occupy(other!, there!);
    const first = errorOf(collect(here!.requester.run(question('first'), never)));
    await until(() => expect(here!.requester.waiting.depth).toBe(1));
    const second = await errorOf(collect(here!.requester.run(question('second'), never)));
    expect(second).toMatchObject({ code: 'overloaded' });
    expect(second.retryAfterSecs).toBeGreaterThanOrEqual(JOB.minRetryAfterSecs);
    await clock.advance(60_000);
    expect(await first).toMatchObject({ code: 'overloaded', message: expect.stringContaining('waited 60 s here') });
    expect(here!.book.totals()).toMatchObject({ failed: 2, running: 0, queued: 0 });
  });

  test.each([
    ['hangs up', 'cancelled', (_: SmallNode, client: AbortController) => client.abort()],
    [
      'cancels it by its id',
      'cancelled',
      async (here: SmallNode) => {
        const { jobs } = await here.book.list(1);
        await here.book.cancel(jobs[0]!.id);
      },
    ],
  ] as const)('ends at once when its client %s', async (_, code, stop) => {
    const clock = new VirtualClock();
    const [here, there, other] = smallMesh({ nodes: [{ models: [] }, full, { models: [] }] }, clock);
    await occupy(other!, there!);
    const client = new AbortController();
    const run = errorOf(collect(here!.requester.run(question('q'), client.signal)));
    await until(() => expect(here!.requester.waiting.depth).toBe(1));
    await stop(here!, client);
    expect((await run).code).toBe(code);
    expect(here!.requester.waiting.depth).toBe(0);
  });

  test('past its deadline ends as expired, and is never started', async () => {
    const clock = new VirtualClock();
    const [here, there, other] = smallMesh({ nodes: [{ models: [] }, full, { models: [] }] }, clock);
    const blocker = await occupy(other!, there!);
    const run = errorOf(collect(here!.requester.run(question('q', { deadlineMs: 3_000 }), never)));
    await until(() => expect(here!.requester.waiting.depth).toBe(1));
    const { id } = (await here!.book.list(1)).jobs[0]!;
    await clock.advance(3_000);
    expect((await run).code).toBe('deadline_exceeded');
    await blocker.letGo();
    await clock.advance(10_000);
    expect(there!.engine.calls).toHaveLength(1);
    expect(await here!.book.get(id)).toMatchObject({ state: 'expired' });
  });

  test('is taken by a worker that asks for it, and by that one first', async () => {
    const clock = new VirtualClock();
    const [here, there, other, worker] = smallMesh(
      { nodes: [{ models: [] }, full, { models: [] }, { ...full, models: [] }] },
      clock,
    );
    await occupy(other!, there!);
    const run = collect(here!.requester.run(question('q'), never));
    await until(() => expect(here!.requester.waiting.depth).toBe(1));
    // It has the model now, and asks.
    (worker!.engine.options.models as string[]).push('words:latest');
    expect(here!.requester.offer('node3', ['words:latest'], 4)).toBe(1);
    const { done, text } = await run;
    expect(text).toBe(answerTo('q', 12));
    expect(done?.job).toMatchObject({ provider: 'node3', seenBy: ['node1', 'node3'] });
  });

  test('waits in the midst of its answer too', async () => {
    const clock = new VirtualClock();
    const [here, bad, good] = smallMesh({ nodes: [{ models: [] }, full, full] }, clock);
    const held = await occupy(good!, good!);
    bad!.engine.faults.push({ afterTokens: 5, how: 'throw' });
    const run = collect(here!.requester.run(question('q'), never), ({ type }) => {
      if (type === 'chunk') bad!.status = 'paused';
    });
    await until(() => expect(here!.requester.waiting.depth).toBe(1));
    await held.letGo();
    await clock.advance(JOB.askAgainMaxMs);
    const { text, done } = await run;
    expect(text).toBe(answerTo('q', 12));
    expect(done?.job.attempts.map(({ provider }) => provider)).toEqual(['node1', 'node2']);
  });

  test('in the midst of its answer for too long ends with a sentence that says so', async () => {
    const clock = new VirtualClock();
    const [here, bad, good] = smallMesh({ nodes: [{ models: [] }, full, full] }, clock);
    await occupy(good!, good!);
    bad!.engine.faults.push({ afterTokens: 5, how: 'throw' });
    const run = errorOf(
      collect(here!.requester.run(question('q'), never), ({ type }) => {
        if (type === 'chunk') bad!.status = 'paused';
      }),
    );
    await until(() => expect(here!.requester.waiting.depth).toBe(1));
    await clock.advance(60_000);
    expect(await run).toMatchObject({
      code: 'overloaded',
      message: expect.stringMatching(
        /^the answer broke off: .+; no other machine can go on with it: .*the job waited 60 s here/,
      ),
    });
  });
});
