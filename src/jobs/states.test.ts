import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isFinished, JOB_STATES, type JobState, step } from './states.ts';

function mayGo(from: JobState, to: JobState): boolean {
  try {
    return step(from, to) === to;
  } catch {
    return false;
  }
}

const nextOf = (from: JobState) => JOB_STATES.filter((to) => mayGo(from, to));

/**
 * queued → placing → running → (handing-over → placing → running)* → an end, and placing → queued when all are busy. A job
 * that was queued runs: the provider in whose queue it stands has it, nobody looks for another.
 */
const LIFE: Readonly<Record<JobState, readonly JobState[]>> = {
  queued: ['placing', 'running', 'failed', 'cancelled', 'expired'],
  placing: ['queued', 'running', 'failed', 'cancelled', 'expired'],
  running: ['handing-over', 'completed', 'failed', 'cancelled', 'expired'],
  'handing-over': ['placing', 'failed', 'cancelled', 'expired'],
  completed: [],
  failed: [],
  cancelled: [],
  expired: [],
};

describe('the life of a job', () => {
  test.each(JOB_STATES)('from %s goes on as it is written, and nowhere else', (from) => {
    expect(new Set(nextOf(from))).toEqual(new Set(LIFE[from]));
  });

  test('ends once, and can end wherever it is', () => {
    for (const from of JOB_STATES) {
      if (isFinished(from)) expect(nextOf(from)).toEqual([]);
      else expect(nextOf(from)).toEqual(expect.arrayContaining(['failed', 'cancelled', 'expired']));
    }
  });

  test('is complete only where it has run since it was placed', () => {
    const walk = fc.array(fc.nat(20), { maxLength: 60 });
    fc.assert(
      fc.property(walk, (choices) => {
        let state: JobState = 'placing';
        const seen: JobState[] = [state];
        for (const choice of choices) {
          const next = nextOf(state);
          if (next.length === 0) break;
          state = next[choice % next.length] as JobState;
          seen.push(state);
        }
        // A handed-over job is placed before it runs again, and nothing follows an end.
        for (const [at, one] of seen.entries()) {
          const following = seen[at + 1];
          if (one === 'handing-over' && following !== undefined) expect(following).not.toBe('running');
          if (one === 'completed') expect(seen[at - 1]).toBe('running');
          if (isFinished(one)) expect(following).toBeUndefined();
        }
      }),
    );
  });

  test.each([
    ['completed', 'running'],
    ['queued', 'completed'],
    ['placing', 'handing-over'],
    ['running', 'placing'],
    ['running', 'queued'],
    ['handing-over', 'running'],
    ['failed', 'placing'],
  ] as const)('never goes from %s to %s: that is a defect, and it throws', (from, to) => {
    expect(() => step(from, to)).toThrow(`a job cannot go from ${from} to ${to}`);
  });
});
