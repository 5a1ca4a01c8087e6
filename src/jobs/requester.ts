/**
 * The requester flow: one job from a surface to a provider and back. Decide, offer, deliver; wait in line when all are
 * busy; and when a provider fails or gives the job back, place again and go on exactly where it stopped. Read `run` from
 * top to bottom.
 */

import { GoGridError, toGoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import { type NodeId, newJobId } from '../protocol/ids.ts';
import { parseModelRef } from '../protocol/model-name.ts';
import type { Logger } from '../telemetry/logger.ts';
import { Ask, wantedOf } from './ask.ts';
import type { JobBook } from './book.ts';
import { checkRequest, stopsOf } from './bounds.ts';
import { Delivery } from './delivery.ts';
import { blameOf, brokenOff, noProvider, type OwnModels } from './failure.ts';
import { Offer, type OfferDeps, type Placement } from './offer.ts';
import type { JobOutput, JobSpec } from './output.ts';
import { planResume } from './resume.ts';
import { Round } from './round.ts';
import type { Decision, Weighed } from './routing/decision.ts';
import { WaitingLines, type WaitingOptions } from './waiting-line.ts';

export interface RequesterOptions extends WaitingOptions {
  /** Whether jobs can be paid for in this mesh. */
  readonly credits: boolean;
}

export interface RequesterDeps extends OfferDeps {
  readonly ownModels: OwnModels;
  readonly book: JobBook;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly log: Logger;
}

/** Where a job would go. */
export interface Explained extends Decision {
  /** Jobs that wait here for the same: it would come after them. */
  readonly waiting?: { readonly ahead: number; readonly estimateMs: number };
}

export class Requester {
  readonly #deps: RequesterDeps;
  readonly #lines: WaitingLines;
  readonly #credits: boolean;

  constructor(options: RequesterOptions, deps: RequesterDeps) {
    this.#deps = deps;
    this.#credits = options.credits;
    const { clock, router } = deps;
    this.#lines = new WaitingLines(options, { clock, suits: (needs, node) => router.suits(needs, node) });
  }

  /** See `RunJob` in output.ts. */
  async *run(spec: JobSpec, signal: AbortSignal): AsyncGenerator<JobOutput> {
    const ask = this.#begin(spec, signal);
    try {
      let delivery: Delivery;
      do {
        delivery = new Delivery(ask, yield* this.#place(ask), this.#deps);
        // It has left its provider's queue: the next of this node's may have its place there.
        this.#lines.wake([ask.job.model]);
        try {
          yield delivery.placed();
          for (let output = await delivery.next(); output !== undefined; output = await delivery.next()) yield output;
        } finally {
          delivery.leave();
          this.#lines.wake([ask.job.model]);
        }
      } while (delivery.failure !== undefined && !this.#isComplete(ask, delivery, delivery.failure));
      for (const output of this.#complete(ask)) yield output;
    } catch (thrown) {
      throw this.#fail(ask, toGoGridError(thrown));
    } finally {
      ask.finish();
    }
  }

  /**
   * Where a job would go, and why. Nothing runs, nothing is sent, and no record stays.
   * @throws GoGridError `invalid_request`
   */
  async explain(spec: JobSpec, signal: AbortSignal): Promise<Explained> {
    const ref = parseModelRef(spec.model);
    checkRequest(spec);
    const { input, privacy } = spec;
    const query = { ref, input, privacy, digest: undefined, delivered: 0, failed: new Set<NodeId>() };
    const decision = await this.#deps.router.decide(query, signal);
    const waiting = this.#lines.waitFor(wantedOf(spec, ref, {}));
    return { ...decision, ...(waiting !== undefined && { waiting }) };
  }

  /** The jobs that wait here since every provider is full. */
  get waiting(): Pick<WaitingLines, 'depth' | 'room' | 'models'> {
    return this.#lines;
  }

  /** Calls back when `waiting` changed; returns the way to stop it. */
  onWaitingChanged(listener: () => void): () => void {
    return this.#lines.onChanged(listener);
  }

  /** Something changed that may have made room somewhere. @param models of these, or of all */
  wake(models?: readonly string[]): void {
    this.#lines.wake(models);
  }

  /** An idle worker asks for jobs. @returns how many will come, if the worker may have them */
  offer(node: NodeId, models: readonly string[], slots: number): number {
    return this.#lines.offer(node, models, slots);
  }

  /* ---- the steps of the flow, in their order ---- */

  #begin(spec: JobSpec, signal: AbortSignal): Ask {
    const ref = parseModelRef(spec.model);
    checkRequest(spec);
    const { clock, book, link } = this.#deps;
    const job = book.open({
      id: newJobId(clock.now(), this.#deps.randomBytes(10)),
      kind: spec.input.kind,
      direction: 'out',
      model: ref.name,
      requester: link.self,
      lane: 'paid',
      privacy: spec.privacy,
    });
    return new Ask({ spec, ref, job, credits: this.#credits }, signal, clock);
  }

  /** Asks the candidates, best first, until one takes the job; while all of them are busy it waits in line here. */
  async *#place(ask: Ask): AsyncGenerator<JobOutput, Placement> {
    ask.job.to('placing');
    // A newcomer does not overtake those that wait for the same; one that comes back tries at once.
    const newcomer = ask.cut === undefined && this.#lines.depth > 0;
    if (newcomer && this.#lines.isWaitedFor(ask.wanted())) yield* this.#waitInLine(ask, undefined);
    let round = await this.#newRound(ask);
    while (true) {
      for (let candidate = round.next(); candidate !== undefined; candidate = round.next()) {
        const offer = new Offer(ask, candidate, round, this.#deps);
        try {
          for (let output = await offer.next(); output !== undefined; output = await offer.next()) yield output;
        } finally {
          offer.leave();
        }
        if (offer.placement !== undefined) return offer.placement;
      }
      round = yield* this.#nextRound(ask, round);
    }
  }

  /** Decides whom to ask now. */
  async #newRound(ask: Ask, again = 0): Promise<Round> {
    ask.throwIfOver();
    const query = ask.query();
    const decision = await this.#deps.router.decide(query, ask.signal);
    ask.throwIfOver();
    ask.job.decision = decision;
    const at = this.#deps.clock.elapsed();
    return new Round(ask, this.#deps.router, { query, decision, at, again, worker: ask.place?.takeWorker() });
  }

  /**
   * Nobody took the job: waits while somebody is busy, and else asks whoever was not there yet.
   * @throws GoGridError when neither helps
   */
  async *#nextRound(ask: Ask, round: Round): AsyncGenerator<JobOutput, Round> {
    const { isOutdated, pulled, busyMs } = round;
    if (pulled || (!isOutdated && busyMs !== undefined)) {
      yield* this.#waitInLine(ask, pulled ? undefined : busyMs);
      ask.full = undefined;
      return this.#newRound(ask);
    }
    const again = isOutdated ? round.again : round.again + 1;
    if (again > JOB.maxAttempts || !(isOutdated || round.hasAsked || round.hasSkipped)) throw this.#refusal(ask, round);
    // While somebody was asked others may have been heard of; those that said no may do it after a while.
    const tookAWhile = this.#deps.clock.elapsed() - round.at >= JOB.askAgainMinMs;
    const anybody = isOutdated || round.hasSkipped || tookAWhile;
    const next = await this.#newRound(ask, again);
    const mayTakeIt = ({ node, failed }: Weighed) =>
      !failed && !ask.refusedBy.has(node) && (anybody || !round.wasOffered(node));
    if (next.decision.candidates.some(mayTakeIt)) return next;
    throw this.#refusal(ask, { decision: next.decision, refusals: round.refusals });
  }

  #refusal(ask: Ask, { decision, refusals }: Pick<Round, 'decision' | 'refusals'>): GoGridError {
    const { cut, resume, ref, spec } = ask;
    // That a provider failed says more than that it cannot be reached now; that one gave the job back says less.
    const all = cut === undefined ? refusals : blameOf(cut) === 'provider' ? [cut, ...refusals] : [...refusals, cut];
    const refusal = noProvider(ref, spec.privacy, decision.excluded, all, this.#deps.ownModels);
    return cut === undefined || resume === undefined ? refusal : brokenOff(refusal, cut);
  }

  /**
   * Every provider is full: waits here until it is this job's turn to ask them again.
   * @param busyMs what they said; undefined when they were not asked: it stands behind others, or asked one worker alone
   * @throws GoGridError `overloaded` when there is no room, or it has waited too long
   */
  async *#waitInLine(ask: Ask, busyMs: number | undefined): AsyncGenerator<JobOutput> {
    try {
      if (ask.place !== undefined && busyMs !== undefined) ask.place.allBusy(busyMs);
      const place = ask.place ?? this.#lines.enter(ask.wanted(), ask.askedAt, busyMs, ask.waitedMs);
      ask.standsIn(place);
      ask.job.to('queued');
      do {
        yield ask.waits(() => place.wait());
      } while ((await place.next(ask.signal)) === 'moved');
    } catch (thrown) {
      ask.throwIfOver();
      const error = toGoGridError(thrown);
      throw ask.cut === undefined || ask.resume === undefined ? error : brokenOff(error, ask.cut);
    }
  }

  /**
   * A provider has the job no more.
   * @returns true when its answer is complete all the same; else another one may take the job
   * @throws GoGridError when nobody can go on with it
   */
  #isComplete(ask: Ask, delivery: Delivery, failure: GoGridError): boolean {
    const { job, answer, spec } = ask;
    const { node, local } = delivery.placement.candidate;
    ask.cutOff(failure.code);
    if (delivery.tokens > 0) ask.waitedMs = 0;
    const plan = planResume(spec.input, answer.delivered(), spec.whole !== true);
    if (plan.kind === 'complete') {
      answer.reason = plan.reason;
      return true;
    }
    const blame = blameOf(failure);
    if (blame === 'request' && local && ask.cut === undefined) throw failure;
    if (blame === 'request') ask.refusedBy.set(node, failure);
    if (blame === 'provider') ask.countFailure(node, failure);
    else ask.countHandOver(node, failure);
    ask.full = failure.code === 'overloaded' ? { node, forMs: 1000 * (failure.retryAfterSecs ?? 0) } : undefined;
    if (plan.kind === 'impossible') throw cannotContinue(failure, plan.why);
    ask.cut = failure;
    ask.resume = plan.kind === 'continue' ? plan.resume : undefined;
    if (plan.kind === 'continue') {
      answer.goesOn(stopsOf(spec.input));
    } else {
      answer.startsAgain();
      ask.digest = undefined;
    }
    job.tokensOut = answer.tokens;
    job.to('handing-over');
    const { id } = job;
    this.#deps.log.info({ job: id, code: failure.code, at: answer.tokens }, 'a job moves to another provider');
    return false;
  }

  *#complete(ask: Ask): Generator<JobOutput> {
    const { job, answer } = ask;
    const rest = answer.finish();
    if (rest !== undefined) yield rest;
    yield* answer.vectors();
    const usage = answer.totals(job.decision?.promptTokens);
    job.tokensIn = usage.promptTokens;
    job.tokensOut = usage.outputTokens;
    job.usageEstimated = usage.estimated;
    job.tokensPerSecond = usage.decodeMs > 0 ? (usage.outputTokens * 1000) / usage.decodeMs : null;
    job.end('completed', null);
    yield { type: 'done', reason: answer.reason, usage, job: job.record() };
  }

  #fail(ask: Ask, error: GoGridError): GoGridError {
    const { job } = ask;
    if (error.code === 'cancelled') job.end('cancelled', 'cancelled');
    else if (error.code === 'deadline_exceeded') job.end('expired', error.code);
    else job.end('failed', error.code);
    return error.with({ job: job.id });
  }
}

function cannotContinue(failure: GoGridError, why: string): GoGridError {
  return new GoGridError({
    code: 'cannot_continue',
    message: `the provider stopped in mid-answer (${failure.code}), and the answer cannot be continued: ${why}`,
    hint: 'send the request again',
    cause: failure,
  });
}
