/**
 * `/gogrid/hello/1`: the first thing two nodes say. The dialer sends its hello, the other side answers with its own, or
 * with the reason why not, and closes. Whoever has something new to say of itself says hello again.
 */

import { z } from 'zod';
import { printable } from '../config/checks.ts';
import { MESH } from '../limits/mesh.ts';

/** Names and versions end in other people's terminals. */
const shown = (maxChars: number) =>
  z
    .string()
    .max(maxChars)
    .refine((text) => printable(text) === undefined, 'must be printable');

export const helloMessage = z.object({
  type: z.literal('hello'),
  /** SHA-256 of the network core, 32 bytes. */
  networkId: z.instanceof(Uint8Array).refine((bytes) => bytes.length === 32, 'must be 32 bytes'),
  /** The operator's name for the node. */
  name: shown(MESH.maxNodeNameChars),
  /** Version of the program. */
  version: shown(40),
  /** Optional parts of the protocol this node speaks. */
  features: z.array(z.string().max(40)).max(32),
  /** The speaker's user has not accepted the other node yet: it is neither used nor served there. */
  waiting: z.boolean().default(false),
  /** Revision of the network descriptor that the speaker has. */
  revision: z.int().nonnegative().default(0),
  /** SHA-256 of it: a founder whose home was copied may have signed two of one revision. */
  descriptorHash: z
    .instanceof(Uint8Array)
    .refine((bytes) => bytes.length === 32, 'must be 32 bytes')
    .optional(),
});

export const helloRefusal = z.object({
  type: z.literal('refused'),
  /** `full`: too many machines wait there to be accepted. */
  code: z.enum(['wrong_network', 'shutting_down', 'full']),
});

export const helloAnswer = z.discriminatedUnion('type', [helloMessage, helloRefusal]);

export type Hello = z.infer<typeof helloMessage>;
export type HelloAnswer = z.infer<typeof helloAnswer>;
