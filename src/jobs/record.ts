/** What is remembered of a job: ids, parties, sizes, times. Never text of a prompt or an answer. */

import type { NodeId } from '../protocol/ids.ts';
import type { JobKind, Phase } from '../protocol/job.ts';
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

/** What a living job that has delivered nothing yet waits for, as its provider tells it. */
export interface JobWait {
  /** Jobs that run there before it. */
  readonly ahead?: number;
  readonly phase?: Phase;
}

export interface JobRecord {
  readonly id: string;
  readonly kind: JobKind;
  readonly direction: Direction;
  readonly state: JobState;
  readonly lane: 'owner' | 'paid' | 'free';
  /** Canonical name. */
  readonly model: string;
  readonly requester: NodeId;
  /** Who delivers, or delivered last; null before anybody took it. */
  readonly provider: NodeId | null;
  readonly attempts: readonly Attempt[];
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
