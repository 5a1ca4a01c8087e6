/** How long a job is expected to take somewhere, part by part. Pure. */

import { JOB, ROUTING } from '../../limits/jobs.ts';
import type { ModelRates } from '../../protocol/profile.ts';
import type { Demand, ExpectedMs } from './decision.ts';

/** What the job is. */
export interface Work {
  /** To be read, without what is warm there. */
  readonly promptTokens: number;
  /** Still to be written. */
  readonly outputTokens: number;
}

/** What it finds there. */
export interface Conditions {
  /** Every rate known, or a prior. */
  readonly rates: ModelRates;
  readonly warm: boolean;
  readonly waitMs: number;
  readonly roundTripMs: number;
}

export function expectedMs(work: Work, found: Conditions): ExpectedMs {
  const { rates, warm, waitMs, roundTripMs } = found;
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

/** The best of them. This machine is taken to be as fast until it was measured: it gets the first chance. */
export function fastestRates(known: readonly ModelRates[]): ModelRates {
  let [tokensPerSecond, prefillTokensPerSecond] = [0, 0];
  for (const rates of known) {
    tokensPerSecond = Math.max(tokensPerSecond, rates.tokensPerSecond);
    prefillTokensPerSecond = Math.max(prefillTokensPerSecond, rates.prefillTokensPerSecond);
  }
  return { tokensPerSecond, prefillTokensPerSecond, loadMs: 0 };
}

/**
 * The middle of them, where they are even the slower of two. A peer that has not run the model yet is taken to be like the
 * others: if it stood behind them all, a job would wait in a line rather than go to an idle machine, and it would stay unknown.
 */
export function usualRates(known: readonly ModelRates[]): ModelRates {
  return {
    tokensPerSecond: slowerMiddle(known.map((rates) => rates.tokensPerSecond)),
    prefillTokensPerSecond: slowerMiddle(known.map((rates) => rates.prefillTokensPerSecond)),
    loadMs: 0,
  };
}

function slowerMiddle(rates: readonly number[]): number {
  const known = rates.filter((rate) => rate > 0).toSorted((a, b) => a - b);
  return known[Math.floor((known.length - 1) / 2)] ?? 0;
}

/**
 * What a job takes whose like has not ended yet, and how much it writes: by the rates that are known, and the priors. Whoever
 * asks for it and whoever runs it expect the same.
 */
export function priorJob(
  { promptTokens, maxOutputTokens }: Pick<Demand, 'promptTokens' | 'maxOutputTokens'>,
  rates: ModelRates,
  sizeBytes: number,
): { readonly ms: number; readonly outputTokens: number } {
  const outputTokens = Math.min(ROUTING.usualOutputTokens, maxOutputTokens ?? Number.POSITIVE_INFINITY);
  const found = { rates: withPriors(rates, priorRates(sizeBytes)), warm: true, waitMs: 0, roundTripMs: 0 };
  return { ms: totalMs(expectedMs({ promptTokens, outputTokens }, found)), outputTokens };
}

/** How long a job of whoever waits in front is taken to last; nothing is known of it. */
export function usualJobMs(rates: ModelRates, outputTokens: number): number {
  const work = { promptTokens: ROUTING.usualPromptTokens, outputTokens };
  return totalMs(expectedMs(work, { rates, warm: true, waitMs: 0, roundTripMs: 0 }));
}

/** What is known of the jobs at a node. */
export interface Backlog {
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
  /** When it gave one of them back for its owner, whose job began then. */
  readonly gaveBackAt: number | undefined;
}

/**
 * Milliseconds until a newcomer would run there, from what was heard last: the node's own estimate, or its beat; and from
 * what this node has sent there since, which neither knows of.
 * @param jobMs what one job in front is taken to last
 */
export function queueWaitMs({ queueDepth, running, heardAt, own }: Backlog, jobMs: number, now: number): number {
  const { said } = own;
  if (said !== undefined && said.at >= heardAt) {
    // It says that there is a wait, and not how long: it has not run such a job yet. The one in front is half done.
    const left = Math.max(0, (said.waitMs || jobMs / 2) - (now - said.at));
    return left + Math.max(0, said.ahead) * jobMs;
  }
  const jobs = Math.max(own.open, queueDepth + running + own.since(heardAt));
  // Whoever runs several at once has as many slots, as far as is known.
  const slots = Math.max(1, running);
  return jobs < slots ? 0 : ((jobs - slots) * jobMs + nextEndsInMs(own, jobMs, now)) / slots;
}

/** Milliseconds that the job in front has left: it is half done, unless it is known when it began. */
function nextEndsInMs({ gaveBackAt }: OwnJobs, jobMs: number, now: number): number {
  if (gaveBackAt === undefined) return jobMs / 2;
  return Math.max(jobMs / 2, Math.max(jobMs, JOB.minOwnerUseMs) - (now - gaveBackAt));
}
