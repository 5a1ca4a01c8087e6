/** Which provider is asked first: candidates in, the same candidates in order out. Pure. */

import type { NodeId } from '../protocol/ids.ts';

export interface Candidate {
  readonly node: NodeId;
  /** This machine. */
  readonly local: boolean;
  readonly digest: string;
  /** Jobs that wait or run there, as last heard, and at least those this node has there itself. */
  readonly load: number;
  /** Round trip in milliseconds; undefined before the first measurement. */
  readonly latencyMs: number | undefined;
  /** Its model has another digest than the one that began the answer. */
  readonly otherDigest: boolean;
  /** It failed this job before. That lowers its rank and never excludes the last candidate. */
  readonly failed: boolean;
}

/** A peer never measured ranks behind the measured ones of the same load, not behind a longer queue. */
const UNKNOWN_LATENCY_MS = 1_000;

/** Best first: not failed yet, the model that began, shortest queue, this machine, nearest; a stable order for equals. */
export function rank(candidates: readonly Candidate[]): Candidate[] {
  return candidates.toSorted(
    (a, b) =>
      Number(a.failed) - Number(b.failed) ||
      Number(a.otherDigest) - Number(b.otherDigest) ||
      a.load - b.load ||
      Number(b.local) - Number(a.local) ||
      (a.latencyMs ?? UNKNOWN_LATENCY_MS) - (b.latencyMs ?? UNKNOWN_LATENCY_MS) ||
      (a.node < b.node ? -1 : 1),
  );
}
