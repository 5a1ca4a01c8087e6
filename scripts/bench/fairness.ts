/**
 * P13: what one submitter gets of a provider beside another, in weighted tokens, against the bound of the Virtual Token
 * Counter (arXiv 2401.00588): between two who both always have jobs waiting the service they got differs, over whatever
 * time, by at most 2 × max(wp × longest prompt, wq × tokens that run at once).
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeStatusAnswer } from '../../src/contract/control.ts';
import { quantile } from './client.ts';
import { joining, listsModel, type MeasuredNode, ollamaAt, startNode } from './nodes.ts';
import { until } from './processes.ts';
import type { Benchmark, Figure } from './report.ts';
import { type Heard, hear, startWordEngine } from './words.ts';

/** Of a token read, and of one written: wp and wq of the paper. */
const WEIGHTS = { read: 1, written: 2 };
const TOKENS_PER_SECOND = 250;
/** The provider runs one job at a time: what runs at once is the longest answer. */
const LONG = { words: 60, promptChars: 320 };
const SHORT = { words: 15, promptChars: 40 };
const LONGEST_PROMPT_TOKENS = 110;
const BOUND = 2 * Math.max(WEIGHTS.read * LONGEST_PROMPT_TOKENS, WEIGHTS.written * LONG.words);

/** Both keep so many questions open: more than a provider's queue takes of one account. */
const OPEN = 12;
const BACKLOGGED_MS = 60_000;
/** The flooder keeps so many open. */
const FLOOD = 60;
/** Questions of the light one in a round, alone and then beside the flood. */
const QUESTIONS = 8;
const ROUNDS = 6;
const PAUSE_MS = 150;
/** Before a refused question is asked again. */
const REFUSED_MS = 250;

interface Mesh {
  readonly provider: MeasuredNode;
  readonly heavy: Submitter;
  readonly light: Submitter;
}

export const fairness: Benchmark = {
  name: 'fairness',
  title: 'P13: a flooder and a light submitter at one provider',
  async run({ scale, program }) {
    const engine = await startWordEngine({ tokensPerSecond: TOKENS_PER_SECOND });
    const provider = await startNode(program, ollamaAt(engine.url));
    const submit = async (question: Shape) => new Submitter(await startNode(program, joining(provider)), question);
    const mesh: Mesh = { provider, heavy: await submit(LONG), light: await submit(SHORT) };
    await Promise.all([mesh.heavy, mesh.light].map(({ node }) => listsModel(node, 'words')));
    const both = await backlogged(mesh, Math.max(5_000, BACKLOGGED_MS * scale));
    const beside = await besideFlood(mesh, Math.ceil(ROUNDS * scale));
    return {
      rows: [...both.rows, ...beside.rows],
      figures: [...both.figures, ...beside.figures],
      notes: [
        `A token read counts ${WEIGHTS.read}, one written ${WEIGHTS.written}; the bound is ${BOUND}. Long questions have answers of ${LONG.words} words, short ones of ${SHORT.words}, at ${TOKENS_PER_SECOND} a second, one at a time. A wait ends with the first word.`,
      ],
    };
  },
};

/* ---- who asks ---- */

interface Shape {
  readonly words: number;
  readonly promptChars: number;
}

/** Tokens that somebody got, by their weight. */
interface Service {
  readonly at: number;
  readonly weight: number;
}

class Submitter {
  readonly node: MeasuredNode;
  readonly service: Service[] = [];
  answers = 0;
  refused = 0;
  readonly #shape: Shape;
  #asked = 0;
  #promptTokens = 0;

  constructor(node: MeasuredNode, shape: Shape) {
    this.node = node;
    this.#shape = shape;
  }

