/** What is remembered of a job: ids, parties, sizes, times. Never text of a prompt or an answer. */

import type { NodeId } from '../protocol/ids.ts';
import type { JobKind, Phase } from '../protocol/job.ts';
import type { PrivacyTier } from './privacy.ts';
import type { Lane } from './queue/lanes.ts';
import type { Decision } from './routing/decision.ts';
import type { JobState } from './states.ts';

/** `local`: asked and run here; `out`: asked here, run there; `in`: asked there, run here. */
export type Direction = 'local' | 'out' | 'in';

/** One provider's part in a job. Tokens are counted over the whole answer, `fromToken` inclusive, `toToken` exclusive. */
export interface Attempt {
  readonly provider: NodeId;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly fromToken: number;
  readonly toToken: number;
  /** Null when it delivered to the end, else an error code. */
  readonly reason: string | null;
  /** Of the model that answered; null before it was accepted. */
  readonly digest: string | null;
}

/** What a living job that has delivered nothing yet, or was handed over, waits for. */
export interface JobWait {
  /**
   * `mesh`: at its requester, since every provider is full. `queue`: in its provider's queue. `engine`: its provider has begun,
   * and loads the model or reads the prompt.
   */
  readonly where: 'mesh' | 'queue' | 'engine';
  /** Jobs that run before it, as far as is known. */
  readonly ahead?: number;
  /** Expected milliseconds until it runs. */
  readonly estimateMs?: number;
  readonly phase?: Phase;
}

export interface JobRecord {
  readonly id: string;
  readonly kind: JobKind;
  readonly direction: Direction;
  readonly state: JobState;
  readonly lane: Lane;
  /** How far its prompt may go; null of a peer's job, whose requester knows. */
  readonly privacy: PrivacyTier | null;
  /** Canonical name. */
  readonly model: string;
  readonly requester: NodeId;
  /** Who delivers, or delivered last; null before anybody took it. */
  readonly provider: NodeId | null;
  /** Of the providers that took it, and of those that failed before; not of those that were only full. */
  readonly attempts: readonly Attempt[];
  /** Every node that was sent the prompt, in that order: full ones too. */
  readonly seenBy: readonly NodeId[];
  /** Why it went where it went, of the last time it was placed; null of a peer's job. */
  readonly decision: Decision | null;
  /** Error code when it failed, `cancelled`, or null. */
  readonly reason: string | null;
  readonly tokensIn: number;
  readonly tokensOut: number;
  readonly usageEstimated: boolean;
  readonly costMicrocredits: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** When the first chunk went to the client. */
  readonly firstTokenAt: number | null;
  readonly endedAt: number | null;
  /** Tokens per second while decoding; null before the end. */
  readonly tokensPerSecond: number | null;
  /** Only of a living job; never in history. */
  readonly waiting?: JobWait;
}
