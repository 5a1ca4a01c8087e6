/** What a failure means for the job: whose fault it is, and what the client is told when nobody is left. */

import { type ErrorCode, GoGridError, isErrorCode } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import type { HandOverReason, ToRequester } from '../protocol/job.ts';
import type { ModelRef } from '../protocol/model-name.ts';
import type { PrivacyTier } from './privacy.ts';
import { EXCLUSIONS, type Excluded, type Exclusion } from './routing/decision.ts';

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

/** What a provider may say of a job: not that its requester may not ask. That its time is over, `Ask.judge` looks into. */
const PROVIDER_CODES: ReadonlySet<ErrorCode> = new Set([
  'invalid_request',
  'unsupported',
  'prompt_too_long',
  'deadline_exceeded',
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

/** A model that this machine is fetching. */
export interface Arriving {
  /** 0 to 100; undefined while the size is not known. */
  readonly percent: number | undefined;
  readonly secondsLeft: number | undefined;
}

/** What only this machine can say of a model that it cannot run now. */
export interface OwnModels {
  /** Why the models of this machine are not known now, and what to do; undefined when they are. */
  trouble(): string | undefined;
  /** How far this model is on its way to this machine; undefined when it is not. */
  arriving(model: string): Arriving | undefined;
}

/** Nobody took the job, and waiting would not help: the clearest of the reasons. */
export function noProvider(
  ref: ModelRef,
  privacy: PrivacyTier,
  excluded: readonly Excluded[],
  refusals: readonly GoGridError[],
  own: OwnModels,
): GoGridError {
  const other = refusals.find((error) => error.code !== 'model_not_found');
  if (other !== undefined) return other;
  const why = new Set(excluded.map((node) => node.why));
  if (SOON.some((reason) => why.has(reason))) {
    return new GoGridError({
      code: 'peer_unreachable',
      message: `the machines that have '${ref.name}' do not take jobs now`,
      hint: 'gogrid peers shows how they are; try again in a moment',
      retryAfterSecs: JOB.engineRetrySecs,
    });
  }
  const arriving = own.arriving(ref.name);
  if (arriving !== undefined) return onItsWay(ref.name, arriving);
  const unable = EXCLUSIONS.map((reason) => (why.has(reason) ? UNABLE[reason] : undefined)).find((found) => found);
  if (unable !== undefined) {
    return new GoGridError({
      code: unable.code,
      message: `model '${ref.name}' ${unable.what}`,
      hint: 'gogrid models shows what each model can do',
    });
  }
  const trouble = own.trouble();
  if (trouble !== undefined) {
    return new GoGridError({
      code: 'engine_unavailable',
      message: `model '${ref.name}' is not to be had now: the engine of this machine does not answer`,
      hint: trouble,
      retryAfterSecs: JOB.engineRetrySecs,
    });
  }
  if (why.has('not-admitted') && privacy === 'mesh') {
    return new GoGridError({
      code: 'peer_unreachable',
      message: `model '${ref.name}' is only on machines that are not admitted, or not to be reached`,
      hint: 'gogrid peers shows who waits to be let in',
      retryAfterSecs: JOB.engineRetrySecs,
    });
  }
  const shown = ref.digest === undefined ? ref.name : `${ref.name}@sha256:${ref.digest}`;
  if (privacy !== 'mesh') return unserved(shown, privacy, why.has('not-admitted'));
  return new GoGridError({
    code: 'model_not_found',
    message: `model '${shown}' not found`,
    hint: why.has('other-digest')
      ? 'other versions of it are there: name it without @sha256 to take one'
      : 'gogrid models lists what the mesh has',
  });
}

/** Of a node that could run the job and may see it, and does not now. */
const SOON: readonly Exclusion[] = ['not-taking-jobs', 'unreachable'];

/** What a model that is there cannot do. */
const UNABLE: Readonly<Partial<Record<Exclusion, { readonly code: ErrorCode; readonly what: string }>>> = {
  'cannot-chat': { code: 'unsupported', what: 'does not chat: it makes embeddings only' },
  'cannot-embed': { code: 'unsupported', what: 'does not make embeddings' },
  'no-tools': { code: 'unsupported', what: 'does not support tools' },
  'no-vision': { code: 'unsupported', what: 'does not look at images' },
  'no-thinking': { code: 'unsupported', what: 'does not support thinking' },
  'no-insert': { code: 'unsupported', what: 'does not support insert (suffix)' },
  'cannot-continue': { code: 'cannot_continue', what: 'cannot continue an answer where it still runs' },
};

/** Fail closed: nobody whom the request allows to see it can serve it. */
function unserved(model: string, privacy: Exclude<PrivacyTier, 'mesh'>, isStranger: boolean): GoGridError {
  const friends = privacy === 'friends';
  if (friends && isStranger) {
    return new GoGridError({
      code: 'privacy_unserved',
      message: `a friend has model '${model}' and is not admitted, and the request may not go further`,
      hint: 'gogrid peers shows who waits to be let in',
      data: { privacy },
    });
  }
  return new GoGridError({
    code: 'privacy_unserved',
    message: friends
      ? `neither this machine nor a friend has model '${model}', and the request may not go further`
      : `model '${model}' is not on this machine, and the request may not leave it`,
    hint: friends
      ? 'gogrid peers friend NAME makes a friend; else pull the model here, or send it with x-gogrid-privacy: mesh'
      : 'pull the model here, or send it with x-gogrid-privacy: friends or mesh',
    data: { privacy },
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

/**
 * Nobody goes on with an answer of which the client has a part.
 * @param refusal why not
 * @param cut why its provider stopped
 */
export function brokenOff(refusal: GoGridError, cut: GoGridError): GoGridError {
  const { code, message, retryAfterSecs } = refusal;
  const why = message === cut.message ? '' : `: ${message}`;
  return new GoGridError({
    code,
    message: `the answer broke off: ${cut.message}; no other machine can go on with it${why}`,
    hint: 'send the request again',
    ...(retryAfterSecs !== undefined && { retryAfterSecs }),
    cause: refusal,
  });
}

/** Everybody is busy. @param secs until there is likely to be room */
export function overloaded(message: string, secs: number): GoGridError {
  return new GoGridError({ code: 'overloaded', message, retryAfterSecs: retrySecs(secs) });
}

/** `Retry-After` is a whole number of seconds within the bounds that clients bear. */
function retrySecs(secs: number): number {
  return Math.min(JOB.maxRetryAfterSecs, Math.max(JOB.minRetryAfterSecs, Math.ceil(secs)));
}
