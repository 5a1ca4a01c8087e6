/** A process of the embedded engine that dies before it is ready: the node lives on, says so, and tries again. */

import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import type { EngineCall } from '../../jobs/ports.ts';
import { EMBEDDED } from '../../limits/engine.ts';
import { type EmbeddedStage, embeddedStage } from '../../testing/embedded-stage.ts';
import { settle, VirtualClock } from '../../testing/virtual-clock.ts';
import { hear, hearFailure, never } from '../acceptance/stage.ts';
import type { EmbeddedEngine } from './engine.ts';

// The process gets what computing time the tests beside it leave.
vi.setConfig({ testTimeout: 30_000 });

let stage: EmbeddedStage;
const escaped = vi.fn();
beforeAll(async () => {
  stage = await embeddedStage();
});
beforeEach(() => {
  escaped.mockClear();
  process.on('unhandledRejection', escaped);
  process.on('uncaughtException', escaped);
});
afterEach(() => {
  process.off('unhandledRejection', escaped);
  process.off('uncaughtException', escaped);
  stage.stopEngines();
});
afterAll(() => stage.close());

const short: EngineCall = {
  model: 'endless:latest',
  input: { kind: 'chat', messages: [{ role: 'user', content: 'Hello' }] },
  resume: undefined,
};
const longestRestMs = EMBEDDED.retryUnprovenMs;

/** Dies as by an instruction that the processor does not know, until there is a file `mended`. */
async function dyingProgram(mended: string): Promise<string> {
  const answers = `const { id, type } = message;
    if (type === 'load') process.send({ type: 'loaded', loadMs: 1, sizeBytes: 1 });
    if (type === 'run') process.send({ type: 'chunk', id, tokens: 1, text: 'alive' });
    const usage = { promptTokens: 1, outputTokens: 1, loadMs: 1, prefillMs: 1, decodeMs: 1 };
    if (type === 'run') process.send({ type: 'done', id, reason: 'stop', usage });`;
  const isMended = `process.getBuiltinModule('node:fs').existsSync(${JSON.stringify(mended)})`;
  return stage.program(answers, `${isMended} ? { type: 'ready', version: '1' } : process.exit(132)`);
}

/** Starts processes, as time passes, until the engine no longer offers its models. */
function untilUnreachable(engine: EmbeddedEngine, clock: VirtualClock): Promise<void> {
  return vi.waitFor(
    async () => {
      await clock.advance(100);
      expect(engine.status().state).toBe('unreachable');
    },
    { timeout: 20_000, interval: 20 },
  );
}

it('fails the jobs that come, one by one, and harms nothing else', async () => {
  const clock = new VirtualClock();
  const program = await dyingProgram(path.join(stage.folder, 'never'));
  const engine = await stage.start({ program }, clock);
  const codes = new Set<string>();
  for (let job = 0; job < 6; job++) {
    const { error } = await hearFailure(engine.run(short, never));
    expect(error.hint).toEqual(expect.any(String));
    codes.add(error.code);
    // Whatever looks at the models meanwhile finds the process at rest.
    engine.offerStarter();
    await engine.refresh();
    await settle();
  }
  expect([...codes].sort()).toEqual(['engine_failed', 'engine_unavailable']);
  expect(escaped).not.toHaveBeenCalled();
});

it('makes the engine say so by itself, until a process gets ready', async () => {
  const clock = new VirtualClock();
  const mended = path.join(stage.folder, 'mended');
  const engine = await stage.start({ program: await dyingProgram(mended) }, clock);
  await untilUnreachable(engine, clock);
  expect(engine.status()).toMatchObject({ hint: expect.any(String), version: '' });
  expect(engine.models()).toEqual([]);
  // The end of a rest is not yet a reason to offer anything: nothing has ever run here.
  const states = new Set<string>();
  const stop = engine.onChange(() => states.add(engine.status().state));
  await clock.advance(longestRestMs);
  await vi.waitFor(() => expect(engine.pid).toBeUndefined(), { timeout: 5000 });
  expect([...states]).toEqual(['unreachable']);
  stop();

  await writeFile(mended, '');
  await vi.waitFor(
    async () => {
      await clock.advance(longestRestMs);
      expect(engine.status()).toMatchObject({ state: 'ready', version: '1' });
    },
    { timeout: 20_000, interval: 200 },
  );
  expect((await hear(engine.run(short, never))).text).toBe('alive');
  expect(escaped).not.toHaveBeenCalled();
});

it('is not started again when the engine was stopped', async () => {
  const clock = new VirtualClock();
  const engine = await stage.start({ program: await dyingProgram(path.join(stage.folder, 'never')) }, clock);
  await untilUnreachable(engine, clock);
  engine.stop();
  await clock.advance(longestRestMs * 2);
  engine.offerStarter();
  expect(engine.pid).toBeUndefined();
  expect(clock.pending).toBe(0);
});

it('counts as one that died where the system does not start it at all', async () => {
  // No system has a file with such a name, and none of Node's calls takes it.
  const engine = await stage.start({ program: 'no\0program' }, new VirtualClock());
  const { error } = await hearFailure(engine.run(short, never));
  expect(error).toMatchObject({ code: expect.stringMatching(/^engine_/), hint: expect.any(String) });
  expect(engine.pid).toBeUndefined();
  await settle();
  expect(escaped).not.toHaveBeenCalled();
});
