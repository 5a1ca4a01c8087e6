/** A client that asks one question, and holds what it gets against what it should get. */

import { type ErrorCode, type GoGridError, toGoGridError } from '../../errors.ts';
import type { JobOutput } from '../../jobs/output.ts';
import { JOB } from '../../limits/jobs.ts';
import { PROMPT_TOKENS, wholeAnswer } from '../word-engine.ts';
import type { JobPlan } from './plan.ts';
import type { Program } from './program.ts';
import { inputOf, wordsOf } from './prompts.ts';
import type { World } from './world.ts';

export type Outcome = { readonly kind: 'done' } | { readonly kind: 'failed'; readonly code: ErrorCode };

/** What may have made a job fail without anybody being at fault. */
export interface Circumstances {
  /** Something was broken on purpose in this history. */
  readonly faulty: boolean;
  /** Somebody has the model. */
  readonly served: boolean;
  /** Machines stop or are slow: nothing is on time. */
  readonly late: boolean;
  /** A machine here lets no job run for long. */
  readonly shortJobs: boolean;
  /** Longest time in line. */
  readonly maxWaitMs: number;
  /** Nodes that could run the client's job now, and have been well all the time. */
  readonly couldServe: (client: Client) => readonly number[];
}

/** By then a node that has just started has heard who is there. */
const KNOWS_ALL_MS = 5_000;
/** Waiting in line ends on time, but for the turn in which it does: then somebody who is gone may have to be asked. */
const LATE_MS = 1_000;
/** Reasons of attempts that are no failures. */
const HANDED_OVER: ReadonlySet<string> = new Set(['preempted', 'shutting_down']);
/** Failures that another provider may make good. */
const ELSEWHERE: ReadonlySet<ErrorCode> = new Set([
  'shutting_down',
  'preempted',
  'peer_unreachable',
  'provider_lost',
  'engine_failed',
  'engine_unavailable',
  'model_not_found',
  'privacy_unserved',
]);

export class Client {
  readonly job: JobPlan;
  readonly program: Program;
  outcome: Outcome | undefined;
  /** The job's id, as soon as it is known. */
  id: string | undefined;
  /** Virtual milliseconds since when it has waited in its requester's line; undefined while it does not. */
  waitsSince: number | undefined;
  readonly #world: World;
  readonly #circumstances: Circumstances;
  readonly #expected: string;
  readonly #expectedTokens: number;
  readonly #reason: string;
  readonly #askedAt: number;
  readonly #hangUp = new AbortController();
  #text = '';
  #ended = false;

  constructor(job: JobPlan, program: Program, world: World, circumstances: Circumstances) {
    this.job = job;
    this.program = program;
    this.#world = world;
    this.#circumstances = circumstances;
    const { tokens, reason } = wholeAnswer(inputOf(job), wordsOf);
    this.#expected = tokens.join('');
    this.#expectedTokens = tokens.length;
    this.#reason = reason;
    this.#askedAt = world.now;
  }

