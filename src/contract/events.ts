/**
 * What `GET /events` tells, as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): `id` to go
 * on behind with `Last-Event-ID`, `event` the type, `data` one of these as JSON. A part of the node that has something to tell
 * adds a shape here. A client passes over types that it does not know.
 */

import { z } from 'zod';
import { balance, creditEntry, fork } from './credits.ts';

const at = z.int().nonnegative().describe('milliseconds since 1970');

export const nodeEvent = z.discriminatedUnion('type', [
  z
    .object({ type: z.literal('missed'), at })
    .describe('events are gone that this client has not had: what it knows may be old, so it asks anew'),
  z.object({ type: z.literal('credits'), at, balance }).describe('the balance of this account changed'),
  z.object({ type: z.literal('entry-final'), at, entry: creditEntry }).describe('nobody can take this back any more'),
  z
    .object({ type: z.literal('entry-lost'), at, entry: creditEntry })
    .describe('what this account had booked is worth nothing: its sender spent it twice'),
  z.object({ type: z.literal('fork'), at, fork }).describe('somebody signed two entries for one place'),
  z
    .object({
      type: z.literal('signing'),
      at,
      state: z.enum(['starting', 'ready', 'stopped']),
      reason: z.string().optional(),
    })
    .describe('whether this node signs entries of its own changed'),
]);

export type NodeEvent = z.infer<typeof nodeEvent>;
