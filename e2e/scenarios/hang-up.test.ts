/** A client that goes away, in every phase of its job, on the machine that runs the model and across the mesh. */

import { readdir } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { openai, streamChat } from '../harness/clients.ts';
import { answerTo, generations } from '../harness/expected.ts';
import type { NodeProcess } from '../harness/node-process.ts';
import { sharedStage } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

/** `JOB.cancelWithinMs` is 100; the rest is for a machine that is busy with other things. */
const AT_ONCE_MS = 1000;

const shared = sharedStage('hang-up', async (stage) => ({
  mesh: await stage.mesh([{ engine: { tokensPerSecond: 100 } }, {}]),
}));

describe.each([
  ['here', 0],
  ['across the mesh', 1],
] as const)('a client that hangs up, its job %s,', (_, index) => {
  const node = () => shared().mesh.node(index);
  const provider = () => shared().mesh.node(0);
  const engine = () => shared().mesh.engine(0);

  /** Starts a question that nobody waits for the end of; returns the way to hang up. */
  const begin = () => {
    const client = new AbortController();
    const content = `${shared().stage.random.word(8)} words=100000`;
    const ended = streamChat(openai(node()), { content, signal: client.signal }).catch((error: unknown) => error);
    return {
      hangUp: async () => {
        client.abort();
        await ended;
        return Date.now();
      },
    };
  };
  const newest = async () => (await generations(engine())).at(-1);
  const free = async () => {
    const { queue } = await provider().status();
    return queue.depth === 0 && queue.running === 0 && (await engine().report()).totals.open === 0;
  };
  const states = async () => (await node().jobs()).map(({ state }) => state);

  test('while the answer streams', async () => {
    const { hangUp } = begin();
    const call = await until(
      async () => (await generations(engine())).find(({ endedAt, tokens }) => endedAt === null && tokens > 0),
      { what: 'the first tokens' },
    );
    const at = await hangUp();
    await until(free, { what: 'the slot to be free', within: AT_ONCE_MS });
    const ended = (await generations(engine())).find(({ id }) => id === call.id);
    expect(ended).toMatchObject({ aborted: true });
    expect((ended?.endedAt ?? 0) - at).toBeLessThan(AT_ONCE_MS);
    await until(async () => (await states())[0] === 'cancelled', { what: 'the job to be listed as cancelled' });
  });

  test('while the job waits in the queue', async () => {
    const first = begin();
    await until(async () => (await engine().report()).totals.open === 1, { what: 'the first job to run' });
    const before = await generations(engine());
    const second = begin();
    await until(async () => (await provider().status()).queue.depth === 1, { what: 'the second job to wait' });
    await second.hangUp();
    await until(async () => (await provider().status()).queue.depth === 0, {
      what: 'the place in the queue to be free',
      within: AT_ONCE_MS,
    });
    expect(await generations(engine()), 'the second job never reached the engine').toHaveLength(before.length);
    expect((await engine().report()).totals.open).toBe(1);
    await first.hangUp();
    await until(free, { what: 'the slot to be free', within: AT_ONCE_MS });
  });

  test('while the model loads', async () => {
    await engine().control({ loadMs: 60_000, unload: true });
    const { hangUp } = begin();
    await until(async () => (await engine().report()).totals.open === 1, { what: 'the engine to load' });
    const at = await hangUp();
    await until(free, { what: 'the slot to be free', within: AT_ONCE_MS });
    const call = await newest();
    expect(call).toMatchObject({ aborted: true, tokens: 0 });
    expect((call?.endedAt ?? 0) - at).toBeLessThan(AT_ONCE_MS);
    await engine().control({ loadMs: 0 });
  });

  test('leaves nothing that the next one would notice', async () => {
    const content = `${shared().stage.random.word(8)} words=10`;
    expect((await streamChat(openai(node()), { content })).text).toBe(answerTo(content));
  });
});

test('a job that is cancelled by its id ends in the client with an error, and frees the slot', async () => {
  const { mesh } = shared();
  const content = 'something long words=100000';
  const answer = streamChat(openai(mesh.node(1)), {
    content,
    onChunk: async ({ chunks, job }) => {
      if (chunks === 3) await mesh.node(1).post(`/jobs/${job}/cancel`, {});
    },
  });
  await expect(answer).rejects.toThrow();
  await until(async () => (await mesh.engine(0).report()).totals.open === 0, { what: 'the engine to be free' });
});

test('two hundred clients that hang up at random moments leave nothing behind', async () => {
  const { mesh, stage } = shared();
  const { random } = stage;
  const nodes = mesh.members.map(({ node }) => node);
  const before = await Promise.all(nodes.map(openFiles));
  const one = async (index: number) => {
    const client = new AbortController();
    const timer = setTimeout(() => client.abort(), random.int(0, 120));
    const pieces = random.int(1, 6);
    const content = `${random.word(8)} words=${random.int(1, 300)}`;
    const asked = streamChat(openai(mesh.node(index % 2)), {
      content,
      signal: client.signal,
      onChunk: ({ chunks }) => {
        if (chunks >= pieces) client.abort();
      },
    });
    await asked.catch(() => undefined);
    clearTimeout(timer);
  };
  for (let round = 0; round < 10; round++) {
    await Promise.all(Array.from({ length: 20 }, (_, index) => one(index)));
  }
  await until(async () => (await mesh.engine(0).report()).totals.open === 0, { what: 'the engine to be free' });
  for (const node of nodes) {
    await until(
      async () => {
        const { queue, jobs } = await node.status();
        return queue.depth === 0 && queue.running === 0 && jobs.running === 0 && jobs.queued === 0;
      },
      { what: `${node.name} to have nothing to do` },
    );
  }
  // Connections that are kept for the next request may stay for a moment.
  const most = 40;
  await until(
    async () => (await Promise.all(nodes.map(openFiles))).every((count, index) => count - (before[index] ?? 0) < most),
    { what: 'their sockets to be closed' },
  );
  const content = `${random.word(8)} words=10`;
  expect((await streamChat(openai(mesh.node(1)), { content })).text).toBe(answerTo(content));
});

/** Files and sockets that a process has open; 0 where the system does not tell. */
async function openFiles(node: NodeProcess): Promise<number> {
  return (await readdir(`/proc/${node.pid}/fd`).catch(() => [])).length;
}
