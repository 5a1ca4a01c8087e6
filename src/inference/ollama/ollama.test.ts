/**
 * The Ollama adapter against a fake daemon in its own process, and, where GOGRID_TEST_OLLAMA_URL and
 * GOGRID_TEST_OLLAMA_MODEL name one, against a real daemon.
 */

import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { DEFAULTS, type FakeFault } from '../../../e2e/engine/settings.ts';
import { type FakeEngine, type FakeEngineOptions, startFakeEngine } from '../../../e2e/engine/start.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import { type EngineControl, type EngineSubject, fastClock, hear, hearFailure, never } from '../acceptance/stage.ts';
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

describe('a daemon that changes', () => {
  const start = async (settings: FakeEngineOptions) => {
    const fake = await startFakeEngine(settings);
    const engine = createOllamaEngine({ url: fake.url }, { logger: silentLogger, clock: fastClock(20) });
    onTestFinished(async () => {
      engine.stop();
      await fake.stop();
    });
    await engine.start();
    const names = () => engine.models().map((model) => model.name);
    const run = (model: string) => {
      const input = { kind: 'chat', messages: [{ role: 'user', content: 'Hi words=3' }] } as const;
      return hear(engine.run({ model, input: { ...input, messages: [...input.messages] }, resume: undefined }, never));
    };
    return { fake, engine, names, run };
  };

  it('lists what runs here, by canonical names, and runs it by its own', async () => {
    const { names, run, fake } = await start({ models: MODELS });
    expect(names()).toEqual(['closing:latest', 'open:latest', 'thinker:latest', 'tools:7b', 'vectors:latest']);
    await run('tools:7b');
    expect((await fake.report()).calls.at(-1)?.model).toBe('Tools:7B');
  });

  it('is seen to get models, and to lose them', async () => {
    const { names, fake, engine } = await start({ models: [{ name: 'a' }, { name: 'b' }] });
    const told = vi.fn();
    engine.onChange(told);
    await fake.control({ models: [{ name: 'b' }, { name: 'c' }] });
    await vi.waitFor(() => expect(names()).toEqual(['b:latest', 'c:latest']), { timeout: 2000 });
    expect(told).toHaveBeenCalled();
    const times = told.mock.calls.length;
    await vi.waitFor(async () => expect((await fake.report()).settings.models).toHaveLength(2));
    expect(told.mock.calls.length).toBe(times);
  });

  it('that cannot render is found out by one token, once', async () => {
    const { engine, fake, run } = await start({ models: [{ name: 'a' }], renders: false, tokensPerSecond: 200 });
    await run('a:latest');
    await vi.waitFor(() => expect(engine.models()[0]?.continues).toBe('no'), { timeout: 2000 });
    await run('a:latest');
    const asked = (await fake.report()).calls.filter((call) => call.render);
    expect(asked).toMatchObject([{ tokens: 1 }]);
  });

  it('does not go on when prompt and answer no longer fit', async () => {
    const { engine } = await start({ models: [{ name: 'a' }] });
    const input = { kind: 'generate', prompt: 'Hi', options: { num_ctx: 100 } } as const;
    const resume = { text: 'word '.repeat(100).trimEnd(), tokens: 100 };
    const { error } = await hearFailure(engine.run({ model: 'a:latest', input, resume }, never));
    expect(error).toMatchObject({ code: 'cannot_continue', message: expect.stringContaining('fit') });
  });

  it('to another version is asked again whether it continues', async () => {
    const { engine, fake, run } = await start({ models: [{ name: 'a' }], renders: false });
    await run('a:latest');
    await vi.waitFor(() => expect(engine.models()[0]?.continues).toBe('no'), { timeout: 2000 });
    await fake.control({ version: '0.25.0', renders: true });
    await vi.waitFor(() => expect(engine.models()[0]?.continues).toBe('unknown'), { timeout: 2000 });
    await run('a:latest');
    await vi.waitFor(() => expect(engine.models()[0]?.continues).toBe('yes'), { timeout: 2000 });
  });
});

describe('the address', () => {
  it.each(['localhost:11434', '', 'ftp://x', 'nonsense'])('%j is refused with a hint', (address) => {
    const create = () => createOllamaEngine({ url: address }, { logger: silentLogger, clock: neverClock });
    expect(create).toThrow(expect.objectContaining({ code: 'invalid_config' }));
  });
});

const neverClock = { now: () => 0, elapsed: () => 0, after: () => ({ cancel: () => {} }) };
