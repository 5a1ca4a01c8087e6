/** `gogrid jobs` */

import type { Job, JobList, ListedJob } from '../contract/control.ts';
import { GoGridError } from '../errors.ts';
import { API } from '../limits/api.ts';
import { usage } from './arguments.ts';
import { type Call, flagOf, printJson, sheetOf } from './command.ts';
import { findOne } from './find.ts';
import { jobHeadline, jobStory, seers, waitSentence } from './job-story.ts';
import { machineNames, type NameOf } from './machine-names.ts';
import { connect, type NodeClient } from './node-client.ts';
import { wholeNumber } from './numbers.ts';
import { type Cell, type Column, renderFacts, renderTable } from './table.ts';
import { formatAgo, formatDuration, idText, printable, type Style, shortId } from './text.ts';

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
    call.world.stdout.write('No job was asked or run here yet.\n');
  } else {
    const sheet = sheetOf(call);
    const table = call.flags.has('seen-by') ? SEEN_BY : JOBS;
    const nameOf = await machineNames(node);
    const rows = table.rows(answer.jobs, nameOf, call.world.now(), sheet.columns);
    call.world.stdout.write(renderTable(table.columns, rows, sheet));
    call.world.stdout.write(table.after(answer.jobs, nameOf));
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

const SEEN_BY_COLUMNS: readonly Column[] = [
  { title: 'JOB' },
  { title: 'AGE', align: 'right' },
  { title: 'MODEL', shrinks: true },
  { title: 'PRIVACY' },
  { title: 'SEEN BY', shrinks: true },
];

const STATE_STYLES: Readonly<Record<string, Style>> = {
  completed: 'green',
  running: 'cyan',
  failed: 'red',
  expired: 'red',
  cancelled: 'yellow',
};

/**
 * Newest first, as the API lists them. Tokens are those written. Ids are whole where `columns` is undefined. The last
 * says the error code of one that ended early.
 */
export function jobRows(
  jobs: readonly ListedJob[],
  nameOf: NameOf,
  now: number,
  columns: number | undefined,
): Cell[][] {
  return jobs.map((job) => [
    idText(job.id, columns),
    stateCell(job),
    job.direction,
    job.model,
    job.provider === null ? '-' : nameOf(job.provider),
    String(job.tokensOut),
    job.tokensPerSecond === null ? '-' : job.tokensPerSecond.toFixed(1),
    formatAgo(job.createdAt, now),
    job.reason ?? '',
  ]);
}

/** Which machines saw the prompt of each job, as far as this node knows: a peer's job may have been elsewhere before. */
export function seenByRows(
  jobs: readonly ListedJob[],
  nameOf: NameOf,
  now: number,
  columns: number | undefined,
): Cell[][] {
  return jobs.map((job) => [
    idText(job.id, columns),
    formatAgo(job.createdAt, now),
    job.model,
    job.privacy ?? '-',
    seers(job, nameOf),
  ]);
}

/** The two lists of jobs. */
const JOBS = { columns: JOB_COLUMNS, rows: jobRows, after: waitingText };
const SEEN_BY = {
  columns: SEEN_BY_COLUMNS,
  rows: seenByRows,
  after: () => '\nWhoever runs a model reads the prompt.\n',
};

/** What waits, where, behind how many and about how long: sentences, which a column of a table would cut. */
function waitingText(jobs: readonly ListedJob[], nameOf: NameOf): string {
  const lines = jobs.flatMap((job) => {
    const what = job.endedAt === null ? waitSentence(job, nameOf) : undefined;
    const whose = job.direction === 'in' ? `, for ${nameOf(job.requester)}` : '';
    return what === undefined ? [] : [`  ${printable(shortId(job.id))}  ${what}${whose}\n`];
  });
  return lines.length === 0 ? '' : `\nWaiting now:\n${lines.join('')}`;
}

function stateCell(job: ListedJob): Cell {
  const style = STATE_STYLES[job.state];
  return style === undefined ? job.state : { text: job.state, style };
}

async function show(call: Call, text: string): Promise<number> {
  const node = await connect(call.home);
  const [job, ...namesakes] = await findJobs(node, text);
  const { stdout } = call.world;
  if (call.json) {
    printJson(call, job);
    return 0;
  }
  const nameOf = await machineNames(node);
  const now = call.world.now();
  const shown = [job, ...namesakes].map((each) => {
    const story = jobStory(each, nameOf, now).flatMap(([question, sentences]) =>
      sentences.map((sentence, index) => [index === 0 ? question : '', sentence] as const),
    );
    const head = call.paint('bold', printable(jobHeadline(each, nameOf, now)));
    return `${head}\n\n${renderFacts(story, sheetOf(call))}\n${renderFacts(jobFacts(each, now), sheetOf(call))}`;
  });
  stdout.write(shown.join('\n'));
  if (namesakes.length > 0)
    stdout.write(call.paint('dim', `\n${shown.length} jobs have this id: peers choose the ids of theirs.\n`));
  return 0;
}

async function cancel(call: Call, text: string): Promise<number> {
  const node = await connect(call.home);
  const [{ id }] = await findJobs(node, text);
  const job = await node.ask<Job>({ method: 'POST', path: `/jobs/${encodeURIComponent(id)}/cancel` });
  if (call.json) printJson(call, job);
  else call.world.stdout.write(`Job ${shortId(job.id)} is ${job.endedAt === null ? 'being cancelled' : job.state}.\n`);
  return 0;
}

/**
 * A whole id is looked up in all history, a part of one in the newest jobs. A peer chooses the ids of the jobs that it asks
 * for here, so several may be meant by one part: this node's own comes first, and it is the one that the API means by that id.
 */
async function findJobs(node: NodeClient, text: string): Promise<readonly [Job, ...Job[]]> {
  const whole = await jobOf(node, text);
  if (whole !== undefined) return [whole];
  const { jobs } = await node.ask<JobList>({ path: `/jobs?limit=${API.maxListed}` });
  const distinct = [...new Map(jobs.map((job) => [job.id, job])).values()];
  const { id } = findOne(distinct, text, (job) => ({ id: job.id }), 'job', 'job_not_found');
  const first = await jobOf(node, id);
  if (first === undefined) throw new GoGridError({ code: 'job_not_found', message: `there is no job '${text}'` });
  // The others are of peers, who alone know why they came here.
  const others = jobs.filter((job) => job.id === id && keyOf(job) !== keyOf(first));
  return [first, ...others.map((job) => ({ ...job, decision: null }))];
}

function keyOf({ direction, requester }: ListedJob): string {
  return direction === 'in' ? requester : 'own';
}

async function jobOf(node: NodeClient, id: string): Promise<Job | undefined> {
  try {
    return await node.ask<Job>({ path: `/jobs/${encodeURIComponent(id)}` });
  } catch (thrown) {
    const isNone =
      thrown instanceof GoGridError && ['job_not_found', 'not_found', 'invalid_request'].includes(thrown.code);
    if (!isNone) throw thrown;
    return undefined;
  }
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
    ['lane', LANES[job.lane]],
    ['model', job.model],
    ['requester', job.requester],
    ['provider', job.provider ?? '-'],
    ['tokens', `${job.tokensIn} in, ${job.tokensOut} out${job.usageEstimated ? ' (estimated)' : ''}`],
    ['speed', job.tokensPerSecond === null ? '-' : `${job.tokensPerSecond.toFixed(1)} tokens a second`],
    ['asked', formatAgo(job.createdAt, now)],
    ['first token', first],
    ['took', took === undefined ? 'not over' : took < 60 ? `${took.toFixed(2)} s` : formatDuration(took)],
    ...(job.costMicrocredits === '0' ? [] : [['cost', `${job.costMicrocredits} microcredits`] as const]),
    ...job.attempts.map((attempt, index) => {
      const tokens = `tokens ${attempt.fromToken} to ${attempt.toToken}`;
      return [
        index === 0 ? 'attempts' : '',
        `${attempt.provider}, ${tokens}, ${attempt.reason ?? 'to the end'}`,
      ] as const;
    }),
  ];
}

/** In a mesh where nothing can be paid for, all peers are in the lane of those that pay. */
const LANES = { owner: 'yours', paid: 'peers', free: 'peers without credits' } as const;

const DIRECTIONS = { local: 'asked and run here', out: 'asked here, run there', in: 'asked there, run here' } as const;
