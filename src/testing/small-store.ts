/** A store in a temporary folder, for a model of a few kilobytes. */

import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../clock.ts';
import type { CatalogueEntry, ModelSource } from '../inference/store/catalogue.ts';
import { ModelStore, type StoreDeps, type StoreOptions } from '../inference/store/store.ts';
import type { FetchProgress } from '../inference/store/ways.ts';
import { silentLogger } from '../telemetry/logger.ts';

/** Bytes without a pattern, the same every time. */
export function modelBytes(length = 200_000): Buffer {
  const bytes = Buffer.alloc(length);
  for (let index = 0, state = 1; index < length; index++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[index] = state >>> 16;
  }
  return bytes;
}

export function entryOf(content: Buffer, sources: readonly ModelSource[], more: Partial<CatalogueEntry> = {}) {
  const entry: CatalogueEntry = {
    name: 'tiny:latest',
    file: 'tiny.gguf',
    sha256: createHash('sha256').update(content).digest('hex'),
    bytes: content.length,
    licence: 'Apache-2.0',
    parameterCount: 1,
    quantisation: 'F32',
    family: 'llama',
    contextLength: 128,
    shared: true,
    sources,
    ...more,
  };
  return entry;
}

export function httpsSource(url: string, publisher = 'the hub'): ModelSource {
  return { kind: 'https', publisher, url };
}

export interface SmallStore {
  readonly store: ModelStore;
  readonly folder: string;
  /** What was told of the last fetches. */
  readonly progress: FetchProgress[];
  /** Path of a file in the cache folder. */
  cached(file: string): string;
  /** What lies in the cache folder, sorted. */
  inCache(): Promise<string[]>;
  fetch(entry: CatalogueEntry, signal?: AbortSignal): ReturnType<ModelStore['fetch']>;
  close(): Promise<void>;
}

export async function smallStore(
  catalogue: readonly CatalogueEntry[],
  options: Partial<StoreOptions> = {},
  deps: Partial<StoreDeps> = {},
): Promise<SmallStore> {
  const folder = await mkdtemp(path.join(tmpdir(), 'gogrid-store-'));
  const cacheFolder = path.join(folder, 'cache');
  const store = new ModelStore(
    {
      catalogue,
      cacheFolder,
      modelsFolder: path.join(folder, 'models'),
      ollamaFolders: [path.join(folder, 'ollama')],
      env: {},
      silenceMs: 5_000,
      ...options,
    },
    {
      clock: systemClock,
      log: silentLogger,
      makeFolder: async (name) => void (await mkdir(name, { recursive: true })),
      ...deps,
    },
  );
  const progress: FetchProgress[] = [];
  return {
    store,
    folder,
    progress,
    cached: (file) => path.join(cacheFolder, file),
    inCache: async () => (await readdir(cacheFolder)).toSorted(),
    fetch: (entry, signal = new AbortController().signal) => store.fetch(entry, (step) => progress.push(step), signal),
    close: () => rm(folder, { recursive: true, force: true }),
  };
}
