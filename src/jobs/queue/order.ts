/** Which of the waiting jobs is next: the one rule, for the queue itself and for its forecast. Pure. */

import { LANES, type Lane } from './lanes.ts';

/** What decides a waiting job's turn. */
export interface Claim {
  readonly lane: Lane;
  readonly account: string;
  /** It was given back here before: it stands first of its account. */
  readonly returning: boolean;
  /** In which it came: smaller is earlier. */
  readonly order: number;
}

/**
 * Owner before paid before free; within a lane the account with the smallest counter; of one account those that return, then
 * those that came first.
 * @param mayStart whether the account of a free job may start one now
 */
export function nextOf<T extends Claim>(
  waiting: Iterable<T>,
  counterOf: (claim: T) => number,
  mayStart: (claim: T) => boolean,
): T | undefined {
  let first: T | undefined;
  let firstCounter = 0;
  for (const claim of waiting) {
    if (first !== undefined && rank(claim) > rank(first)) continue;
    if (claim.lane === 'free' && !mayStart(claim)) continue;
    const counter = counterOf(claim);
    if (first !== undefined && !isBefore(claim, counter, first, firstCounter)) continue;
    first = claim;
    firstCounter = counter;
  }
  return first;
}

function isBefore(a: Claim, aCounter: number, b: Claim, bCounter: number): boolean {
  if (a.lane !== b.lane) return rank(a) < rank(b);
  if (aCounter !== bCounter) return aCounter < bCounter;
  if (a.returning !== b.returning) return a.returning;
  return a.order < b.order;
}

function rank({ lane }: Claim): number {
  return LANES.indexOf(lane);
}
