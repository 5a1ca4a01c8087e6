import { expect, test, vi } from 'vitest';
import { JOB } from '../limits/jobs.ts';
import { answerTo, collect, question, smallMesh } from '../testing/small-mesh.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';

const soon = { timeout: 10_000, interval: 5 };

/** Jobs that wait at the first node of three, since the two others are full for a minute; the clock stands still. */
async function waitingJobs(count: number) {
  const [asker, ...workers] = smallMesh({ nodes: [{ models: [] }, {}, {}] }, new VirtualClock());
  if (asker === undefined) throw new Error('no nodes');
  const asked: string[] = [];
  for (const { id, provider } of workers) {
    vi.spyOn(provider, 'handleJob').mockImplementation(async (_from, _request, channel) => {
      asked.push(id);
      channel.send({ type: 'busy', queue: 1, estimateMs: 60_000 });
      channel.close();
    });
  }
  const client = new AbortController();
  const jobs = Array.from({ length: count }, (_, i) => collect(asker.requester.run(question(`${i}`), client.signal)));
  for (const job of jobs) job.catch(() => undefined);
  const { requester } = asker;
  await vi.waitFor(() => expect(requester.waiting.depth).toBe(count), soon);
  await settled(() => asked.length);
  asked.length = 0;
  return { requester, workers, asked, jobs, stop: () => client.abort() };
}

/** Waits until a count stays as it is over some turns of the event loop. */
async function settled(count: () => number): Promise<void> {
  for (let same = 0, last = count(); same < 20; same = count() === last ? same + 1 : 0) {
    last = count();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

test('an offer of a node that is no candidate sends no prompt anywhere', async () => {
  const { requester, asked, stop } = await waitingJobs(8);
  expect(requester.offer('nobody', ['words:latest'], JOB.maxOpenAtPeer)).toBe(0);
  await settled(() => asked.length);
  expect(asked).toEqual([]);
  expect(requester.waiting.depth).toBe(8);
  stop();
});

test('an offer sends each job to the worker that made it and to nobody else, and not again at once', async () => {
  const { requester, workers, asked, stop } = await waitingJobs(8);
  const id = workers[1]?.id ?? '';
  expect(requester.offer(id, ['words:latest'], 3)).toBe(3);
  await vi.waitFor(() => expect(asked).toEqual([id, id, id]), soon);
  await settled(() => asked.length);
  // The three that were turned away are not called again; the other five are, once.
  const calls = Array.from({ length: 10 }, () => requester.offer(id, ['words:latest'], JOB.maxOpenAtPeer));
  expect(calls).toEqual([5, ...Array.from({ length: 9 }, () => 0)]);
  await vi.waitFor(() => expect(asked).toHaveLength(8), soon);
  await settled(() => asked.length);
  expect(new Set(asked)).toEqual(new Set([id]));
  expect(asked).toHaveLength(8);
  expect(requester.waiting.depth).toBe(8);
  stop();
});

test('an offer of a worker that has room is all that a job needs', async () => {
  const { requester, workers, jobs, stop } = await waitingJobs(1);
  vi.mocked(workers[0]?.provider.handleJob ?? vi.fn()).mockRestore();
  expect(requester.offer(workers[0]?.id ?? '', ['words:latest'], 1)).toBe(1);
  expect((await jobs[0])?.text).toBe(answerTo('0', 12));
  expect(requester.waiting.depth).toBe(0);
  stop();
});
