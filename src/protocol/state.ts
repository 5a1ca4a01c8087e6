/**
 * `/gogrid/state/1`: what a node knows. The asker says whom it asks about; the answer is pages of signed profiles and
 * beats, ended explicitly, so that one exchange after joining gives the whole directory.
 */

import { z } from 'zod';
import { DESCRIPTOR, MESH } from '../limits/mesh.ts';

export const stateRequest = z.object({
  type: z.literal('get'),
  /**
   * `self`: only the answering node; `all`: everybody in its directory; `descriptor`: that of the mesh, which is asked of
   * peers whose hello says that theirs is newer.
   */
  scope: z.enum(['self', 'all', 'descriptor']),
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

/** The signed descriptor of the mesh (`descriptor.ts`). */
export const stateDescriptor = z.object({ type: z.literal('descriptor'), descriptor: bytes(DESCRIPTOR.maxBytes) });

export const stateEnd = z.object({ type: z.literal('end') });

export const stateAnswer = z.discriminatedUnion('type', [statePage, stateDescriptor, stateEnd]);

export type StateRequest = z.infer<typeof stateRequest>;
export type StatePage = z.infer<typeof statePage>;
