/**
 * R7: ten times as many questions as a mesh can answer, for a minute. Two nodes ask, one answers; before and afterwards the
 * same questions come one at a time.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from './client.ts';
import { joining, listsModel, type MeasuredNode, ollamaAt, startNode } from './nodes.ts';
import { memoryMiB } from './processes.ts';
import type { Benchmark, Figure } from './report.ts';
import { type Heard, hear, startWordEngine, wrongWords } from './words.ts';

const WORDS = 30;
const TOKENS_PER_SECOND = 300;
const SLOTS = 2;
const CAPACITY_PER_SECOND = (SLOTS * TOKENS_PER_SECOND) / WORDS;
const TIMES = 10;
const OVERLOAD_MS = 60_000;
const QUESTIONS_BEFORE = 100;
const MEMORY_EVERY_MS = 1_000;
/** Of the minute, at its beginning and at its end: what grows without a bound grows between them. */
const MEMORY_SHARE = 0.25;

/** One question: answered, or refused. */
interface Asked {
  readonly status: number;
  readonly retryAfter: boolean;
  /** From asking to the first word, and from there to the end, milliseconds. */
  readonly waitMs: number;
  readonly wordsMs: number;
  /** Of an answer: every word is there, once. */
  readonly right: boolean;
}

export const overload: Benchmark = {
  name: 'overload',
  title: `R7: ${TIMES} times as many questions as there is room for`,
  async run({ scale, program }) {
    const engine = await startWordEngine({ tokensPerSecond: TOKENS_PER_SECOND, parallel: SLOTS });
    const slots = { GOGRID_WORKER_MAX_CONCURRENT_JOBS: String(SLOTS) };
    const provider = await startNode(program, { ...ollamaAt(engine.url), ...slots });
    const requesters = [await startNode(program, joining(provider)), await startNode(program, joining(provider))];
    await Promise.all(requesters.map((node) => listsModel(node, 'words')));
    const nodes = [provider, ...requesters];
    const count = Math.ceil(QUESTIONS_BEFORE * scale);
    const before = await inTurn(requesters, count);
    const during = await flood(requesters, nodes, Math.max(5_000, OVERLOAD_MS * scale));
    const after = await inTurn(requesters, count);
    return {
      rows: [
        rowOf('before', before),
        { ...rowOf(`${TIMES} times the capacity`, during.asked), ...memoryRow(during.rssMiB) },
        rowOf('afterwards', after),
      ],
      figures: figuresOf(before, during, after),
      notes: [
        `There is room for ${CAPACITY_PER_SECOND} answers a second of ${WORDS} words each; ${CAPACITY_PER_SECOND * TIMES} questions came. A question waits until its first word, its words take from there to its end. Memory is the most of the three nodes, in the first and the last quarter of the time.`,
      ],
    };
  },
};

async function inTurn(nodes: readonly MeasuredNode[], count: number): Promise<Asked[]> {
  const all: Asked[] = [];
  for (let index = 0; index < count; index++) all.push(await ask(nodes, index));
  return all;
}

interface During {
  readonly asked: readonly Asked[];
  readonly rssMiB: { readonly early: number; readonly late: number };
}

/** Asks at an even pace, whatever becomes of the questions. */
async function flood(asking: readonly MeasuredNode[], all: readonly MeasuredNode[], ms: number): Promise<During> {
  const everyMs = 1_000 / (CAPACITY_PER_SECOND * TIMES);
  const questions: Promise<Asked>[] = [];
  const memory: { readonly at: number; readonly rss: number }[] = [];
  const startedAt = performance.now();
  for (let now = 0; now < ms; now = performance.now() - startedAt) {
    while (questions.length * everyMs <= now) questions.push(ask(asking, questions.length));
    if (memory.length * MEMORY_EVERY_MS <= now) {
      memory.push({ at: now, rss: Math.max(...all.map(({ pid }) => memoryMiB(pid).rss)) });
    }
    await sleep(everyMs);
  }
  const most = (from: number, to: number) =>
    Math.max(...memory.map(({ at, rss }) => (at >= from * ms && at <= to * ms ? rss : 0)));
  const rssMiB = { early: most(0, MEMORY_SHARE), late: most(1 - MEMORY_SHARE, 1) };
  return { asked: await Promise.all(questions), rssMiB };
}

