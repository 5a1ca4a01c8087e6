/** What came of one question amid the chaos, and whether that is allowed. */

import type { Job } from '../../src/contract/control.ts';
import { ERRORS, isErrorCode } from '../../src/errors.ts';
import { JOB } from '../../src/limits/jobs.ts';
import type { Way } from '../harness/asking.ts';

/** One question, and what its client saw. Times are milliseconds since 1970. */
export interface Asked {
  readonly way: Way;
  readonly content: string;
  readonly expected: string;
  readonly askedAt: number;
  readonly text: string;
  /** When each piece of the text came. */
  readonly arrivals: readonly number[];
  /** Of the head of the answer; undefined when none came. */
  readonly status: number | undefined;
  readonly retryAfter: string | null;
  /** Why the client's package gave up; undefined when the answer is complete, `hanging` when it was given up on. */
  readonly error: string | undefined;
  /** As its node remembers it; undefined when the head never came. */
  readonly job: Job | undefined;
}

export const HANGING = 'hanging';

/**
 * - `exact`: every word, once.
 * - `refused`: nothing of it came, and the client may try again.
 * - `broken off`: a part came, and then a clear end: as many providers failed as one job is given.
 */
export type Kind = 'exact' | 'refused' | 'broken off';
export type Judged = { readonly kind: Kind } | { readonly violation: string };

/** Ends of an attempt that do not count: hand-overs, and providers that never had the job. */
const NO_FAILURE: ReadonlySet<string | null> = new Set(['preempted', 'shutting_down', 'peer_unreachable', null]);

export function judge(asked: Asked): Judged {
  const { error, text, expected } = asked;
  if (error === HANGING) return { violation: `no end of the answer (${text.length} characters of it came)` };
  if (error === undefined) return text === expected ? { kind: 'exact' } : { violation: difference(text, expected) };
  if (!expected.startsWith(text)) return { violation: difference(text, expected) };
  const code = asked.job?.reason ?? undefined;
  if (code === undefined) return { violation: `an end that its node does not know of: ${error}` };
  if (!isErrorCode(code) || !ERRORS[code].retry) return { violation: `refused for good, with ${code}: ${error}` };
  const failures = asked.job?.attempts.filter(({ reason }) => !NO_FAILURE.has(reason)).length ?? 0;
  if (failures >= JOB.maxAttempts) return { kind: 'broken off' };
  if (text !== '') return { violation: `broke off after ${failures} failures, with ${code}: ${error}` };
  if (asked.status !== 503) return { violation: `status ${asked.status} with ${code}: ${error}` };
  const secs = Number(asked.retryAfter ?? Number.NaN);
  if (Number.isInteger(secs) && secs >= JOB.minRetryAfterSecs && secs <= JOB.maxRetryAfterSecs)
    return { kind: 'refused' };
  return { violation: `${code}, and does not say when to come back: ${error}` };
}

/** Where a text leaves the expected one, told without a whole answer. */
function difference(text: string, expected: string): string {
  const words = text.split(/\s+/);
  const right = expected.split(/\s+/);
  const at = words.findIndex((word, index) => word !== right[index]);
  if (at < 0 && words.length === right.length) return 'another white space than expected';
  const place = at < 0 ? words.length : at;
  return `word ${place + 1} of ${right.length} is '${words[place] ?? '(none)'}' instead of '${right[place] ?? '(none)'}'`;
}

/** How long the text stood still when its provider went, milliseconds, by provider and the time that was noticed. */
export interface Standstill {
  readonly provider: string;
  readonly noticedAt: number;
  readonly ms: number;
}

/** The pauses of a streamed answer that fell together with a change of its provider. */
export function standstills({ way, arrivals, job }: Asked): Standstill[] {
  if (!way.endsWith('streamed') || job === undefined) return [];
  return job.attempts.slice(0, -1).flatMap(({ provider, endedAt }) => {
    if (endedAt === null) return [];
    const next = arrivals.findIndex((at) => at > endedAt);
    const last = arrivals[next - 1];
    const resumed = arrivals[next];
    // Before the first word nothing stands still.
    if (last === undefined || resumed === undefined) return [];
    return [{ provider, noticedAt: endedAt, ms: resumed - last }];
  });
}
