/** While a question waits for its first word, standard error says what it waits for, if it is a terminal. */

import type { JobList, ListedJob } from '../contract/control.ts';
import { CLI } from '../limits/program.ts';
import { NOBODY_TAKES, placeInLine } from './job-story.ts';
import { machineNamesIfTold, type NameOf } from './machine-names.ts';
import type { NodeClient } from './node-client.ts';
import { aboutSpan, cut, formatDuration, painter, printable } from './text.ts';
import type { World } from './world.ts';

export interface SignOfLife {
  /** The model has begun, but only thinks so far. */
  thinks(): void;
  /** Takes the line away; nothing comes after it. */
  end(): void;
}

const CLEAR_LINE = '\r\u001b[2K';

/** Shows how a question of this moment fares, until `end`. */
export function signOfLife(world: World, node: NodeClient, model: string): SignOfLife {
  const { stderr } = world;
  if (!stderr.isTty || world.env.TERM === 'dumb') return { thinks() {}, end() {} };
  const paint = painter(world, stderr);
  const startedAt = world.now();
  const aborter = new AbortController();
  let known: Promise<NameOf> | undefined;
  /** Asked for once: only an answer that waits wants them. */
  const names = () => (known ??= machineNamesIfTold(node, aborter.signal));
  let thinking = false;
  let shown = false;
  const show = async () => {
    await world.wait(CLI.signOfLifeAfterMs);
    while (!aborter.signal.aborted) {
      const text = thinking ? 'thinking' : await lookAt(node, model, startedAt, names, aborter.signal);
      if (aborter.signal.aborted) return;
      const seconds = (world.now() - startedAt) / 1000;
      const line = `…${printable(text)}${seconds < 3 ? '' : ` (${formatDuration(seconds)})`}`;
      stderr.write(`${CLEAR_LINE}${paint('dim', cut(line, (stderr.columns || CLI.defaultColumns) - 1))}`);
      shown = true;
      await world.wait(CLI.signOfLifeEveryMs);
    }
  };
  void show();
  return {
    thinks() {
      thinking = true;
    },
    end() {
      if (aborter.signal.aborted) return;
      aborter.abort();
      if (shown) stderr.write(CLEAR_LINE);
    },
  };
}

async function lookAt(
  node: NodeClient,
  model: string,
  startedAt: number,
  names: () => Promise<NameOf>,
  signal: AbortSignal,
): Promise<string> {
  try {
    const { jobs } = await node.ask<JobList>({ path: `/jobs?limit=${CLI.signOfLifeJobs}`, signal });
    const job = ownJob(jobs, model, startedAt);
    if (job === undefined) return 'asking the mesh';
    return waitsFor(job, job.provider === null ? undefined : placeOf(job, job.provider, await names()));
  } catch {
    // It only decorates: whatever is wrong, the question itself will tell.
    return 'waiting';
  }
}

/** The job of a question of this moment: the API gives its id with the first word, so it is found by what was asked. */
export function ownJob(jobs: readonly ListedJob[], model: string, startedAt: number): ListedJob | undefined {
  return jobs
    .filter(({ direction, endedAt, createdAt }) => direction !== 'in' && endedAt === null && createdAt >= startedAt)
    .filter((job) => job.model === model || job.model.startsWith(`${model.toLowerCase()}:`))
    .toSorted((a, b) => a.createdAt - b.createdAt)[0];
}

function placeOf({ requester }: ListedJob, provider: string, nameOf: NameOf): string {
  return provider === requester ? '' : ` on ${nameOf(provider)}`;
}

/**
 * What a job waits for, in words.
 * @param place ` on kitchen`; empty for this machine; undefined before anybody has it
 */
export function waitsFor(job: Pick<ListedJob, 'state' | 'model' | 'waiting'>, place: string | undefined): string {
  if (job.state === 'handing-over') return 'moving to another machine';
  const { where, ahead, estimateMs, phase } = job.waiting ?? {};
  const about = aboutSpan(estimateMs);
  if (where === 'mesh') return `waiting: ${NOBODY_TAKES}, ${placeInLine(ahead)}${about}`;
  if (place === undefined) return 'asking the mesh';
  if (job.state === 'queued')
    return `waiting${place}${ahead === undefined ? '' : `, ${ahead === 0 ? 'next' : `${ahead} ahead`}`}${about}`;
  if (job.state === 'placing') return `asking${place}`;
  if (phase === 'loading') return `loading ${job.model}${place}`;
  return phase === 'prefill' ? `reading the question${place}` : `waiting for the first word${place}`;
}
