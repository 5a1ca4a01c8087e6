/** The model files on this machine's disk: which there are, what they are, and their digests. */

import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { systemCode } from '../../errors.ts';
import { EMBEDDED } from '../../limits/engine.ts';
import { canonicalModelName } from '../../protocol/model-name.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { CatalogueEntry } from '../store/catalogue.ts';
import { Digests, type FileState } from './digests.ts';
import { type GgufHeader, readGgufFile } from './gguf.ts';
import { fileTypeName } from './quantisation.ts';

/** A file that can be run, as far as its header tells. */
export interface ModelFile extends FileState {
  /** Canonical. */
  readonly name: string;
  /** Whether it is the starter model, which is not always offered. */
  readonly starter: boolean;
  /** Undefined until the file was read as a whole. */
  readonly digest: string | undefined;
  readonly parameterCount: number;
  readonly quantisation: string;
  readonly family: string;
  /** Tokens; 0 when the file does not say. */
  readonly contextLength: number;
  /** Whether it only makes vectors. */
  readonly embedsOnly: boolean;
}

export interface ModelFilesOptions {
  /** Every `*.gguf` in them counts. One that does not exist is empty. */
  readonly folders: readonly string[];
  /** One file more: the starter model, wherever it is kept. */
  readonly starter: string | undefined;
  /** Where digests are remembered. */
  readonly digestFile: string;
  /** Models that are known by the name of their file, and by its digest. */
  readonly catalogue: readonly CatalogueEntry[];
}

export class ModelFiles {
  readonly #options: ModelFilesOptions;
  readonly #log: Logger;
  readonly #digests: Digests;
  readonly #changed: () => void;
  readonly #stopped = new AbortController();
  #files: readonly ModelFile[] = [];
  /** Files that were complained about, so that each state of one is logged once. */
  readonly #rejected = new Set<string>();
  #looking: Promise<void> | undefined;
  #again = false;

  constructor(options: ModelFilesOptions, log: Logger, changed: () => void) {
    this.#options = options;
    this.#log = log;
    this.#digests = new Digests(options.digestFile);
    this.#changed = changed;
  }

  /** Sorted by name. */
  get files(): readonly ModelFile[] {
    return this.#files;
  }

  /** Looks at the folders, and reads whatever has no digest yet. A call while one is under way waits for a fresh look. */
  async look(): Promise<void> {
    if (this.#looking === undefined) this.#looking = this.#lookUntilFresh();
    else this.#again = true;
    return this.#looking;
  }

  stop(): void {
    this.#stopped.abort();
  }

  async #lookUntilFresh(): Promise<void> {
    try {
      do {
        this.#again = false;
        await this.#list();
        await this.#hashAll();
      } while (this.#again && !this.#stopped.signal.aborted);
    } finally {
      // At once: whoever asks from now on has to get a look of his own.
      this.#looking = undefined;
    }
  }

  async #list(): Promise<void> {
    const found = new Map<string, ModelFile>();
    for (const place of await this.#places()) {
      if (this.#stopped.signal.aborted) return;
      const file = await this.#read(place);
      if (file !== undefined && !found.has(file.name)) found.set(file.name, file);
    }
    this.#files = [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    await this.#digests.keepOnly(new Set(this.#files.map((file) => file.path)));
    this.#changed();
  }

  async #places(): Promise<{ path: string; starter: boolean }[]> {
    const { folders, starter } = this.#options;
    const lists = await Promise.all(folders.map((folder) => this.#modelsIn(folder)));
    const places = lists.flat().map((file) => ({ path: file, starter: false }));
    return starter === undefined ? places : [...places, { path: starter, starter: true }];
  }

  async #modelsIn(folder: string): Promise<string[]> {
    try {
      const names = await readdir(folder);
      const models = names.filter((name) => /\.gguf$/i.test(name) && !name.startsWith('.')).sort();
      return models.slice(0, EMBEDDED.maxFiles).map((name) => path.join(folder, name));
    } catch (thrown) {
      if (systemCode(thrown) !== 'ENOENT')
        this.#log.warn({ code: systemCode(thrown) }, 'a models folder is unreadable');
      return [];
    }
  }

  async #read(place: { path: string; starter: boolean }): Promise<ModelFile | undefined> {
    let state: FileState | undefined;
    try {
      const { size, mtimeMs } = await stat(place.path);
      state = { path: place.path, size, mtimeMs };
      const before = this.#files.find((file) => sameState(file, place.path, size, mtimeMs));
      if (before !== undefined) return { ...before, starter: place.starter };
      const file = describe(state, place.starter, await readGgufFile(place.path), this.#options.catalogue);
      const digest = await this.#digests.recall(state);
      if (digest !== undefined) this.#checkGenuine(file, digest);
      return { ...file, digest };
    } catch (thrown) {
      if (systemCode(thrown) !== 'ENOENT') this.#reject(place.path, state, thrown);
      return undefined;
    }
  }

  async #hashAll(): Promise<void> {
    const { signal } = this.#stopped;
    for (const file of this.#files) {
      if (file.digest !== undefined || signal.aborted) continue;
      try {
        const digest = await this.#digests.compute(file, signal);
        this.#checkGenuine(file, digest);
        this.#files = this.#files.map((each) => (each.path === file.path ? { ...each, digest } : each));
        this.#changed();
      } catch (thrown) {
        if (signal.aborted) return;
        this.#reject(file.path, file, thrown);
        this.#files = this.#files.filter((each) => each.path !== file.path);
        this.#changed();
      }
    }
  }

