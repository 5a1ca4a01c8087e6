/** The node's one database: level, in the home folder, locked by the kernel for as long as the process lives. */

import { statfs } from 'node:fs/promises';
import { Level } from 'level';
import { GoGridError, systemCode } from '../errors.ts';
import { DATABASE } from '../limits/program.ts';
import { GroupCommit } from './group-commit.ts';

/** Text is written as UTF-8. */
type Bytes = string | Uint8Array;

export type Change =
  | { readonly type: 'put'; readonly key: Bytes; readonly value: Bytes }
  | { readonly type: 'del'; readonly key: Bytes };

/** The database as it was at one moment: the `snapshot` of a read. To be closed. */
export type Moment = ReturnType<Level<string, string>['snapshot']>;

/** `sync`: resolves when the change is on the disk itself (fsync), with all that was written before it. */
export interface WriteOptions {
  readonly sync?: boolean;
}

interface Failure {
  readonly error: GoGridError;
  /** When the database was opened again last, by `performance.now()`; undefined: not since this failure began. */
  readonly triedAt: number | undefined;
}

/**
 * Opens the database in `folder`, making it when there is none.
 * @throws GoGridError `home_in_use` when another process holds it, `damaged` when it cannot be read, `home_unusable`
 */
export async function openDatabase(folder: string): Promise<Database> {
  const level = new Level<string, string>(folder);
  try {
    await level.open();
    return new Database(level);
  } catch (thrown) {
    throw notOpened(folder, thrown);
  }
}

/**
 * Level, of which all writes go one after the other through one place.
 *
 * LevelDB's log is out of step with its file once a write to it has failed, on a full disk for instance: all that is written
 * behind it is answered as written, fsync and all, and is lost at the next start. So after a failed write nothing more is
 * written until the database has been opened again, which begins a new log. The next write does that, once there is room.
 */
export class Database {
  /** To read from, in whatever encoding. Whoever writes uses `put` and `batch`. */
  readonly level: Level<string, string>;
  readonly #commits = new GroupCommit<Change>((changes, durable) => this.#write(changes, durable));
  #failure: Failure | undefined;
  #closing = false;

  constructor(level: Level<string, string>) {
    this.level = level;
  }

  get(key: string): Promise<string | undefined> {
    return this.level.get(key);
  }

  getMany(keys: string[]): Promise<(string | undefined)[]> {
    return this.level.getMany(keys);
  }

  keys(range: { readonly gte?: string; readonly lt?: string } = {}) {
    return this.level.keys(range);
  }

  /** @throws GoGridError `home_unusable` when the database is not open */
  moment(): Moment {
    try {
      return this.level.snapshot();
    } catch (thrown) {
      throw databaseError(this.level.location, thrown);
    }
  }

  /** As `batch`, with one change. */
  put(key: Bytes, value: Bytes, options?: WriteOptions): Promise<void> {
    return this.batch([{ type: 'put', key, value }], options);
  }

  /**
   * Writes these changes, all or none of them.
   * @throws GoGridError `disk_full`, `damaged`, `home_unusable`
   */
  batch(changes: readonly Change[], { sync = false }: WriteOptions = {}): Promise<void> {
    return this.#commits.commit(changes, sync);
  }

  /** Writes what is on its way, and lets go of the folder. */
  async close(): Promise<void> {
    await this.#commits.idle();
    this.#closing = true;
    await this.level.close();
  }

  async #write(changes: readonly Change[], sync: boolean): Promise<void> {
    if (this.#failure !== undefined) await this.#openAgain(this.#failure);
    try {
      // Some encodings are wrong for each; `sync` is LevelDB's own, which level's types do not know.
      await this.level.batch(changes.map(encoded), { sync } as object);
    } catch (thrown) {
      const error = databaseError(this.level.location, thrown);
      this.#failure ??= { error, triedAt: undefined };
      throw error;
    }
    this.#failure = undefined;
  }

  /** @throws GoGridError what the write failed with, while it is too early or there is no room */
  async #openAgain({ error, triedAt }: Failure): Promise<void> {
    if (this.#closing || (triedAt !== undefined && performance.now() - triedAt < DATABASE.reopenEveryMs)) throw error;
    const { bavail, bsize } = await statfs(this.level.location).catch(() => ({ bavail: 0, bsize: 0 }));
    if (bavail * bsize < DATABASE.reopenFreeBytes) throw error;
    this.#failure = { error, triedAt: performance.now() };
    try {
      await this.level.close();
      await this.level.open();
    } catch (thrown) {
      throw notOpened(this.level.location, thrown);
    }
  }
}

function encoded(change: Change) {
  const keyEncoding = typeof change.key === 'string' ? 'utf8' : 'view';
  if (change.type === 'del') return { type: 'del', key: change.key as string, keyEncoding } as const;
  const valueEncoding = typeof change.value === 'string' ? 'utf8' : 'view';
  const { key, value } = change as { key: string; value: string };
  return { type: 'put', key, value, keyEncoding, valueEncoding } as const;
}

/** The error for a database that was open, and now cannot be read or written. */
export function databaseError(folder: string, thrown: unknown): GoGridError {
  if (thrown instanceof GoGridError) return thrown;
  const { code, text, cause } = reasonIn(thrown);
  if (isDamage(code, text)) return damaged(folder, text, cause);
  if (/no space left|quota|file too large|not enough space/i.test(text)) {
    return new GoGridError({
      code: 'disk_full',
      message: `the disk with ${folder} is full: ${text}`,
      hint: 'free some space: the node goes on by itself',
      cause,
    });
  }
  return new GoGridError({
    code: 'home_unusable',
    message: `the database in ${folder} cannot be used: ${text}`,
    hint: 'check that the folder is there and writable, and the disk is sound',
    cause,
  });
}

function notOpened(folder: string, thrown: unknown): GoGridError {
  const { code, text, cause } = reasonIn(thrown);
  if (code === 'LEVEL_LOCKED') {
    return new GoGridError({
      code: 'home_in_use',
      message: `another node uses ${folder}`,
      hint: 'stop it, or start this one with --home and a folder of its own',
      cause,
    });
  }
  if (isDamage(code, text)) return damaged(folder, text, cause);
  return new GoGridError({
    code: 'home_unusable',
    message: `the database in ${folder} cannot be opened: ${text}`,
    hint: 'check that the folder is writable and the disk is not full',
    cause,
  });
}

/** Level's errors wrap the store's own; both its code and its text come from LevelDB. */
function reasonIn(thrown: unknown): { code: string | undefined; text: string; cause: unknown } {
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown;
  return { code: systemCode(cause), text: cause instanceof Error ? cause.message : String(cause), cause };
}

export function isDamage(code: string | undefined, text: string): boolean {
  return code === 'LEVEL_CORRUPTION' || /corrupt|checksum/i.test(text);
}

function damaged(folder: string, text: string, cause: unknown): GoGridError {
  return new GoGridError({
    code: 'damaged',
    message: `the database in ${folder} is damaged: ${text}`,
    hint:
      'move the folder away and start again: job history is lost, the ledger comes again from the mesh, ' +
      'keys and configuration are kept elsewhere',
    cause,
  });
}
