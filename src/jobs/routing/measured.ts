/** What this node has seen of providers: how their jobs ended, and how fast they were. Bounded memory, none of it on disk. */

import type { Clock } from '../../clock.ts';
import { ROUTING } from '../../limits/jobs.ts';
import type { NodeId } from '../../protocol/ids.ts';
import { type ModelRates, UNKNOWN_RATES } from '../../protocol/profile.ts';
import { mean } from '../mean.ts';
import { learn, type Ran } from '../rates.ts';
import { RecentMap } from '../recent-map.ts';

interface NodeRecord {
  successes: number;
  failures: number;
  /** How much it is avoided, as of `penaltyAt`. */
  penalty: number;
  penaltyAt: number;
  /** By digest. */
  readonly models: RecentMap<string, ModelRecord>;
}

interface ModelRecord {
  readonly rates: ModelRates;
  /** Of jobs, from taken to ended; 0 when not known. */
  readonly usualMs: number;
  /** `Clock.elapsed()` of the last job's end. */
  readonly at: number;
}

export class Measured {
  readonly #clock: Clock;
  readonly #nodes = new RecentMap<NodeId, NodeRecord>(ROUTING.maxNodes);
  /** Tokens of an answer, by canonical model name. */
  readonly #answers = new RecentMap<string, number>(ROUTING.maxAnswerModels);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * A job ran to its end there, and took so long.
   * @param ran undefined when it did not say how
   */
  completed(node: NodeId, digest: string, tookMs: number, ran: Ran | undefined): void {
    const record = this.#recordOf(node);
    record.successes++;
    record.penalty = 0;
    fade(record);
    const before = record.models.get(digest) ?? { rates: UNKNOWN_RATES, usualMs: 0 };
    const rates = ran === undefined ? before.rates : learn(before.rates, ran);
    record.models.set(digest, { rates, usualMs: mean(before.usualMs, tookMs), at: this.#clock.elapsed() });
  }

  /** A job failed there, by the provider's fault. */
  failed(node: NodeId): void {
    const record = this.#recordOf(node);
    record.failures++;
    fade(record);
    const penalty = this.#penaltyOf(record) + ROUTING.avoidancePerFailure;
    record.penalty = Math.min(ROUTING.maxAvoidance, penalty);
    record.penaltyAt = this.#clock.elapsed();
  }

  /**
   * An answer of a model came to its end, wherever its parts were written.
   * @param bound the most that the client would take: an answer that was cut there shows only that others are no shorter
   */
  answered(model: string, tokens: number, bound: number | undefined): void {
    const before = this.#answers.get(model) ?? 0;
    const cut = bound !== undefined && tokens >= bound;
    if (tokens > 0 && !(cut && tokens <= this.usualAnswer(model))) this.#answers.set(model, mean(before, tokens));
  }

  /** Tokens that an answer of a model usually has. */
  usualAnswer(model: string): number {
    return this.#answers.get(model) ?? ROUTING.usualOutputTokens;
  }

  /** Milliseconds that this node's jobs usually take there, from taken to ended; 0 when none has ended. */
  usualMs(node: NodeId, digest: string): number {
    return this.#nodes.get(node)?.models.get(digest)?.usualMs ?? 0;
  }

  /** What a node announces of its rates, corrected by what was measured of it; what was measured long ago counts little. */
  ratesOf(node: NodeId, digest: string, announced: ModelRates): ModelRates {
    const seen = this.#nodes.get(node)?.models.get(digest);
    if (seen === undefined) return announced;
    const weight = 0.5 ** ((this.#clock.elapsed() - seen.at) / ROUTING.ratesHalfLifeMs);
    return {
      tokensPerSecond: blendRates(seen.rates.tokensPerSecond, announced.tokensPerSecond, weight),
      prefillTokensPerSecond: blendRates(seen.rates.prefillTokensPerSecond, announced.prefillTokensPerSecond, weight),
      loadMs: blend(seen.rates.loadMs, announced.loadMs, weight),
    };
  }

  /** Whether a job of this node ended there after `at`, or shortly before: what was heard then need not know of it. */
  ranSince(node: NodeId, digest: string, at: number): boolean {
    const seen = this.#nodes.get(node)?.models.get(digest);
    return seen !== undefined && seen.at > at - ROUTING.warmNewsMs;
  }

  /** Lower bound of the share of jobs that succeed there, 0 to 1. */
  reliabilityOf(node: NodeId): number {
    const { successes, failures } = this.#nodes.get(node) ?? { successes: 0, failures: 0 };
    return lowerBound(successes + ROUTING.priorSuccesses, failures);
  }

  /** 1 when nothing speaks against it, and the more the later it failed; see `ROUTING.avoidancePerFailure`. */
  avoidanceOf(node: NodeId): number {
    const record = this.#nodes.get(node);
    return record === undefined ? 1 : 1 + this.#penaltyOf(record);
  }

  #penaltyOf({ penalty, penaltyAt }: NodeRecord): number {
    return penalty === 0 ? 0 : penalty * 0.5 ** ((this.#clock.elapsed() - penaltyAt) / ROUTING.avoidanceHalfLifeMs);
  }

  #recordOf(node: NodeId): NodeRecord {
    const record = this.#nodes.get(node) ?? {
      successes: 0,
      failures: 0,
      penalty: 0,
      penaltyAt: 0,
      models: new RecentMap<string, ModelRecord>(ROUTING.maxModelsPerNode),
    };
    this.#nodes.set(node, record);
    return record;
  }
}

/**
 * Lower end of the Wilson score interval (Wilson 1927, JASA 22): unlike the plain share it doubts small numbers.
 * @param successes may be a prior's too, so that none at all is not hopeless
 */
export function lowerBound(successes: number, failures: number): number {
  const n = successes + failures;
  if (n === 0) return 0;
  const z2 = ROUTING.wilsonZ ** 2;
  const share = successes / n;
  const centre = share + z2 / (2 * n);
  const spread = ROUTING.wilsonZ * Math.sqrt((share * (1 - share)) / n + z2 / (4 * n * n));
  return Math.max(0, (centre - spread) / (1 + z2 / n));
}

/** Beyond `ROUTING.rememberedJobs` every new job takes from the weight of all before. */
function fade(record: NodeRecord): void {
  const jobs = record.successes + record.failures;
  if (jobs <= ROUTING.rememberedJobs) return;
  record.successes *= ROUTING.rememberedJobs / jobs;
  record.failures *= ROUTING.rememberedJobs / jobs;
}

/** The mean of the times that a token takes: no announced rate, however high, makes up for a measured one. */
function blendRates(measured: number, announced: number, weight: number): number {
  if (measured === 0 || announced === 0) return measured || announced;
  return 1 / blend(1 / measured, 1 / announced, weight);
}

/** 0 means not known. */
function blend(measured: number, announced: number, weight: number): number {
  if (measured === 0) return announced;
  return announced === 0 ? measured : weight * measured + (1 - weight) * announced;
}
