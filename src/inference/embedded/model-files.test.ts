/** Which models the embedded engine finds on the disk. */

import { createHash } from 'node:crypto';
import { copyFileSync } from 'node:fs';
import { mkdir, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { silentLogger } from '../../telemetry/logger.ts';
import { type EmbeddedStage, embeddedStage } from '../../testing/embedded-stage.ts';
import { tinyGguf } from '../../testing/tiny-gguf.ts';
import { hearFailure, never } from '../acceptance/stage.ts';
import { STARTER } from '../store/catalogue.ts';
import type { EmbeddedEngine } from './engine.ts';
import { ModelFiles, modelName } from './model-files.ts';

// The process gets what computing time the tests beside it leave.
vi.setConfig({ testTimeout: 30_000 });

let stage: EmbeddedStage;
let quiet: { program: string };
beforeEach(async () => {
  stage = await embeddedStage();
  // None of these tests runs a model.
  quiet = { program: await stage.program('') };
});
afterEach(async () => {
  stage.stopEngines();
  await stage.close();
});

const names = (engine: EmbeddedEngine) => engine.models().map((model) => model.name);
const sha256 = async (file: string) =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex');

describe('the models folder', () => {
  it('is listed with what the files say of themselves', async () => {
    const engine = await stage.start(quiet);
    const file = path.join(stage.folder, 'endless.gguf');
    expect(engine.models().map(({ name }) => name)).toEqual(['ending:latest', 'endless:latest']);
    expect(engine.models()[1]).toMatchObject({
      digest: await sha256(file),
      sizeBytes: (await readFile(file)).length,
      parameterCount: 149_056,
      quantisation: 'F32',
      family: 'llama',
      contextLength: 4096,
      capabilities: ['completion'],
      continues: 'unknown',
      warm: false,
      format: 'gguf',
    });
  });

  it('that does not exist has no models, and is ready', async () => {
    const engine = await stage.start({ ...quiet, folders: [path.join(stage.folder, 'nothing', 'here')] });
    expect(engine.status()).toMatchObject({ state: 'ready', hint: undefined });
    expect(engine.models()).toEqual([]);
    expect(engine.hasModels).toBe(false);
    expect(engine.pid).toBeUndefined();
  });

  it('may hold anything else: it is left out', async () => {
    const good = tinyGguf();
    await writeFile(path.join(stage.folder, 'empty.gguf'), '');
    await writeFile(path.join(stage.folder, 'half.gguf'), good.subarray(0, good.length / 2));
    await writeFile(path.join(stage.folder, 'text.gguf'), 'this is no model');
    await writeFile(path.join(stage.folder, 'model.gguf.part'), good);
    await writeFile(path.join(stage.folder, '.hidden.gguf'), good);
    await writeFile(path.join(stage.folder, 'large-00001-of-00003.gguf'), good);
    expect(names(await stage.start(quiet))).toEqual(['ending:latest', 'endless:latest']);
  });

  it('is looked at again when asked: models come, go, and change', async () => {
    const engine = await stage.start(quiet);
    const told = vi.fn();
    engine.onChange(told);
    await stage.write('New Model (Q4).gguf');
    await rm(path.join(stage.folder, 'ending.gguf'));
    const before = engine.models().find((model) => model.name === 'endless:latest')?.digest;
    const changed = await stage.write('endless.gguf', { seed: 99 });
    await engine.refresh();
    expect(names(engine)).toEqual(['endless:latest', 'new-model-q4:latest']);
    expect(told).toHaveBeenCalled();
    const now = engine.models().find((model) => model.name === 'endless:latest')?.digest;
    expect(now).toBe(await sha256(changed));
    expect(now).not.toBe(before);
  });

  it('is hashed once, and again only where a file changed', async () => {
    (await stage.start(quiet)).stop();
    const digestFile = path.join(stage.folder, 'digests.json');
    const marked = (await readFile(digestFile, 'utf8')).replaceAll(/"sha256": "....(.*)"/g, '"sha256": "0000$1"');
    await writeFile(digestFile, marked);
    const file = path.join(stage.folder, 'ending.gguf');
    await utimes(file, new Date(), new Date(2020, 1, 1));
    const engine = await stage.start(quiet);
    expect(engine.models()[1]?.digest).toMatch(/^0000/);
    expect(engine.models()[0]?.digest).toBe(await sha256(file));
  });

  it('is hashed anew where the memory of it is damaged', async () => {
    for (const rubbish of ['', 'no json', '{"a":1}', '[]']) {
      await writeFile(path.join(stage.folder, 'digests.json'), rubbish);
      const engine = await stage.start(quiet);
      expect(engine.models()[0]?.digest).toBe(await sha256(path.join(stage.folder, 'ending.gguf')));
      engine.stop();
    }
  });
});

describe('a look at the folder', () => {
  const filesIn = (folder: string, changed: () => void) =>
    new ModelFiles(
      { folders: [folder], starter: undefined, digestFile: path.join(folder, 'digests.json'), catalogue: [] },
      silentLogger,
      changed,
    );

  it('that failed does not stand in the way of the next one', async () => {
    const changed = vi.fn().mockImplementationOnce(() => {
      throw new Error('a listener that fails');
    });
    const files = filesIn(stage.folder, changed);
    await expect(files.look()).rejects.toThrow('a listener that fails');
    await stage.write('new.gguf');
    await files.look();
    expect(files.files.map((file) => file.name)).toContain('new:latest');
    expect(files.files.every((file) => file.digest !== undefined)).toBe(true);
  });

  it('sees what came before it was asked for, in whatever moment another one ends', async () => {
    for (let turns = 0; turns < 8; turns++) {
      const folder = path.join(stage.folder, `turns-${turns}`);
      await mkdir(folder);
      await stage.write(path.join(`turns-${turns}`, 'first.gguf'));
      let asked: Promise<void> | undefined;
      const files = filesIn(folder, () => {
        if (asked !== undefined || files.files.some((file) => file.digest === undefined)) return;
        asked = (async () => {
          for (let turn = 0; turn < turns; turn++) await undefined;
          copyFileSync(path.join(folder, 'first.gguf'), path.join(folder, 'second.gguf'));
          await files.look();
        })();
      });
      await files.look();
      await asked;
      expect(
        files.files.map((file) => file.name),
        `${turns} turns`,
      ).toEqual(['first:latest', 'second:latest']);
    }
  });
});

describe('the starter', () => {
  it('counts when it is offered, under the catalogue’s name', async () => {
    const starter = path.join(stage.folder, 'elsewhere', STARTER.file);
    const catalogue = [{ ...STARTER, sha256: await sha256(path.join(stage.folder, 'ending.gguf')) }];
    const engine = await stage.start({ ...quiet, folders: [], starter, catalogue });
    engine.offerStarter();
    expect(engine.hasModels).toBe(false);
    await stage.write(path.join('elsewhere', STARTER.file));
    await engine.refresh();
    expect(names(engine)).toEqual(['smollm2:135m']);

    const shy = await stage.start({ ...quiet, folders: [], starter, catalogue });
    expect(names(shy)).toEqual([]);
    expect(shy.hasModels).toBe(false);
    await expect(shy.describe('smollm2:135m', never)).rejects.toMatchObject({
      code: 'model_not_found',
    });
    shy.offerStarter();
    expect(names(shy)).toEqual(['smollm2:135m']);
  });
});

it('is left out when a file has the name of one in the catalogue and is another, also at the next start', async () => {
  const starter = await stage.write(path.join('elsewhere', STARTER.file));
  for (const _start of ['hashes it', 'remembers its digest']) {
    const engine = await stage.start({ ...quiet, folders: [], starter, catalogue: [STARTER] });
    engine.offerStarter();
    await engine.refresh();
    expect(names(engine)).toEqual([]);
    expect(engine.hasModels).toBe(false);
    engine.stop();
  }
});

describe('a file that is not what it was', () => {
  it('fails its call, and is no longer listed', async () => {
    const engine = await stage.start();
    const file = path.join(stage.folder, 'ending.gguf');
    await truncate(file, 50_000);
    const input = { kind: 'chat', messages: [{ role: 'user', content: 'Hello' }] } as const;
    const call = { model: 'ending:latest', input: { ...input, messages: [...input.messages] }, resume: undefined };
    const { error } = await hearFailure(engine.run(call, never));
    expect(error).toMatchObject({ code: 'engine_failed' });
    await vi.waitFor(() => expect(names(engine)).toEqual(['endless:latest']));
    expect(engine.status().state).toBe('ready');
  });
});

describe('the name of a file', () => {
  it.each([
    ['Llama-3.2-1B-Instruct-Q4_K_M.gguf', 'llama-3.2-1b-instruct-q4_k_m:latest'],
    ['--x.GGUF', 'x:latest'],
    ['мир.gguf', undefined],
    ['.gguf', undefined],
  ])('%s is %s', (file, name) => {
    expect(modelName(file)).toBe(name);
  });
});
