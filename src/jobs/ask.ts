/** One question on its way through the requester flow. */

import type { Clock, Timer } from '../clock.ts';
import { type ErrorCode, GoGridError, toGoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { JobRequest } from '../protocol/job.ts';
import type { ModelRef } from '../protocol/model-name.ts';
import { Answer } from './answer.ts';
import type { OpenJob } from './book.ts';
import { blameOf } from './failure.ts';
import type { JobOutput, JobSpec } from './output.ts';
import type { RequesterChannel } from './ports.ts';
import { laneOf } from './queue/lanes.ts';
import type { JobWait } from './record.ts';
import type { RouteQuery, Weighed } from './routing/decision.ts';
import { demandOf } from './routing/demand.ts';
import type { WaitingPlace, Wanted } from './waiting-line.ts';

/** Codes of a job that was put off: who says so stays as good as any other. */
const PUT_OFF: ReadonlySet<ErrorCode> = new Set(['preempted', 'overloaded']);
/** Codes of a job that was given back in order. */
const HANDED_OVER: ReadonlySet<ErrorCode> = new Set(['preempted', 'shutting_down']);

export interface Question {
  readonly spec: JobSpec;
  readonly ref: ModelRef;
  readonly job: OpenJob;
  /** Whether jobs can be paid for in this mesh. */
  readonly credits: boolean;
}

/** What was asked, what has come so far, and what ends it. */
export class Ask {
  readonly spec: JobSpec;
  readonly ref: ModelRef;
  readonly job: OpenJob;
  readonly answer: Answer;
  /** `Clock.elapsed()` when it was asked for. */
  readonly askedAt: number;
  /** Its place in line here while every provider is full. */
  place: WaitingPlace | undefined;
  /** Milliseconds that it has stood in line here since the last word of its answer, places before this one. */
  waitedMs = 0;
  /** Nodes that failed it, or gave it back since they shut down. */
  readonly failed = new Set<NodeId>();
  /** Peers that found fault with the request: they would again. */
  readonly refusedBy = new Map<NodeId, GoGridError>();
  /** Of the model that began the answer. */
  digest: string | undefined;
  resume: JobRequest['resume'];
  /** Why the last provider that had taken the job has it no more. */
  cut: GoGridError | undefined;
  /** Took the job and had no room for it after all: it is asked again when that time is over. */
  full: { readonly node: NodeId; readonly forMs: number } | undefined;
  readonly #over = new AbortController();
  readonly #client: AbortSignal;
  readonly #clock: Clock;
  readonly #credits: boolean;
  readonly #totalMs: number;
  readonly #timer: Timer;
  readonly #onClientGone: () => void;
  #failures = 0;
  #handOvers = 0;
  #isTaken = false;
  /** `Clock.elapsed()` when it took its place in line. */
  #inLineSince = 0;
  #channel: RequesterChannel | undefined;

  constructor(question: Question, client: AbortSignal, clock: Clock) {
    const { spec, ref, job, credits } = question;
    this.#credits = credits;
    this.spec = spec;
    this.ref = ref;
    this.job = job;
    this.answer = new Answer(spec.whole ?? false);
    this.#client = client;
    this.#clock = clock;
    this.askedAt = clock.elapsed();
    const totalMs = Math.min(spec.deadlineMs ?? Number.POSITIVE_INFINITY, JOB.maxTotalSecs * 1000);
    this.#totalMs = totalMs;
    this.#timer = clock.after(totalMs, () => this.#expire());
    this.#onClientGone = () => this.#stop(new GoGridError({ code: 'cancelled', message: 'the client hung up' }));
    if (client.aborted) this.#onClientGone();
    else client.addEventListener('abort', this.#onClientGone, { once: true });
    job.onCancel = (reason) => this.#stop(reason);
  }

  /** Aborts when nobody wants the answer any more. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** @throws GoGridError `cancelled` or `deadline_exceeded` when nobody wants the answer any more */
  throwIfOver(): void {
    this.#over.signal.throwIfAborted();
  }

  /** Notes what the job waits for, for whoever looks, and gives it to the surface. */
  waits(wait: () => JobWait): JobOutput {
    this.job.waiting = wait;
    return { type: 'waiting', wait: wait() };
  }

  /** What it stands in line for when every provider is full: whoever can run one job of a line can run the others. */
  wanted(): Wanted {
    return wantedOf(this.spec, this.ref, this);
  }

  /** Where it is to be placed now. */
  query(): RouteQuery {
    return {
      ref: this.ref,
      input: this.spec.input,
      privacy: this.spec.privacy,
      digest: this.digest,
      delivered: this.resume?.tokens ?? 0,
      failed: this.failed,
    };
  }

  /**
   * The request for the next provider.
   * @throws GoGridError `deadline_exceeded`: an expired job is never started, however late this process is with its timers
   */
  request(): JobRequest {
    const deadlineMs = Math.round(this.#leftMs());
    if (deadlineMs <= 0) this.#expire();
    this.throwIfOver();
    return {
      type: 'request',
      job: this.job.id,
      model: this.ref.name,
      ...(this.ref.digest !== undefined && { digest: this.ref.digest }),
      deadlineMs,
      ...(this.resume !== undefined && { resume: this.resume }),
      input: this.spec.input,
    };
  }

  /** It has a place in line here. */
  standsIn(place: WaitingPlace): void {
    if (this.place === place) return;
    this.place = place;
    this.#inLineSince = this.#clock.elapsed();
  }

  /** A provider has it, in its queue or on its engine. */
  get isTaken(): boolean {
    return this.#isTaken;
  }

  /**
   * A provider has it: nobody waits for it in line here any more.
   * @param sentAt milliseconds since 1970
   */
  taken({ node, local }: Weighed, sentAt: number): void {
    if (this.#isTaken) return;
    this.#isTaken = true;
    this.job.attemptStarts(node, sentAt);
    this.job.direction = local ? 'local' : 'out';
    this.job.lane = laneOf({ own: local, credits: this.#credits, quoted: false });
    if (this.place === undefined) return;
    this.waitedMs += this.#clock.elapsed() - this.#inLineSince;
    this.place.leave(true);
    this.place = undefined;
  }

  /**
   * What a provider's failure is for this job.
   * @throws GoGridError what has ended the job here, or is about to: a provider may see the deadline pass a moment earlier
   */
  async judge(thrown: unknown): Promise<GoGridError> {
    this.throwIfOver();
    const error = toGoGridError(thrown);
    if (error.code !== 'deadline_exceeded') return error;
    if (this.#leftMs() > JOB.deadlineSlackMs) {
      return new GoGridError({
        code: 'engine_failed',
        message: `the provider ended it before its time: ${error.message}`,
      });
    }
    await new Promise((over) => this.signal.addEventListener('abort', over, { once: true }));
    throw this.signal.reason;
  }

  /**
   * A provider does not run it.
   * @param sentAt milliseconds since 1970
   * @throws GoGridError when then nobody does
   */
  turnedDown({ node, local }: Weighed, sentAt: number, error: GoGridError): void {
    const blame = blameOf(error);
    // What this machine finds wrong with a request is wrong with it; a peer may say so of any. Who has begun with it did not.
    if (blame === 'request' && local && this.cut === undefined) throw error;
    // Whoever fails has its part in the job's record even if it never took the job.
    if (blame === 'provider' && !this.#isTaken) this.job.attemptStarts(node, sentAt);
    if (blame === 'provider' || this.#isTaken) this.job.attemptEnds(error.code);
    const isLost = this.#isTaken || HANDED_OVER.has(error.code);
    this.#isTaken = false;
    if (blame === 'request') this.refusedBy.set(node, error);
    if (blame === 'provider') this.countFailure(node, error);
    else if (isLost) this.countHandOver(node, error);
    // While it stands in line here it does so until somebody takes it.
    if (this.place !== undefined) return;
    this.job.waiting = undefined;
    this.job.to('placing');
  }

  /** The provider that ran it has it no more. @param reason an error code */
  cutOff(reason: string): void {
    this.job.attemptEnds(reason);
    this.job.waiting = undefined;
    this.#isTaken = false;
  }

  /** The stream that a cancel has to reach. */
  attach(channel: RequesterChannel): void {
    this.#channel = channel;
    if (this.#over.signal.aborted) this.#stop(toGoGridError(this.#over.signal.reason));
  }

  /** @throws GoGridError with the code of `error`, when it was one failure too many */
  countFailure(node: NodeId, error: GoGridError): void {
    this.failed.add(node);
    // One that was never reached cannot have been broken by the request: the next one is asked.
    if (error.code === 'peer_unreachable') return;
    if (++this.#failures >= JOB.maxAttempts) throw tooOften(`${JOB.maxAttempts} attempts failed`, error);
  }

  /**
   * A provider had the job, and gave it back or turned it down.
   * @throws GoGridError with the code of `error`, when nobody keeps the job
   */
  countHandOver(node: NodeId, error: GoGridError): void {
    if (!PUT_OFF.has(error.code)) this.failed.add(node);
    if (++this.#handOvers > JOB.maxHandOvers) throw tooOften(`${this.#handOvers} times the job was given back`, error);
  }

  /** The generator was left: by its end, or by a consumer that wants no more. */
  finish(): void {
    this.#timer.cancel();
    this.#client.removeEventListener('abort', this.#onClientGone);
    this.place?.leave(false);
    this.job.end('cancelled', 'cancelled');
    this.#channel?.close();
  }

  /** Milliseconds until its time is over. */
  #leftMs(): number {
    return this.askedAt + this.#totalMs - this.#clock.elapsed();
  }

  #expire(): void {
    const secs = Number((this.#totalMs / 1000).toPrecision(2));
    const begun = this.answer.tokens === 0 ? '; it had not begun' : '';
    const message = `no complete answer within ${secs} s${begun}`;
    this.#stop(new GoGridError({ code: 'deadline_exceeded', message }));
  }

  #stop(reason: GoGridError): void {
    this.#over.abort(reason);
    this.#channel?.send({ type: 'cancel' });
    this.#channel?.abort(toGoGridError(this.#over.signal.reason));
  }
}

/** What a question stands in line for. @param begun what is known once somebody has begun its answer */
export function wantedOf(
  { input, privacy }: Pick<JobSpec, 'input' | 'privacy'>,
  ref: ModelRef,
  { digest, resume }: Partial<Pick<Ask, 'digest' | 'resume'>>,
): Wanted {
  const demand = demandOf(input);
  const { kind, tools, images, thinking, insert, promptTokens } = demand;
  const abilities = [tools, images, thinking, insert, resume !== undefined].map(Number).join('');
  const size = Math.max(0, Math.ceil(Math.log2(promptTokens / JOB.anyContextTokens)));
  const apart = [privacy, ref.digest, digest, kind, abilities, size].join(' ');
  const needs = { ref, privacy, delivered: resume?.tokens ?? 0, demand };
  return { model: ref.name, apart, open: privacy === 'mesh', needs };
}

function tooOften(what: string, last: GoGridError): GoGridError {
  return new GoGridError({
    code: last.code,
    message: `${what}, the last one because ${last.message}`,
    hint: 'send the request again',
    ...(last.retryAfterSecs !== undefined && { retryAfterSecs: last.retryAfterSecs }),
    cause: last,
  });
}
