/** Small files beside a model: what is known of a part of it, and that the whole was checked. */

import { randomBytes } from 'node:crypto';
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { STORE } from '../../limits/engine.ts';

/** Beside a part: where its first bytes came from. */
const partNote = z.object({ url: z.string(), etag: z.string().optional() });
export type PartNote = z.infer<typeof partNote>;

/** Beside a model: the file of this size and time had the right digest. */
const checkedNote = z.object({
  sha256: z.string(),
  bytes: z.number(),
  mtimeMs: z.number(),
  source: z.string(),
  fetchedAt: z.number(),
});
export type CheckedNote = z.infer<typeof checkedNote>;

const noteOf = (file: string) => `${file}.json`;

/** @returns what is known of the part at `file`; undefined when nothing is, or it does not read */
export function readNote(file: string): Promise<PartNote | undefined> {
  return read(noteOf(file), partNote);
}

export async function writeNote(file: string, note: PartNote): Promise<void> {
  await write(noteOf(file), note);
}

/** @returns the note of a check of exactly the file that is there now */
export async function readChecked(file: string, sha256: string): Promise<CheckedNote | undefined> {
  const note = await read(noteOf(file), checkedNote);
  const found = await stat(file).catch(() => undefined);
  if (note === undefined || found === undefined) return undefined;
  const same = note.sha256 === sha256 && note.bytes === found.size && note.mtimeMs === found.mtimeMs;
  return same ? note : undefined;
}

export async function writeChecked(file: string, sha256: string, source: string, now: number): Promise<CheckedNote> {
  const { size, mtimeMs } = await stat(file);
  const note = { sha256, bytes: size, mtimeMs, source, fetchedAt: now };
  await write(noteOf(file), note);
  return note;
}

/** Takes a file away, and what is known of it. */
export async function forget(file: string): Promise<void> {
  await rm(file, { force: true });
  await rm(noteOf(file), { force: true });
}

async function read<T>(file: string, schema: z.ZodType<T>): Promise<T | undefined> {
  try {
    const { size } = await stat(file);
    if (size > STORE.maxNoteBytes) return undefined;
    return schema.safeParse(JSON.parse(await readFile(file, 'utf8'))).data;
  } catch {
    // A note is a convenience: without it the file is read once more.
    return undefined;
  }
}

async function write(file: string, note: object): Promise<void> {
  const draft = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await writeFile(draft, `${JSON.stringify(note)}\n`);
    await rename(draft, file);
  } catch (thrown) {
    await rm(draft, { force: true });
    throw thrown;
  }
}

/** Makes the rename of a file last through a power cut; not every system can. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}
