/** How long a job is expected to take somewhere, part by part. Pure. */

import { ROUTING } from '../../limits/jobs.ts';
import type { ModelRates } from '../../protocol/profile.ts';
import type { ExpectedMs } from './decision.ts';

/** What the job is. */
export interface Work {
  /** To be read, without what is warm there. */
  readonly promptTokens: number;
  /** Still to be written. */
  readonly outputTokens: number;
}

/** What the place is. */
export interface Place {
  /** Every rate known, or a prior. */
  readonly rates: ModelRates;
  readonly warm: boolean;
  readonly waitMs: number;
  readonly roundTripMs: number;
}

export function expectedMs(work: Work, place: Place): ExpectedMs {
  const { rates, warm, waitMs, roundTripMs } = place;
  return {
    wait: waitMs,
    load: warm ? 0 : rates.loadMs,
    prefill: (work.promptTokens * 1000) / rates.prefillTokensPerSecond,
    decode: (work.outputTokens * 1000) / rates.tokensPerSecond,
    roundTrip: roundTripMs,
  };
}

export function totalMs({ wait, load, prefill, decode, roundTrip }: ExpectedMs): number {
  return wait + load + prefill + decode + roundTrip;
}

/** The rates that are known, and for the others `priors`. */
export function withPriors(rates: ModelRates, priors: ModelRates): ModelRates {
  return {
    tokensPerSecond: rates.tokensPerSecond || priors.tokensPerSecond,
    prefillTokensPerSecond: rates.prefillTokensPerSecond || priors.prefillTokensPerSecond,
    loadMs: rates.loadMs || priors.loadMs,
  };
}

/** Rates of a node of which nothing is known but the size of the model's file; 0 bytes when not even that. */
export function priorRates(sizeBytes: number): ModelRates {
  return {
    tokensPerSecond: ROUTING.priorTokensPerSecond,
    prefillTokensPerSecond: ROUTING.priorPrefillTokensPerSecond,
    loadMs: ROUTING.priorLoadMs + sizeBytes / ROUTING.priorLoadBytesPerMs,
  };
}

/**
 * The best that any of them announces. This machine is taken to be as fast until it was measured: it gets the first chance.
 */
export function fastestRates(holders: readonly { readonly model: ModelRates }[]): ModelRates {
  let [tokensPerSecond, prefillTokensPerSecond] = [0, 0];
  for (const { model } of holders) {
    tokensPerSecond = Math.max(tokensPerSecond, model.tokensPerSecond);
    prefillTokensPerSecond = Math.max(prefillTokensPerSecond, model.prefillTokensPerSecond);
  }
  return { tokensPerSecond, prefillTokensPerSecond, loadMs: 0 };
}

/** How long a job of whoever waits in front is taken to last; nothing is known of it. */
export function usualJobMs(rates: ModelRates, outputTokens: number): number {
  const work = { promptTokens: ROUTING.usualPromptTokens, outputTokens };
  return totalMs(expectedMs(work, { rates, warm: true, waitMs: 0, roundTripMs: 0 }));
}

/** What is known of the jobs at a node. */
export interface Line {
  /** Jobs that wait and that run there, as its last beat said. */
  readonly queueDepth: number;
  readonly running: number;
  /** `Clock.elapsed()` when the beat was made. */
  readonly heardAt: number;
  /** What this node itself has there now. */
  readonly own: OwnJobs;
}

/** This node's own jobs at another. */
export interface OwnJobs {
  readonly open: number;
  /** Jobs begun less jobs ended there since a moment of `Clock.elapsed()`. */
  since(at: number): number;
  /** What the node itself said last of its wait, and how many of this node's jobs stand behind that moment's line. */
  readonly said: { readonly waitMs: number; readonly at: number; readonly ahead: number } | undefined;
}

/**
 * Milliseconds until a newcomer would run there, from what was heard last: the node's own estimate, or its beat; and from
 * what this node has sent there since, which neither knows of.
 * @param jobMs what one job in front is taken to last
 */
export function queueWaitMs({ queueDepth, running, heardAt, own }: Line, jobMs: number, now: number): number {
  const { said } = own;
  if (said !== undefined && said.at >= heardAt) {
    // It says that there is a wait, and not how long: it has not run such a job yet. The one in front is half done.
    const left = Math.max(0, (said.waitMs || jobMs / 2) - (now - said.at));
    return left + Math.max(0, said.ahead) * jobMs;
  }
  const jobs = Math.max(own.open, queueDepth + running + own.since(heardAt));
  // Whoever runs several at once has as many slots, as far as is known; the next to end is half done.
  return lineMs(jobs, Math.max(1, running), jobMs);
}

/** Milliseconds until a newcomer behind `jobs` has one of the slots. */
export function lineMs(jobs: number, slots: number, jobMs: number): number {
  return jobs < slots ? 0 : ((jobs - slots + 0.5) * jobMs) / slots;
}
