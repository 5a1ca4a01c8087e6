/** One round of asking: whom of a decision's candidates, in which order, and what those said that did not take the job. */

import type { GoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { Ask } from './ask.ts';
import type { Decision, RouteQuery, Router, Weighed } from './routing/decision.ts';

export interface Placing {
  readonly query: RouteQuery;
  readonly decision: Decision;
  /** `Clock.elapsed()` when it was decided. */
  readonly at: number;
  /** Rounds before this one in which nobody was there. */
  readonly again: number;
  /** Has pulled for this job, and is asked alone. */
  readonly worker: NodeId | undefined;
}

export class Round {
  readonly query: RouteQuery;
  readonly decision: Decision;
  readonly at: number;
  readonly again: number;
  /** A worker has pulled for the job, and is asked alone. */
  readonly pulled: boolean;
  readonly refusals: GoGridError[] = [];
  /** Milliseconds until the first of the busy ones has room; undefined when none was busy. */
  busyMs: number | undefined;
  /** The job was in somebody's queue meanwhile: nobody is asked any more, and it is decided again. */
  isOutdated = false;
  /** A candidate may not see the prompt any more, or cannot be reached. */
  hasSkipped = false;
  readonly #ask: Ask;
  readonly #router: Router;
  readonly #order: readonly Weighed[];
  readonly #offered = new Set<NodeId>();
  #asked = 0;
  /** Somebody who has the model that began the answer is busy. */
  #beganIsBusy = false;

  constructor(ask: Ask, router: Router, { query, decision, at, again, worker }: Placing) {
    this.#ask = ask;
    this.#router = router;
    this.query = query;
    this.decision = decision;
    this.at = at;
    this.again = again;
    this.pulled = worker !== undefined;
    this.#order = worker === undefined ? decision.candidates : onlyWorker(decision.candidates, worker);
  }

  /** Whom to ask now; undefined when nobody is left. */
  next(): Weighed | undefined {
    while (!this.isOutdated) {
      const candidate = this.#order[this.#asked++];
      if (candidate === undefined) return undefined;
      if (!this.#isToBeAsked(candidate)) continue;
      this.#offered.add(candidate.node);
      return candidate;
    }
    return undefined;
  }

  /** Somebody was offered the job, so that time has passed. */
  get hasAsked(): boolean {
    return this.#offered.size > 0;
  }

  wasOffered(node: NodeId): boolean {
    return this.#offered.has(node);
  }

  /** That candidate is busy, and expects to have room by then. */
  isBusy({ otherDigest }: Weighed, estimateMs: number): void {
    this.busyMs = Math.min(this.busyMs ?? estimateMs, estimateMs);
    if (!otherDigest) this.#beganIsBusy = true;
  }

  #isToBeAsked(candidate: Weighed): boolean {
    const { node, local, otherDigest } = candidate;
    const { refusedBy, full } = this.#ask;
    const refusal = refusedBy.get(node);
    if (refusal !== undefined) {
      this.refusals.push(refusal);
      return false;
    }
    // Another digest goes on with the answer only when nobody has this one; who has it and is busy has it.
    if (otherDigest && this.#beganIsBusy) return false;
    if (node === full?.node) {
      this.isBusy(candidate, full.forMs);
      return false;
    }
    if (local) return true;
    // More at once the peer would cut off, and they would look like failures of it.
    if (this.#router.inFlightAt(node) >= JOB.maxOpenAtPeer) {
      this.isBusy(candidate, JOB.askAgainMinMs);
      return false;
    }
    if (this.#router.mayAsk(this.query, candidate)) return true;
    this.hasSkipped = true;
    return false;
  }
}

/** It does not overtake those that are better for this job by more than the time it takes. */
function onlyWorker(candidates: readonly Weighed[], worker: NodeId): readonly Weighed[] {
  const [best] = candidates;
  return candidates.filter(
    ({ node, tooShort, failed, otherDigest }) =>
      node === worker && tooShort === best?.tooShort && failed === best.failed && otherDigest === best.otherDigest,
  );
}
