/**
 * Jobs on disk: ids, parties, sizes, times; never text of a prompt or an answer.
 *
 * Keys: `job/<createdAt, 14 digits>/<id>/<requester of a peer's job>` holds a record; `open/…` marks one that had not ended,
 * so that a crash is found at the next start. The order is this node's clock, not the ids: peers choose those of their jobs.
 */

import type { JobHistory } from '../jobs/ports.ts';
import type { JobRecord } from '../jobs/record.ts';
import { isFinished } from '../jobs/states.ts';
import { JOB } from '../limits.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Database } from './database.ts';

const JOBS = 'job/';
const OPEN = 'open/';
/** Everything under a prefix: `0` is the character behind `/`. */
const under = (prefix: string) => ({ gte: prefix, lt: `${prefix.slice(0, -1)}0` });

type Change = { type: 'put'; key: string; value: string } | { type: 'del'; key: string };

export class LevelJobHistory implements JobHistory {
  readonly #database: Database;
  readonly #log: Logger;
  /** Every key, oldest first, so that counting, finding and dropping need no walk over the disk. */
  readonly #keys = new Set<string>();
  readonly #keyOf = new Map<string, string>();
  #changes: Change[] = [];
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
      const record = await history.#read(mark.replace(OPEN, JOBS));
      if (record === undefined) history.#write({ type: 'del', key: mark });
      else history.put({ ...record, state: 'failed', reason: 'interrupted', endedAt: now });
    }
    return history;
  }

  put(record: JobRecord): void {
    const key = keyOf(record);
    const mark = key.replace(JOBS, OPEN);
    this.#index(key);
    this.#write({ type: 'put', key, value: JSON.stringify(record) });
    this.#write(isFinished(record.state) ? { type: 'del', key: mark } : { type: 'put', key: mark, value: '' });
    if (this.#keys.size > JOB.maxHistory) this.#dropOldest();
  }

  async get(id: string): Promise<JobRecord | undefined> {
    const key = this.#keyOf.get(id);
    await this.flushed();
    return key === undefined ? undefined : this.#read(key);
  }

  async list(limit: number): Promise<{ jobs: readonly JobRecord[]; total: number }> {
    await this.flushed();
    const keys = [...this.#keys].slice(-limit).reverse();
    const texts = await this.#database.getMany(keys);
    const jobs = texts.flatMap((text) => (text === undefined ? [] : [JSON.parse(text) as JobRecord]));
    return { jobs, total: this.#keys.size };
  }

  /** Resolves when everything put so far is with the operating system. */
  async flushed(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  async #read(key: string): Promise<JobRecord | undefined> {
    const text = await this.#database.get(key);
    return text === undefined ? undefined : (JSON.parse(text) as JobRecord);
  }

  #index(key: string): void {
    this.#keys.add(key);
    const id = idOf(key);
    // Our own job's key ends with a slash; it wins over a peer's job that took the same id.
    if (key.endsWith('/') || this.#keyOf.get(id) === undefined) this.#keyOf.set(id, key);
  }

  #dropOldest(): void {
    for (const key of this.#keys) {
      this.#keys.delete(key);
      if (this.#keyOf.get(idOf(key)) === key) this.#keyOf.delete(idOf(key));
      this.#write({ type: 'del', key });
      return;
    }
  }

  /** Changes gather until the turn of the event loop ends, so that no answer waits for the disk. */
  #write(change: Change): void {
    this.#changes.push(change);
    this.#writing ??= this.#writeSoon();
  }

  async #writeSoon(): Promise<void> {
    await new Promise(setImmediate);
    const changes = this.#changes;
    this.#changes = [];
    try {
      await this.#database.batch(changes);
    } catch (err) {
      // A full disk must not stop inference; the jobs are still listed while they are recent.
      this.#log.error({ error: err, changes: changes.length }, 'job history could not be written');
    }
    this.#writing = this.#changes.length > 0 ? this.#writeSoon() : undefined;
  }
}

function keyOf(job: JobRecord): string {
  const peer = job.direction === 'in' ? job.requester : '';
  return `${JOBS}${String(job.createdAt).padStart(14, '0')}/${job.id}/${peer}`;
}

function idOf(key: string): string {
  return key.split('/')[2] ?? '';
}
