/** One candidate is offered the job: it takes it, at once or from its queue, or says why not. */

import type { Clock } from '../clock.ts';
import { type ErrorCode, type GoGridError, toGoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { JobHandOver, JobRequest } from '../protocol/job.ts';
import type { Ask } from './ask.ts';
import { blameOf, failureOf } from './failure.ts';
import { Liveness, streams } from './liveness.ts';
import { memoryChannel } from './memory-channel.ts';
import type { JobOutput } from './output.ts';
import type { PeerLink, ProviderChannel, RequesterChannel } from './ports.ts';
import type { Decision, Outcome, RouteQuery, Router, Visit, Weighed } from './routing/decision.ts';

export interface OfferDeps {
  readonly router: Router;
  readonly link: Pick<PeerLink, 'self' | 'openJob' | 'route'>;
  /** The provider flow of this node, for what runs here. */
  readonly handleLocally: (request: JobRequest, channel: ProviderChannel) => void;
  readonly clock: Clock;
}

/** The candidates are asked once: what those said that did not take the job. */
export interface Round {
  readonly query: RouteQuery;
  readonly decision: Decision;
  readonly refusals: GoGridError[];
  /** Milliseconds until the first of the busy ones has room; undefined when none was busy. */
  busyMs: number | undefined;
  /** `Clock.elapsed()` when it was decided whom to ask. */
  readonly at: number;
  /** One of them had it in its queue. */
  queued: boolean;
}

/** A provider that has taken the job. */
export interface Placement {
  readonly node: NodeId;
  readonly digest: string;
  readonly channel: RequesterChannel;
  readonly liveness: Liveness;
  readonly visit: Visit;
}

/** Codes of a job that was given back in order. */
const HANDED_OVER: ReadonlySet<ErrorCode> = new Set(['preempted', 'shutting_down']);

export const LEFT: Outcome = { kind: 'left' };

/** What a stay at a provider says of it when it ended with this. */
export function outcomeOf(error: GoGridError): Outcome {
  return blameOf(error) === 'provider' ? { kind: 'failed', code: error.code } : LEFT;
}

/**
 * Offers the job to one provider and waits in its queue.
 * @returns undefined when it does not run there, and `round` says why
 * @throws GoGridError why it does not run anywhere
 */
export async function* offerJob(
  ask: Ask,
  candidate: Weighed,
  round: Round,
  deps: OfferDeps,
): AsyncGenerator<JobOutput, Placement | undefined> {
  const { clock, router } = deps;
  const { node, local } = candidate;
  const request = ask.request();
  const visit = router.visit(round.query, candidate);
  const sentAt = clock.now();
  let outcome: Outcome | undefined = LEFT;
  let channel: RequesterChannel | undefined;
  let liveness: Liveness | undefined;
  try {
    channel = await open(ask, candidate, request, deps);
    ask.attach(channel);
    liveness = new Liveness(channel, clock, { remote: !local, streams: streams(request.input) });
    const digest = yield* untilAccepted(ask, { candidate, channel, visit, sentAt }, round);
    outcome = undefined;
    return { node, digest, channel, liveness, visit };
  } catch (thrown) {
    const error = toGoGridError(thrown);
    ask.throwIfOver();
    outcome = outcomeOf(error);
    refused(ask, node, sentAt, error);
    round.refusals.push(error);
    return undefined;
  } finally {
    if (outcome !== undefined) {
      liveness?.cancel();
      channel?.close();
      visit.ends(outcome);
    }
  }
}

async function open(
  ask: Ask,
  { node, local }: Weighed,
  request: JobRequest,
  { clock, link, handleLocally }: OfferDeps,
): Promise<RequesterChannel> {
  if (local) {
    const { requester, provider } = memoryChannel(clock);
    ask.job.seen(node);
    handleLocally(request, provider);
    return requester;
  }
  try {
    const channel = await link.openJob(node, request, ask.signal);
    ask.job.seen(node);
    return channel;
  } catch (thrown) {
    // Of a large request a part may be there.
    if (toGoGridError(thrown).code !== 'peer_unreachable') ask.job.seen(node);
    throw thrown;
  }
}

/** A candidate that was sent the job. */
interface Sent {
  readonly candidate: Weighed;
  readonly channel: RequesterChannel;
  readonly visit: Visit;
  /** Milliseconds since 1970. */
  readonly sentAt: number;
}

/** @returns the digest of the model that answers @throws GoGridError why it does not run there */
async function* untilAccepted(ask: Ask, sent: Sent, round: Round): AsyncGenerator<JobOutput, string> {
  const { candidate, channel, visit, sentAt } = sent;
  const { job } = ask;
  while (true) {
    const message = await channel.receive();
    switch (message?.type) {
      case 'queued': {
        const { position, estimateMs } = message;
        ask.taken(candidate, sentAt);
        visit.waits(estimateMs);
        round.queued = true;
        job.to('queued');
        yield ask.waits(() => ({ where: 'queue', ahead: position, estimateMs }));
        break;
      }
      case 'progress': {
        const { phase } = message;
        yield ask.waits(() => ({ where: 'engine', phase }));
        break;
      }
      case 'accepted':
        ask.taken(candidate, sentAt);
        job.waiting = undefined;
        job.attemptAccepted(message.digest);
        job.to('running');
        return message.digest;
      case 'busy':
        visit.waits(message.estimateMs);
        noteBusy(round, message.estimateMs);
        throw failureOf(message);
      case 'handOver':
        noteHandOver(visit, message);
        // It keeps a place for the job: to come back there is to wait.
        if (message.reason !== 'drain') noteBusy(round, message.estimateMs ?? 0);
        throw failureOf(message);
      default:
        throw failureOf(message);
    }
  }
}

/** A provider does not run the job. @throws GoGridError when then nobody does */
function refused(ask: Ask, node: NodeId, sentAt: number, error: GoGridError): void {
  const blame = blameOf(error);
  // Once somebody has begun with it, the request itself is not at fault.
  if (blame === 'request' && ask.cut === undefined) throw error;
  ask.leftProvider(node, sentAt, error, blame === 'provider');
  if (blame === 'provider') ask.countFailure(node, error);
  else if (HANDED_OVER.has(error.code)) ask.countHandOver(node, error);
}

/** Somebody is busy, and expects to have room by then. */
export function noteBusy(round: Round, estimateMs: number): void {
  round.busyMs = Math.min(round.busyMs ?? estimateMs, estimateMs);
}

/** Whoever gives a job back is not where it goes on soonest. */
export function noteHandOver(visit: Visit, { reason, estimateMs = 0 }: JobHandOver): void {
  if (reason !== 'drain') visit.waits(Math.max(JOB.minOwnerUseMs, estimateMs));
}
