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
import type { JobWait } from './record.ts';

/** What was asked, what has come so far, and what ends it. */
export class Ask {
  readonly spec: JobSpec;
  readonly ref: ModelRef;
  readonly job: OpenJob;
  readonly answer = new Answer();
  readonly failed = new Set<NodeId>();
  /** Of the model that began the answer. */
  digest: string | undefined;
  resume: JobRequest['resume'];
  /** Why the last provider that had taken the job failed. */
  brokenBy: GoGridError | undefined;
  readonly #over = new AbortController();
  readonly #client: AbortSignal;
  readonly #clock: Clock;
  readonly #endsAt: number;
  readonly #timer: Timer;
  readonly #onClientGone: () => void;
  #failures = 0;
  #handOvers = 0;
  #channel: RequesterChannel | undefined;

  constructor(spec: JobSpec, ref: ModelRef, job: OpenJob, client: AbortSignal, clock: Clock) {
    this.spec = spec;
    this.ref = ref;
    this.job = job;
    this.#client = client;
    this.#clock = clock;
    const totalMs = Math.min(spec.deadlineMs ?? Number.POSITIVE_INFINITY, JOB.maxTotalSecs * 1000);
    this.#endsAt = clock.elapsed() + totalMs;
    this.#timer = clock.after(totalMs, () =>
      this.#stop(new GoGridError({ code: 'deadline_exceeded', message: `no complete answer within ${totalMs} ms` })),
    );
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
  waits(wait: JobWait): JobOutput {
    this.job.waiting = () => wait;
    return { type: 'waiting', wait };
  }

  /** The request for the next provider. */
  request(): JobRequest {
    const deadlineMs = Math.max(1, Math.round(this.#endsAt - this.#clock.elapsed()));
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

  /** The stream that a cancel has to reach. */
  attach(channel: RequesterChannel): void {
    this.#channel = channel;
    if (this.#over.signal.aborted) this.#stop(toGoGridError(this.#over.signal.reason));
  }

  /** @throws GoGridError `error` itself, when it was one failure too many */
  countFailure(node: NodeId, error: GoGridError): void {
    this.failed.add(node);
    if (++this.#failures >= JOB.maxAttempts) throw error;
  }

  /** @throws GoGridError `error` itself, when nobody keeps the job */
  countHandOver(node: NodeId, error: GoGridError): void {
    this.failed.add(node);
    if (++this.#handOvers > JOB.maxHandOvers) throw error;
  }

  /** The generator was left: by its end, or by a consumer that wants no more. */
  finish(): void {
    this.#timer.cancel();
    this.#client.removeEventListener('abort', this.#onClientGone);
    this.job.end('cancelled', 'cancelled');
    this.#channel?.close();
  }

  #stop(reason: GoGridError): void {
    this.#over.abort(reason);
    this.#channel?.send({ type: 'cancel' });
    this.#channel?.abort(toGoGridError(this.#over.signal.reason));
  }
}
