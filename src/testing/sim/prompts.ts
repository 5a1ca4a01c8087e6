/** Prompts that name their job, so that whoever sees one can tell whose it is. */

import type { JobInput } from '../../protocol/job.ts';
import { promptOf } from '../word-engine.ts';
import type { JobPlan } from './plan.ts';

export function inputOf(job: JobPlan): JobInput {
  const text = `#${job.index} w=${job.words}`;
  const options = job.limit === undefined ? {} : { options: { num_predict: job.limit } };
  if (job.kind === 'generate') return { kind: 'generate', prompt: text, ...options };
  const tools = job.tools ? { tools: [{ type: 'function' }] } : {};
  return { kind: 'chat', messages: [{ role: 'user', content: text }], ...tools, ...options };
}

/** Index of the job that an input belongs to. */
export function jobOf(input: JobInput): number {
  return Number(/#(\d+) w=/.exec(promptOf(input))?.[1] ?? -1);
}

/** Words of the answer to a prompt. */
export function wordsOf(prompt: string): number {
  return Number(/ w=(\d+)/.exec(prompt)?.[1] ?? 1);
}
