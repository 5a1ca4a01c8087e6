/** `gogrid jobs` */

import type { Job, JobList } from '../contract/control.ts';
import { GoGridError } from '../errors.ts';
import { API } from '../limits.ts';
import { usage } from './arguments.ts';
import { type Call, flagOf, printJson, sheetOf } from './command.ts';
import { findOne } from './find.ts';
import { connect, type NodeClient } from './node-client.ts';
import { wholeNumber } from './numbers.ts';
import { type Cell, type Column, renderFacts, renderTable } from './table.ts';
import { formatAgo, formatDuration, type Style, shortId } from './text.ts';

export async function run(call: Call): Promise<number> {
  const [action = 'list', id, ...more] = call.words;
  if (action === 'list' && id === undefined) return list(call);
  if (id !== undefined && more.length === 0) {
    if (action === 'show') return show(call, id);
    if (action === 'cancel') return cancel(call, id);
  }
  const wantsId = action === 'show' || action === 'cancel';
  throw usage(wantsId ? `jobs ${action} wants the id of one job` : `jobs cannot '${call.words.join(' ')}'`, 'jobs');
}

async function list(call: Call): Promise<number> {
  const limit = wholeNumber('--limit', flagOf(call, 'limit') ?? '50', 1, API.maxListed, 'jobs');
  const node = await connect(call.home);
  const answer = await node.ask<JobList>({ path: `/jobs?limit=${limit}` });
  if (call.json) {
    printJson(call, answer);
  } else if (answer.jobs.length === 0) {
    call.world.stdout.write('No job was asked or run here yet. Try: gogrid run llama3.2 "Why is the sky blue?"\n');
  } else {
    call.world.stdout.write(renderTable(JOB_COLUMNS, jobRows(answer.jobs, call.world.now()), sheetOf(call)));
    const rest = answer.total - answer.jobs.length;
    if (rest > 0) call.world.stdout.write(call.paint('dim', `… and ${rest} older: --limit N shows more\n`));
  }
  return 0;
}

const JOB_COLUMNS: readonly Column[] = [
  { title: 'JOB' },
  { title: 'STATE' },
  { title: 'DIRECTION' },
  { title: 'MODEL', shrinks: true },
  { title: 'PROVIDER' },
  { title: 'TOKENS', align: 'right' },
  { title: 'TOKENS/S', align: 'right' },
  { title: 'AGE', align: 'right' },
  { title: 'REASON', shrinks: true },
];

const STATE_STYLES: Readonly<Record<string, Style>> = {
  completed: 'green',
  running: 'cyan',
  failed: 'red',
  expired: 'red',
  cancelled: 'yellow',
};

/** Newest first, as the API lists them. Tokens are those written. */
export function jobRows(jobs: readonly Job[], now: number): Cell[][] {
  return jobs.map((job) => [
    shortId(job.id),
    stateCell(job),
    job.direction,
    job.model,
    job.provider === null ? '-' : shortId(job.provider),
    String(job.tokensOut),
    job.tokensPerSecond === null ? '-' : job.tokensPerSecond.toFixed(1),
    formatAgo(job.createdAt, now),
    job.reason ?? '',
  ]);
}

function stateCell(job: Job): Cell {
  const style = STATE_STYLES[job.state];
  return style === undefined ? job.state : { text: job.state, style };
}

async function show(call: Call, text: string): Promise<number> {
  const job = await findJob(await connect(call.home), text);
  if (call.json) printJson(call, job);
  else call.world.stdout.write(renderFacts(jobFacts(job, call.world.now()), sheetOf(call)));
  return 0;
}

async function cancel(call: Call, text: string): Promise<number> {
  const node = await connect(call.home);
  const { id } = await findJob(node, text);
  const job = await node.ask<Job>({ method: 'POST', path: `/jobs/${encodeURIComponent(id)}/cancel` });
  if (call.json) printJson(call, job);
  else call.world.stdout.write(`Job ${shortId(job.id)} is ${job.endedAt === null ? 'being cancelled' : job.state}.\n`);
  return 0;
}

/** A whole id is looked up in all history, a part of one in the newest jobs. */
async function findJob(node: NodeClient, text: string): Promise<Job> {
  try {
    return await node.ask<Job>({ path: `/jobs/${encodeURIComponent(text)}` });
  } catch (thrown) {
    const askForPart =
      thrown instanceof GoGridError && ['job_not_found', 'not_found', 'invalid_request'].includes(thrown.code);
    if (!askForPart) throw thrown;
  }
  const { jobs } = await node.ask<JobList>({ path: `/jobs?limit=${API.maxListed}` });
  return findOne(jobs, text, (job) => ({ id: job.id }), 'job', 'job_not_found');
}

/** All that is known of a job. */
export function jobFacts(job: Job, now: number): (readonly [string, Cell])[] {
  const took = job.endedAt === null ? undefined : (job.endedAt - job.createdAt) / 1000;
  const first = job.firstTokenAt === null ? '-' : `${((job.firstTokenAt - job.createdAt) / 1000).toFixed(2)} s`;
  return [
    ['job', job.id],
    ['state', stateCell(job)],
    ...(job.reason === null ? [] : [['reason', job.reason] as const]),
    ['kind', job.kind],
    ['direction', `${job.direction}: ${DIRECTIONS[job.direction]}`],
    ['lane', job.lane],
    ['model', job.model],
    ['requester', job.requester],
    ['provider', job.provider ?? '-'],
    ['tokens', `${job.tokensIn} in, ${job.tokensOut} out${job.usageEstimated ? ' (estimated)' : ''}`],
    ['speed', job.tokensPerSecond === null ? '-' : `${job.tokensPerSecond.toFixed(1)} tokens a second`],
    ['asked', formatAgo(job.createdAt, now)],
    ['first token', first],
    ['took', took === undefined ? 'not over' : took < 60 ? `${took.toFixed(2)} s` : formatDuration(took)],
    ['cost', `${job.costMicrocredits} microcredits`],
    ...job.attempts.map((attempt, index) => {
      const tokens = `tokens ${attempt.fromToken} to ${attempt.toToken}`;
      return [
        index === 0 ? 'attempts' : '',
        `${attempt.provider}, ${tokens}, ${attempt.reason ?? 'to the end'}`,
      ] as const;
    }),
  ];
}

const DIRECTIONS = { local: 'asked and run here', out: 'asked here, run there', in: 'asked there, run here' } as const;
