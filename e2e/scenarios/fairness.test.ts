/** A flood of one requester does not make another one wait (scheduling.md, lanes): what the engine runs, in which order. */

import { expect } from 'vitest';
import { openai, streamChat } from '../harness/clients.ts';
import { answerTo, generations } from '../harness/expected.ts';
import type { Mesh } from '../harness/mesh.ts';
import { type Stage, scenario } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

const BUDGET = { within: 90_000 };
const FLOOD = 100;
/** The number of its tokens tells whose a call is, whatever else the engine does not know of it. */
const HEAVY_TOKENS = 40;
const LIGHT_TOKENS = 41;
const QUEUED_AT_MOST = 32;

/** One provider; a requester with a hundred jobs, all of them on their way; another one that has not asked yet. */
async function flooded(stage: Stage) {
  const env = { GOGRID_WORKER_MAX_WAITING_JOBS: '200', GOGRID_WORKER_MAX_WAIT_SECS: '120' };
  const mesh = await stage.mesh([{ engine: { tokensPerSecond: 400 } }, {}, {}], { env });
  const questions = Array.from({ length: FLOOD }, () => `${stage.random.word(8)} words=${HEAVY_TOKENS}`);
  const answers = Promise.all(questions.map((content) => tell(mesh, 1, content)));
  // Looked at below; a failure meanwhile must not end the run.
  answers.catch(() => undefined);
  await until(async () => (await mesh.node(1).jobs()).length === FLOOD, { what: 'the flood to be there' });
  return { mesh, answers, expected: questions.map((content) => answerTo(content)) };
}

async function tell(mesh: Mesh, index: number, content: string): Promise<string> {
  return (await streamChat(openai(mesh.node(index)), { content })).text;
}

/** Calls of the heavy user that the engine began after `since`, and before each of the light user's calls. */
async function heavyBefore(mesh: Mesh, since: number): Promise<number[]> {
  const calls = (await generations(mesh.engine(0))).filter(({ startedAt }) => startedAt >= since);
  let heavy = 0;
  return calls.flatMap(({ tokens }) => {
    if (tokens === LIGHT_TOKENS) return [heavy];
    heavy++;
    return [];
  });
}

scenario('one job beside a hundred of another waits for about one of them (E30, E42)', BUDGET, async (stage) => {
  const { mesh, answers, expected } = await flooded(stage);
  const content = `${stage.random.word(8)} words=${LIGHT_TOKENS}`;
  const asked = Date.now();
  expect(await tell(mesh, 2, content)).toBe(answerTo(content));
  const [before, ...others] = await heavyBefore(mesh, asked);
  expect(others).toEqual([]);
  // The one that may begin while the question is on its way, and one more before its turn.
  expect(before, 'jobs of the flood that began before it').toBeLessThanOrEqual(2);
  const left = (await mesh.node(1).jobs()).filter(({ endedAt }) => endedAt === null).length;
  expect(left, 'the flood is far from over').toBeGreaterThan(FLOOD / 2);
  expect(await answers).toEqual(expected);
});

scenario('ten jobs amid a hundred of another take turns with them', BUDGET, async (stage) => {
  const { mesh, answers, expected } = await flooded(stage);
  const questions = Array.from({ length: 10 }, () => `${stage.random.word(8)} words=${LIGHT_TOKENS}`);
  const asked = Date.now();
  const light = Promise.all(questions.map((content) => tell(mesh, 2, content)));
  const waiting = async () => {
    const jobs = await mesh.node(0).jobs();
    const of = (index: number) =>
      jobs.filter(({ state, requester }) => state === 'queued' && requester === mesh.node(index).peerId).length;
    return { heavy: of(1), light: of(2) };
  };
  // A quarter of the queue is all that one account gets.
  const seen = await until(async () => ((await waiting()).light > 0 ? waiting() : undefined), {
    what: 'the light user to wait beside the heavy one',
  });
  expect(seen.heavy).toBeLessThanOrEqual(QUEUED_AT_MOST / 4);
  expect(await light).toEqual(questions.map((content) => answerTo(content)));
  const before = await heavyBefore(mesh, asked);
  expect(before).toHaveLength(10);
  for (const [index, heavy] of before.entries()) {
    // One of theirs for each of mine, and the two of the scenario above.
    expect(heavy, `jobs of the flood before the light user's job ${index + 1}`).toBeLessThanOrEqual(index + 2);
  }
  expect(await answers).toEqual(expected);
});
