/** What a provider says of a job, held against what was seen of it here: its word decides what others are expected to take. Pure. */

import { ROUTING } from '../../limits/jobs.ts';
import type { JobUsage } from '../../protocol/job.ts';
import type { Seen } from './decision.ts';

type Usage = Omit<JobUsage, 'type'>;

const NO_WORD: Usage = { promptTokens: 0, outputTokens: 0, loadMs: 0, prefillMs: 0, decodeMs: 0 };

/** What this node knew itself when it sent the job there. */
export interface Known {
  /** Estimated from characters. */
  readonly promptTokens: number;
  /** The provider had told that the model is loaded. */
  readonly warm: boolean;
}

/**
 * The usage as far as it can be true. Tokens are those that came. Of the time that passed here, what it does not name as
 * loading or reading was writing, and what a warm model is said to have loaded was reading; it may claim to have been
 * `ROUTING.usageTolerance` times faster than that, for what the way and this machine took, and no more. Who claims to have been
 * slower is taken at its word.
 * @param said undefined when it said nothing
 */
export function checkedUsage(said: Usage | undefined, seen: Seen, known: Known): Usage {
  const usage = said ?? NO_WORD;
  const loadMs = known.warm ? 0 : usage.loadMs;
  const readMs = usage.prefillMs + usage.loadMs - loadMs;
  const workedMs = seen.firstMs + seen.writeMs - loadMs;
  const wroteNothing = seen.tokens === 0;
  return {
    promptTokens: Math.min(usage.promptTokens, known.promptTokens * ROUTING.charsPerToken + ROUTING.templateTokens),
    outputTokens: seen.tokens,
    loadMs,
    prefillMs: wroteNothing ? Math.max(readMs, leastMs(workedMs)) : readMs,
    decodeMs: wroteNothing ? 0 : Math.max(usage.decodeMs, leastMs(seen.writeMs), leastMs(workedMs - readMs)),
  };
}

/** The least that a provider may say of what took so long as seen from here. */
function leastMs(seenMs: number): number {
  return Math.max(0, seenMs - ROUTING.usageSlackMs) / ROUTING.usageTolerance;
}
