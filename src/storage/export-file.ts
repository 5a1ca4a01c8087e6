/** An exported ledger as a file of the user's, wherever the user wants it. */

import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, open, rename, rm } from 'node:fs/promises';
import { GoGridError, systemCode } from '../errors.ts';

/**
 * Writes a file part by part: it is there whole, or as it was before.
 * @param replace whether a file that is there already gives way
 * @throws GoGridError `disk_full`, `usage`, and what `parts` throws
 */
export async function saveFile(file: string, parts: AsyncIterable<string>, replace: boolean): Promise<void> {
  if (!replace) await expectFree(file);
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
    // Meanwhile it may have come.
    if (!replace) await expectFree(file);
    await rename(draft, file);
  } catch (thrown) {
    await rm(draft, { force: true }).catch(() => undefined);
    throw systemCode(thrown) === undefined || thrown instanceof GoGridError
      ? thrown
      : notUsable(file, 'written', thrown);
  }
}

/** @throws GoGridError `usage` when something is there, a link to nowhere too */
async function expectFree(file: string): Promise<void> {
  const found = await lstat(file).catch(() => undefined);
  if (found === undefined) return;
  throw new GoGridError({
    code: 'usage',
    message: `'${file}' is there already`,
    hint: 'name another file, or write over it with --force',
  });
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