  /** A file that has the name of one in the catalogue has to be that one: else the disk is failing, or somebody put it there. */
  #checkGenuine(file: ModelFile, digest: string): void {
    const known = this.#options.catalogue.find((entry) => entry.file === path.basename(file.path));
    if (known !== undefined && known.sha256 !== digest)
      throw new Error('it is not the file that the catalogue names so');
  }

  #reject(file: string, state: FileState | undefined, thrown: unknown): void {
    const key = `${file} ${state?.size} ${state?.mtimeMs}`;
    if (this.#rejected.has(key)) return;
    if (this.#rejected.size < EMBEDDED.maxFiles) this.#rejected.add(key);
    const reason = systemCode(thrown) ?? (thrown instanceof Error ? thrown.message : 'unknown');
    this.#log.warn({ file: path.basename(file), reason }, 'a model file is left out');
  }
}

function sameState(file: FileState, filePath: string, size: number, mtimeMs: number): boolean {
  return file.path === filePath && file.size === size && file.mtimeMs === mtimeMs;
}

/** Parts of one model, of which none runs alone. */
const SPLIT = /-\d{5}-of-\d{5}\.gguf$/i;
/** Not language models: image encoders, adapters that go with another model. */
const NO_LANGUAGE = new Set(['clip', 'adapter', 'vocab']);
const EMBEDDING_FAMILY = /bert|embed/i;

function describe(
  state: FileState,
  starter: boolean,
  { metadata, parameterCount }: GgufHeader,
  catalogue: readonly CatalogueEntry[],
): ModelFile {
  const fileName = path.basename(state.path);
  const name = catalogue.find((entry) => entry.file === fileName)?.name ?? modelName(fileName);
  const family = metadata.get('general.architecture');
  if (name === undefined) throw new Error('its name is no model name');
  if (SPLIT.test(fileName)) throw new Error('it is one part of a model in several files, which is not supported');
  if (typeof family !== 'string' || family === '') throw new Error('it does not say what kind of model it is');
  const kind = metadata.get('general.type') ?? 'model';
  if (kind !== 'model' || NO_LANGUAGE.has(family)) throw new Error('it is no language model');
  const contextLength = metadata.get(`${family}.context_length`);
  return {
    ...state,
    name,
    starter,
    digest: undefined,
    parameterCount,
    quantisation: fileTypeName(metadata.get('general.file_type')),
    family: family.slice(0, 80),
    contextLength: typeof contextLength === 'number' && contextLength > 0 ? Math.floor(contextLength) : 0,
    embedsOnly: EMBEDDING_FAMILY.test(family) || metadata.has(`${family}.pooling_type`),
  };
}

/** The file's name without its ending: `My Model.Q4.gguf` is `my-model.q4:latest`; undefined when nothing is left of it. */
export function modelName(fileName: string): string | undefined {
  const plain = fileName
    .replace(/\.gguf$/i, '')
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '');
  return canonicalModelName(plain);
}
