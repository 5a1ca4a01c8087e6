/**
 * Overload: jobs come at ten times the rate at which the mesh can do them, whether those before are done or not. Nobody
 * crashes, memory stays bounded, whoever is refused is told when to come back, and those who are served notice nothing.
 */

import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { JOB } from '../../src/limits/jobs.ts';
import { startAsking, type Way } from '../harness/asking.ts';
import { answerTo } from '../harness/expected.ts';
import type { MemberOptions, Mesh } from '../harness/mesh.ts';
import type { NodeProcess } from '../harness/node-process.ts';
import { type Random, randomFrom } from '../harness/random.ts';
import { isFree } from '../harness/rest.ts';
import { until } from '../harness/until.ts';
import { quantile } from './figures.ts';

export interface OverloadOptions {
  /** How long jobs come. */
  readonly secs: number;
  readonly seed: number;
  readonly requesters: number;
  readonly providers: number;
}

/** Megabytes of memory that a process holds (RSS). */
export interface Memory {
  readonly node: string;
  readonly before: number;
  readonly peak: number;
  readonly after: number;
}

/** Quantiles in milliseconds. */
interface Times {
  readonly p50: number;
  readonly p99: number;
}

export interface OverloadReport {
  /** Jobs a second: what the engines can do, and what came. */
  readonly capacity: number;
  readonly offered: number;
  readonly asked: number;
  readonly answered: number;
  readonly refused: number;
  /** From the first word of an answer to its last, of answers of one length. */
  readonly unloaded: Times;
  readonly loaded: Times;
  /** From the question to the refusal. */
  readonly refusal: Times;
  readonly memory: readonly Memory[];
  /** What must not be. */
  readonly violations: readonly string[];
}

const TIMES_CAPACITY = 10;
const TOKENS_PER_SECOND = 60;
const TOKENS = 30;
const SLOTS = 2;
const UNLOADED_ROUNDS = 10;
const MEMORY_EVERY_MS = 250;
const STREAMED = ['openai streamed', 'ollama streamed'] as const;
/** How much longer an answer may take in the storm: the engine's pace is fixed, the machine's two cores are shared. */
const SLOWER = { p50: 1.25, p99: 2 };
/** Megabytes that a node may grow by: hundreds of jobs that wait, and a heap that is not collected while it is busy. */
const GROWTH_MB = 150;

export function overloadMembers({ requesters, providers }: OverloadOptions): MemberOptions[] {
  const env = { GOGRID_WORKER_MAX_CONCURRENT_JOBS: String(SLOTS) };
  const engine = { tokensPerSecond: TOKENS_PER_SECOND, parallel: SLOTS };
  return [
    ...Array.from({ length: requesters }, () => ({})),
    ...Array.from({ length: providers }, () => ({ engine, env })),
  ];
}

export async function overload(mesh: Mesh, options: OverloadOptions): Promise<OverloadReport> {
  const random = randomFrom(options.seed, 'overload');
  const requesters = mesh.members.slice(0, options.requesters).map(({ node }) => node);
  const capacity = (options.providers * SLOTS * TOKENS_PER_SECOND) / TOKENS;
  const offered = capacity * TIMES_CAPACITY;
  const quiet = await unloaded(requesters, random);
  const watch = new MemoryWatch(mesh);
  await watch.begin();
  const storm = await Promise.all(await ask(requesters, random, offered, options.secs));
  await watch.end();
  const violations = [...quiet, ...storm].flatMap(({ violation }) => violation ?? []);
  violations.push(...(await afterwards(mesh, options.requesters)));
  const answered = storm.filter(({ decodeMs }) => decodeMs !== undefined);
  const refused = storm.filter(({ refusedMs }) => refusedMs !== undefined);
  const report = {
    capacity,
    offered,
    asked: storm.length,
    answered: answered.length,
    refused: refused.length,
    unloaded: timesOf(quiet.flatMap(({ decodeMs }) => decodeMs ?? [])),
    loaded: timesOf(answered.flatMap(({ decodeMs }) => decodeMs ?? [])),
    refusal: timesOf(refused.flatMap(({ refusedMs }) => refusedMs ?? [])),
    memory: watch.memory(),
    violations,
  };
  violations.push(...tooMuch(report));
  return report;
}

export function overloadLines(report: OverloadReport): string[] {
  const { unloaded, loaded, refusal } = report;
  return [
    `jobs      ${report.asked} asked at ${report.offered} a second, of which ${report.capacity} can be done`,
    `          ${report.answered} answered, ${report.refused} refused`,
    `answers   of ${TOKENS} tokens at ${TOKENS_PER_SECOND} a second, first word to last:`,
    `          unloaded p50 ${unloaded.p50} ms, p99 ${unloaded.p99} ms; in the storm p50 ${loaded.p50} ms, p99 ${loaded.p99} ms`,
    `refusals  p50 ${refusal.p50} ms, p99 ${refusal.p99} ms after the question`,
    ...report.memory.map(
      ({ node, before, peak, after }) =>
        `memory    ${node}: ${before} MB before, ${peak} MB at most, ${after} MB after`,
    ),
    ...report.violations.slice(0, 20).map((violation) => `VIOLATION ${violation}`),
  ];
}

/* ---- one job ---- */

interface Done {
  readonly decodeMs?: number;
  readonly refusedMs?: number;
  readonly violation?: string;
}