  /** Asks, and reads to the end. Never rejects. */
  async run(): Promise<void> {
    const { job, program } = this;
    const { clock } = program.process;
    this.#note(`asks for ${this.#expectedTokens} tokens of ${job.model}${describe(job)}`);
    const end =
      job.endsAfterMs === undefined ? undefined : clock.after(job.endsAfterMs, () => void this.#endByClient());
    try {
      const { privacy, deadlineMs, model, whole } = job;
      const spec = { model, input: inputOf(job), deadlineMs, privacy, whole };
      for await (const output of program.requester.run(spec, this.#hangUp.signal)) {
        this.#take(output);
        if (job.readerMs > 0 && output.type === 'chunk') await sleep(clock, job.readerMs);
      }
      if (this.outcome === undefined) this.#violate('answer-clear', 'the answer ended without an end');
    } catch (thrown) {
      await this.#failed(toGoGridError(thrown));
    } finally {
      end?.cancel();
    }
  }

  /** The client's own node stops: it hangs up. */
  hangUp(): void {
    this.#ended = true;
    this.#hangUp.abort();
  }

  async #endByClient(): Promise<void> {
    if (this.outcome !== undefined) return;
    if (this.job.endsBy === 'cancel' && this.id !== undefined) {
      this.#note('is cancelled by its id');
      this.#ended = true;
      await this.program.book.cancel(this.id);
    } else {
      this.#note('client hangs up');
      this.hangUp();
    }
  }

  #take(output: JobOutput): void {
    if (this.outcome !== undefined) this.#violate('delivered-once', `${output.type} after the end`);
    const inLine = output.type === 'waiting' && output.wait.where === 'mesh';
    if (!inLine) this.#leavesLine();
    switch (output.type) {
      case 'waiting': {
        const { where, ahead, phase } = output.wait;
        if (inLine) this.waitsSince ??= this.#world.now;
        this.#world.count(`client waits: ${where}`);
        this.#note(
          `waits (${[where, ahead === undefined ? undefined : `${ahead} ahead`, phase].filter(Boolean).join(', ')})`,
        );
        break;
      }
      case 'placed':
        this.id = output.job;
        this.#note(`placed at ${output.provider}`);
        break;
      case 'chunk':
        this.#takeText(output.text ?? '');
        break;
      case 'done':
        this.#done(output);
    }
  }

  #leavesLine(): void {
    if (this.waitsSince === undefined) return;
    const ms = this.#world.now - this.waitsSince;
    this.waitsSince = undefined;
    const { maxWaitMs } = this.#circumstances;
    const lateMs = this.#circumstances.faulty ? LATE_MS + 2 * JOB.openTimeoutMs : LATE_MS;
    if (ms <= maxWaitMs + lateMs || this.#circumstances.late) return;
    this.#violate('waits-bounded', `waited in line for ${Math.round(ms)} ms, ${maxWaitMs} allowed`);
  }

  #takeText(text: string): void {
    if (text === '') return;
    if (this.#text === '') this.#note('first token');
    if (!this.#expected.startsWith(text, this.#text.length)) {
      const at = this.#text.length;
      const wanted = JSON.stringify(this.#expected.slice(at, at + text.length + 8));
      this.#violate('answer-exact', `at character ${at} came ${JSON.stringify(text)} instead of ${wanted}`);
    }
    this.#text += text;
  }

  #done({ usage, reason, job }: Extract<JobOutput, { type: 'done' }>): void {
    this.outcome = { kind: 'done' };
    this.id = job.id;
    const tokens = this.#expectedTokens;
    this.#note(`done: ${usage.outputTokens} tokens, ${job.attempts.length} attempts`);
    this.#world.count(`done by ${Math.min(4, job.attempts.length)} attempts`);
    if (this.#text !== this.#expected) {
      this.#violate('answer-exact', `ended after ${this.#text.length} of ${this.#expected.length} characters`);
    }
    if (reason !== this.#reason) this.#violate('answer-exact', `ended by ${reason}, not ${this.#reason}`);
    if (usage.outputTokens !== tokens)
      this.#violate('usage-exact', `${usage.outputTokens} tokens of ${tokens} counted`);
    // Where nobody was there to count to the end the prompt is estimated, and said to be.
    const cutOff = job.attempts.some((attempt) => attempt.reason !== null);
    if (usage.promptTokens !== PROMPT_TOKENS && !(usage.estimated && cutOff)) {
      this.#violate('usage-exact', `${usage.promptTokens} tokens of the prompt counted, not ${PROMPT_TOKENS}`);
    }
    if (job.state !== 'completed' || job.tokensOut !== tokens) {
      this.#violate('record-true', `the record says ${job.state} with ${job.tokensOut} tokens`);
    }
    let at = 0;
    for (const { fromToken, toToken, reason: why } of job.attempts) {
      if (fromToken > at) this.#violate('record-true', `tokens ${at} to ${fromToken} are nobody's`);
      if (toToken >= fromToken && (why === null || toToken > 0)) at = toToken;
    }
    if (at !== tokens) this.#violate('record-true', `the attempts deliver ${at} of ${tokens} tokens`);
  }

  async #failed(error: GoGridError): Promise<void> {
    const { code, message, retryAfterSecs, data } = error;
    if (this.outcome !== undefined) this.#violate('delivered-once', `${code} after the end`);
    this.outcome = { kind: 'failed', code };
    if (typeof data.job === 'string') this.id = data.job;
    this.#leavesLine();
    this.#note(`fails: ${code} (${message})`);
    const excuse = this.#excuse(code, retryAfterSecs);
    if (excuse !== undefined) this.#violate('answer-clear', `${code}: ${excuse}: ${stackOf(error)}`);
    const others = ELSEWHERE.has(code) ? this.#circumstances.couldServe(this) : [];
    if (others.length === 0) return;
    const record = this.id === undefined ? undefined : await this.program.book.get(this.id);
    const blamed = record?.attempts.filter(({ reason }) => reason !== null && !HANDED_OVER.has(reason)) ?? [];
    if (blamed.length >= JOB.maxAttempts || (record?.attempts.length ?? 0) > JOB.maxHandOvers) return;
    this.#violate('gives-up-early', `${code}, while ${others.map((node) => `n${node}`).join(' ')} could run it`);
  }

  /** Why a job of this kind may not fail with this code now; undefined when it may. */
  #excuse(code: ErrorCode, retryAfterSecs: number | undefined): string | undefined {
    const { job } = this;
    const { faulty, served } = this.#circumstances;
    switch (code) {
      case 'cancelled':
        return this.#ended ? undefined : 'nobody ended it';
      case 'deadline_exceeded': {
        const { deadlineMs = JOB.maxTotalSecs * 1000 } = job;
        const ms = this.#world.now - this.#askedAt;
        return ms >= deadlineMs - 2 ? undefined : `only ${Math.round(ms)} of ${deadlineMs} ms have passed`;
      }
      case 'overloaded': {
        const told = retryAfterSecs ?? 0;
        return told >= JOB.minRetryAfterSecs && told <= JOB.maxRetryAfterSecs ? undefined : 'without when to come back';
      }
      case 'privacy_unserved':
        return job.privacy === 'mesh' ? 'the tier is the widest' : undefined;
      case 'cannot_continue':
        return job.tools ? undefined : 'plain text can be continued';
      case 'model_not_found':
        return faulty || !served || this.#askedAt < KNOWS_ALL_MS ? undefined : 'somebody has the model';
      case 'peer_unreachable':
      case 'provider_lost':
      case 'engine_failed':
        return faulty || this.#circumstances.shortJobs ? undefined : 'nothing was broken in this history';
      case 'engine_unavailable':
      case 'shutting_down':
      case 'preempted':
        return faulty ? undefined : 'nothing was broken in this history';
      default:
        return 'no job may fail like this';
    }
  }

  #note(text: string): void {
    this.#world.note(this.program.process.node, this.job.index, text);
  }

  #violate(law: string, text: string): void {
    this.#world.violate(law, text, this.program.process.node, this.job.index);
  }
}

function describe(job: JobPlan): string {
  const parts = [
    job.privacy === 'mesh' ? undefined : job.privacy,
    job.tools ? 'tools' : undefined,
    job.deadlineMs === undefined ? undefined : `deadline ${job.deadlineMs} ms`,
    job.readerMs === 0 ? undefined : `reads ${Math.round(job.readerMs)} ms a piece`,
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`;
}

function stackOf(thrown: unknown): string {
  return thrown instanceof Error
    ? (thrown.stack ?? thrown.message).split('\n').slice(0, 6).join(' | ')
    : String(thrown);
}

function sleep(clock: Program['process']['clock'], ms: number): Promise<void> {
  return new Promise((resolve) => clock.after(ms, resolve));
}
