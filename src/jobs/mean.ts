import { JOB } from '../limits/jobs.ts';

/** The running mean that counts the newest value by `JOB.newestWeight`; 0 means that there is none yet. Pure. */
export function mean(before: number, newest: number): number {
  return before === 0 ? newest : before + JOB.newestWeight * (newest - before);
}
