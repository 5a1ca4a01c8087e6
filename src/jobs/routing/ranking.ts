/** Which provider is asked first: candidates in, the same candidates in order out. Pure but for the dice it is given. */

import { ROUTING } from '../../limits/jobs.ts';
import type { Choice, Weighed } from './decision.ts';
import { totalMs } from './expected.ts';

export interface Ranked {
  readonly candidates: readonly Weighed[];
  readonly choice: Choice;
}

/** Expected milliseconds, the longer the less the node is to be relied on: smaller is better. */
export function scoreOf({ expectedMs, reliability, avoidance }: Pick<Weighed, Parts>): number {
  // A try that fails costs its time however small the job is.
  return (totalMs(expectedMs) / reliability) * avoidance + (avoidance - 1) * ROUTING.avoidedMs;
}
type Parts = 'expectedMs' | 'reliability' | 'avoidance';

/**
 * Best first: room for the prompt, not failed yet, the model that began, smallest score. Among the foremost of one rank this machine goes first
 * while it is not clearly slower, then whoever has read the beginning of the conversation while that is about as good; else
 * the better of two drawn from those about as good, so that requesters with the same stale news do not all choose the same.
 * @param random 0 ≤ x < 1
 */
export function rank(weighed: readonly Weighed[], random: () => number): Ranked {
  const [only] = weighed;
  if (only === undefined) return { candidates: [], choice: 'none' };
  if (weighed.length === 1) return { candidates: weighed, choice: 'only' };
  const sorted = weighed.toSorted(inOrder);
  const { first, choice } = choose(sorted, random);
  return { candidates: [first, ...sorted.filter((candidate) => candidate !== first)], choice };
}

function choose(sorted: readonly Weighed[], random: () => number): { first: Weighed; choice: Choice } {
  const [best] = sorted as readonly [Weighed, ...Weighed[]];
  const equals = sorted.filter((other) => classOf(other) === classOf(best));
  const here = equals.find(({ local }) => local);
  if (here !== undefined && here.score <= best.score * ROUTING.hereFactor) return { first: here, choice: 'here' };
  const near = equals.filter(({ score }) => score <= best.score * ROUTING.nearFactor);
  const warm = near.find(({ warmTokens }) => warmTokens > 0);
  if (warm !== undefined) return { first: warm, choice: 'warm' };
  if (near.length === 1) return { first: best, choice: 'fastest' };
  // Drawn with repetition: of two the worse one is chosen now and then, too.
  const draw = () => Math.min(near.length - 1, Math.floor(random() * near.length));
  const [one, other] = [draw(), draw()];
  const [a, b] = [near[one] ?? best, near[other] ?? best];
  return { first: b.score < a.score ? b : a, choice: 'one-of-two' };
}

/** 0 is best: what no score outweighs; see `Decision.candidates`. */
function classOf({ tooShort, failed, otherDigest }: Weighed): number {
  return Number(tooShort) * 4 + Number(failed) * 2 + Number(otherDigest);
}

function inOrder(a: Weighed, b: Weighed): number {
  return (
    classOf(a) - classOf(b) || a.score - b.score || Number(b.local) - Number(a.local) || (a.node < b.node ? -1 : 1)
  );
}
