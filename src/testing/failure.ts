/** For tests of what fails: the error of a promise. */

import { expect } from 'vitest';
import { GoGridError } from '../errors.ts';

/** The error of ours that `work` fails with; a test in which it does not, fails. */
export async function errorOf(work: Promise<unknown>): Promise<GoGridError> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(GoGridError);
  return thrown as GoGridError;
}
