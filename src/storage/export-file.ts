/** An exported ledger as a file of the user's, wherever the user wants it. */

import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { GoGridError, systemCode } from '../errors.ts';

/**
 * Writes a file part by part: it is there whole, or as it was before.
 * @throws GoGridError `disk_full`, `usage`, and what `parts` throws
 */
export async function saveFile(file: string, parts: AsyncIterable<string>): Promise<void> {
  const draft = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const handle = await open(draft, 'wx').catch((thrown: unknown) => {
      throw notUsable(file, 'written', thrown);
    });
    try {
      for await (const part of parts) await handle.write(part);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
  } catch (thrown) {
    await rm(draft, { force: true }).catch(() => undefined);
    throw systemCode(thrown) === undefined || thrown instanceof GoGridError
      ? thrown
      : notUsable(file, 'written', thrown);
  }
}

/** The bytes of a file. @throws GoGridError `usage` when it cannot be read */
export async function* readFileParts(file: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(file) as AsyncIterable<Buffer>;
  } catch (thrown) {
    throw notUsable(file, 'read', thrown);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'this user may not do that',
  EPERM: 'this user may not do that',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is no folder',
  EROFS: 'the disk is read-only',
};

function notUsable(file: string, done: 'read' | 'written', cause: unknown): GoGridError {
  const code = systemCode(cause) ?? '';
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  const reason = isFull ? 'the disk is full' : (REASONS[code] ?? code);
  return new GoGridError({
    code: isFull ? 'disk_full' : 'usage',
    message: `'${file}' cannot be ${done}: ${reason}`,
    hint: 'name another file',
    cause,
  });
}
