/**
 * The provider flow: one job from a requester's stream to the engine and back. Admit, wait, run, chunks, usage, end; read
 * `handleJob` from top to bottom. Cancel, failure and hand-over travel the same road.
 */

import type { Clock } from '../clock.ts';
import { type ErrorCode, GoGridError, toGoGridError } from '../errors.ts';
import { JOB, ROUTING } from '../limits/jobs.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { HandOverReason, JobRequest } from '../protocol/job.ts';
import type { ModelRates } from '../protocol/profile.ts';
import { logDefect } from '../telemetry/defect.ts';
import type { Logger } from '../telemetry/logger.ts';
import { Admission } from './admission.ts';
import type { JobBook, OpenJob } from './book.ts';
import { boundInput } from './bounds.ts';
import { loadOf, type ProviderLoad } from './load.ts';
import type { Engine, EngineEvent, EngineModel, ProviderChannel } from './ports.ts';
import { FairQueue, type FairQueueOptions, type Place, type Ticket } from './queue/fair-queue.ts';
import { type Lane, laneOf } from './queue/lanes.ts';
import { OwnRates } from './rates.ts';
import type { Demand } from './routing/decision.ts';
import { demandOf } from './routing/demand.ts';
import { priorJob } from './routing/expected.ts';
import { keyOf, Run } from './run.ts';
import { TokenTally } from './tally.ts';
import { type Finished, Transcripts } from './transcripts.ts';

export interface ProviderOptions extends FairQueueOptions {
  readonly self: NodeId;
  /** Longest time one job may hold its slot, milliseconds. */
  readonly maxJobMs: number;
  /** Whether jobs can be paid for in this mesh. */
  readonly credits: boolean;
}

export interface ProviderDeps {
  readonly engine: Engine;
  readonly book: JobBook;
  readonly clock: Clock;
  readonly log: Logger;
  /** The queue or the running jobs changed: the next beat should say so. */
  readonly loadChanged: () => void;
  /** A model runs faster or slower here than was told. */
  readonly ratesChanged: () => void;
  /** A node's job was turned away, since the queue is full: it waits there now. */
  readonly turnedAway: (from: NodeId) => void;
}

type Done = Extract<EngineEvent, { type: 'done' }>;

export class Provider {
  readonly #options: ProviderOptions;
  readonly #deps: ProviderDeps;
  readonly #queue: FairQueue;
  /** Runs in progress by requester and job: a job that comes again meets its older self. */
  readonly #runs = new Map<string, Run>();
  readonly #transcripts: Transcripts;
  readonly #admission: Admission;
  readonly #rates = new OwnRates();
  readonly #tally: TokenTally;
  readonly load: ProviderLoad;

