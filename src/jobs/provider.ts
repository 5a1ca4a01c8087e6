/**
 * The provider flow: one job from a requester's stream to the engine and back. Admit, wait, run, chunks, usage, end; read
 * `handleJob` from top to bottom. Cancel and failure travel the same road.
 */

import { type Clock, every, type Timer } from '../clock.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { JobRequest, JobUsage, Phase, ToRequester } from '../protocol/job.ts';
import { logDefect } from '../telemetry/defect.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { JobBook, OpenJob } from './book.ts';
import { boundInput, checkRequest } from './bounds.ts';
import { ChunkWriter } from './chunk-writer.ts';
import type { Engine, EngineModel, ProviderChannel } from './ports.ts';
import { JobQueue, type Place, type QueueOptions } from './queue.ts';

export interface ProviderOptions extends QueueOptions {
  readonly self: NodeId;
  /** Longest time one job may hold its slot, milliseconds. */
  readonly maxJobMs: number;
}

export interface ProviderDeps {
  readonly engine: Engine;
  readonly book: JobBook;
  readonly clock: Clock;
  readonly log: Logger;
  /** The queue or the running jobs changed: the next beat should say so. */
  readonly loadChanged: () => void;
}

/** Weight of the newest job in a model's measured rate. */
const RATE_WEIGHT = 0.3;
/** Seconds over which the present rate of tokens is counted. */
const RATE_WINDOW_SECS = 10;

export class Provider {
  readonly #options: ProviderOptions;
  readonly #deps: ProviderDeps;
  readonly #queue: JobQueue;
  /** Runs in progress by requester and job, so that a job that comes again ends its older self first. */
  readonly #runs = new Map<string, Run>();
  /** Jobs that this machine's owner cancelled here: their requesters may not bring them back. */
  readonly #sentAway = new Set<string>();
  readonly #openPerPeer = new Map<NodeId, number>();
  readonly #rates = new Map<string, number>();
  readonly #tokensBySecond: { second: number; tokens: number }[] = [];
  #tokensIn = 0;
  #tokensOut = 0;
  #draining = false;

  constructor(options: ProviderOptions, deps: ProviderDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#queue = new JobQueue(options);
  }

