/** `engine.kind = auto`, with a fake daemon, and tiny models for the embedded engine. */

import { createHash } from 'node:crypto';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type FakeEngine, startFakeEngine } from '../../e2e/engine/start.ts';
import { type Clock, systemClock } from '../clock.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { type EmbeddedStage, embeddedStage } from '../testing/embedded-stage.ts';
import { tinyGguf } from '../testing/tiny-gguf.ts';
import { fastClock } from './acceptance/stage.ts';
import { type AutoEngine, createAutoEngine } from './auto.ts';
import { createEmbeddedEngine } from './embedded/engine.ts';
import { createOllamaEngine } from './ollama/engine.ts';
import { STARTER as catalogued } from './store/catalogue.ts';

const STARTER = path.join('cache', catalogued.file);
/** The tiny model in the starter's place. */
const catalogue = [{ ...catalogued, sha256: createHash('sha256').update(tinyGguf()).digest('hex') }];
const SPEAKS = { name: 'llama:latest', template: 'open' } as const;
const EMBEDS = { name: 'vectors:latest', capabilities: ['embedding'], dimensions: 384, family: 'bert' } as const;

let stage: EmbeddedStage;
let program: string;
let daemon: FakeEngine | undefined;
const engines: AutoEngine[] = [];
beforeEach(async () => {
  stage = await embeddedStage();
  program = await stage.program('');
});
afterEach(async () => {
  for (const engine of engines.splice(0)) engine.stop();
  await daemon?.stop();
  daemon = undefined;
  await stage.close();
});

async function start(url: string | undefined, folders: readonly string[] = [], clock: Clock = systemClock) {
  const deps = { logger: silentLogger, clock };
  const digestFile = path.join(stage.folder, 'digests.json');
  const files = { folders, starter: path.join(stage.folder, STARTER), digestFile, catalogue, program };
  const ollama = url === undefined ? undefined : createOllamaEngine({ url }, deps);
  const engine = createAutoEngine({ ollama, embedded: createEmbeddedEngine(files, deps), clock });
  engines.push(engine);
  const wanted = vi.fn();
  engine.onStarterWanted(wanted);
  await engine.start();
  return { engine, wanted, names: () => engine.models().map((model) => model.name) };
}
const nobody = 'http://127.0.0.1:9';

describe('a machine with nothing on it', () => {
  it('wants the starter, once, and has it as soon as it is there', async () => {
    const { engine, wanted, names } = await start(nobody);
    expect(wanted).toHaveBeenCalledTimes(1);
    expect(engine.wantsStarter()).toBe(true);
    expect(engine.status()).toMatchObject({ state: 'unreachable', hint: expect.stringMatching(/models pull.*Ollama/) });
    await stage.write(STARTER);
    await engine.refresh();
    expect(names()).toEqual(['smollm2:135m']);
    expect(engine.wantsStarter()).toBe(false);
    expect(engine.status()).toMatchObject({ state: 'ready', hint: undefined });
    expect(wanted).toHaveBeenCalledTimes(1);
  });

  it('and a starter that was fetched before answers at once', async () => {
    await stage.write(STARTER);
    const { wanted, names } = await start(nobody);
    expect(names()).toEqual(['smollm2:135m']);
    expect(wanted).not.toHaveBeenCalled();
  });

  it('but a model in the models folder wants no starter', async () => {
    const { wanted, names } = await start(nobody, [stage.folder]);
    expect(names()).toEqual(['ending:latest', 'endless:latest']);
    expect(wanted).not.toHaveBeenCalled();
  });
});

describe('a machine with Ollama', () => {
  it('leaves the starter asleep, and offers what lies in the models folder beside it', async () => {
    await stage.write(STARTER);
    daemon = await startFakeEngine({ models: [SPEAKS] });
    const { engine, wanted, names } = await start(daemon.url, [stage.folder]);
    expect(names()).toEqual(['ending:latest', 'endless:latest', 'llama:latest']);
    expect(engine.wantsStarter()).toBe(false);
    expect(wanted).not.toHaveBeenCalled();
  });

  it('that has no model which speaks wants the starter', async () => {
    daemon = await startFakeEngine({ models: [EMBEDS] });
    const { wanted, names } = await start(daemon.url);
    expect(wanted).toHaveBeenCalledTimes(1);
    await stage.write(STARTER);
    await engines[0]?.refresh();
    expect(names()).toEqual(['smollm2:135m', 'vectors:latest']);
  });

  it('that is away for a moment does not wake the starter; for longer it does, and then it stays', async () => {
    await stage.write(STARTER);
    daemon = await startFakeEngine({ models: [SPEAKS] });
    const { port } = daemon;
    const { names } = await start(daemon.url, [], fastClock(20));
    await daemon.stop();
    await vi.waitFor(() => expect(names()).toEqual([]), { timeout: 3000 });
    daemon = await startFakeEngine({ models: [SPEAKS], port });
    await vi.waitFor(() => expect(names()).toEqual(['llama:latest']), { timeout: 3000 });

    await daemon.stop();
    await vi.waitFor(() => expect(names()).toEqual(['smollm2:135m']), { timeout: 5000 });
    daemon = await startFakeEngine({ models: [SPEAKS], port });
    await vi.waitFor(() => expect(names()).toEqual(['llama:latest', 'smollm2:135m']), { timeout: 3000 });
  });
});

describe('engine.kind = embedded', () => {
  it('wants the starter from the beginning', async () => {
    const { engine, wanted, names } = await start(undefined);
    expect(engine.kind).toBe('embedded');
    expect(wanted).toHaveBeenCalledTimes(1);
    await stage.write(STARTER);
    await engine.refresh();
    expect(names()).toEqual(['smollm2:135m']);
  });
});
