/** In one word how a node is, from the facts that decide it. Pure. */

import type { NodeStatus } from '../protocol/beat.ts';

export interface StatusFacts {
  readonly phase: 'starting' | 'running' | 'draining';
  /** An engine was asked for by name and does not answer. */
  readonly engineFailed: boolean;
  /** Jobs that run here. */
  readonly running: number;
}

export function statusOf(facts: StatusFacts): NodeStatus {
  if (facts.phase !== 'running') return facts.phase;
  if (facts.engineFailed) return 'error';
  return facts.running > 0 ? 'busy' : 'idle';
}
