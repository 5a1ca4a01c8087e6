/**
 * A beat: a node's signed statement of how it is right now, at most 250 bytes, running out by itself.
 *
 * On the wire `[networkId, node, sequence, status, queueDepth, running, profileNumber, ttlMs]` in an envelope.
 */

import { z } from 'zod';
import { GoGridError } from '../errors.ts';
import { MESH } from '../limits/mesh.ts';
import { open, seal } from './envelope.ts';
import { type NodeId, nodeIdOf } from './ids.ts';
import type { Signer } from './signature.ts';

/** Order is the wire's: append, never insert. */
export const NODE_STATUSES = [
  'starting',
  'idle',
  'busy',
  'paused',
  'throttled',
  'draining',
  'error',
  'leaving',
] as const;
export type NodeStatus = (typeof NODE_STATUSES)[number];

export interface Beat {
  readonly node: NodeId;
  /** Grows with every beat, across restarts too; an old one proves nothing. */
  readonly sequence: number;
  readonly status: NodeStatus;
  /** Jobs that wait here. */
  readonly queueDepth: number;
  /** Jobs that run here. */
  readonly running: number;
  /** Number of the profile that holds now. */
  readonly profileNumber: number;
  /** Milliseconds this beat is good for from the moment it is heard. */
  readonly ttlMs: number;
}

const uint = z.int().nonnegative();
const wireBeat = z
  .tuple([
    uint,
    z
      .int()
      .min(0)
      .max(NODE_STATUSES.length - 1),
    uint,
    uint,
    uint,
    z.int().positive().max(MESH.beatTtlMs),
  ])
  .rest(z.unknown());

export function sealBeat(network: Uint8Array, signer: Signer, beat: Omit<Beat, 'node'>): Uint8Array {
  return seal('beat', network, signer, [
    beat.sequence,
    NODE_STATUSES.indexOf(beat.status),
    beat.queueDepth,
    beat.running,
    beat.profileNumber,
    beat.ttlMs,
  ]);
}

/**
 * Opens and checks a beat.
 * @throws GoGridError `protocol_violation` or `wrong_network`
 */
export function openBeat(network: Uint8Array, bytes: Uint8Array): Beat {
  if (bytes.length > MESH.maxBeatBytes) throw violation(`a beat of ${bytes.length} bytes`);
  const { author, fields } = open('beat', network, bytes);
  const parsed = wireBeat.safeParse(fields);
  if (!parsed.success) throw violation(`a beat's field ${parsed.error.issues[0]?.path.join('.')} is malformed`);
  const [sequence, status, queueDepth, running, profileNumber, ttlMs] = parsed.data;
  return {
    node: nodeIdOf(author),
    sequence,
    status: NODE_STATUSES[status] ?? 'error',
    queueDepth,
    running,
    profileNumber,
    ttlMs,
  };
}

function violation(message: string): GoGridError {
  return new GoGridError({ code: 'protocol_violation', message });
}