async function askOne(node: NodeProcess, way: Way, random: Random): Promise<Done> {
  const content = `${random.word(10)} words=${TOKENS}`;
  const askedAt = performance.now();
  let firstAt = 0;
  const onPiece = ({ pieces }: { pieces: number }) => {
    if (pieces === 1) firstAt = performance.now();
  };
  const { ended, heard } = startAsking(node, way, { content, onPiece });
  const error: unknown = await ended.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  const now = performance.now();
  if (error === undefined) {
    return heard.text === answerTo(content)
      ? { decodeMs: now - firstAt }
      : { violation: `'${content}' by ${way}: another text than expected` };
  }
  const secs = Number(heard.headers?.get('retry-after') ?? Number.NaN);
  const comeBack = Number.isInteger(secs) && secs >= JOB.minRetryAfterSecs && secs <= JOB.maxRetryAfterSecs;
  if (heard.status === 503 && heard.text === '' && comeBack) return { refusedMs: now - askedAt };
  return { violation: `'${content}' by ${way}: status ${heard.status}, Retry-After ${secs}: ${String(error)}` };
}

/** One after the other. */
async function unloaded(requesters: readonly NodeProcess[], random: Random): Promise<Done[]> {
  const done: Done[] = [];
  for (let round = 0; round < UNLOADED_ROUNDS; round++) {
    for (const node of requesters) for (const way of STREAMED) done.push(await askOne(node, way, random));
  }
  return done;
}

/** Jobs at a steady rate for so many seconds, without regard for those before; returns once the last was sent. */
async function ask(
  requesters: readonly NodeProcess[],
  random: Random,
  perSecond: number,
  secs: number,
): Promise<Promise<Done>[]> {
  const asked: Promise<Done>[] = [];
  const startedAt = performance.now();
  for (let elapsed = 0; elapsed < secs * 1000; elapsed = performance.now() - startedAt) {
    // As many as are due: a timer that comes late sends them together.
    while (asked.length < (elapsed * perSecond) / 1000) {
      asked.push(askOne(random.pick(requesters), random.pick(STREAMED), random));
    }
    await sleep(1000 / perSecond);
  }
  return asked;
}

/* ---- what must hold ---- */

/** Nobody crashed, nothing is left, and the next question is answered. */
async function afterwards(mesh: Mesh, requesters: number): Promise<string[]> {
  const wrong: string[] = [];
  const check = (promise: Promise<unknown>) => promise.catch((error: unknown) => void wrong.push(String(error)));
  for (const [index, { node, engine }] of mesh.members.entries()) {
    if (node.exit !== undefined) wrong.push(`${node.name} ended: ${JSON.stringify(node.exit)}`);
    if (engine !== undefined) {
      await check(until(() => isFree(mesh, index), { what: `${node.name} to have no slot taken`, within: 5_000 }));
    }
    if (index >= requesters) continue;
    const content = 'after the storm words=5';
    const { ended } = startAsking(node, 'openai whole', { content });
    const { text } = await ended.catch((error: unknown) => ({ text: String(error) }));
    if (text !== answerTo(content)) wrong.push(`${node.name} does not answer as before: ${text}`);
    const { running, queued } = (await node.status()).jobs;
    if (running + queued > 0) wrong.push(`${node.name} still counts ${running} running and ${queued} waiting jobs`);
  }
  return wrong;
}

function tooMuch(report: Omit<OverloadReport, 'violations'>): string[] {
  const { unloaded, loaded, memory } = report;
  const wrong = memory
    .filter(({ before, peak }) => peak > before + GROWTH_MB)
    .map(({ node, before, peak }) => `${node} grew from ${before} MB to ${peak} MB`);
  if (report.refused === 0) wrong.push('nobody was refused, so there was no overload');
  if (report.answered < report.capacity) wrong.push(`only ${report.answered} jobs were answered`);
  if (loaded.p50 > SLOWER.p50 * unloaded.p50) wrong.push(`answers took ${loaded.p50} ms instead of ${unloaded.p50} ms`);
  if (loaded.p99 > SLOWER.p99 * unloaded.p99) wrong.push(`p99 was ${loaded.p99} ms instead of ${unloaded.p99} ms`);
  return wrong;
}

function timesOf(values: readonly number[]): Times {
  return { p50: quantile(values, 0.5), p99: quantile(values, 0.99) };
}

/* ---- memory ---- */

class MemoryWatch {
  readonly #nodes: readonly NodeProcess[];
  readonly #before: number[] = [];
  readonly #after: number[] = [];
  #peak: number[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(mesh: Mesh) {
    this.#nodes = mesh.members.map(({ node }) => node);
  }

  async begin(): Promise<void> {
    this.#before.push(...(await this.#now()));
    this.#peak = [...this.#before];
    this.#timer = setInterval(() => void this.#look(), MEMORY_EVERY_MS);
  }

  async end(): Promise<void> {
    clearInterval(this.#timer);
    this.#after.push(...(await this.#now()));
    await this.#look();
  }

  memory(): Memory[] {
    return this.#nodes.map(({ name }, index) => ({
      node: name,
      before: this.#before[index] ?? 0,
      peak: this.#peak[index] ?? 0,
      after: this.#after[index] ?? 0,
    }));
  }

  async #look(): Promise<void> {
    for (const [index, mb] of (await this.#now()).entries()) this.#peak[index] = Math.max(this.#peak[index] ?? 0, mb);
  }

  #now(): Promise<number[]> {
    return Promise.all(this.#nodes.map(({ pid }) => residentMb(pid)));
  }
}

/** 0 where the system does not tell, or the process is gone. */
async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Math.round(Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024);
}
