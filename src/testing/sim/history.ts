/** Job records that outlive a crash, by the same rules as `storage/job-history.ts`, without a disk. */

import type { Clock, Timer } from '../../clock.ts';
import type { JobHistory } from '../../jobs/ports.ts';
import type { JobRecord } from '../../jobs/record.ts';
import { isFinished } from '../../jobs/states.ts';
import { JOB } from '../../limits/jobs.ts';

/** What is on the disk of one node: it stays when the program is gone. */
export type Disk = Map<string, JobRecord>;

export class DiskHistory implements JobHistory {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #gathered = new Map<string, JobRecord>();
  #timer: Timer | undefined;

  /** Jobs that were alive when the last program died end as `failed: interrupted`. */
  constructor(disk: Disk, clock: Clock) {
    this.#disk = disk;
    this.#clock = clock;
    for (const [key, record] of disk) {
      if (isFinished(record.state)) continue;
      disk.set(key, { ...record, state: 'failed', reason: 'interrupted', endedAt: clock.now() });
    }
  }

  put(record: JobRecord): void {
    this.#gathered.set(keyOf(record), record);
    this.#timer ??= this.#clock.after(JOB.historyGatherMs, () => this.flush());
  }

  get(id: string): Promise<JobRecord | undefined> {
    this.flush();
    for (const record of this.#disk.values()) if (record.id === id) return Promise.resolve(record);
    return Promise.resolve(undefined);
  }

  list(limit: number): Promise<{ readonly jobs: readonly JobRecord[]; readonly total: number }> {
    this.flush();
    return Promise.resolve({ jobs: [...this.#disk.values()].slice(-limit).reverse(), total: this.#disk.size });
  }

  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const [key, record] of this.#gathered) this.#disk.set(key, record);
    this.#gathered.clear();
  }
}

function keyOf(job: JobRecord): string {
  return job.direction === 'in' ? `${job.id}/${job.requester}` : job.id;
}
