/** The life of a job as one table. An illegal step is a defect and throws. */

export const JOB_STATES = [
  'queued',
  'placing',
  'running',
  'handing-over',
  'completed',
  'failed',
  'cancelled',
  'expired',
] as const;
export type JobState = (typeof JOB_STATES)[number];

const ENDS = ['failed', 'cancelled', 'expired'] as const;

const NEXT: Readonly<Record<JobState, readonly JobState[]>> = {
  queued: ['placing', 'running', ...ENDS],
  placing: ['queued', 'running', ...ENDS],
  running: ['handing-over', 'completed', ...ENDS],
  'handing-over': ['placing', ...ENDS],
  completed: [],
  failed: [],
  cancelled: [],
  expired: [],
};

export function isFinished(state: JobState): boolean {
  return NEXT[state].length === 0;
}

/**
 * @returns `to`, when a job may go there from `from`
 * @throws Error when it may not
 */
export function step(from: JobState, to: JobState): JobState {
  if (!NEXT[from].includes(to)) throw new Error(`a job cannot go from ${from} to ${to}`);
  return to;
}