  constructor(options: ProviderOptions, deps: ProviderDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#admission = new Admission(options.self);
    this.#queue = new FairQueue(options, deps.clock);
    this.#transcripts = new Transcripts(deps.clock);
    this.#tally = new TokenTally(deps.clock);
    this.load = loadOf(this.#queue);
    // Whether a model's answers can go on elsewhere may be found out while its first one is written.
    deps.engine.onChange(() => this.#makeWayForOwner());
  }

  /** Serves one stream to its end. Never throws: whatever goes wrong is told to the requester. */
  async handleJob(from: NodeId, request: JobRequest, channel: ProviderChannel): Promise<void> {
    const older = this.#runs.get(keyOf(from, request));
    if (older?.takeOver(request, channel)) return older.ended;
    const run = new Run(from, request, channel, this.#deps.clock);
    this.#enlist(run);
    try {
      if (older !== undefined) await this.#replace(older, run);
      run.throwIfOver();
      const model = this.#admission.admit(run.key, from, request, this.#deps.engine.models());
      const finished = this.#transcripts.find(run.key);
      if (finished !== undefined && (await this.#tellAgain(run, finished))) return;
      await this.#queueAndServe(run, model);
    } catch (thrown) {
      await this.#sayWhy(run, toGoGridError(thrown));
    } finally {
      this.#dismiss(run);
    }
  }

  /** No new jobs; those that wait are given back, those that run go on. */
  drain(): void {
    this.#admission.closed = true;
    this.handJobsOver('drain', 'waiting');
  }

  /** Gives jobs back to their requesters, who place them again with what they have of the answer. */
  handJobsOver(reason: HandOverReason, which: 'waiting' | 'all' = 'all'): void {
    for (const run of this.#runs.values()) if (which === 'all' || !run.accepted) run.giveBack(reason);
  }

  /** Resolves when no job of anybody is left here, or `signal` aborts; then what is left is given back. */
  async finish(signal: AbortSignal): Promise<void> {
    this.#admission.closed = true;
    const settled = Promise.allSettled([...this.#runs.values()].map((run) => run.ended));
    const timeUp = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([settled, timeUp]);
    this.handJobsOver('drain');
    const late = Promise.withResolvers<void>();
    const timer = this.#deps.clock.after(JOB.cancelWithinMs + 2 * JOB.handOverWithinMs, late.resolve);
    await Promise.race([settled, late.promise]);
    timer.cancel();
    this.#transcripts.clear();
  }

  /** Milliseconds that a job of this node would wait if it came now. */
  estimateFor(from: NodeId): number {
    const lane = this.#laneOf(from);
    if (lane === 'owner' && this.#movable().length > 0) return 0;
    return this.#queue.estimateFor({ lane, account: from });
  }

  /** The service that an account has had here, in weighted tokens: whose counter is smaller goes first. */
  counterOf(account: NodeId): number {
    return this.#queue.counterOf({ lane: this.#laneOf(account), account });
  }

  /** The same of an account whose jobs wait elsewhere: it is not lifted while they do. */
  servedTo(account: NodeId): number {
    return this.#queue.servedTo({ lane: this.#laneOf(account), account });
  }

  /** How fast a model runs here, over past jobs. */
  ratesOf(model: string): ModelRates {
    return this.#rates.of(model);
  }

  get tokens(): { in: number; out: number; perSecond: number } {
    return this.#tally.totals();
  }

  /* ---- the steps of the flow, in their order ---- */

  /** The older run of a job that was sent again, and that the new stream cannot join. */
  async #replace(older: Run, run: Run): Promise<void> {
    older.stop(new GoGridError({ code: 'cancelled', message: 'the same job was asked for again' }));
    await Promise.race([older.ended, run.stopped]);
  }

  /** The job has ended here already: what is left of its answer goes out, and the engine does not run. */
  async #tellAgain(run: Run, { model, transcript, usage, reason }: Finished): Promise<boolean> {
    const { resume, digest = model.digest } = run.request;
    const same = model.name === run.request.model && model.digest === digest;
    const rest = same ? transcript.after(resume) : undefined;
    if (rest === undefined) return false;
    run.accepts(model);
    run.limit(this.#options.maxJobMs);
    for (const piece of rest) {
      await run.write(piece);
      run.signal.throwIfAborted();
    }
    await run.writeEnd({ reason, usage: transcript.usageFor(resume, usage) });
    return true;
  }

  async #queueAndServe(run: Run, model: EngineModel): Promise<void> {
    const place = this.#queue.enter(this.#ticketOf(run, model));
    if (place === undefined) return this.#sayBusy(run);
    run.place = place;
    try {
      if (this.#isOwn(run)) this.#makeWayForOwner();
      else run.record = this.#openRecord(run, place);
      this.#deps.loadChanged();
      await this.#waitTurn(run, place);
      await Promise.race([this.#serve(run, model, place), this.#abandoned(run)]);
    } finally {
      this.#leave(place);
    }
  }

  async #waitTurn(run: Run, place: Place): Promise<void> {
    if (!place.running) run.sendStatus();
    await Promise.race([place.turn, run.stopped]);
    run.throwIfOver();
  }

  async #serve(run: Run, model: EngineModel, place: Place): Promise<void> {
    const { request } = run;
    const { clock, engine } = this.#deps;
    run.startedAt = clock.elapsed();
    run.record?.attemptStarts(this.#options.self);
    run.record?.to('running');
    run.accepts(model);
    run.limit(this.#options.maxJobMs);

    const input = this.#isOwn(run) ? request.input : boundInput(request.input, model);
    let done: Done | undefined;
    for await (const event of engine.run({ model: model.name, input, resume: request.resume }, run.signal)) {
      run.signal.throwIfAborted();
      switch (event.type) {
        case 'progress':
          run.phase = event.phase;
          run.send(event);
          break;
        case 'chunk':
          this.#countOutput(run, place, event.tokens);
          await run.write(event);
          break;
        case 'vectors':
          await run.writeVectors(event);
          break;
        case 'done':
          done = event;
      }
    }
    if (done === undefined) {
      throw new GoGridError({ code: 'engine_failed', message: 'the engine stopped without an end' });
    }
    this.#countUsage(run, model, place, done);
    // The engine is free, however slowly the answer is read.
    this.#leave(place);
    await run.writeEnd(done);
    run.record?.end('completed', null);
  }

  #leave(place: Place): void {
    if (place.leave()) this.#deps.loadChanged();
  }

  /** The slot is wanted back whether the engine stops or not. */
  async #abandoned(run: Run): Promise<never> {
    await run.abandoned;
    this.#deps.log.warn({ model: run.model?.name }, 'the engine did not stop in time');
    throw run.signal.reason;
  }

  async #sayWhy(run: Run, error: GoGridError): Promise<void> {
    const { code, retryAfterSecs } = error;
    const message = error.message.slice(0, 500);
    if (run.givenBack !== undefined) await this.#giveBack(run, run.givenBack);
    else if (run.accepted) {
      run.send({ type: 'error', code, message, ...(retryAfterSecs !== undefined && { retryAfterSecs }) });
    } else if (code === 'overloaded') this.#sayBusy(run);
    else run.send({ type: 'reject', code, message });
    run.record?.end(endOf(code), code);
    if (code === 'internal') logDefect(this.#deps.log, error, { job: run.request.job });
    else this.#deps.log.debug({ code, job: run.request.job }, 'a job ended early');
  }

  #sayBusy(run: Run): void {
    run.send({ type: 'busy', queue: this.#queue.depth, estimateMs: this.#queue.estimateFor(this.#claimOf(run)) });
    this.#deps.turnedAway(run.from);
  }

  /** Everything that was written is sent; after `owner` and `pause` the job may come back and finds a place. */
  async #giveBack(run: Run, reason: HandOverReason): Promise<void> {
    await run.flush();
    if (reason === 'drain') return run.send({ type: 'handOver', reason });
    this.#queue.keepFor(run.key);
    run.send({ type: 'handOver', reason, estimateMs: this.#queue.estimateFor(this.#claimOf(run)) });
  }

  /* ---- the owner goes first ---- */

  /** For every job of the owner that waits, one of a peer that can go on elsewhere makes room. */
  #makeWayForOwner(): void {
    let wanted = this.#queue.waitingIn('owner');
    if (wanted === 0) return;
    for (const run of this.#runs.values()) if (run.place?.running && run.signal.aborted) wanted--;
    for (const run of this.#movable().slice(0, Math.max(0, wanted))) run.giveBack('owner');
  }

  /** Running jobs of peers that lose nothing when they are given back, those first that have run shortest. */
  #movable(): Run[] {
    const models = this.#deps.engine.models();
    const continues = ({ model }: Run) => models.find(({ digest }) => digest === model?.digest)?.continues === 'yes';
    return [...this.#runs.values()]
      .filter((run) => run.place?.running && !run.signal.aborted && !this.#isOwn(run))
      .filter((run) => run.transcript.canMove(run.request.input, continues(run)))
      .sort((a, b) => b.startedAt - a.startedAt);
  }

  #isOwn(run: Run): boolean {
    return run.from === this.#options.self;
  }

  #laneOf(from: NodeId): Lane {
    return laneOf({ own: from === this.#options.self, credits: this.#options.credits, quoted: false });
  }

  /* ---- bookkeeping ---- */

  #claimOf({ from }: Run): Pick<Ticket, 'lane' | 'account'> {
    return { lane: this.#laneOf(from), account: from };
  }

  #ticketOf(run: Run, model: EngineModel): Ticket {
    const { input, resume } = run.request;
    const demand = demandOf(input);
    return {
      ...this.#claimOf(run),
      key: run.key,
      work: `${input.kind} ${model.name}`,
      prior: priorJob(demand, this.#rates.of(model.name), model.sizeBytes),
      inputTokens: inputTokensOf(demand, resume, model),
    };
  }

  #enlist(run: Run): void {
    this.#runs.set(run.key, run);
    // Nobody joins the jobs of this machine's own user from outside, so nothing of them is kept.
    if (this.#isOwn(run)) run.transcript.drop();
    this.#admission.opened(run.from);
  }

  #dismiss(run: Run): void {
    run.finish();
    if (this.#runs.get(run.key) === run) this.#runs.delete(run.key);
    this.#admission.left(run.from);
  }

  #openRecord(run: Run, place: Place): OpenJob {
    const { request, from } = run;
    const record = this.#deps.book.open({
      id: request.job,
      kind: request.input.kind,
      direction: 'in',
      model: request.model,
      requester: from,
      lane: this.#laneOf(from),
      privacy: null,
    });
    record.onCancel = () => {
      this.#admission.sendAway(run.key);
      run.stop(new GoGridError({ code: 'cancelled', message: 'the owner of that machine cancelled the job there' }));
    };
    record.tokensOut = request.resume?.tokens ?? 0;
    record.waiting = () =>
      run.accepted
        ? { where: 'engine', phase: run.phase }
        : { where: 'queue', ahead: place.position(), estimateMs: place.estimateMs() };
    return record;
  }

  /** For every token: nothing here may cost more than a few additions. */
  #countOutput({ record }: Run, place: Place, tokens: number): void {
    place.wrote(tokens);
    this.#tally.wrote(tokens);
    if (record === undefined) return;
    record.tokensOut += tokens;
    record.firstToken();
    record.waiting = undefined;
  }

  #countUsage(run: Run, model: EngineModel, place: Place, { usage, reason }: Omit<Done, 'type'>): void {
    place.counted(usage);
    this.#tally.read(usage.promptTokens);
    if (this.#rates.measured(model.name, { input: run.request.input, usage })) this.#deps.ratesChanged();
    if (!this.#isOwn(run)) this.#transcripts.keep(run.key, { model, transcript: run.transcript, usage, reason });
    if (run.record === undefined) return;
    run.record.tokensIn = usage.promptTokens;
    run.record.tokensOut = (run.request.resume?.tokens ?? 0) + usage.outputTokens;
    run.record.tokensPerSecond = usage.decodeMs > 0 ? (usage.outputTokens * 1000) / usage.decodeMs : null;
    run.record.attemptEnds(null);
  }
}

/**
 * What a job is charged when it starts, by what it shows and not by what its requester says of it; and never more than the
 * model can read, since that is what the fairness of the counters rests on.
 */
function inputTokensOf({ promptTokens }: Demand, resume: JobRequest['resume'], { contextLength }: EngineModel): number {
  const begun = Math.ceil((resume?.text.length ?? 0) / ROUTING.charsPerToken);
  return Math.min(promptTokens + begun, contextLength > 0 ? contextLength : JOB.maxOutputTokens);
}

/** How a job that did not run to its end stands in the book: given back is not failed. */
function endOf(code: ErrorCode): 'cancelled' | 'expired' | 'failed' {
  if (code === 'deadline_exceeded') return 'expired';
  return code === 'cancelled' || code === 'preempted' || code === 'shutting_down' ? 'cancelled' : 'failed';
}
