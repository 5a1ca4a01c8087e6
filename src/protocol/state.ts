/**
 * `/gogrid/state/1`: what a node knows. The asker says whom it asks about; the answer is pages of signed profiles and
 * beats, ended explicitly, so that one exchange after joining gives the whole directory.
 */

import { z } from 'zod';
import { MESH } from '../limits.ts';

export const stateRequest = z.object({
  type: z.literal('get'),
  /** `self`: only the answering node; `all`: everybody in its directory. */
  scope: z.enum(['self', 'all']),
});

const bytes = (max: number) => z.instanceof(Uint8Array).refine((value) => value.length <= max, `at most ${max} bytes`);

export const statePage = z.object({
  type: z.literal('nodes'),
  nodes: z
    .array(
      z.object({
        profile: bytes(MESH.maxProfileBytes),
        beat: bytes(MESH.maxBeatBytes),
        /** Milliseconds since the sender heard this beat: passing it on does not make it younger. */
        ageMs: z.int().nonnegative(),
      }),
    )
    .max(MESH.statePageNodes),
});

export const stateEnd = z.object({ type: z.literal('end') });

export const stateAnswer = z.discriminatedUnion('type', [statePage, stateEnd]);

export type StateRequest = z.infer<typeof stateRequest>;
export type StatePage = z.infer<typeof statePage>;
