/**
 * Jobs on disk: ids, parties, sizes, times; never text of a prompt or an answer.
 *
 * Keys: `job/<createdAt, 14 digits>/<id>/<requester of a peer's job>` holds a record; `open/…` marks one that had not ended,
 * so that a crash is found at the next start. The order is this node's clock, not the ids: peers choose those of their jobs.
 */

import type { JobHistory } from '../jobs/ports.ts';
import type { JobRecord } from '../jobs/record.ts';
import { isFinished } from '../jobs/states.ts';
import { JOB } from '../limits/jobs.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Database } from './database.ts';

const JOBS = 'job/';
const OPEN = 'open/';
/** Everything under a prefix: `0` is the character behind `/`. */
const under = (prefix: string) => ({ gte: prefix, lt: `${prefix.slice(0, -1)}0` });

type Change = { type: 'put'; key: string; value: JobRecord | undefined } | { type: 'del'; key: string };

export class LevelJobHistory implements JobHistory {
  readonly #database: Database;
  readonly #log: Logger;
  /**
   * Every key, oldest first, so that counting, finding and dropping need no walk over the disk. Those of peers' jobs stand
   * apart: however many those send, this node's own records stay.
   */
  readonly #ownKeys = new Set<string>();
  readonly #peerKeys = new Set<string>();
  readonly #keyOf = new Map<string, string>();
  /** By key, so that a job that begins and ends within one gathering is written once. */
  readonly #changes = new Map<string, Change>();
  readonly #marksOnDisk = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;

  private constructor(database: Database, log: Logger) {
    this.#database = database;
    this.#log = log;
  }

  /** Reads what is there; jobs that were alive when the last process died end as `failed: interrupted`. */
  static async open(database: Database, log: Logger, now: number): Promise<LevelJobHistory> {
    const history = new LevelJobHistory(database, log);
    for await (const key of database.keys(under(JOBS))) history.#index(key);
    for await (const mark of database.keys(under(OPEN))) {
      history.#marksOnDisk.add(mark);
      const record = await history.#read(mark.replace(OPEN, JOBS));
      if (record === undefined || isFinished(record.state)) history.#unmark(mark);
      else history.put(interrupted(record, now));
    }
    return history;
  }

  put(record: JobRecord): void {
    const key = keyOf(record);
    const mark = key.replace(JOBS, OPEN);
    this.#index(key);
    this.#write({ type: 'put', key, value: record });
    if (isFinished(record.state)) this.#unmark(mark);
    else if (!this.#marksOnDisk.has(mark)) this.#write({ type: 'put', key: mark, value: undefined });
    for (const keys of [this.#ownKeys, this.#peerKeys]) if (keys.size > JOB.maxHistory) this.#dropOldest(keys);
  }

  async get(id: string): Promise<JobRecord | undefined> {
    const key = this.#keyOf.get(id);
    await this.flushed();
    return key === undefined ? undefined : this.#read(key);
  }

  async list(limit: number): Promise<{ jobs: readonly JobRecord[]; total: number }> {
    await this.flushed();
    const latest = [this.#ownKeys, this.#peerKeys].flatMap((keys) => [...keys].slice(-limit));
    const texts = await this.#database.getMany(latest.sort().reverse().slice(0, limit));
    const jobs = texts.flatMap((text) => (text === undefined ? [] : [readRecord(text)]));
    return { jobs, total: this.#ownKeys.size + this.#peerKeys.size };
  }

  /** Resolves when everything put so far is with the operating system. */
  async flushed(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#writing;
    // Several may have waited for the same write: the first of them writes what came in the meantime.
    if (this.#changes.size > 0) this.#writing = this.#writeAll();
    await this.#writing;
  }

  async #read(key: string): Promise<JobRecord | undefined> {
    const text = await this.#database.get(key);
    return text === undefined ? undefined : readRecord(text);
  }

  #index(key: string): void {
    const own = isOwn(key);
    (own ? this.#ownKeys : this.#peerKeys).add(key);
    const id = idOf(key);
    // An own job wins over a peer's that took the same id.
    if (own || this.#keyOf.get(id) === undefined) this.#keyOf.set(id, key);
  }

  #dropOldest(keys: Set<string>): void {
    const [oldest] = keys;
    if (oldest === undefined) return;
    keys.delete(oldest);
    if (this.#keyOf.get(idOf(oldest)) === oldest) this.#keyOf.delete(idOf(oldest));
    this.#write({ type: 'del', key: oldest });
  }

  #unmark(mark: string): void {
    this.#changes.delete(mark);
    if (this.#marksOnDisk.delete(mark)) this.#write({ type: 'del', key: mark });
  }

  #write(change: Change): void {
    this.#changes.set(change.key, change);
    this.#timer ??= setTimeout(() => void this.flushed(), JOB.historyGatherMs).unref();
  }

  async #writeAll(): Promise<void> {
    const changes = [...this.#changes.values()];
    this.#changes.clear();
    // Before the write, not after it: a job may end while its own mark is on its way to the disk.
    for (const { type, key } of changes) if (type === 'put' && key.startsWith(OPEN)) this.#marksOnDisk.add(key);
    try {
      await this.#database.batch(
        changes.map((change) =>
          change.type === 'put' ? { ...change, value: JSON.stringify(change.value ?? null) } : change,
        ),
      );
    } catch (error) {
      // A full disk must not stop inference; the jobs are still listed while they are recent.
      this.#log.error({ error, changes: changes.length }, 'job history could not be written');
    }
  }
}

type Older = Omit<JobRecord, 'privacy' | 'seenBy' | 'decision'> & Partial<JobRecord>;

/** A record as it lies on the disk; those of earlier versions lack what was not known of a job then. */
function interrupted(record: JobRecord, endedAt: number): JobRecord {
  const over = { reason: 'interrupted', endedAt } as const;
  const attempts = record.attempts.map((attempt) => (attempt.endedAt === null ? { ...attempt, ...over } : attempt));
  return { ...record, ...over, state: 'failed', attempts };
}

function readRecord(text: string): JobRecord {
  return { privacy: null, seenBy: [], decision: null, ...(JSON.parse(text) as Older) };
}

function keyOf(job: JobRecord): string {
  const peer = job.direction === 'in' ? job.requester : '';
  return `${JOBS}${String(job.createdAt).padStart(14, '0')}/${job.id}/${peer}`;
}

function isOwn(key: string): boolean {
  return key.endsWith('/');
}

function idOf(key: string): string {
  return key.split('/')[2] ?? '';
}
