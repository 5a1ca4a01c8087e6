/** More jobs than slots: clients are told when to come back, and those who do are served. */

import OpenAI from 'openai';
import { expect } from 'vitest';
import { ask, ollama, openai, streamChat } from '../harness/clients.ts';
import { allGenerations, answerTo } from '../harness/expected.ts';
import { scenario } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

scenario('all providers are busy (G55)', { within: 30_000 }, async (stage) => {
  const env = { GOGRID_WORKER_MAX_QUEUED_JOBS: '0', GOGRID_WORKER_MAX_WAITING_JOBS: '0' };
  const engine = { tokensPerSecond: 100 };
  const mesh = await stage.mesh([{}, { engine }, { engine }], { env });
  const engines = [mesh.engine(1), mesh.engine(2)];

  const hangUp = new AbortController();
  const long = [1, 2].map((number) =>
    streamChat(openai(mesh.node(0)), { content: `job ${number} words=100000`, signal: hangUp.signal }),
  );
  const ended = Promise.allSettled(long);
  const running = async () =>
    (await Promise.all(engines.map((each) => each.report()))).map(({ totals }) => totals.open);
  await until(async () => (await running()).every((open) => open === 1), { what: 'both providers to have a job' });

  const refused = openai(mesh.node(0)).chat.completions.create({ model: 'words', messages: ask('hi words=5') });
  const error: unknown = await refused.catch((thrown: unknown) => thrown);
  if (!(error instanceof OpenAI.InternalServerError)) throw new Error(`not a 503: ${String(error)}`);
  expect(error.status).toBe(503);
  const seconds = Number(error.headers.get('retry-after'));
  expect(Number.isInteger(seconds) && seconds >= 1 && seconds <= 60, `Retry-After: ${seconds}`).toBe(true);
  expect(error.headers.get('x-should-retry')).toBe('true');
  expect(error.type).toBe('overloaded_error');
  expect(error.message).toContain('overloaded');
  await expect(ollama(mesh.node(0)).chat({ model: 'words', messages: ask('hi') })).rejects.toThrow(/^overloaded/);

  // A client that retries is refused once more, at least, then the others have gone, and it gets its answer.
  const content = `come back ${stage.random.word(6)} words=10`;
  const before = (await mesh.node(0).jobs()).length;
  const patient = openai(mesh.node(0), { maxRetries: 5 }).chat.completions.create({
    model: 'words',
    messages: ask(content),
  });
  await until(async () => (await mesh.node(0).jobs()).length > before, { what: 'the first try to be over' });
  hangUp.abort();
  expect((await patient).choices[0]?.message.content).toBe(answerTo(content));
  await ended;
  expect((await mesh.node(0).jobs()).length).toBeGreaterThan(before + 1);
  expect(await allGenerations(engines), 'a refused job reaches no engine').toHaveLength(3);
});

scenario('jobs wait their turn, in order, and all are answered (G54)', { within: 30_000 }, async (stage) => {
  const mesh = await stage.mesh([{}, { engine: { tokensPerSecond: 200 } }]);
  const questions = Array.from({ length: 12 }, () => `${stage.random.word(8)} words=20`);
  const answers = await Promise.all(
    questions.map(async (content) => (await streamChat(openai(mesh.node(0)), { content })).text),
  );
  expect(answers).toEqual(questions.map((content) => answerTo(content)));
  const { totals } = await mesh.engine(1).report();
  expect(totals.maxConcurrent).toBe(1);
  const status = await mesh.node(1).status();
  expect(status.queue).toMatchObject({ depth: 0, running: 0, slots: 1 });
  expect(status.jobs.completed).toBe(12);
});

scenario('a model that takes ten seconds to load is not taken for dead', { within: 40_000 }, async (stage) => {
  const engine = { loadMs: 10_000, tokensPerSecond: 400 };
  const mesh = await stage.mesh([{}, { engine }, { engine }]);
  const content = `${stage.random.word(8)} words=30`;
  const startedAt = performance.now();
  const streamed = await streamChat(openai(mesh.node(0)), { content });
  expect(performance.now() - startedAt).toBeGreaterThan(9_500);
  expect(streamed.text).toBe(answerTo(content));
  expect(await allGenerations([mesh.engine(1), mesh.engine(2)])).toHaveLength(1);
  expect((await mesh.node(0).job(streamed.job)).attempts).toHaveLength(1);
});
