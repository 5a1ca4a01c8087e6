/**
 * The requester flow: one job from a surface to a provider and back. Candidates, rank, open, deliver; and when a provider
 * fails, place again and go on exactly where it stopped. Read `run` from top to bottom.
 */

import type { Clock, Timer } from '../clock.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import { type NodeId, newJobId } from '../protocol/ids.ts';
import type { JobRequest, ToRequester } from '../protocol/job.ts';
import { parseModelRef } from '../protocol/model-name.ts';
import type { Logger } from '../telemetry/logger.ts';
import { Ask } from './ask.ts';
import type { JobBook } from './book.ts';
import { checkRequest, stopsOf } from './bounds.ts';
import type { Candidates } from './candidates.ts';
import { blameOf, brokenOff, failureOf, noProvider } from './failure.ts';
import { memoryChannel } from './memory-channel.ts';
import type { JobOutput, JobSpec } from './output.ts';
import type { PeerLink, ProviderChannel, RequesterChannel } from './ports.ts';
import { type Candidate, rank } from './ranking.ts';
import { planResume } from './resume.ts';
import { watchSilence } from './silence.ts';

export interface RequesterDeps {
  readonly candidates: Candidates;
  readonly link: PeerLink;
  /** The provider flow of this node, for what runs here. */
  readonly handleLocally: (request: JobRequest, channel: ProviderChannel) => void;
  readonly book: JobBook;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly log: Logger;
}

/** A provider that has taken the job. */
interface Placement {
  readonly node: NodeId;
  readonly digest: string;
  readonly channel: RequesterChannel;
  readonly silence: Timer | undefined;
}

export class Requester {
  readonly #deps: RequesterDeps;
  /** Jobs this node has at each peer: a beat is older than they are. */
  readonly #inFlight = new Map<NodeId, number>();

  constructor(deps: RequesterDeps) {
    this.#deps = deps;
  }

  /** See `RunJob` in output.ts. */
  async *run(spec: JobSpec, signal: AbortSignal): AsyncGenerator<JobOutput> {
    const ask = this.#begin(spec, signal);
    try {
      while (true) {
        const placement = yield* this.#place(ask);
        yield* this.#announce(ask, placement);
        const failure = yield* this.#deliver(ask, placement);
        if (failure === undefined) return;
        this.#prepareToContinue(ask, placement, failure);
      }
    } catch (thrown) {
      throw this.#fail(ask, toGoGridError(thrown));
    } finally {
      ask.finish();
    }
  }

  /** Jobs this node has open at a peer. */
  inFlightAt(node: NodeId): number {
    return this.#inFlight.get(node) ?? 0;
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

  /** Asks the candidates, best first, until one takes the job. */
  async *#place(ask: Ask): AsyncGenerator<JobOutput, Placement> {
    ask.job.to('placing');
    const refusals: GoGridError[] = ask.brokenBy === undefined ? [] : [ask.brokenBy];
    for (const candidate of await this.#candidates(ask)) {
      ask.throwIfOver();
      try {
        return yield* this.#offer(ask, candidate);
      } catch (thrown) {
        const error = toGoGridError(thrown);
        ask.throwIfOver();
        const blame = blameOf(error);
        if (blame === 'request') throw error;
        if (blame === 'provider') ask.countFailure(candidate.node, error);
        refusals.push(error);
      }
    }
    const refusal = noProvider(ask.ref, ask.spec.privacy, refusals, this.#deps.candidates);
    throw ask.resume === undefined ? refusal : brokenOff(refusal);
  }

  async #candidates(ask: Ask): Promise<Candidate[]> {
    const { candidates, link } = this.#deps;
    const mayLeave = ask.spec.privacy === 'mesh';
    const usable = () =>
      candidates
        .providersOf(ask.ref.name)
        .filter(({ digest }) => ask.ref.digest === undefined || ask.ref.digest === digest)
        .filter(({ local }) => local || mayLeave);
    let found = usable();
    if (found.length === 0 && mayLeave) {
      await link.findProviders(ask.ref.name, ask.signal);
      found = usable();
    }
    return rank(
      found.map((known) => ({
        ...known,
        // A beat is older than the jobs this node has there itself.
        load: known.local ? known.load : Math.max(known.load, this.inFlightAt(known.node)),
        otherDigest: ask.digest !== undefined && ask.digest !== known.digest,
        failed: ask.failed.has(known.node),
      })),
    );
  }

