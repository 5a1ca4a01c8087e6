/** A file that is being written, with the digest of what is in it so far. It gets its name only when it is whole. */

import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { systemCode } from '../../errors.ts';
import { STORE } from '../../limits/engine.ts';

/** Models are public files, the same for everybody. */
const FILE_MODE = 0o644;

/**
 * It always writes into a file that it made itself: a process that lost its lock may still be writing into an older one of
 * the same name, which then has no name any more.
 */
export class PartFile {
  readonly path: string;
  readonly #handle: FileHandle;
  #hash = createHash('sha256');
  #bytes = 0;

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  /** Begins `path` anew. */
  static async create(path: string): Promise<PartFile> {
    return new PartFile(path, await openNew(path));
  }

  /**
   * Begins `path` with what is in it already. What is longer than `maxBytes` is no part of the file that is wanted, and is
   * dropped.
   */
  static async resume(path: string, maxBytes: number, signal: AbortSignal): Promise<PartFile> {
    const draft = `${path}.own`;
    const part = new PartFile(path, await openNew(draft));
    try {
      await part.#takeOver(path, maxBytes, signal);
      await rename(draft, path);
      return part;
    } catch (thrown) {
      await part.close();
      await rm(draft, { force: true });
      throw thrown;
    }
  }

  async #takeOver(path: string, maxBytes: number, signal: AbortSignal): Promise<void> {
    try {
      for await (const piece of piecesOf(path, signal)) {
        if (this.#bytes + piece.length > maxBytes) return await this.restart();
        await this.append(piece);
      }
    } catch (thrown) {
      if (systemCode(thrown) !== 'ENOENT') throw thrown;
    }
  }

  /** In it so far. */
  get bytes(): number {
    return this.#bytes;
  }

  async append(piece: Uint8Array): Promise<void> {
    for (let from = 0; from < piece.length; ) {
      const { bytesWritten } = await this.#handle.write(piece, from, piece.length - from, this.#bytes + from);
      from += bytesWritten;
    }
    this.#hash.update(piece);
    this.#bytes += piece.length;
  }

  /** Empties it. */
  async restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.#hash = createHash('sha256');
    this.#bytes = 0;
  }

  /** SHA-256 of what is in it, 64 hex characters. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  /** Has it all on the disk when it returns, so that a rename behind it never names an empty file. */
  async sync(): Promise<void> {
    await this.#handle.sync();
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** A name that is taken is given up by its holder first. */
async function openNew(path: string): Promise<FileHandle> {
  await rm(path, { force: true });
  return await open(path, 'wx', FILE_MODE);
}

/** SHA-256 of a whole file. @throws the system's error, or the signal's reason */
export async function digestOf(
  path: string,
  signal: AbortSignal,
  onBytes: (bytes: number) => void = () => {},
): Promise<string> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const piece of piecesOf(path, signal)) {
    hash.update(piece);
    bytes += piece.length;
    onBytes(bytes);
  }
  return hash.digest('hex');
}

/** A file from its beginning; each piece is only valid until the next. @throws the system's error, or the signal's reason */
export async function* piecesOf(path: string, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
  const handle = await open(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(STORE.readBytes);
    for (let position = 0; ; ) {
      signal.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
      position += bytesRead;
    }
  } finally {
    await handle.close();
  }
}
