/** What is left of jobs whose node was killed: its history tells, and nobody works for them. */

import { expect } from 'vitest';
import { startAsking } from '../harness/asking.ts';
import { answerTo, generations } from '../harness/expected.ts';
import { untilFree } from '../harness/rest.ts';
import { scenario } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

const BUDGET = { within: 40_000 };

scenario('a requester is killed with jobs in every place: after its start they are failed', BUDGET, async (stage) => {
  const env = { GOGRID_WORKER_MAX_QUEUED_JOBS: '4', GOGRID_NETWORK_RECONNECT_DELAY_SECS: '1' };
  const mesh = await stage.mesh([{}, { engine: { tokensPerSecond: 60 } }], { env });
  const requester = mesh.node(0);
  const finished = await startAsking(requester, 'openai whole', { content: 'short words=5' }).ended;
  expect(finished.text).toBe(answerTo('short words=5'));
  // One runs, one waits at the provider (a quarter of its queue), one waits here.
  const askings = [1, 2, 3].map((number) =>
    startAsking(requester, 'openai streamed', { content: `${number} words=100000` }),
  );
  const places = async () =>
    (await requester.jobs())
      .filter(({ endedAt }) => endedAt === null)
      .map(({ state, waiting }) => (state === 'running' ? 'running' : waiting?.where))
      .sort();
  await until(async () => (await places()).join() === 'mesh,queue,running', { what: 'a job in each place' });
  const before = await requester.jobs();
  await requester.kill();
  for (const { ended } of askings) await expect(ended).rejects.toThrow();
  await untilFree(mesh, 1, 3_000);
  expect(await generations(mesh.engine(1)), 'those that waited never ran').toHaveLength(2);

  const again = await mesh.restart(0);
  const after = await again.jobs();
  expect(after.map(({ id }) => id).sort()).toEqual(before.map(({ id }) => id).sort());
  for (const { state, reason, endedAt, waiting } of after.filter(({ state }) => state !== 'completed')) {
    expect({ state, reason, waiting }).toEqual({ state: 'failed', reason: 'interrupted', waiting: undefined });
    expect(endedAt).not.toBeNull();
  }
  expect(after.filter(({ state }) => state === 'completed')).toHaveLength(1);
  await mesh.settled();
  const content = `${stage.random.word(8)} words=10`;
  expect((await startAsking(again, 'openai whole', { content }).ended).text).toBe(answerTo(content));
});

scenario(
  'a provider is killed and comes back: the same job goes on, and it knows it was interrupted',
  BUDGET,
  async (stage) => {
    const env = { GOGRID_NETWORK_RECONNECT_DELAY_SECS: '1' };
    const engine = { tokensPerSecond: 60 };
    const mesh = await stage.mesh([{}, { engine }, { engine }], { env });
    const content = `${stage.random.word(8)} words=120`;
    const asking = startAsking(mesh.node(0), 'openai streamed', { content });
    await until(() => asking.heard.pieces > 20, { what: 'its first words' });
    const provider = mesh.indexOf(asking.heard.headers?.get('x-gogrid-provider'));
    // Asking for them writes them: a crash may lose what history has gathered for less than its pause.
    expect(await mesh.node(provider).jobs()).toMatchObject([{ state: 'running', direction: 'in' }]);
    await mesh.node(provider).kill();
    expect((await asking.ended).text).toBe(answerTo(content));
    const again = await mesh.restart(provider);
    expect(await again.jobs()).toMatchObject([{ state: 'failed', reason: 'interrupted', direction: 'in' }]);
    await mesh.settled();
  },
);
