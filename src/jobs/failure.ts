/** What a failure means for the job: whose fault it is, and what the client is told when nobody is left. */

import { type ErrorCode, GoGridError, isErrorCode } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import type { HandOverReason, ToRequester } from '../protocol/job.ts';
import type { ModelRef } from '../protocol/model-name.ts';
import type { Arriving, Candidates } from './candidates.ts';
import type { PrivacyTier } from './privacy.ts';

/**
 * Whose fault: `request` — every provider would say the same; `provider` — another one may do it, and this one goes to the
 * end of the line; `nobody` — it is busy, or does not have what was asked for.
 */
export type Blame = 'request' | 'provider' | 'nobody';

export function blameOf(error: GoGridError): Blame {
  switch (error.code) {
    case 'invalid_request':
    case 'unsupported':
    case 'prompt_too_long':
    case 'payload_too_large':
    case 'deadline_exceeded':
      return 'request';
    case 'overloaded':
    case 'preempted':
    case 'shutting_down':
    case 'model_not_found':
    case 'cannot_continue':
      return 'nobody';
    default:
      return 'provider';
  }
}

/** What a provider may say of a job: not that its requester may not ask, nor that its time is over, which it cannot know. */
const PROVIDER_CODES: ReadonlySet<ErrorCode> = new Set([
  'invalid_request',
  'unsupported',
  'prompt_too_long',
  'overloaded',
  'shutting_down',
  'model_not_found',
  'cannot_continue',
  'engine_unavailable',
  'engine_out_of_memory',
  'engine_failed',
]);

const HAND_OVERS: Readonly<Record<HandOverReason, string>> = {
  owner: 'the owner of that machine needs it',
  drain: 'that machine is shutting down',
  pause: 'that machine pauses',
};

/** The error that a message means which is neither progress nor part of an answer; undefined means a stream that just closed. */
export function failureOf(message: ToRequester | undefined): GoGridError {
  if (message === undefined) {
    return new GoGridError({ code: 'provider_lost', message: 'the provider closed the stream without an end' });
  }
  switch (message.type) {
    case 'handOver':
      return new GoGridError({
        code: message.reason === 'drain' ? 'shutting_down' : 'preempted',
        message: HAND_OVERS[message.reason],
      });
    case 'busy':
      return overloaded('the provider is busy', message.estimateMs / 1000);
    case 'reject':
    case 'error':
      return new GoGridError({
        // A code of another version, or one that only this node may give, is a failure of that provider.
        code: isErrorCode(message.code) && PROVIDER_CODES.has(message.code) ? message.code : 'engine_failed',
        message: message.message,
        ...(message.type === 'error' &&
          message.retryAfterSecs !== undefined && { retryAfterSecs: message.retryAfterSecs }),
      });
    default:
      return new GoGridError({ code: 'protocol_violation', message: `the provider sent ${message.type} out of turn` });
  }
}

/**
 * Nobody took the job: the clearest of the reasons they gave.
 * @param known what is known of who has models: of a model that somebody has, nobody can say that it does not exist
 */
export function noProvider(
  ref: ModelRef,
  privacy: PrivacyTier,
  refusals: readonly GoGridError[],
  known: Pick<Candidates, 'isKnown' | 'trouble' | 'arriving'>,
): GoGridError {
  const busy = refusals.filter((error) => error.retry && error.retryAfterSecs !== undefined);
  if (busy.length > 0) {
    const soonest = Math.min(...busy.map((error) => error.retryAfterSecs ?? JOB.maxRetryAfterSecs));
    return overloaded(`every provider of '${ref.name}' is busy`, soonest);
  }
  const other = refusals.find((error) => error.code !== 'model_not_found');
  if (other !== undefined) return other;
  if (privacy === 'mesh' && known.isKnown(ref.name)) {
    return new GoGridError({
      code: 'peer_unreachable',
      message: `the machines that have '${ref.name}' do not take jobs now`,
      hint: 'gogrid peers shows how they are; try again in a moment',
      retryAfterSecs: JOB.engineRetrySecs,
    });
  }
  const arriving = known.arriving(ref.name);
  if (arriving !== undefined) return onItsWay(ref.name, arriving);
  const trouble = known.trouble();
  if (trouble !== undefined) {
    return new GoGridError({
      code: 'engine_unavailable',
      message: `model '${ref.name}' is not to be had now: the engine of this machine does not answer`,
      hint: trouble,
      retryAfterSecs: JOB.engineRetrySecs,
    });
  }
  const shown = ref.digest === undefined ? ref.name : `${ref.name}@sha256:${ref.digest}`;
  if (privacy === 'local') {
    return new GoGridError({
      code: 'privacy_unserved',
      message: `model '${shown}' is not on this machine, and the request may not leave it`,
      hint: 'pull the model here, or send it with x-gogrid-privacy: mesh',
    });
  }
  return new GoGridError({
    code: 'model_not_found',
    message: `model '${shown}' not found`,
    hint: 'gogrid models lists what the mesh has',
  });
}

function onItsWay(model: string, { percent, secondsLeft }: Arriving): GoGridError {
  const retryAfterSecs = retrySecs(secondsLeft ?? JOB.engineRetrySecs);
  return new GoGridError({
    code: 'engine_unavailable',
    message: `model '${model}' is being fetched${percent === undefined ? '' : `, ${Math.floor(percent)} % of it is here`}`,
    hint: `try again in ${retryAfterSecs} s; gogrid models shows how far it is`,
    retryAfterSecs,
  });
}

/** Nobody goes on with an answer of which the client has a part; `refusal` is why. */
export function brokenOff(refusal: GoGridError): GoGridError {
  const { code, message, retryAfterSecs } = refusal;
  return new GoGridError({
    code,
    message: `the answer broke off: its provider failed, and no other can go on with it (${message})`,
    hint: 'send the request again',
    ...(retryAfterSecs !== undefined && { retryAfterSecs }),
    cause: refusal,
  });
}

function overloaded(message: string, secs: number): GoGridError {
  return new GoGridError({ code: 'overloaded', message, retryAfterSecs: retrySecs(secs) });
}

/** `Retry-After` is a whole number of seconds within the bounds that clients bear. */
function retrySecs(secs: number): number {
  return Math.min(JOB.maxRetryAfterSecs, Math.max(JOB.minRetryAfterSecs, Math.ceil(secs)));
}
