/**
 * Where a job goes, and why: what the requester flow asks of routing, and what it tells it back. The whole decision is kept
 * with the job and shown by `POST /route/explain`, so it is plain data.
 */

import type { NodeId } from '../../protocol/ids.ts';
import type { JobInput, JobUsage } from '../../protocol/job.ts';
import type { ModelRef } from '../../protocol/model-name.ts';
import type { PrivacyTier } from '../privacy.ts';

/** What is to be placed. */
export interface RouteQuery {
  readonly ref: ModelRef;
  readonly input: JobInput;
  readonly privacy: PrivacyTier;
  /** Of the model that began the answer: others come after all that have it. */
  readonly digest: string | undefined;
  /** Output tokens that the client has already. */
  readonly delivered: number;
  /** Nodes that failed this job. That lowers their rank and never excludes the last candidate. */
  readonly failed: ReadonlySet<NodeId>;
}

/** Milliseconds that a job is expected to take somewhere, in the order in which they pass. */
export interface ExpectedMs {
  readonly wait: number;
  readonly load: number;
  readonly prefill: number;
  readonly decode: number;
  readonly roundTrip: number;
}

/** A node that could run it, as it was weighed. */
export interface Weighed {
  readonly node: NodeId;
  readonly local: boolean;
  readonly digest: string;
  readonly expectedMs: ExpectedMs;
  /** Lower Wilson bound of its success, 0 to 1. */
  readonly reliability: number;
  /** What is left of the avoidance after failures: 1 when there is none, larger the more it is avoided. */
  readonly avoidance: number;
  /** Expected milliseconds, with reliability and avoidance: smaller is better. */
  readonly score: number;
  /** It has read the beginning of this conversation: tokens that it need not read again. */
  readonly warmTokens: number;
  /** It failed this job before. */
  readonly failed: boolean;
  /** Another digest than the one that began the answer. */
  readonly otherDigest: boolean;
}

export const EXCLUSIONS = [
  'no-such-model',
  'other-digest',
  'cannot-chat',
  'cannot-embed',
  'no-tools',
  'no-vision',
  'no-thinking',
  'no-insert',
  'context-too-short',
  'cannot-continue',
  'privacy',
  'not-admitted',
  'unreachable',
  'not-taking-jobs',
] as const;
export type Exclusion = (typeof EXCLUSIONS)[number];

export interface Excluded {
  readonly node: NodeId;
  readonly why: Exclusion;
}

/** Why the first of the candidates stands in front. */
export const CHOICES = ['only', 'fastest', 'here', 'warm', 'one-of-two', 'none'] as const;
export type Choice = (typeof CHOICES)[number];

export interface Decision {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** In the order in which they are asked. */
  readonly candidates: readonly Weighed[];
  readonly excluded: readonly Excluded[];
  readonly choice: Choice;
  /** What the expectation rests on. */
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/** How a job's stay at a provider ended. */
export type Outcome =
  | { readonly kind: 'completed'; readonly usage: Omit<JobUsage, 'type'> | undefined }
  /** The provider's fault: it counts against it. */
  | { readonly kind: 'failed'; readonly code: string }
  /** Nobody's fault: busy, handed over, cancelled, or the request was at fault. */
  | { readonly kind: 'left' };

/** One job at one provider, from the moment it is sent there: routing learns from it. */
export interface Visit {
  /** The provider says that the job waits, or would have to wait, so long. */
  waits(estimateMs: number): void;
  /** Exactly once. */
  ends(outcome: Outcome): void;
}

/** Routing, as the requester flow needs it. */
export interface Router {
  /** Who is asked, best first, and why; looks into the DHT when nobody else is known. */
  decide(query: RouteQuery, signal: AbortSignal): Promise<Decision>;
  /** A job is sent to one of the candidates. */
  visit(query: RouteQuery, candidate: Weighed): Visit;
  /** Visits at a node that have not ended. */
  inFlightAt(node: NodeId): number;
}
