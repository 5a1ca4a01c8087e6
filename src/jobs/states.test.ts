import { expect, test } from 'vitest';
import { isFinished, JOB_STATES, step } from './states.ts';

test('a finished job goes nowhere, and every other one can still end', () => {
  for (const from of JOB_STATES) {
    const next = JOB_STATES.filter((to) => {
      try {
        return step(from, to) === to;
      } catch {
        return false;
      }
    });
    if (isFinished(from)) expect(next).toEqual([]);
    else expect(next).toEqual(expect.arrayContaining(['failed', 'cancelled', 'expired']));
  }
});

test('an illegal step throws and names both states', () => {
  expect(() => step('completed', 'running')).toThrow('from completed to running');
  expect(() => step('queued', 'completed')).toThrow();
});
