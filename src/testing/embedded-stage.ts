/** The embedded engine with tiny models in a folder of its own, for tests. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Clock, systemClock } from '../clock.ts';
import { createEmbeddedEngine, type EmbeddedEngine, type EmbeddedOptions } from '../inference/embedded/engine.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { NEVER_ENDS, type TinyGgufOptions, writeTinyGguf } from './tiny-gguf.ts';

export interface EmbeddedStage {
  readonly folder: string;
  /** A fresh engine over the folder, started. */
  start(options?: Partial<EmbeddedOptions>, clock?: Clock): Promise<EmbeddedEngine>;
  /** Writes one model more; `file` without folders. */
  write(file: string, options?: TinyGgufOptions): Promise<string>;
  /** Writes a program in place of the one that runs models. It says `hello` first, and does `what` with each `message`. */
  program(what: string, hello?: string): Promise<string>;
  /** Stops the engines that were started. */
  stopEngines(): void;
  close(): Promise<void>;
}

/** `endless:latest` speaks until something else stops it, `ending:latest` ends by itself. */
export async function embeddedStage(): Promise<EmbeddedStage> {
  const folder = await mkdtemp(path.join(tmpdir(), 'gogrid-embedded-'));
  const engines: EmbeddedEngine[] = [];
  let programs = 0;
  const write = async (file: string, options?: TinyGgufOptions) => {
    const whole = path.join(folder, file);
    await writeTinyGguf(whole, options);
    return whole;
  };
  await write('endless.gguf', { end: NEVER_ENDS });
  await write('ending.gguf');
  return {
    folder,
    write,
    async start(options, clock = systemClock) {
      const files = {
        folders: [folder],
        starter: undefined,
        digestFile: path.join(folder, 'digests.json'),
        catalogue: [],
      };
      const engine = createEmbeddedEngine({ ...files, ...options }, { logger: silentLogger, clock });
      engines.push(engine);
      await engine.start();
      // On a clock that runs fast, the time that `start` gives to a first look may be over before the files are hashed.
      if (options?.folders === undefined) await offered(engine, 'endless:latest', 'ending:latest');
      return engine;
    },
    async program(what, hello = "{ type: 'ready', version: '1' }") {
      const file = path.join(folder, `program-${programs++}.mjs`);
      await writeFile(
        file,
        `process.on('disconnect', () => process.exit());
         process.on('message', (message) => { ${what} });
         if (${hello} !== undefined) process.send(${hello});`,
      );
      return file;
    },
    stopEngines() {
      for (const engine of engines.splice(0)) engine.stop();
    },
    close: () => rm(folder, { recursive: true, force: true }),
  };
}

function offered(engine: EmbeddedEngine, ...names: readonly string[]): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = () => {
    if (names.every((name) => engine.models().some((model) => model.name === name))) resolve();
  };
  const stop = engine.onChange(look);
  look();
  return promise.finally(stop);
}
