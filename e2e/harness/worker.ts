/** In each of Vitest's workers: takes over the run that `setup.ts` has opened. */

import { inject } from 'vitest';
import { useRun } from './run.ts';

useRun(inject('e2e'));
