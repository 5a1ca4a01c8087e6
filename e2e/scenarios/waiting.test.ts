/** Where a job waits when every provider is full: at its own node, in order, and not for ever. */

import { expect } from 'vitest';
import { type Asking, refusalOf, startAsking, WAYS } from '../harness/asking.ts';
import { allGenerations, answerTo, generations } from '../harness/expected.ts';
import type { Mesh } from '../harness/mesh.ts';
import { untilFree, untilQuiet } from '../harness/rest.ts';
import { type Stage, scenario } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

const BUDGET = { within: 40_000 };
/** Jobs wait in the mesh as soon as the engines are taken. */
const NO_QUEUE = { GOGRID_WORKER_MAX_QUEUED_JOBS: '0' };
const engine = { tokensPerSecond: 60 };

/** A node that asks, and so many providers, each of them with an endless job. */
async function full(stage: Stage, providers: number, env: Readonly<Record<string, string>>) {
  const members = [{}, ...Array.from({ length: providers }, () => ({ engine }))];
  const mesh = await stage.mesh(members, { env: { ...NO_QUEUE, ...env } });
  const running: Asking[] = [];
  for (let index = 1; index <= providers; index++) {
    const asking = startAsking(mesh.node(0), 'openai streamed', { content: `${index} words=100000` });
    await until(() => asking.heard.pieces > 0, { what: `job ${index} to run` });
    running.push(asking);
  }
  return { mesh, running };
}

function providerOf({ heard }: Asking): string | null | undefined {
  return heard.headers?.get('x-gogrid-provider');
}

async function waiting(mesh: Mesh): Promise<number> {
  const jobs = await mesh.node(0).jobs();
  return jobs.filter((job) => job.endedAt === null && job.waiting?.where === 'mesh').length;
}

for (const way of WAYS) {
  scenario(`${way}: a job waits while all providers are full, and runs when one is free`, BUDGET, async (stage) => {
    const { mesh, running } = await full(stage, 2, {});
    const content = `${stage.random.word(8)} words=20`;
    const asking = startAsking(mesh.node(0), way, { content });
    await until(async () => (await waiting(mesh)) === 1, { what: 'the job to wait' });
    expect((await mesh.node(0).jobs())[0]).toMatchObject({ state: 'queued', attempts: [] });
    const left = stage.random.pick(running);
    left.hangUp();
    const freedAt = performance.now();
    expect((await asking.ended).text).toBe(answerTo(content));
    const tookMs = performance.now() - freedAt;
    process.stdout.write(`${way}: answered ${tookMs.toFixed(0)} ms after a provider was free\n`);
    // A third of a second of it is the answer itself; tries are at most 5 s apart.
    expect(tookMs).toBeLessThan(6_000);
    expect(providerOf(asking), 'the one that is free').toBe(providerOf(left));
    for (const asked of running) asked.hangUp();
    await untilFree(mesh, 1);
    await untilFree(mesh, 2);
  });
}

scenario('those that wait are served in the order in which they came', BUDGET, async (stage) => {
  const { mesh, running } = await full(stage, 1, {});
  // The number of its tokens tells which job a call was for.
  const lengths = [6, 7, 8, 9, 10];
  const askings: Asking[] = [];
  for (const length of lengths) {
    askings.push(startAsking(mesh.node(0), 'openai streamed', { content: `${stage.random.word(8)} words=${length}` }));
    await until(async () => (await waiting(mesh)) === askings.length, { what: `${askings.length} jobs to wait` });
  }
  running[0]?.hangUp();
  await Promise.all(askings.map(({ ended }) => ended));
  const calls = await generations(mesh.engine(1));
  expect(calls.slice(1).map(({ tokens }) => tokens)).toEqual(lengths);
});

scenario('more jobs than may wait: 503, and when to come back', BUDGET, async (stage) => {
  const { mesh, running } = await full(stage, 1, { GOGRID_WORKER_MAX_WAITING_JOBS: '2' });
  const contents = [1, 2].map((number) => `${number} ${stage.random.word(8)} words=8`);
  const askings = contents.map((content) => startAsking(mesh.node(0), 'ollama whole', { content }));
  await until(async () => (await waiting(mesh)) === 2, { what: 'two jobs to wait' });
  for (const way of WAYS) {
    const askedAt = performance.now();
    const refusal = await refusalOf(startAsking(mesh.node(0), way, { content: 'one too many words=5' }));
    expect(performance.now() - askedAt).toBeLessThan(2_000);
    expectComeBack(refusal);
  }
  expect(await waiting(mesh), 'nobody lost its place').toBe(2);
  running[0]?.hangUp();
  expect(await Promise.all(askings.map(async ({ ended }) => (await ended).text))).toEqual(
    contents.map((content) => answerTo(content)),
  );
  expect(await generations(mesh.engine(1)), 'a refused job reaches no engine').toHaveLength(3);
});

scenario('a job that has waited too long: 503, and when to come back', BUDGET, async (stage) => {
  const { mesh, running } = await full(stage, 1, { GOGRID_WORKER_MAX_WAIT_SECS: '2' });
  for (const way of WAYS) {
    const askedAt = performance.now();
    const refusal = await refusalOf(startAsking(mesh.node(0), way, { content: 'too late words=5' }));
    expect(performance.now() - askedAt).toBeGreaterThan(1_900);
    expect(performance.now() - askedAt).toBeLessThan(5_000);
    expectComeBack(refusal);
  }
  running[0]?.hangUp();
  await untilFree(mesh, 1);
  await untilQuiet(mesh, 0);
  expect(await generations(mesh.engine(1)), 'a refused job reaches no engine').toHaveLength(1);
});

scenario('an idle worker that comes later takes the jobs that wait', BUDGET, async (stage) => {
  const { mesh, running } = await full(stage, 1, {});
  const contents = [1, 2, 3].map((number) => `${number} ${stage.random.word(8)} words=20`);
  const askings = contents.map((content) => startAsking(mesh.node(0), 'openai streamed', { content }));
  await until(async () => (await waiting(mesh)) === 3, { what: 'three jobs to wait' });
  const late = await stage.engine(engine);
  const startedAt = performance.now();
  await stage.node({ name: 'late', bootstrap: mesh.node(0).addresses, engineUrl: late.url, env: NO_QUEUE });
  const texts = await Promise.all(askings.map(async ({ ended }) => (await ended).text));
  process.stdout.write(
    `a new worker did what waited ${(performance.now() - startedAt).toFixed(0)} ms after its start\n`,
  );
  expect(texts).toEqual(contents.map((content) => answerTo(content)));
  expect(await allGenerations([late])).toHaveLength(3);
  expect(running[0]?.heard.pieces, 'the other one still has its own').toBeGreaterThan(0);
  running[0]?.hangUp();
});

function expectComeBack(refusal: { status: number | undefined; retryAfter: string | null; message: string }): void {
  expect(refusal.status).toBe(503);
  const seconds = Number(refusal.retryAfter ?? Number.NaN);
  expect(Number.isInteger(seconds) && seconds >= 1 && seconds <= 60, `Retry-After: ${refusal.retryAfter}`).toBe(true);
  expect(refusal.message).toMatch(/overloaded|busy/);
}