  /**
   * Offers the job to one provider and waits in its queue.
   * @throws GoGridError why it does not run there
   */
  async *#offer(ask: Ask, candidate: Candidate): AsyncGenerator<JobOutput, Placement> {
    const { node, local } = candidate;
    ask.job.attemptStarts(node);
    this.#count(node, +1);
    let channel: RequesterChannel | undefined;
    let silence: Timer | undefined;
    let taken = false;
    try {
      channel = await this.#open(ask, node, local);
      silence = local ? undefined : watchSilence(channel, this.#deps.clock);
      ask.attach(channel);
      while (true) {
        const message = await channel.receive();
        switch (message?.type) {
          case 'queued':
            ask.job.to('queued');
            yield ask.waits({ where: 'queue', ahead: message.position, estimateMs: message.estimateMs });
            break;
          case 'progress':
            yield ask.waits({ where: 'engine', phase: message.phase });
            break;
          case 'accepted':
            ask.job.waiting = undefined;
            ask.job.direction = local ? 'local' : 'out';
            ask.job.lane = local ? 'owner' : 'paid';
            ask.job.attemptAccepted(message.digest);
            ask.job.to('running');
            taken = true;
            return { node, digest: message.digest, channel, silence };
          default:
            throw failureOf(message);
        }
      }
    } catch (thrown) {
      ask.job.attemptEnds(toGoGridError(thrown).code);
      throw thrown;
    } finally {
      if (!taken) {
        silence?.cancel();
        channel?.close();
        this.#count(node, -1);
      }
    }
  }

  async #open(ask: Ask, node: NodeId, local: boolean): Promise<RequesterChannel> {
    const request = ask.request();
    if (!local) return this.#deps.link.openJob(node, request, ask.signal);
    const { requester, provider } = memoryChannel(this.#deps.clock);
    this.#deps.handleLocally(request, provider);
    return requester;
  }

  *#announce(ask: Ask, placement: Placement): Generator<JobOutput> {
    const { node, digest } = placement;
    const route = node === this.#deps.link.self ? 'local' : this.#deps.link.route(node);
    ask.digest = digest;
    yield { type: 'placed', job: ask.job.id, provider: node, route, digest };
  }

  /** Passes the answer on. Returns why the provider failed, or undefined when the answer is complete. */
  async *#deliver(ask: Ask, placement: Placement): AsyncGenerator<JobOutput, GoGridError | undefined> {
    const { channel } = placement;
    const { answer, job } = ask;
    try {
      while (true) {
        const message = await receiveOrFail(channel);
        switch (message.type) {
          case 'chunk': {
            const piece = answer.take(message);
            job.tokensOut = answer.tokens;
            if (piece !== undefined) {
              job.firstToken();
              job.waiting = undefined;
              yield piece;
            }
            if (answer.stopped) return yield* this.#complete(ask);
            break;
          }
          case 'vectors':
            answer.keepVectors(message);
            break;
          case 'progress':
            yield ask.waits({ where: 'engine', phase: message.phase });
            break;
          case 'usage':
            answer.usage = message;
            break;
          case 'end':
            answer.reason = message.reason;
            return yield* this.#complete(ask);
          default:
            return failureOf(message);
        }
      }
    } catch (thrown) {
      ask.throwIfOver();
      return toGoGridError(thrown);
    } finally {
      placement.silence?.cancel();
      channel.close();
      this.#count(placement.node, -1);
    }
  }

  *#complete(ask: Ask): Generator<JobOutput, undefined> {
    const { job, answer } = ask;
    const rest = answer.finish();
    if (rest !== undefined) yield rest;
    yield* answer.vectors();
    const usage = answer.totals();
    job.tokensIn = usage.promptTokens;
    job.tokensOut = usage.outputTokens;
    job.usageEstimated = usage.estimated;
    job.tokensPerSecond = usage.decodeMs > 0 ? (usage.outputTokens * 1000) / usage.decodeMs : null;
    job.attemptEnds(null);
    job.end('completed', null);
    yield { type: 'done', reason: answer.reason, usage, job: job.record() };
    return undefined;
  }

  /** A provider failed: throws unless the answer can be continued by another. */
  #prepareToContinue(ask: Ask, placement: Placement, failure: GoGridError): void {
    ask.job.attemptEnds(failure.code);
    ask.throwIfOver();
    const blame = blameOf(failure);
    if (blame === 'request') throw failure;
    if (blame === 'provider') ask.countFailure(placement.node, failure);
    else ask.countHandOver(placement.node, failure);
    const plan = planResume(ask.spec.input, ask.answer.delivered());
    if (plan.kind === 'impossible') {
      throw new GoGridError({
        code: 'cannot_continue',
        message: `the provider failed in mid-answer (${failure.code}), and the answer cannot be continued: ${plan.why}`,
        hint: 'send the request again',
        cause: failure,
      });
    }
    ask.brokenBy = failure;
    ask.resume = plan.kind === 'continue' ? plan.resume : undefined;
    ask.answer.broke(stopsOf(ask.spec.input));
    ask.job.to('handing-over');
    this.#deps.log.info(
      { job: ask.job.id, code: failure.code, at: ask.answer.tokens },
      'a job moves to another provider',
    );
  }

  #fail(ask: Ask, error: GoGridError): GoGridError {
    const { job } = ask;
    if (error.code === 'cancelled') job.end('cancelled', 'cancelled');
    else if (error.code === 'deadline_exceeded') job.end('expired', error.code);
    else job.end('failed', error.code);
    return error;
  }

  #count(node: NodeId, change: number): void {
    const count = this.inFlightAt(node) + change;
    if (count > 0) this.#inFlight.set(node, count);
    else this.#inFlight.delete(node);
  }
}

async function receiveOrFail(channel: RequesterChannel): Promise<ToRequester> {
  const message = await channel.receive();
  if (message === undefined) throw failureOf(message);
  return message;
}
