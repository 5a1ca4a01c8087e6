/** A file that is being written, with the digest of what is in it so far. It gets its name only when it is whole. */

import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { STORE } from '../../limits.ts';

/** Models are public files, the same for everybody. */
const FILE_MODE = 0o644;

export class PartFile {
  readonly path: string;
  readonly #handle: FileHandle;
  #hash: Hash;
  #bytes: number;

  private constructor(path: string, handle: FileHandle, hash: Hash, bytes: number) {
    this.path = path;
    this.#handle = handle;
    this.#hash = hash;
    this.#bytes = bytes;
  }

  /** Opens `path` to write it from its beginning. */
  static async create(path: string): Promise<PartFile> {
    return new PartFile(path, await open(path, 'w', FILE_MODE), createHash('sha256'), 0);
  }

  /**
   * Opens `path` to go on behind what is in it, which is read once for the digest. What is longer than `maxBytes` is no
   * part of the file that is wanted, and is dropped.
   */
  static async resume(path: string, maxBytes: number, signal: AbortSignal): Promise<PartFile> {
    const handle = await open(path, 'a+', FILE_MODE);
    try {
      const { size } = await handle.stat();
      if (size > maxBytes) {
        await handle.truncate(0);
        return new PartFile(path, handle, createHash('sha256'), 0);
      }
      const hash = createHash('sha256');
      await readThrough(handle, signal, (piece) => hash.update(piece));
      return new PartFile(path, handle, hash, size);
    } catch (thrown) {
      await handle.close();
      throw thrown;
    }
  }

  /** In it so far. */
  get bytes(): number {
    return this.#bytes;
  }

  async append(piece: Uint8Array): Promise<void> {
    for (let from = 0; from < piece.length; ) {
      const { bytesWritten } = await this.#handle.write(piece, from, piece.length - from);
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

/** SHA-256 of a whole file. @throws the system's error, or the signal's reason */
export async function digestOf(
  path: string,
  signal: AbortSignal,
  onBytes: (bytes: number) => void = () => {},
): Promise<string> {
  const handle = await open(path, 'r');
  try {
    const hash = createHash('sha256');
    let bytes = 0;
    await readThrough(handle, signal, (piece) => {
      hash.update(piece);
      bytes += piece.length;
      onBytes(bytes);
    });
    return hash.digest('hex');
  } finally {
    await handle.close();
  }
}

/** Hands a file over piece by piece, from its beginning; each piece is only valid until the next. */
async function readThrough(handle: FileHandle, signal: AbortSignal, use: (piece: Buffer) => void): Promise<void> {
  const buffer = Buffer.allocUnsafe(STORE.readBytes);
  for (let position = 0; ; ) {
    signal.throwIfAborted();
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return;
    use(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}
