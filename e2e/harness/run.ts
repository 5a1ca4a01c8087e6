/**
 * One run of the tests: what all its parts share. Vitest's workers are given it by `setup.ts` through `worker.ts`; a program
 * of its own, such as the chaos, opens one itself.
 */

export interface Run {
  readonly seed: number;
  /** The program to start, `gogrid.js`. */
  readonly program: string;
  /** Where each scenario makes its folder. */
  readonly folder: string;
  /** In place of the user's cache folder: V8's compiled code of this run's build. */
  readonly cache: string;
}

let current: Run | undefined;

export function useRun(run: Run): void {
  current = run;
}

export function thisRun(): Run {
  if (current === undefined) throw new Error('no run has begun');
  return current;
}
