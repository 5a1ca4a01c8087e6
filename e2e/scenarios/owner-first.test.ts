/** The owner comes first on the own machine, and no stranger loses a word by it. */

import { expect } from 'vitest';
import type { Job } from '../../src/contract/control.ts';
import { type Asking, jobOf, startAsking, WAYS } from '../harness/asking.ts';
import { openai, streamChat } from '../harness/clients.ts';
import { answerTo, generations } from '../harness/expected.ts';
import type { Mesh } from '../harness/mesh.ts';
import { AT_ONCE_MS, untilFree, untilQuiet } from '../harness/rest.ts';
import { scenario } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

const BUDGET = { within: 40_000 };
/** The stranger's answer takes about two seconds. */
const engine = { tokensPerSecond: 60 };
const STRANGERS_TOKENS = 120;
const OWNERS_TOKENS = 20;

/** The engine that has written a good part of a stranger's answer, and says which node that is. */
function busyProvider(mesh: Mesh, providers: readonly number[]): Promise<number> {
  return until(
    async () => {
      const tokens = await Promise.all(
        providers.map(
          async (index) => (await generations(mesh.engine(index))).find(({ endedAt }) => endedAt === null)?.tokens ?? 0,
        ),
      );
      return providers[tokens.findIndex((count) => count >= STRANGERS_TOKENS / 4)];
    },
    { what: 'a stranger to have a part of the answer' },
  );
}

/** The owner asks, and the engine is free for it: how long that took, and how long the first token, in milliseconds. */
async function ownerAsks(mesh: Mesh, owner: number, content: string) {
  const asked = Date.now();
  let firstAt = 0;
  const answer = await streamChat(openai(mesh.node(owner)), {
    content,
    onChunk: ({ text }) => {
      if (text !== '' && firstAt === 0) firstAt = Date.now();
    },
  });
  expect(answer).toMatchObject({ text: answerTo(content), provider: mesh.node(owner).peerId, route: 'local' });
  const given = (await generations(mesh.engine(owner))).find(({ aborted }) => aborted);
  return { freeMs: (given?.endedAt ?? Number.POSITIVE_INFINITY) - asked, firstMs: firstAt - asked };
}

async function recordOf(mesh: Mesh, stranger: Asking): Promise<Job> {
  const job = await mesh.node(0).job(jobOf(await stranger.ended) ?? '');
  expect(job).toMatchObject({ state: 'completed', reason: null, direction: 'out' });
  const [first, second] = job.attempts;
  expect(job.attempts).toHaveLength(2);
  expect(first).toMatchObject({ reason: 'preempted', fromToken: 0 });
  expect(second).toMatchObject({ reason: null, fromToken: first?.toToken, toToken: job.tokensOut });
  return job;
}

function tellTimes(what: string, { freeMs, firstMs }: { freeMs: number; firstMs: number }): void {
  process.stdout.write(`${what}: engine free after ${freeMs} ms, the owner's first token after ${firstMs} ms\n`);
  expect(freeMs).toBeLessThan(AT_ONCE_MS);
  expect(firstMs).toBeLessThan(2 * AT_ONCE_MS);
}

for (const way of WAYS) {
  scenario(`${way}: a stranger's answer goes on at another provider`, BUDGET, async (stage) => {
    const mesh = await stage.mesh([{}, { engine }, { engine }]);
    const content = `${stage.random.word(8)} words=${STRANGERS_TOKENS}`;
    const stranger = startAsking(mesh.node(0), way, { content });
    const owner = await busyProvider(mesh, [1, 2]);
    const other = owner === 1 ? 2 : 1;
    tellTimes(way, await ownerAsks(mesh, owner, `${stage.random.word(8)} words=${OWNERS_TOKENS}`));
    expect((await stranger.ended).text).toBe(answerTo(content));
    const { attempts } = await recordOf(mesh, stranger);
    expect(attempts.map(({ provider }) => mesh.indexOf(provider))).toEqual([owner, other]);
    const [first] = await generations(mesh.engine(owner));
    const [second] = await generations(mesh.engine(other));
    expect(first).toMatchObject({ aborted: true });
    expect(second?.fromToken, 'it was continued, not begun again').toBeGreaterThan(0);
  });

  scenario(`${way}: a stranger's answer waits where nobody else has the model`, BUDGET, async (stage) => {
    const mesh = await stage.mesh([{}, { engine }]);
    const content = `${stage.random.word(8)} words=${STRANGERS_TOKENS}`;
    const stranger = startAsking(mesh.node(0), way, { content });
    await busyProvider(mesh, [1]);
    tellTimes(way, await ownerAsks(mesh, 1, `${stage.random.word(8)} words=${OWNERS_TOKENS}`));
    expect((await stranger.ended).text).toBe(answerTo(content));
    const { attempts } = await recordOf(mesh, stranger);
    expect(attempts.map(({ provider }) => mesh.indexOf(provider))).toEqual([1, 1]);
    const [, owners, again] = await generations(mesh.engine(1));
    expect(owners?.tokens).toBe(OWNERS_TOKENS);
    expect(again?.fromToken, 'it was continued, not begun again').toBeGreaterThan(0);
    expect(again?.startedAt, 'after the owner was done').toBeGreaterThanOrEqual(owners?.endedAt ?? Infinity);
    await untilFree(mesh, 1);
    await untilQuiet(mesh, 0);
  });
}

scenario('the owner asks again and again: the stranger waits, and then has every word (N5)', BUDGET, async (stage) => {
  const mesh = await stage.mesh([{}, { engine }]);
  const content = `${stage.random.word(8)} words=${STRANGERS_TOKENS}`;
  const stranger = startAsking(mesh.node(0), 'openai streamed', { content });
  let had = 0;
  for (let round = 0; round < 4; round++) {
    // Each time the stranger has had a few words more.
    await until(() => stranger.heard.pieces > had + 10, { what: 'the stranger to be served' });
    const asked = startAsking(mesh.node(1), 'openai streamed', { content: `${round} ${stage.random.word(8)} words=8` });
    await asked.ended;
    had = stranger.heard.pieces;
  }
  expect((await stranger.ended).text).toBe(answerTo(content));
  const job = await mesh.node(0).job(jobOf(stranger.heard) ?? '');
  // Hand-overs are not attempts: more of them than attempts are allowed.
  expect(job.attempts.map(({ reason }) => reason)).toEqual([...Array(4).fill('preempted'), null]);
});

scenario('a job of its owner is not given back for another one of his', BUDGET, async (stage) => {
  const mesh = await stage.mesh([{ engine }, {}]);
  const contents = [1, 2].map((number) => `${number} ${stage.random.word(8)} words=40`);
  const asked = contents.map((content) => startAsking(mesh.node(0), 'openai streamed', { content }));
  const texts = await Promise.all(asked.map(async ({ ended }) => (await ended).text));
  expect(texts).toEqual(contents.map((content) => answerTo(content)));
  expect((await generations(mesh.engine(0))).map(({ aborted }) => aborted)).toEqual([false, false]);
});
