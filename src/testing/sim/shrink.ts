/** Makes a failing history smaller: the same seed with fewer faults and jobs, as long as the same law is violated. */

import { type Plan, without } from './plan.ts';
import { type Result, simulate } from './simulate.ts';

/** What was taken out of a history. */
export interface Cut {
  readonly jobs: ReadonlySet<number>;
  readonly faults: ReadonlySet<number>;
}

/**
 * @param untilMs `performance.now()` at which the search ends
 * @returns what can be left out, and the history without it
 */
export async function shrink(plan: Plan, failing: Result, untilMs: number): Promise<{ cut: Cut; result: Result }> {
  const law = failing.violation?.law;
  let cut: Cut = { jobs: new Set(), faults: new Set() };
  let result = failing;
  for (const kind of ['faults', 'jobs'] as const) {
    let left = plan[kind].map(({ index }) => index);
    for (let size = Math.ceil(left.length / 2); size >= 1; size = size > 1 ? Math.ceil(size / 2) : 0) {
      for (let at = 0; at < left.length; ) {
        if (performance.now() > untilMs) return { cut, result };
        const tried: Cut = { ...cut, [kind]: new Set([...cut[kind], ...left.slice(at, at + size)]) };
        const smaller = await simulate(without(plan, tried.jobs, tried.faults));
        if (smaller.violation?.law === law) {
          cut = tried;
          result = smaller;
          left = left.filter((index) => !tried[kind].has(index));
        } else {
          at += size;
        }
      }
    }
  }
  return { cut, result };
}