  /** Asks one question; undefined when it was refused, or `signal` aborted. */
  async ask(signal?: AbortSignal): Promise<Heard | undefined> {
    const { words, promptChars } = this.#shape;
    const content = `${String(this.#asked++).padEnd(promptChars, '.')} words=${words}`;
    const heard = await hear({ url: this.node.url, content, ...(signal && { signal }) }).catch(() => undefined);
    const first = heard?.arrivals[0];
    if (heard === undefined || first === undefined) {
      if (signal?.aborted !== true) this.refused++;
      return undefined;
    }
    if (signal?.aborted !== true && heard.error !== undefined) throw new Error(`an answer failed: ${heard.error}`);
    if (heard.tokens === words) this.answers++;
    // Of an answer that was broken off nobody tells; all prompts of one submitter are about as long.
    this.#promptTokens = heard.promptTokens || this.#promptTokens;
    if (this.#promptTokens > LONGEST_PROMPT_TOKENS) throw new Error(`a prompt of ${this.#promptTokens} tokens`);
    this.service.push({ at: first.at, weight: WEIGHTS.read * this.#promptTokens });
    this.service.push(...heard.arrivals.map(({ at }) => ({ at, weight: WEIGHTS.written })));
    return heard;
  }

  /** Keeps so many questions open until `signal` aborts. */
  async flood(open: number, signal: AbortSignal): Promise<void> {
    const again = async () => {
      while (!signal.aborted) if ((await this.ask(signal)) === undefined) await sleep(REFUSED_MS);
    };
    await Promise.all(Array.from({ length: open }, again));
  }

  /** Weighted tokens that it got from one time to another. */
  served(from: number, to: number): number {
    return this.service.reduce((sum, { at, weight }) => sum + (at >= from && at <= to ? weight : 0), 0);
  }
}

/* ---- both always have jobs waiting ---- */

async function backlogged({ heavy, light }: Mesh, ms: number) {
  const over = new AbortController();
  const floods = [heavy, light].map((submitter) => submitter.flood(OPEN, over.signal));
  await until('a first answer for both', async () => heavy.answers > 0 && light.answers > 0, { withinMs: 30_000 });
  const from = Date.now();
  await sleep(ms);
  const to = Date.now();
  over.abort();
  await Promise.all(floods);
  const gap = largestGap(heavy.service, light.service, from, to);
  const share = heavy.served(from, to) / light.served(from, to);
  return {
    rows: [heavy, light].map((submitter, index) => ({
      what: index === 0 ? 'long questions beside short ones' : 'short questions beside long ones',
      answers: submitter.answers,
      refused: submitter.refused,
      weightedTokensPerSecond: (submitter.served(from, to) * 1_000) / (to - from),
    })),
    figures: [
      {
        what: 'service gap of two who always have jobs waiting, against the bound',
        value: gap / BOUND,
        unit: '×',
        target: 'at most 2',
        met: gap <= 2 * BOUND,
      },
      { what: 'service of long against short questions', value: share, unit: '×' },
    ],
  };
}

/** The largest difference between what the two got, over any stretch of the time. */
function largestGap(a: readonly Service[], b: readonly Service[], from: number, to: number): number {
  const steps = [...a, ...b.map(({ at, weight }) => ({ at, weight: -weight }))]
    .filter(({ at }) => at >= from && at <= to)
    .toSorted((one, other) => one.at - other.at);
  let [difference, least, most] = [0, 0, 0];
  for (const { weight } of steps) {
    difference += weight;
    least = Math.min(least, difference);
    most = Math.max(most, difference);
  }
  return most - least;
}

/* ---- a light one beside a flood ---- */

async function besideFlood(mesh: Mesh, rounds: number) {
  const { provider, heavy, light } = mesh;
  const lengthMs = ({ from, to }: Wait) => to - from;
  const waits = { alone: [] as number[], beside: [] as number[] };
  const gaps: number[] = [];
  for (let round = 0; round < rounds; round++) {
    waits.alone.push(...(await askInTurn(light)).map(lengthMs));
    const over = new AbortController();
    const flood = heavy.flood(FLOOD, over.signal);
    const queueIsFull = async () => ((await provider.get('/status')) as NodeStatusAnswer).queue.depth > 3;
    await until('a queue at the provider', queueIsFull, { withinMs: 30_000 });
    const waited = await askInTurn(light);
    over.abort();
    await flood;
    waits.beside.push(...waited.map(lengthMs));
    gaps.push(...waited.map(({ from, to }) => heavy.served(from, to)));
  }
  const [gap, p99] = [Math.max(...gaps), quantile(waits.beside, 0.99)];
  const longMs = (LONG.words * 1_000) / TOKENS_PER_SECOND;
  const figures: Figure[] = [
    {
      what: 'service of the flooder while a light question waited, most, against the bound',
      value: gap / BOUND,
      unit: '×',
      target: 'at most 2',
      met: gap <= 2 * BOUND,
    },
    { what: 'wait of a light question beside the flood, p99, against one long answer', value: p99 / longMs, unit: '×' },
  ];
  return {
    rows: [waitRow('a light one alone', waits.alone), waitRow('a light one beside the flood', waits.beside)],
    figures,
  };
}

/** From asking to the first word, refusals included. */
interface Wait {
  readonly from: number;
  readonly to: number;
}

/** So many questions, one after the other. */
async function askInTurn(light: Submitter): Promise<Wait[]> {
  const waits: Wait[] = [];
  for (let count = 0; count < QUESTIONS; count++) {
    await sleep(PAUSE_MS * (0.5 + Math.random()));
    const from = Date.now();
    let to: number | undefined;
    while (to === undefined) {
      to = (await light.ask())?.arrivals[0]?.at;
      if (to === undefined) await sleep(REFUSED_MS);
    }
    waits.push({ from, to });
  }
  return waits;
}

function waitRow(what: string, waits: readonly number[]) {
  return { what, answers: waits.length, waitP50Ms: quantile(waits, 0.5), waitP99Ms: quantile(waits, 0.99) };
}
