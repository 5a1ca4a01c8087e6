/** Whether a provider keeps a job much longer than it told while somebody else is idle. Looked at when it says something: no timer. */

import type { Clock } from '../clock.ts';
import { JOB } from '../limits/jobs.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { Ask } from './ask.ts';
import type { Router } from './routing/decision.ts';

export class Patience {
  readonly #ask: Ask;
  readonly #node: NodeId;
  readonly #router: Router;
  readonly #clock: Clock;
  readonly #endsAt: number;
  #lookAt: number;

  /**
   * Begins now.
   * @param toldMs how long it should take
   * @param leastMs how long it may take in any case
   */
  constructor(
    { ask, node, toldMs, leastMs }: { ask: Ask; node: NodeId; toldMs: number; leastMs: number },
    { router, clock }: { router: Router; clock: Clock },
  ) {
    this.#ask = ask;
    this.#node = node;
    this.#router = router;
    this.#clock = clock;
    this.#endsAt = clock.elapsed() + Math.max(leastMs, JOB.overdueFactor * toldMs);
    this.#lookAt = this.#endsAt;
  }

  /** Whether to leave: one that nobody else could take over is waited for. */
  async isOver(): Promise<boolean> {
    const now = this.#clock.elapsed();
    if (now < this.#lookAt) return false;
    this.#lookAt = now + JOB.askAgainMaxMs;
    const { candidates } = await this.#router.decide(this.#ask.query(), this.#ask.signal);
    return candidates.some(
      ({ node, failed, otherDigest, tooShort, expectedMs }) =>
        node !== this.#node &&
        !(failed || otherDigest || tooShort || this.#ask.refusedBy.has(node)) &&
        expectedMs.wait === 0,
    );
  }
}
