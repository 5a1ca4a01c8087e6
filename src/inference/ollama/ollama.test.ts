/**
 * The Ollama adapter against a fake daemon in its own process, and, where GOGRID_TEST_OLLAMA_URL and
 * GOGRID_TEST_OLLAMA_MODEL name one, against a real daemon.
 */

import { describe, expect, it } from 'vitest';
import { DEFAULTS, type FakeFault } from '../../../e2e/engine/settings.ts';
import { type FakeEngine, startFakeEngine } from '../../../e2e/engine/start.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import type { EngineControl, EngineSubject } from '../acceptance/stage.ts';
import { engineAcceptance } from '../engine.acceptance.ts';
import { createOllamaEngine } from './engine.ts';

const MODELS = [
  { name: 'open:latest', template: 'open' },
  { name: 'closing:latest', template: 'closing' },
  { name: 'Tools:7B', capabilities: ['completion', 'tools'] },
  { name: 'thinker:latest', capabilities: ['completion', 'tools', 'thinking'] },
  { name: 'vectors:latest', capabilities: ['embedding'], dimensions: 384, family: 'bert' },
  { name: 'elsewhere:latest', remoteHost: 'https://example.com' },
] as const;

/** A fake daemon that keeps its address when it ends and begins again. */
function fakeSubject(): EngineSubject {
  let fake: FakeEngine | undefined;
  const running = () => {
    if (fake === undefined) throw new Error('the fake engine is not running');
    return fake;
  };
  let port = 0;
  let callsBefore = 0;
  const comeBack = async () => {
    fake = await startFakeEngine({ port, models: MODELS });
    port = fake.port;
    callsBefore = 0;
  };
  const vanish = async () => {
    await fake?.stop();
    fake = undefined;
  };
  const generations = async () => (await running().report()).calls.filter((call) => !call.render);
  const control: EngineControl = {
    vanish,
    comeBack,
    async reset() {
      if (fake === undefined || (await fake.report().catch(() => undefined)) === undefined) {
        await vanish();
        await comeBack();
      }
      await running().control({ ...DEFAULTS, models: MODELS, unload: true });
      callsBefore = (await generations()).length;
    },
    set: async (how) => void (await running().control(how)),
    async fail(kind, afterTokens) {
      const fault: FakeFault = { kind, afterTokens, how: 'exit', tokensPerSecond: 5 };
      await running().control({ faults: [fault] });
    },
    calls: async () => (await generations()).slice(callsBefore),
  };
  return {
    start: comeBack,
    stop: vanish,
    engine: (clock) => createOllamaEngine({ url: `http://127.0.0.1:${port}` }, { logger: silentLogger, clock }),
    models: {
      chat: 'open:latest',
      closing: 'closing:latest',
      embedding: 'vectors:latest',
      tools: 'tools:7b',
      thinking: 'thinker:latest',
    },
    prompt: (tokens) => `Say words=${tokens}`,
    options: {},
    control,
  };
}

engineAcceptance('ollama, fake daemon', fakeSubject());

const { GOGRID_TEST_OLLAMA_URL: url, GOGRID_TEST_OLLAMA_MODEL: model } = process.env;
if (url && model) {
  engineAcceptance('ollama, real daemon', {
    start: async () => {},
    stop: async () => {},
    engine: (clock) => createOllamaEngine({ url }, { logger: silentLogger, clock }),
    models: { chat: model, closing: model, embedding: model, tools: undefined, thinking: undefined },
    prompt: () => 'Name three colours.',
    // One thread: more of them fight with whatever else a small machine does.
    options: { temperature: 0, num_thread: 1 },
    control: undefined,
  });
}

describe('the address', () => {
  it.each(['localhost:11434', '', 'ftp://x', 'nonsense'])('%j is refused with a hint', (address) => {
    const create = () => createOllamaEngine({ url: address }, { logger: silentLogger, clock: neverClock });
    expect(create).toThrow(expect.objectContaining({ code: 'invalid_config' }));
  });
});

const neverClock = { now: () => 0, elapsed: () => 0, after: () => ({ cancel: () => {} }) };
