/**
 * When each waiting job will start: the queue's own rule, run ahead in thought with what jobs usually take. Nobody can know who
 * comes later; what is told is the order and the time if nobody does. Pure.
 */

import { QUEUE } from '../../limits/jobs.ts';
import type { Durations, OfWork } from './durations.ts';
import type { Lane } from './lanes.ts';
import { type Claim, nextOf } from './order.ts';
import type { StartLimit } from './start-limit.ts';
import { INPUT_WEIGHT, OUTPUT_WEIGHT } from './vtc.ts';

export interface WaitingJob extends Claim, OfWork {
  /** Tokens of input that will be charged when it starts. */
  readonly inputTokens: number;
}

export interface RunningJob extends OfWork {
  readonly lane: Lane;
  readonly account: string;
  /** Milliseconds since it started. */
  readonly heldMs: number;
  /** Written so far. */
  readonly outputTokens: number;
}

export interface Present {
  /** `Clock.elapsed()`. */
  readonly now: number;
  readonly slots: number;
  readonly running: readonly RunningJob[];
  readonly waiting: Iterable<WaitingJob>;
  readonly counterOf: (job: { readonly lane: Lane; readonly account: string }) => number;
  readonly starts: StartLimit;
  readonly durations: Durations;
}

/** 1 is next. */
export interface Outlook {
  readonly position: number;
  readonly ms: number;
}

/** A waiting job in thought, with the counter that it shares with all jobs of its account. */
interface Imagined extends Claim {
  readonly job: WaitingJob;
  readonly share: { counter: number };
}

/** What is expected of every waiting job. Far behind in a long line it is the mean that counts, not the rule. */
export function forecast(present: Present): Map<WaitingJob, Outlook> {
  const { now, durations } = present;
  const left = imagine(present);
  const slots = slotsOf(present);
  const starts = present.starts.copy();
  const outlooks = new Map<WaitingJob, Outlook>();
  let ms = 0;
  while (left.size > 0 && outlooks.size < QUEUE.maxForecastJobs) {
    const slot = indexOfLeast(slots);
    ms = Math.max(ms, slots[slot] ?? 0);
    const at = now + ms;
    const next = nextOf(left, counterOf, ({ account }) => starts.nextAt(account, at) <= at);
    if (next === undefined) {
      // Only free jobs are left, and each of their accounts has had its share of this minute.
      const soonest = Math.min(...[...left].map(({ account }) => starts.nextAt(account, at)));
      if (soonest === Number.POSITIVE_INFINITY) break;
      slots[slot] = soonest - now;
      continue;
    }
    left.delete(next);
    outlooks.set(next.job, { position: outlooks.size + 1, ms });
    if (next.lane === 'free') starts.started(next.account, at);
    const usual = durations.usual(next.job);
    next.share.counter += INPUT_WEIGHT * next.job.inputTokens + OUTPUT_WEIGHT * usual.outputTokens;
    slots[slot] = ms + usual.ms;
  }
  for (const { job } of left) {
    ms += durations.usual(job).ms / present.slots;
    outlooks.set(job, { position: outlooks.size + 1, ms });
  }
  return outlooks;
}

/** Milliseconds until each slot is free. */
function slotsOf({ slots, running, durations }: Present): number[] {
  const left = running.map((job) => durations.leftMs(job, job.heldMs, job.outputTokens));
  return [...left, ...Array.from({ length: Math.max(0, slots - left.length) }, () => 0)];
}

function indexOfLeast(numbers: readonly number[]): number {
  let least = 0;
  for (const [i, number] of numbers.entries()) if (number < (numbers[least] ?? number)) least = i;
  return least;
}

/** The waiting jobs with the counters as they will be: with what the running ones are still expected to write. */
function imagine({ waiting, running, counterOf: present, durations }: Present): Set<Imagined> {
  const shares = new Map<string, { counter: number }>();
  const shareOf = (job: { readonly lane: Lane; readonly account: string }) => {
    const key = `${job.lane} ${job.account}`;
    const share = shares.get(key) ?? { counter: present(job) };
    shares.set(key, share);
    return share;
  };
  const imagined = new Set<Imagined>();
  for (const job of waiting) {
    const { lane, account, returning, order } = job;
    imagined.add({ job, lane, account, returning, order, share: shareOf(job) });
  }
  for (const job of running) {
    const rest = durations.usual(job).outputTokens - job.outputTokens;
    if (rest > 0) shareOf(job).counter += OUTPUT_WEIGHT * rest;
  }
  return imagined;
}

function counterOf({ share }: Imagined): number {
  return share.counter;
}
