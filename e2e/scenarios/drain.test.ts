/** A provider that is told to stop gives its jobs back: what ran goes on elsewhere, what waited moves at once. */

import { expect } from 'vitest';
import { jobOf, startAsking, WAYS } from '../harness/asking.ts';
import { answerTo, generations } from '../harness/expected.ts';
import { scenario } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

const BUDGET = { within: 40_000 };
const ENDED_WELL = { code: 0, signal: null };
const engine = { tokensPerSecond: 60 };
const TOKENS = 150;

for (const way of WAYS) {
  scenario(`${way}: the text goes on when its provider is told to stop`, BUDGET, async (stage) => {
    const mesh = await stage.mesh([{}, { engine }, { engine }], { env: { GOGRID_NODE_SHUTDOWN_GRACE_SECS: '1' } });
    const content = `${stage.random.word(8)} words=${TOKENS}`;
    const asking = startAsking(mesh.node(0), way, { content });
    const provider = await until(
      async () => {
        const calls = await Promise.all([1, 2].map((index) => generations(mesh.engine(index))));
        return calls.findIndex(([call]) => (call?.tokens ?? 0) > 20) + 1;
      },
      { what: 'a provider to have written a part' },
    );
    const stopping = mesh.node(provider).stop();
    expect((await asking.ended).text).toBe(answerTo(content));
    expect(await stopping).toEqual(ENDED_WELL);
    const { attempts, tokensOut } = await mesh.node(0).job(jobOf(asking.heard) ?? '');
    const other = provider === 1 ? 2 : 1;
    expect(attempts.map(({ provider: at }) => mesh.indexOf(at))).toEqual([provider, other]);
    expect(attempts[0]).toMatchObject({ reason: 'shutting_down', fromToken: 0 });
    expect(attempts[1]).toMatchObject({ reason: null, fromToken: attempts[0]?.toToken, toToken: tokensOut });
    const [again] = await generations(mesh.engine(other));
    expect(again?.fromToken, 'it was continued, not begun again').toBeGreaterThan(0);
  });
}

scenario('a job that waits at a provider which is told to stop moves at once', BUDGET, async (stage) => {
  // The other provider comes later, so that the jobs wait where they are.
  const mesh = await stage.mesh([{}, { engine }]);
  const running = startAsking(mesh.node(0), 'openai streamed', { content: 'endless words=100000' });
  await until(() => running.heard.pieces > 0, { what: 'a job to run' });
  const content = `${stage.random.word(8)} words=20`;
  const waiting = startAsking(mesh.node(0), 'openai streamed', { content });
  await until(async () => (await mesh.node(1).status()).queue.depth === 1, { what: 'the other one to wait' });
  const late = await stage.engine({ ...engine, parallel: 2 });
  // Room for both, so that neither waits for the other there.
  const env = { GOGRID_WORKER_MAX_CONCURRENT_JOBS: '2' };
  const other = await stage.node({ name: 'late', bootstrap: mesh.node(0).addresses, engineUrl: late.url, env });
  const known = async () =>
    (await mesh.node(0).peers()).some(({ name, models }) => name === 'late' && models.length > 0);
  await until(known, { what: 'the other provider to be known' });
  expect(waiting.heard.pieces, 'it still waits').toBe(0);
  const toldAt = performance.now();
  const stopping = mesh.node(1).stop();
  expect((await waiting.ended).text).toBe(answerTo(content));
  const tookMs = performance.now() - toldAt;
  process.stdout.write(`a job that waited was answered ${tookMs.toFixed(0)} ms after the signal\n`);
  // A third of a second of it is the answer; nobody has waited for the grace of 20 s.
  expect(tookMs).toBeLessThan(3_000);
  running.hangUp();
  expect(await stopping).toEqual(ENDED_WELL);
  const { attempts, state } = await mesh.node(0).job(jobOf(waiting.heard) ?? '');
  expect(state).toBe('completed');
  expect(attempts.at(-1)).toMatchObject({ provider: other.peerId, reason: null });
  expect(await generations(mesh.engine(1)), 'the one that waited never ran there').toHaveLength(1);
});
