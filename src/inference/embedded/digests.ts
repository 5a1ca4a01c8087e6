/**
 * SHA-256 of model files, remembered by path, size and time of change, so that a model is read as a whole once and not at
 * every start.
 */

import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { EMBEDDED } from '../../limits/engine.ts';
import { digestOf } from '../store/part-file.ts';

/** What tells one state of a file from another. */
export interface FileState {
  /** Absolute. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970, with fractions. */
  readonly mtimeMs: number;
}

const remembered = z.record(
  z.string(),
  z.object({ size: z.number(), mtimeMs: z.number(), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
);
type Remembered = z.infer<typeof remembered>;

export class Digests {
  readonly #file: string;
  #known: Remembered | undefined;

  /** @param file where they are kept; a damaged or missing one only costs time */
  constructor(file: string) {
    this.#file = file;
  }

  /** What is remembered of just this state of the file; undefined when nothing is. */
  async recall({ path: file, size, mtimeMs }: FileState): Promise<string | undefined> {
    const entry = (await this.#load())[file];
    return entry?.size === size && entry.mtimeMs === mtimeMs ? entry.sha256 : undefined;
  }

  /**
   * Reads the file and remembers.
   * @returns 64 hex characters
   * @throws whatever the disk says, or `signal.reason`
   */
  async compute(state: FileState, signal: AbortSignal): Promise<string> {
    const sha256 = await digestOf(state.path, signal);
    const known = await this.#load();
    known[state.path] = { size: state.size, mtimeMs: state.mtimeMs, sha256 };
    await this.#save(known);
    return sha256;
  }

  /** Forgets all files but these. */
  async keepOnly(paths: ReadonlySet<string>): Promise<void> {
    const known = await this.#load();
    const gone = Object.keys(known).filter((file) => !paths.has(file));
    if (gone.length === 0) return;
    for (const file of gone) delete known[file];
    await this.#save(known);
  }

  async #load(): Promise<Remembered> {
    this.#known ??= (await readRemembered(this.#file)) ?? {};
    return this.#known;
  }

  /** A disk that takes nothing costs time at the next start, and nothing now. */
  async #save(known: Remembered): Promise<void> {
    const draft = `${this.#file}.${randomBytes(6).toString('hex')}.tmp`;
    try {
      await mkdir(path.dirname(this.#file), { recursive: true });
      await writeFile(draft, `${JSON.stringify(known, undefined, 2)}\n`);
      await rename(draft, this.#file);
    } catch {
      await rm(draft, { force: true }).catch(() => undefined);
    }
  }
}

async function readRemembered(file: string): Promise<Remembered | undefined> {
  try {
    const handle = await open(file, 'r');
    try {
      const { size } = await handle.stat();
      if (size > EMBEDDED.maxDigestFileBytes) return undefined;
      return remembered.parse(JSON.parse(await handle.readFile('utf8')));
    } finally {
      await handle.close();
    }
  } catch {
    return undefined;
  }
}
