/** Many histories of ledgers one after the other, and what is to be said of them all. */

import { type PlanBounds, planOf } from './plan.ts';
import { describePlan } from './report.ts';
import { simulate, type Times } from './simulate.ts';

export interface ManyOptions {
  /** The first seed; the others follow by `step`. */
  readonly seed: number;
  readonly step: number;
  readonly histories: number;
  /** Milliseconds of real time after which no more are begun. */
  readonly maxMs: number;
  readonly bounds: PlanBounds;
}

export interface Failure {
  readonly seed: number;
  readonly plan: string;
  readonly law: string;
  readonly text: string;
  /** Histories before it. */
  readonly after: number;
}

export interface Summary {
  histories: number;
  events: number;
  virtualMs: number;
  readonly failures: Failure[];
  readonly tally: Record<string, number>;
  readonly times: Times;
}

/** Violations that are kept in detail; more say nothing new. */
const MAX_FAILURES = 50;

export function newSummary(): Summary {
  return { histories: 0, events: 0, virtualMs: 0, failures: [], tally: {}, times: { first: [], everywhere: [] } };
}

/** @param onEach called after every history with everything so far; false ends it */
export async function simulateMany(options: ManyOptions, onEach?: (summary: Summary) => boolean): Promise<Summary> {
  const summary = newSummary();
  const endsAt = performance.now() + options.maxMs;
  for (let count = 0; count < options.histories && performance.now() < endsAt; count++) {
    const seed = options.seed + count * options.step;
    const plan = planOf(seed, options.bounds);
    const { violation, events, virtualMs, tally, times } = await simulate(plan);
    summary.histories++;
    summary.events += events;
    summary.virtualMs += virtualMs;
    summary.times.first.push(...times.first);
    summary.times.everywhere.push(...times.everywhere);
    for (const [what, often] of tally) summary.tally[what] = (summary.tally[what] ?? 0) + often;
    if (violation !== undefined && summary.failures.length < MAX_FAILURES) {
      const { law, text } = violation;
      summary.failures.push({ seed, plan: describePlan(plan), law, text, after: count });
    }
    if (onEach?.(summary) === false) break;
  }
  return summary;
}

export function addSummary(to: Summary, other: Summary): void {
  to.histories += other.histories;
  to.events += other.events;
  to.virtualMs += other.virtualMs;
  to.failures.push(...other.failures);
  to.times.first.push(...other.times.first);
  to.times.everywhere.push(...other.times.everywhere);
  for (const [what, often] of Object.entries(other.tally)) to.tally[what] = (to.tally[what] ?? 0) + often;
}

/** @param share 0 to 1 @returns the value below which so large a share of them is; undefined of none */
export function percentile(values: readonly number[], share: number): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
