/** The end of a node, in order and without it, while jobs run. */

import { expect } from 'vitest';
import { ask, openai, rawPost, streamChat } from '../harness/clients.ts';
import { answerTo, generations } from '../harness/expected.ts';
import type { Mesh } from '../harness/mesh.ts';
import { scenario } from '../harness/stage.ts';
import { until, untilStill } from '../harness/until.ts';

const BUDGET = { within: 30_000 };
const ENDED_WELL = { code: 0, signal: null };

/** Asks, and calls `then` when the fifth piece has come. */
function askAnd(mesh: Mesh, index: number, content: string, then: () => unknown) {
  return streamChat(openai(mesh.node(index)), {
    content,
    onChunk: ({ chunks }) => {
      if (chunks === 5) void then();
    },
  });
}

scenario('a node without jobs ends quickly', BUDGET, async (stage) => {
  const mesh = await stage.mesh([{ engine: {} }, {}]);
  for (const index of [1, 0]) {
    const startedAt = performance.now();
    await expect(mesh.node(index).stop()).resolves.toEqual(ENDED_WELL);
    expect(performance.now() - startedAt).toBeLessThan(3_000);
  }
});

scenario('an answer that ends within the grace is waited for (G70)', BUDGET, async (stage) => {
  const mesh = await stage.mesh([{}, { engine: { tokensPerSecond: 40 } }]);
  for (const index of [1, 0]) {
    // The node that runs the job, then the node whose client waits.
    const content = `${stage.random.word(8)} words=40`;
    const exits: Promise<unknown>[] = [];
    const streamed = await askAnd(mesh, 0, content, () => exits.push(mesh.node(index).stop()));
    expect(streamed.text).toBe(answerTo(content));
    expect((await mesh.node(index).exited).code).toBe(0);
    expect(await Promise.all(exits)).toEqual([ENDED_WELL]);
    if (index === 1) {
      await mesh.restart(1);
      await mesh.settled();
    }
  }
});

scenario('an answer that does not end within the grace breaks off with an error', BUDGET, async (stage) => {
  const env = { GOGRID_NODE_SHUTDOWN_GRACE_SECS: '1' };
  const mesh = await stage.mesh([{ engine: { tokensPerSecond: 40 } }], { env });
  const startedAt = performance.now();
  const answer = askAnd(mesh, 0, 'a long one words=100000', () => mesh.node(0).stop());
  await expect(answer).rejects.toThrow(/shutting down/);
  expect(await mesh.node(0).exited).toEqual(ENDED_WELL);
  expect(performance.now() - startedAt).toBeLessThan(5_000);
  await until(async () => (await mesh.engine(0).report()).totals.open === 0, { what: 'the engine to be free' });
});

scenario('a client that does not read holds the end up no longer than the grace', BUDGET, async (stage) => {
  const env = { GOGRID_NODE_SHUTDOWN_GRACE_SECS: '3' };
  const mesh = await stage.mesh([{}, { engine: {} }], { env });
  const body = { model: 'words', messages: ask('a wide one words=100000 wide=1000'), stream: true };
  const { request } = await rawPost(`${mesh.node(0).api}/api/chat`, body);
  request.on('error', () => undefined);
  await untilStill(async () => (await generations(mesh.engine(1))).at(-1)?.bytes, 300, {
    what: 'the engine to be held',
  });
  for (const index of [1, 0]) {
    const startedAt = performance.now();
    expect(await mesh.node(index).stop()).toEqual(ENDED_WELL);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(await mesh.node(index).log()).not.toContain('did not stop in time');
  }
});

scenario('a provider that leaves hands its jobs over', BUDGET, async (stage) => {
  const engine = { tokensPerSecond: 60 };
  const mesh = await stage.mesh([{}, { engine }, { engine }], { env: { GOGRID_NODE_SHUTDOWN_GRACE_SECS: '1' } });
  const content = `${stage.random.word(8)} words=150`;
  let leaving = 0;
  let exit: Promise<unknown> | undefined;
  const streamed = await streamChat(openai(mesh.node(0)), {
    content,
    onChunk: ({ chunks, provider }) => {
      if (chunks !== 20) return;
      leaving = mesh.indexOf(provider);
      exit = mesh.node(leaving).stop();
    },
  });
  expect(streamed.text).toBe(answerTo(content));
  await expect(exit).resolves.toEqual(ENDED_WELL);
  expect((await mesh.node(0).job(streamed.job)).attempts).toHaveLength(2);
  const gone = `node-${leaving + 1}`;
  await until(
    async () => (await mesh.node(0).peers()).every(({ name, status }) => name !== gone || status === 'leaving'),
    { what: 'the node to be listed as gone', within: 3_000 },
  );
});

scenario('a second signal ends at once', BUDGET, async (stage) => {
  const mesh = await stage.mesh([{ engine: { tokensPerSecond: 40 } }]);
  const node = mesh.node(0);
  const answer = askAnd(mesh, 0, 'a long one words=100000', () => {
    // The second one must not come before the first has been taken.
    void node.stop();
    void until(async () => (await node.log()).includes('asked to stop'), { what: 'the first signal' }).then(() => {
      node.excused = true;
      return node.stop();
    });
  });
  await expect(answer).rejects.toThrow();
  expect((await node.exited).code).toBe(1);
  await until(async () => (await mesh.engine(0).report()).totals.open === 0, { what: 'the engine to be free' });
});

scenario('a requester is killed: its provider stops within three seconds', BUDGET, async (stage) => {
  // So that the provider does not wait longer than this test before it looks for its bootstrap node again.
  const env = { GOGRID_NETWORK_RECONNECT_DELAY_SECS: '1' };
  const mesh = await stage.mesh([{}, { engine: { tokensPerSecond: 60 } }], { env });
  const answer = askAnd(mesh, 0, 'a long one words=100000', async () => {
    // Jobs that live shorter than the history gathers its changes may be lost with the process; asking for them writes them.
    expect(await mesh.node(0).jobs()).toMatchObject([{ state: 'running' }]);
    await mesh.node(0).kill();
  });
  await expect(answer).rejects.toThrow();
  await mesh.node(0).exited;
  const free = async () => {
    const { queue } = await mesh.node(1).status();
    return (await mesh.engine(1).report()).totals.open === 0 && queue.running === 0;
  };
  await until(free, { what: 'the engine and the slot to be free', within: 3_000 });
  const again = await mesh.restart(0);
  const [job] = await again.jobs();
  expect(job).toMatchObject({ state: 'failed', reason: 'interrupted' });
  await mesh.settled();
  const content = `${stage.random.word(8)} words=10`;
  expect((await streamChat(openai(again), { content })).text).toBe(answerTo(content));
});
