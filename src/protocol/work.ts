/**
 * `/gogrid/work/1`: an idle worker asks a coordinator whether jobs wait there that it could run. The answer says how many;
 * the coordinator then opens a job stream to the worker as for any other job, so that push and pull end in the same flow.
 */

import { z } from 'zod';
import { JOB } from '../limits/jobs.ts';
import { MESH } from '../limits/mesh.ts';

export const workIdle = z.object({
  type: z.literal('idle'),
  /** Canonical names of models that the worker runs. */
  models: z.array(z.string().max(400)).min(1).max(MESH.maxModelsPerProfile),
  /** Jobs that it would take at once: no more than a coordinator has open at one node. */
  slots: z.int().positive().max(JOB.maxOpenAtPeer),
});
export type WorkIdle = z.infer<typeof workIdle>;

export const workAnswer = z.object({
  type: z.literal('work'),
  /** Jobs that come now. */
  jobs: z.int().nonnegative(),
});
export type WorkAnswer = z.infer<typeof workAnswer>;
