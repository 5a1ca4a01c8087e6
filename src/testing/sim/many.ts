/** Many histories one after the other, and what is to be said of them all. */

import { type PlanBounds, planOf } from './plan.ts';
import { describePlan } from './report.ts';
import { simulate } from './simulate.ts';

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
}

export interface Summary {
  histories: number;
  events: number;
  virtualMs: number;
  readonly failures: Failure[];
  readonly tally: Record<string, number>;
}

/** Violations that are kept in detail; more say nothing new. */
const MAX_FAILURES = 50;

/** @param onEach called after every history with everything so far */
export async function simulateMany(options: ManyOptions, onEach?: (summary: Summary) => void): Promise<Summary> {
  const summary: Summary = { histories: 0, events: 0, virtualMs: 0, failures: [], tally: {} };
  const endsAt = performance.now() + options.maxMs;
  for (let count = 0; count < options.histories && performance.now() < endsAt; count++) {
    const seed = options.seed + count * options.step;
    const plan = planOf(seed, options.bounds);
    const { violation, events, virtualMs, tally } = await simulate(plan);
    summary.histories++;
    summary.events += events;
    summary.virtualMs += virtualMs;
    for (const [what, times] of tally) summary.tally[what] = (summary.tally[what] ?? 0) + times;
    if (violation !== undefined && summary.failures.length < MAX_FAILURES) {
      summary.failures.push({ seed, plan: describePlan(plan), law: violation.law, text: violation.text });
    }
    onEach?.(summary);
  }
  return summary;
}

export function addSummary(to: Summary, other: Summary): void {
  to.histories += other.histories;
  to.events += other.events;
  to.virtualMs += other.virtualMs;
  to.failures.push(...other.failures);
  for (const [what, times] of Object.entries(other.tally)) to.tally[what] = (to.tally[what] ?? 0) + times;
}
