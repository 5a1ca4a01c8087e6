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

/** Abilities that a job needs, and its size. */
export interface Demand {
  readonly kind: JobInput['kind'];
  readonly tools: boolean;
  readonly images: boolean;
  readonly thinking: boolean;
  /** Text to be filled in before a suffix. */
  readonly insert: boolean;
  /** Estimated from characters. */
  readonly promptTokens: number;
  /** The most that the client will take; undefined when it named no bound. */
  readonly maxOutputTokens: number | undefined;
}

/** What a job asks of a node that is to run it; nothing of its prompt. */
export interface Needs extends Pick<RouteQuery, 'ref' | 'privacy' | 'delivered'> {
  readonly demand: Demand;
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
  /** Its context seems too short for the prompt, by a guess from characters: it may refuse it, or lose its beginning. */
  readonly tooShort: boolean;
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
  /**
   * In the order in which they are asked. What no score outweighs, the weightiest first: a context that is too short, a
   * failure of this job, another digest than the one that began. So another digest stands before a node of the same digest
   * that failed: that the answer comes to its end is worth more than who wrote it.
   */
  readonly candidates: readonly Weighed[];
  readonly excluded: readonly Excluded[];
  readonly choice: Choice;
  /** What the expectation rests on. */
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/** An answer, or the part of one that a provider wrote, as it was seen to arrive here. */
export interface Seen {
  /** Output tokens, counted on chunks. */
  readonly tokens: number;
  /** Milliseconds from `accepted` to the first chunk; to the end where there is none. */
  readonly firstMs: number;
  /** Milliseconds from the first chunk to the last. */
  readonly writeMs: number;
}

/** How a job's stay at a provider ended. */
export type Outcome =
  /** What the provider says of it, and what was seen: its word is taken as far as the two agree. */
  | { readonly kind: 'completed'; readonly usage: Omit<JobUsage, 'type'> | undefined; readonly seen: Seen }
  /** The provider's fault: it counts against it. */
  | { readonly kind: 'failed'; readonly code: string }
  /** Nobody's fault: busy, handed over, cancelled, or the request was at fault. */
  | { readonly kind: 'left' };

/** One job at one provider, from the moment it is sent there: routing learns from it. */
export interface Visit {
  /** The provider says that the job waits, or would have to wait, so long. */
  waits(estimateMs: number): void;
  /** The provider gives the job back for its owner, and says that it would have to wait there so long; 0 when it does not. */
  givenBack(estimateMs: number): void;
  /** Exactly once. */
  ends(outcome: Outcome): void;
}

/** Routing, as the requester flow needs it. */
export interface Router {
  /** Who is asked, best first, and why; looks into the DHT when nobody else is known. */
  decide(query: RouteQuery, signal: AbortSignal): Promise<Decision>;
  /** Whether a peer may and can run such a job, as far as is known now. */
  suits(needs: Needs, node: NodeId): boolean;
  /** Whether a candidate still may see the prompt and can be reached: a decision may be minutes old. */
  mayAsk(query: RouteQuery, candidate: Weighed): boolean;
  /** A job is sent to one of the candidates. */
  visit(query: RouteQuery, candidate: Weighed): Visit;
  /** Visits at a node that have not ended. */
  inFlightAt(node: NodeId): number;
}
