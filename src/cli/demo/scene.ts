/** Act two and three: the question, the death in mid-sentence, and what came of the answer. */

import type { Job } from '../../contract/control.ts';
import { GoGridError } from '../../errors.ts';
import { DEMO } from '../../limits/program.ts';
import { readAnswer } from './answer-stream.ts';
import { areContiguous, compareTexts, isMidSentence, sharesOf, wordsOf } from './checks.ts';
import type { WrittenPart } from './events.ts';
import type { DemoMesh } from './gather.ts';
import type { Member } from './member.ts';
import type { Stage } from './stage.ts';

/** The answer that two nodes wrote. */
export interface SharedAnswer {
  readonly text: string;
  readonly job: string;
  /** Each node's text, in order. */
  readonly written: readonly { readonly node: string; readonly text: string }[];
  readonly killed: Member;
  readonly firstTextMs: number;
  readonly standstillMs: number;
  /** It was as long as it may be. */
  readonly full: boolean;
}

/** Asks, shows the answer as it comes, and kills the node that gives it. */
export async function askAndKill(stage: Stage, mesh: DemoMesh): Promise<SharedAnswer> {
  const { world, teller, options } = stage;
  teller.tell({ event: 'asked', node: mesh.asks.part.name, model: mesh.model, question: options.question });
  const askedAt = world.now();
  const stream = await openAnswer(stage, mesh);
  const job = stream.headers['x-gogrid-job'] ?? '';
  let writer = mesh.member(stream.headers['x-gogrid-provider']);
  const firstTextMs = world.now() - askedAt;
  teller.tell({
    event: 'answering',
    node: writer.part.name,
    route: stream.headers['x-gogrid-route'] ?? '',
    job,
    firstTextMs,
  });
  const written = [{ node: writer.part.name, text: '' }];
  let text = '';
  let lastTextAt = world.now();
  let standstillMs = 0;
  let full = false;
  let victim: Member | undefined;
  for await (const event of readAnswer(stream.lines)) {
    if (event.type === 'handover') {
      writer = mesh.member(event.provider);
      written.push({ node: writer.part.name, text: '' });
      teller.tell({ event: 'continued', node: writer.part.name, route: event.route });
      continue;
    }
    if (event.type === 'finish') {
      full = event.reason === 'length';
      continue;
    }
    const part = written.at(-1) as (typeof written)[number];
    if (part.text === '' && written.length > 1) standstillMs = world.now() - lastTextAt;
    lastTextAt = world.now();
    part.text += event.text;
    text += event.text;
    teller.tell({ event: 'text', node: writer.part.name, text: event.text });
    if (victim !== undefined || !isMidSentence(text, DEMO.killAfterWords)) continue;
    victim = writer;
    kill(stage, victim, wordsOf(text).length, () => written.length === 1);
  }
  if (victim === undefined) throw tooShort(text);
  if (written.length < 2) throw tooFast(victim);
  return { text, job, written, killed: victim, firstTextMs, standstillMs, full };
}

/** The same question for every asking: what a model says to it depends on nothing else. */
function openAnswer({ options, signal }: Stage, { asks, model }: DemoMesh) {
  return asks.client.stream({
    method: 'POST',
    path: '/v1/chat/completions',
    body: {
      model,
      messages: [{ role: 'user', content: options.question }],
      stream: true,
      temperature: 0,
      seed: 1,
      max_tokens: DEMO.answerTokens,
    },
    signal: AbortSignal.any([signal, AbortSignal.timeout(DEMO.answerWithinMs)]),
  });
}

/** @param alone whether nobody has gone on with the answer yet */
function kill({ world, teller }: Stage, victim: Member, afterWords: number, alone: () => boolean): void {
  const { name: node } = victim.part;
  const { pid } = victim.ready;
  victim.process.kill();
  teller.tell({ event: 'killed', node, pid, afterWords });
  void victim.process.ended
    .then(() => world.wait(DEMO.silentMs))
    .then(() => {
      if (alone()) teller.tell({ event: 'silent', node, pid });
    });
}

/** Asks once more with nobody killed, and tells what became of the shared answer. */
export async function compare(stage: Stage, mesh: DemoMesh, answer: SharedAnswer): Promise<void> {
  const { teller } = stage;
  teller.tell({ event: 'comparing', full: answer.full });
  const stream = await openAnswer(stage, mesh);
  const node = mesh.member(stream.headers['x-gogrid-provider']).part.name;
  let text = '';
  for await (const event of readAnswer(stream.lines)) {
    if (event.type === 'text') text += event.text;
  }
  const job = await finishedJob(stage, mesh, answer.job);
  const parts = partsOf(mesh, answer, job);
  teller.tell({
    event: 'done',
    text: answer.text,
    parts,
    tokens: job.tokensOut,
    contiguous: areContiguous(sharesOf(job), job.tokensOut) && parts.map((part) => part.text).join('') === answer.text,
    killed: { node: answer.killed.part.name, pid: answer.killed.ready.pid },
    standstillMs: answer.standstillMs,
    firstTextMs: answer.firstTextMs,
    reference: { node, text, ...compareTexts(answer.text, text) },
  });
}

async function finishedJob({ world, signal }: Stage, { asks }: DemoMesh, id: string): Promise<Job> {
  const until = world.now() + DEMO.recordWithinMs;
  for (;;) {
    const job = await asks.client.ask<Job>({ path: `/jobs/${encodeURIComponent(id)}`, signal });
    if (job.state === 'completed' || world.now() > until) return job;
    await world.wait(DEMO.lookEveryMs);
  }
}

/** The job's record says who delivered which tokens, the stream which text; a text stands where both name the same node. */
function partsOf(mesh: DemoMesh, { written }: SharedAnswer, job: Job): WrittenPart[] {
  const texts = written.filter(({ text }) => text !== '');
  return sharesOf(job).map(({ provider, fromToken, toToken }, index) => {
    const node = mesh.member(provider).part.name;
    const text = texts[index]?.node === node ? texts[index].text : '';
    return { node, fromToken, toToken, text };
  });
}

function tooShort(text: string): GoGridError {
  return new GoGridError({
    code: 'engine_failed',
    message: `the answer was over after ${wordsOf(text).length} words, before anybody could be killed in mid-sentence`,
    hint: 'ask for a longer one with --question, or take another --model',
  });
}

function tooFast({ part }: Member): GoGridError {
  return new GoGridError({
    code: 'engine_failed',
    message: `${part.name} had sent the whole answer before it was gone: this model is faster than the demo`,
    hint: 'ask for a longer answer with --question, or take a larger --model',
  });
}
