/**
 * An engine that says nothing more while its node lives: the answer goes on elsewhere after max(5 s, 20 times the median gap
 * between its own tokens), unless to be silent is how that engine works.
 */

import { expect } from 'vitest';
import type { FakeFault } from '../engine/settings.ts';
import { jobOf, startAsking, type Way } from '../harness/asking.ts';
import { answerTo, generations } from '../harness/expected.ts';
import type { Mesh } from '../harness/mesh.ts';
import { untilFree } from '../harness/rest.ts';
import { type Stage, scenario } from '../harness/stage.ts';
import { Stillness } from '../harness/stillness.ts';
import { until } from '../harness/until.ts';

const BUDGET = { within: 60_000 };
/** How often it is looked for, the way to the other provider, and what a busy machine adds. */
const LATE_MS = 3_000;
const TOKENS = 60;
const TOOL = { type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } };

/** A node that asks, and two providers whose engines would both fall silent. */
async function twoThatFallSilent(stage: Stage, tokensPerSecond: number, fault: FakeFault): Promise<Mesh> {
  const models = [{ name: 'words:latest', capabilities: ['completion', 'tools'] }];
  const engine = { tokensPerSecond, models, faults: [fault] };
  return stage.mesh([{}, { engine }, { engine }]);
}

/** The one that has the job; the other one is mended, so that it can go on. */
async function firstOfTwo(mesh: Mesh): Promise<number> {
  const open = async () => {
    const counts = await Promise.all([1, 2].map(async (index) => (await mesh.engine(index).report()).totals.open));
    return counts.findIndex((count) => count > 0) + 1;
  };
  const first = await until(open, { what: 'a provider to begin' });
  await mesh.engine(first === 1 ? 2 : 1).control({ faults: [] });
  return first;
}

/** Asks, and returns what came of it: how long the text stood still at most, and who was asked. */
async function askTwo(mesh: Mesh, way: Way, content: string, tools: readonly object[] = []) {
  const stillness = new Stillness();
  const asking = startAsking(mesh.node(0), way, {
    content,
    ...(tools.length > 0 && { tools }),
    onPiece: ({ pieces }) => (pieces === 1 ? stillness.begin() : stillness.hear()),
  });
  const first = await firstOfTwo(mesh);
  const { text } = await asking.ended;
  const { attempts } = await mesh.node(0).job(jobOf(asking.heard) ?? '');
  process.stdout.write(`${way}: the text stood still for ${stillness.ms.toFixed(0)} ms\n`);
  return { text, stillMs: stillness.ms, first, attempts };
}

for (const way of ['openai streamed', 'ollama streamed', 'openai whole'] as const) {
  scenario(`${way}: an engine falls silent in mid-answer, another one goes on`, BUDGET, async (stage) => {
    const mesh = await twoThatFallSilent(stage, 60, { kind: 'stall', afterTokens: stage.random.int(5, 50) });
    const content = `${stage.random.word(8)} words=${TOKENS}`;
    const askedAt = performance.now();
    const { text, stillMs, first, attempts } = await askTwo(mesh, way, content);
    expect(text).toBe(answerTo(content));
    expect(attempts.map(({ provider }) => mesh.indexOf(provider))).toEqual([first, first === 1 ? 2 : 1]);
    expect(attempts[0]?.reason).toMatch(/engine_failed|provider_lost/);
    if (way === 'openai whole') expect(performance.now() - askedAt).toBeLessThan(2_000 + 5_000 + LATE_MS);
    else expect(stillMs).toBeGreaterThan(4_900);
    expect(stillMs).toBeLessThan(5_000 + LATE_MS);
    // The one that fell silent works for nobody any more.
    await untilFree(mesh, first);
    expect((await generations(mesh.engine(first)))[0]).toMatchObject({ aborted: true });
  });
}

scenario('an engine that is slow anyway is given longer', BUDGET, async (stage) => {
  // A token every 400 ms, so that 8 s of silence are its 20 gaps.
  const mesh = await twoThatFallSilent(stage, 2.5, { kind: 'stall', afterTokens: 8 });
  const content = `${stage.random.word(8)} words=12`;
  const { text, stillMs, attempts } = await askTwo(mesh, 'openai streamed', content);
  expect(text).toBe(answerTo(content));
  expect(attempts).toHaveLength(2);
  expect(stillMs).toBeGreaterThan(7_000);
  expect(stillMs).toBeLessThan(8_000 + LATE_MS);
});

scenario('an engine that thinks about a tool call is not taken for dead', BUDGET, async (stage) => {
  // Ollama holds a tool call back until it is whole: to its client that is silence.
  const mesh = await twoThatFallSilent(stage, 60, { kind: 'pause', afterTokens: 20, ms: 8_000 });
  const content = `${stage.random.word(8)} words=${TOKENS}`;
  const { text, stillMs, attempts } = await askTwo(mesh, 'ollama streamed', content, [TOOL]);
  expect(attempts, 'nobody else was asked').toHaveLength(1);
  expect(stillMs).toBeGreaterThan(7_500);
  expect(text.endsWith(String(TOKENS))).toBe(true);
});

scenario('a long look at the prompt is not a stall', BUDGET, async (stage) => {
  const mesh = await stage.mesh([{}, { engine: { tokensPerSecond: 60, prefillMs: 8_000 } }, { engine: {} }]);
  await mesh.node(2).stop();
  const content = `${stage.random.word(8)} words=${TOKENS}`;
  const asking = startAsking(mesh.node(0), 'ollama whole', { content });
  expect((await asking.ended).text).toBe(answerTo(content));
  expect((await mesh.node(0).job(jobOf(asking.heard) ?? '')).attempts).toHaveLength(1);
});
