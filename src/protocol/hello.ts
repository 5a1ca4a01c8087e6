/**
 * `/gogrid/hello/1`: the first thing two nodes say. The dialer sends its hello, the other side answers with its own, or
 * with the reason why not, and closes.
 */

import { z } from 'zod';

const name = z.string().max(64);

export const helloMessage = z.object({
  type: z.literal('hello'),
  /** SHA-256 of the network core, 32 bytes. */
  networkId: z.instanceof(Uint8Array).refine((bytes) => bytes.length === 32, 'must be 32 bytes'),
  /** The operator's name for the node. */
  name,
  /** Version of the program. */
  version: z.string().max(40),
  /** Optional parts of the protocol this node speaks. */
  features: z.array(z.string().max(40)).max(32),
});

export const helloRefusal = z.object({
  type: z.literal('refused'),
  code: z.enum(['wrong_network', 'shutting_down']),
});

export const helloAnswer = z.discriminatedUnion('type', [helloMessage, helloRefusal]);

export type Hello = z.infer<typeof helloMessage>;
export type HelloAnswer = z.infer<typeof helloAnswer>;
