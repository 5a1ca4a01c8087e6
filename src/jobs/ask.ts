/** One question on its way through the requester flow. */

import type { Clock, Timer } from '../clock.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { JobRequest } from '../protocol/job.ts';
import type { ModelRef } from '../protocol/model-name.ts';
import { Answer } from './answer.ts';
import type { OpenJob } from './book.ts';
import type { JobOutput, JobSpec } from './output.ts';
import type { RequesterChannel } from './ports.ts';
import { laneOf } from './queue/lanes.ts';
import type { JobWait } from './record.ts';
import type { RouteQuery, Weighed } from './routing/decision.ts';
import type { Place, Wanted } from './waiting-line.ts';

/** What was asked, what has come so far, and what ends it. */
export class Ask {
  readonly spec: JobSpec;
  readonly ref: ModelRef;
  readonly job: OpenJob;
  readonly answer: Answer;
  /** `Clock.elapsed()` when it was asked for. */
  readonly askedAt: number;
  /** Its place in line here while every provider is full. */
  place: Place | undefined;
  /** Nodes that failed it, or gave it back since they shut down. */
  readonly failed = new Set<NodeId>();
  /** Of the model that began the answer. */
  digest: string | undefined;
  resume: JobRequest['resume'];
  /** Why the last provider that had taken the job has it no more. */
  cut: GoGridError | undefined;
  /** Took the job although its engine has no room: it is asked again when that time is over. */
  full: { readonly node: NodeId; readonly forMs: number } | undefined;
  readonly #over = new AbortController();
  readonly #client: AbortSignal;
  readonly #clock: Clock;
  readonly #totalMs: number;
  readonly #timer: Timer;
  readonly #onClientGone: () => void;
  #failures = 0;
  #handOvers = 0;
  #isTaken = false;
  #channel: RequesterChannel | undefined;

  constructor(spec: JobSpec, ref: ModelRef, job: OpenJob, client: AbortSignal, clock: Clock) {
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

  /** What it stands in line for when every provider is full. */
  wanted(): Wanted {
    const { digest, name } = this.ref;
    const { privacy } = this.spec;
    return { model: name, apart: `${digest ?? ''} ${privacy}`, open: privacy === 'mesh' };
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
    const deadlineMs = Math.round(this.askedAt + this.#totalMs - this.#clock.elapsed());
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

  /**
   * A provider has it, in its queue or on its engine: nobody waits for it in line here any more.
   * @param sentAt milliseconds since 1970
   */
  taken({ node, local }: Weighed, sentAt: number): void {
    if (this.#isTaken) return;
    this.#isTaken = true;
    this.job.attemptStarts(node, sentAt);
    this.job.direction = local ? 'local' : 'out';
    this.job.lane = laneOf({ own: local, credits: false, quoted: false });
    this.place?.leave(true);
    this.place = undefined;
  }

  /** The provider that ran it has it no more. @param reason an error code */
  cutOff(reason: string): void {
    this.job.attemptEnds(reason);
    this.job.waiting = undefined;
    this.#isTaken = false;
  }

  /**
   * That provider has it no more, before it began.
   * @param failed it is to blame, and has its part in the job's record even if it never took the job
   */
  leftProvider(node: NodeId, sentAt: number, error: GoGridError, failed: boolean): void {
    if (failed && !this.#isTaken) this.job.attemptStarts(node, sentAt);
    if (failed || this.#isTaken) this.job.attemptEnds(error.code);
    this.#isTaken = false;
    // While it stands in line here it does so until somebody takes it.
    if (this.place !== undefined) return;
    this.job.waiting = undefined;
    this.job.to('placing');
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
   * A provider gave the job back in order. One that needs its machine for itself, or is full, stays as good as any other.
   * @throws GoGridError with the code of `error`, when nobody keeps the job
   */
  countHandOver(node: NodeId, error: GoGridError): void {
    if (error.code !== 'preempted' && error.code !== 'overloaded') this.failed.add(node);
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

  #expire(): void {
    const message = `no complete answer within ${this.#totalMs} ms`;
    this.#stop(new GoGridError({ code: 'deadline_exceeded', message }));
  }

  #stop(reason: GoGridError): void {
    this.#over.abort(reason);
    this.#channel?.send({ type: 'cancel' });
    this.#channel?.abort(toGoGridError(this.#over.signal.reason));
  }
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
