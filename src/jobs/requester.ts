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
import { Ask } from './ask.ts';
import type { JobBook } from './book.ts';
import { checkRequest, stopsOf } from './bounds.ts';
import { blameOf, brokenOff, failureOf, noProvider, type OwnModels } from './failure.ts';
import {
  LEFT,
  noteBusy,
  noteHandOver,
  type OfferDeps,
  offerJob,
  outcomeOf,
  type Placement,
  type Round,
} from './offer.ts';
import type { JobOutput, JobSpec } from './output.ts';
import { planResume } from './resume.ts';
import type { Decision, Outcome, Weighed } from './routing/decision.ts';
import { WaitingLines, type WaitingOptions } from './waiting-line.ts';

export interface RequesterDeps extends OfferDeps {
  readonly ownModels: OwnModels;
  readonly book: JobBook;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly log: Logger;
}

export class Requester {
  readonly #deps: RequesterDeps;
  readonly #lines: WaitingLines;

  constructor(options: WaitingOptions, deps: RequesterDeps) {
    this.#deps = deps;
    this.#lines = new WaitingLines(options, deps.clock);
  }

  /** See `RunJob` in output.ts. */
  async *run(spec: JobSpec, signal: AbortSignal): AsyncGenerator<JobOutput> {
    const ask = this.#begin(spec, signal);
    try {
      while (true) {
        const placement = yield* this.#place(ask);
        const failure = yield* this.#deliver(ask, placement);
        if (failure === undefined || this.#isComplete(ask, placement, failure)) break;
      }
      yield* this.#complete(ask);
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
  async explain(spec: JobSpec, signal: AbortSignal): Promise<Decision> {
    const ref = parseModelRef(spec.model);
    checkRequest(spec);
    const { input, privacy } = spec;
    return this.#deps.router.decide(
      { ref, input, privacy, digest: undefined, delivered: 0, failed: new Set() },
      signal,
    );
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
    return new Ask(spec, ref, job, signal, clock);
  }

  /** Asks the candidates, best first, until one takes the job; while all of them are busy it waits in line here. */
  async *#place(ask: Ask): AsyncGenerator<JobOutput, Placement> {
    ask.job.to('placing');
    // A newcomer does not overtake those that wait for the same; one that comes back tries at once.
    const newcomer = ask.cut === undefined && this.#lines.depth > 0;
    if (newcomer && this.#lines.isWaitedFor(ask.wanted())) yield* this.#waitInLine(ask, undefined);
    let again = 0;
    while (true) {
      const round = await this.#decide(ask);
      for (const candidate of inOrder(round.decision.candidates, ask.place?.takeWorker())) {
        // Another digest goes on with the answer only when nobody has this one; who has it and is busy has it.
        if (candidate.otherDigest && round.busyMs !== undefined) continue;
        if (candidate.node === ask.full?.node) {
          noteBusy(round, ask.full.forMs);
          continue;
        }
        // More at once the peer would cut off, and they would look like failures of it.
        if (!candidate.local && this.#deps.router.inFlightAt(candidate.node) >= JOB.maxOpenAtPeer) {
          noteBusy(round, JOB.askAgainMinMs);
          continue;
        }
        const placement = yield* offerJob(ask, candidate, round, this.#deps);
        if (placement !== undefined) return placement;
      }
      if (round.busyMs !== undefined) {
        yield* this.#waitInLine(ask, round.busyMs);
        ask.full = undefined;
      } else if (again++ >= JOB.maxAttempts || !(await this.#isSomebodyElseThere(ask, round))) {
        throw this.#refusal(ask, round);
      }
    }
  }

  /** Where it took a while to be turned down, somebody may be there by now who was not when it was decided whom to ask. */
  async #isSomebodyElseThere(ask: Ask, round: Round): Promise<boolean> {
    if (!round.queued && this.#deps.clock.elapsed() - round.at < JOB.askAgainMinMs) return false;
    const { decision } = await this.#decide(ask);
    return decision.candidates.some(({ failed }) => !failed);
  }

  async #decide(ask: Ask): Promise<Round> {
    ask.throwIfOver();
    const query = ask.query();
    const decision = await this.#deps.router.decide(query, ask.signal);
    ask.throwIfOver();
    ask.job.decision = decision;
    return {
      query,
      decision,
      refusals: [],
      busyMs: undefined,
      at: this.#deps.clock.elapsed(),
      queued: false,
    };
  }

  #refusal(ask: Ask, { decision, refusals }: Round): GoGridError {
    const { cut, resume, ref, spec } = ask;
    // That a provider failed says more than that it cannot be reached now; that one gave the job back says less.
    const all = cut === undefined ? refusals : blameOf(cut) === 'provider' ? [cut, ...refusals] : [...refusals, cut];
    const refusal = noProvider(ref, spec.privacy, decision.excluded, all, this.#deps.ownModels);
    return cut === undefined || resume === undefined ? refusal : brokenOff(refusal, cut);
  }

  /**
   * Every provider is full: waits here until it is this job's turn to ask them again.
   * @param busyMs what they said; undefined when it stands behind others and has not asked
   * @throws GoGridError `overloaded` when there is no room, or it has waited too long
   */
  async *#waitInLine(ask: Ask, busyMs: number | undefined): AsyncGenerator<JobOutput> {
    try {
      if (ask.place === undefined) ask.place = this.#lines.enter(ask.wanted(), ask.askedAt, busyMs);
      else ask.place.allBusy(busyMs ?? 0);
      const { place } = ask;
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

  /** Passes the answer on. Returns why the provider has the job no more, or undefined when the answer is complete. */
  async *#deliver(ask: Ask, placement: Placement): AsyncGenerator<JobOutput, GoGridError | undefined> {
    const { node, digest, channel, liveness, visit } = placement;
    const { answer, job } = ask;
    let outcome: Outcome = LEFT;
    try {
      ask.digest = digest;
      // It has left its provider's queue: the next of this node's may have its place there.
      this.#lines.wake([job.model]);
      const route = node === this.#deps.link.self ? 'local' : this.#deps.link.route(node);
      yield { type: 'placed', job: job.id, provider: node, route, digest };
      while (true) {
        liveness.waits();
        const message = await channel.receive();
        if (message?.type === 'chunk') {
          liveness.token();
          const piece = answer.take(message);
          job.tokensOut = answer.tokens;
          job.firstToken();
          job.waiting = undefined;
          if (piece !== undefined) yield piece;
          if (!answer.stopped) continue;
          outcome = { kind: 'completed', usage: undefined };
          return undefined;
        }
        liveness.other();
        switch (message?.type) {
          case 'vectors':
            answer.keepVectors(message);
            break;
          case 'progress': {
            const { phase } = message;
            yield ask.waits(() => ({ where: 'engine', phase }));
            break;
          }
          case 'usage':
            answer.usage = message;
            break;
          case 'end':
            answer.reason = message.reason;
            outcome = { kind: 'completed', usage: answer.usage };
            return undefined;
          case 'handOver':
            noteHandOver(visit, message);
            return failureOf(message);
          default:
            throw failureOf(message);
        }
      }
    } catch (thrown) {
      ask.throwIfOver();
      const error = toGoGridError(thrown);
      outcome = outcomeOf(error);
      return error;
    } finally {
      liveness.cancel();
      channel.close();
      visit.ends(outcome);
      this.#lines.wake([job.model]);
    }
  }

  /**
   * A provider has the job no more.
   * @returns true when its answer is complete all the same; else another one may take the job
   * @throws GoGridError when nobody can go on with it
   */
  #isComplete(ask: Ask, { node }: Placement, failure: GoGridError): boolean {
    const { job, answer, spec } = ask;
    ask.cutOff(failure.code);
    const plan = planResume(spec.input, answer.delivered(), spec.whole !== true);
    if (plan.kind === 'complete') {
      answer.reason = plan.reason;
      return true;
    }
    const blame = blameOf(failure);
    if (blame === 'request' && ask.cut === undefined) throw failure;
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

/** The candidates, with the worker that pulled for this job in front if it is one of them. */
function inOrder(candidates: readonly Weighed[], worker: NodeId | undefined): readonly Weighed[] {
  const pulled = worker === undefined ? undefined : candidates.find(({ node }) => node === worker);
  return pulled === undefined ? candidates : [pulled, ...candidates.filter((other) => other !== pulled)];
}

function cannotContinue(failure: GoGridError, why: string): GoGridError {
  return new GoGridError({
    code: 'cannot_continue',
    message: `the provider stopped in mid-answer (${failure.code}), and the answer cannot be continued: ${why}`,
    hint: 'send the request again',
    cause: failure,
  });
}
