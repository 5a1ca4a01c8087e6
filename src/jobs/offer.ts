/** One candidate is offered the job: it takes it, at once or from its queue, or says why not. */

import type { Clock } from '../clock.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import type { JobHandOver, JobRequest } from '../protocol/job.ts';
import type { Ask } from './ask.ts';
import { blameOf, failureOf, overloaded } from './failure.ts';
import { Liveness, streams } from './liveness.ts';
import { memoryChannel } from './memory-channel.ts';
import type { JobOutput } from './output.ts';
import { Patience } from './patience.ts';
import type { PeerLink, ProviderChannel, RequesterChannel } from './ports.ts';
import type { Round } from './round.ts';
import type { Outcome, Router, Visit, Weighed } from './routing/decision.ts';

export interface OfferDeps {
  readonly router: Router;
  readonly link: Pick<PeerLink, 'self' | 'openJob' | 'route'>;
  /** The provider flow of this node, for what runs here. */
  readonly handleLocally: (request: JobRequest, channel: ProviderChannel) => void;
  readonly clock: Clock;
}

/** A provider that has taken the job. */
export interface Placement {
  readonly candidate: Weighed;
  readonly digest: string;
  readonly channel: RequesterChannel;
  readonly liveness: Liveness;
  readonly visit: Visit;
}

export const LEFT: Outcome = { kind: 'left' };

/** What a stay at a provider says of it when it ended with this. */
export function outcomeOf(error: GoGridError): Outcome {
  return blameOf(error) === 'provider' ? { kind: 'failed', code: error.code } : LEFT;
}

/** Whoever gives a job back is not where it goes on soonest. */
export function noteHandOver(visit: Visit, { reason, estimateMs = 0 }: JobHandOver): void {
  if (reason !== 'drain') visit.givenBack(estimateMs);
}

/** Call `next` until it gives nothing more, and `leave` however that ends. */
export class Offer {
  /** Set when the provider has taken the job. */
  placement: Placement | undefined;
  readonly #ask: Ask;
  readonly #candidate: Weighed;
  readonly #round: Round;
  readonly #deps: OfferDeps;
  readonly #visit: Visit;
  /** Milliseconds since 1970. */
  readonly #sentAt: number;
  #stream: { readonly channel: RequesterChannel; readonly liveness: Liveness } | undefined;
  #patience: Patience | undefined;
  #outcome = LEFT;

  constructor(ask: Ask, candidate: Weighed, round: Round, deps: OfferDeps) {
    this.#ask = ask;
    this.#candidate = candidate;
    this.#round = round;
    this.#deps = deps;
    this.#sentAt = deps.clock.now();
    this.#visit = deps.router.visit(round.query, candidate);
  }

  /**
   * @returns what the job waits for there; undefined when it has run there, see `placement`, or does not, and the round says why
   * @throws GoGridError why it does not run anywhere
   */
  async next(): Promise<JobOutput | undefined> {
    try {
      this.#stream ??= await this.#open();
      return await this.#listen(this.#stream);
    } catch (thrown) {
      const error = await this.#ask.judge(thrown);
      this.#outcome = outcomeOf(error);
      this.#round.isOutdated ||= this.#ask.isTaken;
      this.#ask.turnedDown(this.#candidate, this.#sentAt, error);
      this.#round.refusals.push(error);
      return undefined;
    }
  }

  /** It is over, unless the job is placed. */
  leave(): void {
    if (this.placement !== undefined) return;
    this.#stream?.liveness.cancel();
    this.#stream?.channel.close();
    this.#visit.ends(this.#outcome);
  }

  async #open() {
    const request = this.#ask.request();
    const channel = this.#candidate.local ? this.#openHere(request) : await this.#openAtPeer(request);
    this.#ask.attach(channel);
    const watched = { remote: !this.#candidate.local, streams: streams(request.input) };
    return { channel, liveness: new Liveness(channel, this.#deps.clock, watched) };
  }

  #openHere(request: JobRequest): RequesterChannel {
    const { requester, provider } = memoryChannel(this.#deps.clock);
    this.#ask.job.seen(this.#candidate.node);
    this.#deps.handleLocally(request, provider);
    return requester;
  }

  async #openAtPeer(request: JobRequest): Promise<RequesterChannel> {
    const { job, signal } = this.#ask;
    const { node } = this.#candidate;
    const takeBack = job.seen(node);
    try {
      return await this.#deps.link.openJob(node, request, signal);
    } catch (thrown) {
      // Otherwise a part of a large request may be there.
      if (toGoGridError(thrown).code === 'peer_unreachable') takeBack();
      throw thrown;
    }
  }

  /** @throws GoGridError why it does not run there */
  async #listen({ channel, liveness }: Pick<Placement, 'channel' | 'liveness'>): Promise<JobOutput | undefined> {
    const ask = this.#ask;
    const message = await channel.receive();
    switch (message?.type) {
      case 'queued': {
        const { position, estimateMs } = message;
        ask.taken(this.#candidate, this.#sentAt);
        this.#visit.waits(estimateMs);
        ask.job.to('queued');
        await this.#throwIfOverdue(estimateMs);
        return ask.waits(() => ({ where: 'queue', ahead: position, estimateMs }));
      }
      case 'progress': {
        const { phase } = message;
        await this.#throwIfOverdue(0);
        return ask.waits(() => ({ where: 'engine', phase }));
      }
      case 'accepted':
        this.#isAccepted(message.digest);
        liveness.accepted();
        this.placement = {
          candidate: this.#candidate,
          digest: message.digest,
          channel,
          liveness,
          visit: this.#visit,
        };
        return undefined;
      case 'busy':
        this.#visit.waits(message.estimateMs);
        this.#isPutOff(message.estimateMs);
        throw failureOf(message);
      case 'handOver':
        noteHandOver(this.#visit, message);
        // It keeps a place for the job: to come back there is to wait.
        if (message.reason !== 'drain') this.#isPutOff(message.estimateMs ?? 0);
        throw failureOf(message);
      default:
        throw failureOf(message);
    }
  }

  #isAccepted(digest: string): void {
    const { job } = this.#ask;
    this.#ask.taken(this.#candidate, this.#sentAt);
    if (digest !== this.#candidate.digest) {
      // The answer would go on at those that have this version, and at nobody else.
      throw new GoGridError({
        code: 'protocol_violation',
        message: 'the provider has another version than it announced',
      });
    }
    job.waiting = undefined;
    job.attemptAccepted(digest);
    job.to('running');
  }

  /** It has no room now. */
  #isPutOff(forMs: number): void {
    const { node } = this.#candidate;
    if (this.#ask.isTaken) this.#ask.full = { node, forMs };
    else this.#round.isBusy(this.#candidate, forMs);
  }

  /** @throws GoGridError when it keeps the job much longer in its queue than it told at first, and another one is idle */
  async #throwIfOverdue(toldMs: number): Promise<void> {
    const { node } = this.#candidate;
    this.#patience ??= new Patience({ ask: this.#ask, node, toldMs, leastMs: JOB.overdueInQueueMs }, this.#deps);
    if (!(await this.#patience.isOver())) return;
    this.#visit.waits(JOB.overdueInQueueMs);
    this.#isPutOff(JOB.askAgainMaxMs);
    throw overloaded('the provider kept the job in its queue for much longer than it said', 0);
  }
}