async function ask(nodes: readonly MeasuredNode[], index: number): Promise<Asked> {
  const content = `question ${index}: words=${WORDS}`;
  const node = nodes[index % nodes.length];
  if (node === undefined) throw new Error('nobody to ask');
  const heard = await hear({ url: node.url, content }).catch(() => undefined);
  if (heard === undefined) return { status: 0, retryAfter: false, waitMs: 0, wordsMs: 0, right: false };
  const firstAt = heard.arrivals[0]?.at ?? heard.endedAt;
  return {
    status: heard.status,
    retryAfter: Number(heard.headers['retry-after']) > 0,
    waitMs: firstAt - heard.askedAt,
    wordsMs: heard.endedAt - firstAt,
    right: isRight(content, heard),
  };
}

function isRight(content: string, { error, text }: Heard): boolean {
  return error === undefined && wrongWords(content, text) === 0;
}

/* ---- what came of it ---- */

const answered = (all: readonly Asked[]) => all.filter(({ status }) => status === 200);
const refused = (all: readonly Asked[]) => all.filter(({ status }) => status === 503 || status === 429);
const median = (all: readonly Asked[], of: 'waitMs' | 'wordsMs', share = 0.5) =>
  quantile(
    answered(all).map((asked) => asked[of]),
    share,
  );

function rowOf(when: string, all: readonly Asked[]) {
  return {
    when,
    questions: all.length,
    answered: answered(all).length,
    refused: refused(all).length,
    waitP50Ms: median(all, 'waitMs'),
    waitP99Ms: median(all, 'waitMs', 0.99),
    wordsP50Ms: median(all, 'wordsMs'),
    wordsP99Ms: median(all, 'wordsMs', 0.99),
  };
}

const memoryRow = ({ early, late }: During['rssMiB']) => ({ earlyRssMiB: early, lateRssMiB: late });

function figuresOf(before: readonly Asked[], { asked, rssMiB }: During, after: readonly Asked[]): Figure[] {
  const told = refused(asked).filter(({ retryAfter }) => retryAfter).length / refused(asked).length;
  const wrong = [...before, ...asked, ...after].filter(
    (each) => !refused([each]).includes(each) && !(each.status === 200 && each.right),
  ).length;
  const pace = median(asked, 'wordsMs') / median(before, 'wordsMs');
  const paceP99 = median(asked, 'wordsMs', 0.99) / median(before, 'wordsMs', 0.99);
  const recovered = median(after, 'waitMs') / median(before, 'waitMs');
  const growth = rssMiB.late / rssMiB.early;
  return [
    {
      what: 'refused questions that are told when to come back',
      value: told * 100,
      unit: '%',
      target: 'at least 100',
      met: told === 1,
    },
    { what: 'answers that broke off or were wrong', value: wrong, unit: '', target: 'at most 0', met: wrong === 0 },
    {
      what: 'time of an admitted answer against before, p50',
      value: pace,
      unit: '×',
      target: 'at most 1.1',
      met: pace <= 1.1,
    },
    { what: 'time of an admitted answer against before, p99', value: paceP99, unit: '×' },
    {
      what: 'wait of a question afterwards against before, p50',
      value: recovered,
      unit: '×',
      target: 'at most 1.5',
      met: recovered <= 1.5,
    },
    {
      what: 'memory at the end of the minute against its beginning',
      value: growth,
      unit: '×',
      target: 'at most 1.2',
      met: growth <= 1.2,
    },
  ];
}
