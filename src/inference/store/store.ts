/**
 * The models that GoGrid keeps itself: one file each, there whole and checked or not at all.
 *
 * Beside `<file>`: `.json` says that this very file was checked, `.part` is what came of it so far and `.part.json` from
 * where, `.pip` is where pip works, `.whole` is about to be checked, `.lock` is held by the process that fetches.
 */

import { rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { GoGridError, systemCode } from '../../errors.ts';
import { STORE } from '../../limits/engine.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { CatalogueEntry } from './catalogue.ts';
import { cancelled, diskFull, isBeingFetched, isDiskFull, notFetched, type Tried, wrongDigest } from './failures.ts';
import { type HeldLock, LockLost, withLock } from './file-lock.ts';
import { forget, readChecked, syncFolder, writeChecked } from './notes.ts';
import { digestOf, type PartFile } from './part-file.ts';
import { HERE, modelPath, type OnProgress, type Way, type WaysDeps, type WaysOptions, waysTo } from './ways.ts';

export interface StoreOptions extends WaysOptions {
  readonly catalogue: readonly CatalogueEntry[];
}

export interface StoreDeps extends WaysDeps {
  readonly log: Logger;
  /** Makes a folder and those above it, for the user alone. */
  makeFolder(folder: string): Promise<void>;
}

export interface StoredModel {
  readonly entry: CatalogueEntry;
  /** Absolute. */
  readonly path: string;
  /** Where it came from. */
  readonly source: string;
  /** Milliseconds since 1970. */
  readonly fetchedAt: number;
}

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
    return modelPath(this.#options, entry);
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
      // Where that is not allowed it is not the model either way.
      await forget(file).catch(() => undefined);
      return undefined;
    }
    return await this.#noteChecked(entry, HERE, Math.round(found.mtimeMs));
  }

  /** A note that cannot be written costs another look at the file, and makes the model no worse. */
  async #noteChecked(entry: CatalogueEntry, source: string, fetchedAt: number): Promise<StoredModel> {
    const file = this.pathOf(entry);
    await writeChecked(file, entry.sha256, source, fetchedAt).catch((thrown: unknown) => {
      this.#deps.log.debug({ file, code: systemCode(thrown) }, 'that a model was checked could not be noted');
    });
    return { entry, path: file, source, fetchedAt };
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
      return await this.#fetchInTurn(entry, onProgress, signal);
    } catch (thrown) {
      throw signal.aborted ? cancelled(signal) : asDiskFull(thrown, path.dirname(this.pathOf(entry)), entry);
    }
  }

  /**
   * Takes the model's file and all that came of it away. @returns whether the model was there
   * @throws GoGridError `invalid_request` while another process fetches it
   */
  async remove(entry: CatalogueEntry, signal: AbortSignal = new AbortController().signal): Promise<boolean> {
    const file = this.pathOf(entry);
    if (!(await isThere(path.dirname(file)))) return false;
    const { clock } = this.#deps;
    const since = clock.elapsed();
    const onWaiting = () => {
      if (clock.elapsed() - since > STORE.removeWaitMs) throw isBeingFetched(entry);
    };
    return await withLock(`${file}.lock`, { clock, signal, onWaiting }, async () => {
      const was = (await stat(file).catch(() => undefined))?.isFile() === true;
      await forget(file);
      await this.#clear(file);
      return was;
    });
  }

  /** Whoever loses the lock stops, and queues again: the one that took it may have brought the model by then. */
  async #fetchInTurn(entry: CatalogueEntry, onProgress: OnProgress, signal: AbortSignal): Promise<StoredModel> {
    const { clock } = this.#deps;
    const deps = { clock, signal, onWaiting: () => void this.#tellWaiting(entry, onProgress) };
    for (let losses = 0; ; losses++) {
      try {
        return await withLock(`${this.pathOf(entry)}.lock`, deps, (lock) =>
          this.#fetchLocked(entry, onProgress, lock, AbortSignal.any([signal, lock.lost])),
        );
      } catch (thrown) {
        if (signal.aborted || !(thrown instanceof LockLost) || losses >= STORE.maxLockLosses) throw thrown;
        this.#deps.log.info({ model: entry.name }, 'another process took over the fetch of a model');
      }
    }
  }

  async #fetchLocked(
    entry: CatalogueEntry,
    onProgress: OnProgress,
    lock: HeldLock,
    signal: AbortSignal,
  ): Promise<StoredModel> {
    const there = await this.find(entry, signal, onProgress);
    if (there !== undefined) return there;
    const tried: Tried[] = [];
    const bringing = { ...this.#options, ...this.#deps, entry, file: this.pathOf(entry), onProgress, signal };
    for (const way of await waysTo(bringing)) {
      try {
        const stored = await this.#deliver(entry, way, lock, signal);
        this.#deps.log.info({ model: entry.name, source: way.name }, 'a model was fetched');
        return stored;
      } catch (thrown) {
        if (signal.aborted) throw cancelled(signal);
        // What another process does to the same files is no fault of the place.
        await lock.check();
        const meanwhile = await this.find(entry, signal);
        if (meanwhile !== undefined) return meanwhile;
        tried.push({ source: way.name, thrown });
        this.#deps.log.info({ model: entry.name, source: way.name }, 'a place did not give the model');
      }
    }
    throw notFetched(entry, tried, this.#options.modelsFolder);
  }

  /** Checks what a place gave, and gives it its name. A file that is not the right one is taken away. */
  async #deliver(entry: CatalogueEntry, way: Way, lock: HeldLock, signal: AbortSignal): Promise<StoredModel> {
    const file = this.pathOf(entry);
    const part = await way.bring();
    try {
      if (part.digest() === entry.sha256) await part.sync();
    } finally {
      await part.close();
    }
    await lock.check();
    await this.#accept(entry, part, lock, signal);
    await syncFolder(path.dirname(file));
    const stored = await this.#noteChecked(entry, way.name, this.#deps.clock.now());
    // The model is there: what is left lying is taken away the next time.
    await this.#clear(file).catch(() => undefined);
    return stored;
  }

  /**
   * What was written is not what lies there under the part's name if the lock was lost: the file itself is read, under a name
   * that nobody goes on with, and that very file becomes the model's.
   */
  async #accept(entry: CatalogueEntry, part: PartFile, lock: HeldLock, signal: AbortSignal): Promise<void> {
    const whole = `${this.pathOf(entry)}.whole`;
    let digest = part.digest();
    if (digest === entry.sha256) {
      await rename(part.path, whole);
      digest = await digestOf(whole, signal).catch(async (thrown: unknown) => {
        await rename(whole, part.path);
        throw thrown;
      });
    }
    await lock.check();
    if (digest !== entry.sha256) {
      await forget(part.path);
      await forget(whole);
      throw wrongDigest(entry, digest);
    }
    await rename(whole, this.pathOf(entry));
  }

  async #tellWaiting(entry: CatalogueEntry, onProgress: OnProgress): Promise<void> {
    const part = await stat(`${this.pathOf(entry)}.part`).catch(() => undefined);
    onProgress({ state: 'waiting', source: '', bytes: part?.size ?? 0, totalBytes: entry.bytes });
  }

  /** Takes away what was only on the way. */
  async #clear(file: string): Promise<void> {
    for (const way of ['part', 'part.own', 'copy', 'unpack', 'whole']) await forget(`${file}.${way}`);
    await rm(`${file}.pip`, { recursive: true, force: true });
  }
}

async function isThere(file: string): Promise<boolean> {
  return (await stat(file).catch(() => undefined)) !== undefined;
}

/** A disk that was filled by somebody else meanwhile. */
function asDiskFull(thrown: unknown, folder: string, entry: CatalogueEntry): unknown {
  return !(thrown instanceof GoGridError) && isDiskFull(thrown) ? diskFull(folder, entry.bytes, undefined) : thrown;
}
