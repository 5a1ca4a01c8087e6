/** What GoGrid says of a job beside the answer itself: who ran it, over which way, in how many attempts, at what cost. */

import type { JobOutput } from '../jobs/output.ts';

type Placed = Extract<JobOutput, { type: 'placed' }>;
type Done = Extract<JobOutput, { type: 'done' }>;

/** Known at the first byte. */
export function jobHeaders({ job, provider, route }: Placed): Record<string, string> {
  return { 'x-gogrid-job': job, 'x-gogrid-provider': provider, 'x-gogrid-route': route };
}

/** Known at the end: headers of an answer that is not streamed. */
export function totalHeaders({ job, usage }: Done): Record<string, string> {
  return {
    'x-gogrid-attempts': String(job.attempts.length),
    'x-gogrid-handovers': String(handOvers(job)),
    'x-gogrid-cost-microcredits': job.costMicrocredits,
    'x-gogrid-usage-estimated': String(usage.estimated),
  };
}

/** The field `x_gogrid` beside the usage. */
export interface JobSummary {
  readonly job: string;
  readonly provider: string | null;
  readonly route: string | null;
  /** Every provider that took it or failed, each with its share: `fromToken` inclusive, `toToken` exclusive. */
  readonly attempts: Done['job']['attempts'];
  /** How often another provider, or the same one again, went on after the job had been taken. */
  readonly handovers: number;
  readonly cost_microcredits: string;
  readonly usage_estimated: boolean;
}

export function jobSummary(placed: Placed | undefined, { job, usage }: Done): JobSummary {
  return {
    job: job.id,
    provider: placed?.provider ?? job.provider,
    route: placed?.route ?? null,
    attempts: job.attempts,
    handovers: handOvers(job),
    cost_microcredits: job.costMicrocredits,
    usage_estimated: usage.estimated,
  };
}

/** Whoever failed before it took the job handed nothing over. */
function handOvers({ attempts }: Done['job']): number {
  return attempts.slice(0, -1).filter(({ digest }) => digest !== null).length;
}