  /** Serves one stream to its end. Never throws: whatever goes wrong is told to the requester. */
  async handleJob(from: NodeId, request: JobRequest, channel: ProviderChannel): Promise<void> {
    const run = new Run(from, request, channel, this.#deps.clock);
    const older = this.#enlist(run);
    try {
      const model = this.#admit(run);
      const place = this.#queue.enter();
      if (place === undefined) return this.#sayBusy(run);
      try {
        this.#deps.loadChanged();
        older?.stop(new GoGridError({ code: 'cancelled', message: 'the same job was asked for again' }));
        await this.#waitTurn(run, place);
        await this.#serve(run, model);
      } finally {
        place.leave();
        this.#deps.loadChanged();
      }
    } catch (thrown) {
      this.#sayFailed(run, toGoGridError(thrown));
    } finally {
      this.#dismiss(run);
    }
  }

  /** No new jobs; those that run go on. */
  drain(): void {
    this.#draining = true;
  }

  /** Resolves when no job of anybody is left here, or `signal` aborts; then what is left is cut off. */
  async finish(signal: AbortSignal): Promise<void> {
    const settled = Promise.allSettled([...this.#runs.values()].map((run) => run.ended));
    const timeUp = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([settled, timeUp]);
    const reason = new GoGridError({ code: 'shutting_down', message: 'the provider is shutting down' });
    for (const run of this.#runs.values()) run.stop(reason);
    await settled;
  }

  get load(): { depth: number; running: number; slots: number; room: number } {
    const { slots, room } = this.#queue.options;
    return { depth: this.#queue.depth, running: this.#queue.running, slots, room };
  }

  /** Output tokens per second of a model, over past jobs here; 0 before the first. */
  rateOf(model: string): number {
    return this.#rates.get(model) ?? 0;
  }

  get tokens(): { in: number; out: number; perSecond: number } {
    const since = Math.floor(this.#deps.clock.elapsed() / 1000) - RATE_WINDOW_SECS;
    const lately = this.#tokensBySecond.reduce((sum, entry) => sum + (entry.second > since ? entry.tokens : 0), 0);
    return { in: this.#tokensIn, out: this.#tokensOut, perSecond: lately / RATE_WINDOW_SECS };
  }

  /* ---- the steps of the flow, in their order ---- */

  #admit(run: Run): EngineModel {
    const { request, from } = run;
    if (this.#draining) throw new GoGridError({ code: 'shutting_down', message: 'the provider is shutting down' });
    if ((this.#openPerPeer.get(from) ?? 0) > JOB.maxOpenPerPeer && from !== this.#options.self) {
      throw new GoGridError({ code: 'overloaded', message: `more than ${JOB.maxOpenPerPeer} jobs of one peer` });
    }
    if (this.#sentAway.has(run.key)) {
      throw new GoGridError({ code: 'engine_failed', message: 'the owner of that machine cancelled the job there' });
    }
    checkRequest(request);
    const model = this.#deps.engine.models().find((candidate) => candidate.name === request.model);
    if (model === undefined) throw modelNotFound(request.model);
    if (request.digest !== undefined && request.digest !== model.digest) throw modelNotFound(request.model);
    if (request.resume !== undefined && model.continues === 'no') {
      throw new GoGridError({ code: 'cannot_continue', message: `${request.model} cannot continue an answer here` });
    }
    return model;
  }

  #sayBusy(run: Run): void {
    const { depth } = this.#queue;
    run.channel.send({ type: 'busy', queue: depth, estimateMs: this.#queue.estimateMs(depth + 1) });
  }

  async #waitTurn(run: Run, place: Place): Promise<void> {
    if (place.position() > 0) {
      run.status = () => {
        const position = Math.max(1, place.position());
        return { type: 'queued', position, estimateMs: this.#queue.estimateMs(position) };
      };
      run.channel.send(run.status());
    }
    await Promise.race([place.turn, run.stopped]);
    run.signal.throwIfAborted();
    run.status = () => ({ type: 'progress', phase: run.phase });
  }

  async #serve(run: Run, model: EngineModel): Promise<void> {
    const { request, from, channel } = run;
    const { clock, book, engine } = this.#deps;
    const foreign = from !== this.#options.self;
    run.accepted = true;
    run.record = foreign ? this.#openRecord(run, book) : undefined;
    channel.send({ type: 'accepted', digest: model.digest });
    run.limit(this.#options.maxJobMs);

    const input = foreign ? boundInput(request.input, model.contextLength) : request.input;
    const chunks = new ChunkWriter(channel, run.stopped);
    const startedAt = clock.elapsed();
    let complete = false;
    for await (const event of engine.run({ model: model.name, input, resume: request.resume }, run.signal)) {
      switch (event.type) {
        case 'progress':
          run.phase = event.phase;
          channel.send(event);
          break;
        case 'chunk':
          run.phase = 'decoding';
          this.#countOutput(run, event.tokens);
          await chunks.push(event);
          break;
        case 'vectors':
          channel.send(event);
          if (!channel.writable) await Promise.race([channel.drained(), run.stopped]);
          break;
        case 'done':
          await chunks.finish();
          this.#countUsage(run, model.name, event.usage);
          channel.send({ type: 'usage', ...event.usage });
          channel.send({ type: 'end', reason: event.reason });
          run.record?.end('completed', null);
          complete = true;
      }
    }
    if (!complete) throw new GoGridError({ code: 'engine_failed', message: 'the engine stopped without an end' });
    this.#queue.measured(clock.elapsed() - startedAt);
  }

  #sayFailed(run: Run, error: GoGridError): void {
    const { code, retryAfterSecs } = error;
    const message = error.message.slice(0, 500);
    if (run.accepted) {
      run.channel.send({ type: 'error', code, message, ...(retryAfterSecs !== undefined && { retryAfterSecs }) });
      run.record?.attemptEnds(code);
      run.record?.end(code === 'cancelled' ? 'cancelled' : 'failed', code);
    } else if (code === 'overloaded') {
      this.#sayBusy(run);
    } else {
      run.channel.send({ type: 'reject', code, message });
    }
    if (code === 'internal') logDefect(this.#deps.log, error, { job: run.request.job });
    else this.#deps.log.debug({ code, job: run.request.job }, 'a job ended early');
  }

  /* ---- bookkeeping ---- */

  /** Registers the run and returns the older run of the same job, if one is still here. */
  #enlist(run: Run): Run | undefined {
    const older = this.#runs.get(run.key);
    this.#runs.set(run.key, run);
    this.#openPerPeer.set(run.from, (this.#openPerPeer.get(run.from) ?? 0) + 1);
    return older;
  }

  #dismiss(run: Run): void {
    run.finish();
    if (this.#runs.get(run.key) === run) this.#runs.delete(run.key);
    const open = (this.#openPerPeer.get(run.from) ?? 1) - 1;
    if (open > 0) this.#openPerPeer.set(run.from, open);
    else this.#openPerPeer.delete(run.from);
  }

  #sendAway(key: string): void {
    this.#sentAway.add(key);
    const [oldest] = this.#sentAway;
    if (this.#sentAway.size > JOB.maxRecent && oldest !== undefined) this.#sentAway.delete(oldest);
  }

  #openRecord(run: Run, book: JobBook): OpenJob {
    const { request, from } = run;
    const record = book.open({
      id: request.job,
      kind: request.input.kind,
      direction: 'in',
      model: request.model,
      requester: from,
      lane: 'paid',
      privacy: null,
    });
    record.onCancel = (reason) => {
      this.#sendAway(run.key);
      run.stop(reason);
    };
    record.tokensOut = request.resume?.tokens ?? 0;
    record.attemptStarts(this.#options.self);
    record.to('running');
    return record;
  }

  #countOutput(run: Run, tokens: number): void {
    this.#tokensOut += tokens;
    if (run.record !== undefined) {
      run.record.tokensOut += tokens;
      run.record.firstToken();
    }
    const second = Math.floor(this.#deps.clock.elapsed() / 1000);
    const last = this.#tokensBySecond.at(-1);
    if (last?.second === second) last.tokens += tokens;
    else this.#tokensBySecond.push({ second, tokens });
    if (this.#tokensBySecond.length > RATE_WINDOW_SECS) this.#tokensBySecond.shift();
  }

  #countUsage(run: Run, model: string, usage: Omit<JobUsage, 'type'>): void {
    this.#tokensIn += usage.promptTokens;
    const rate = usage.decodeMs > 0 ? (usage.outputTokens * 1000) / usage.decodeMs : 0;
    const before = this.#rates.get(model);
    if (rate > 0) this.#rates.set(model, before === undefined ? rate : before + RATE_WEIGHT * (rate - before));
    if (run.record === undefined) return;
    run.record.tokensIn = usage.promptTokens;
    run.record.tokensOut = (run.request.resume?.tokens ?? 0) + usage.outputTokens;
    run.record.tokensPerSecond = rate > 0 ? rate : null;
    run.record.attemptEnds(null);
  }
}

/** One stream being served: who asked, what stops it, and the sign of life while nothing else is sent. */
class Run {
  readonly from: NodeId;
  readonly request: JobRequest;
  readonly channel: ProviderChannel;
  readonly key: string;
  /** Resolves when the run was told to stop. */
  readonly stopped: Promise<void>;
  /** Resolves when the run has left. */
  readonly ended: Promise<void>;
  accepted = false;
  phase: Phase = 'prefill';
  /** What the requester hears while there is nothing else to say. */
  status: () => ToRequester = () => ({ type: 'progress', phase: this.phase });
  record: OpenJob | undefined;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  readonly #end = Promise.withResolvers<void>();
  readonly #life: Timer;
  readonly #limits: Timer[] = [];
  #finished = false;

  constructor(from: NodeId, request: JobRequest, channel: ProviderChannel, clock: Clock) {
    this.from = from;
    this.request = request;
    this.channel = channel;
    this.key = `${from}/${request.job}`;
    this.#clock = clock;
    this.stopped = new Promise((resolve) => this.signal.addEventListener('abort', () => resolve(), { once: true }));
    this.ended = this.#end.promise;
    this.#life = every(clock, JOB.progressEveryMs, () => this.channel.send(this.status()));
    if (request.deadlineMs !== undefined) this.limit(request.deadlineMs);
    void this.#listen();
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  stop(reason: GoGridError): void {
    this.#stop.abort(reason);
  }

  /** Stops the run after `ms` milliseconds, unless something else does so earlier. */
  limit(ms: number): void {
    const timeUp = () => this.stop(new GoGridError({ code: 'deadline_exceeded', message: 'the job ran out of time' }));
    this.#limits.push(this.#clock.after(ms, timeUp));
  }

  finish(): void {
    this.#finished = true;
    this.#life.cancel();
    for (const limit of this.#limits) limit.cancel();
    this.channel.close();
    this.#end.resolve();
  }

  /** A requester says nothing but `cancel`; that, its silence for ever, or a broken stream all mean: stop. */
  async #listen(): Promise<void> {
    await this.channel.receive().catch(() => undefined);
    if (!this.#finished) this.stop(new GoGridError({ code: 'cancelled', message: 'the requester is gone' }));
  }
}

function modelNotFound(model: string): GoGridError {
  return new GoGridError({ code: 'model_not_found', message: `model '${model}' not found` });
}
