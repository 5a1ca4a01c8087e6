import { describe, expect, test } from 'vitest';
import { ERRORS, type ErrorCode, GoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import { blameOf, brokenOff, failureOf, noProvider, type OwnModels, overloaded } from './failure.ts';
import { PRIVACY_TIERS, type PrivacyTier } from './privacy.ts';
import { EXCLUSIONS, type Exclusion } from './routing/decision.ts';

const ref = { name: 'llama:latest', digest: undefined };
const nothing: OwnModels = { trouble: () => undefined, arriving: () => undefined };

function refusal(
  privacy: PrivacyTier,
  why: readonly Exclusion[],
  refusals: readonly GoGridError[] = [],
  own: OwnModels = nothing,
) {
  const excluded = why.map((reason, at) => ({ node: `node${at}`, why: reason }));
  return noProvider(ref, privacy, excluded, refusals, own);
}

describe('a job that nobody takes is refused', () => {
  test.each([
    [[], 'model_not_found'],
    [['no-such-model'], 'model_not_found'],
    [['other-digest'], 'model_not_found'],
    [['no-tools'], 'unsupported'],
    [['no-vision'], 'unsupported'],
    [['no-thinking'], 'unsupported'],
    [['no-insert'], 'unsupported'],
    [['cannot-chat'], 'unsupported'],
    [['cannot-embed'], 'unsupported'],
    [['cannot-continue'], 'cannot_continue'],
    [['not-taking-jobs'], 'peer_unreachable'],
    [['unreachable'], 'peer_unreachable'],
    // One that could do it soon is the better news.
    [['no-tools', 'not-taking-jobs'], 'peer_unreachable'],
    [['no-such-model', 'no-tools'], 'unsupported'],
  ] as const)('for %j with %s', (why, code) => {
    const error = refusal('mesh', why);
    expect(error.code).toBe(code);
    expect(error.hint).not.toBe('');
    if (ERRORS[error.code].retry) expect(error.retryAfterSecs).toBeGreaterThanOrEqual(JOB.minRetryAfterSecs);
  });

  test.each(EXCLUSIONS)('with a sentence, whatever the reason: %s', (why) => {
    for (const privacy of PRIVACY_TIERS) {
      const error = refusal(privacy, [why]);
      expect(error.message).toContain("'llama:latest'");
      expect(error.hint).toBeDefined();
    }
  });

  test.each([
    ['local', 'is not on this machine, and the request may not leave it'],
    ['own', 'is not on this machine, and the request may not leave it'],
    ['friends', 'and the request may not go further'],
  ] as const)('inside its tier %s, never widened, and told what to do', (privacy, sentence) => {
    const error = refusal(privacy, ['no-such-model', 'privacy', 'privacy']);
    expect(error).toMatchObject({ code: 'privacy_unserved', data: { privacy } });
    expect(error.message).toContain(sentence);
    expect(error.hint).toContain('x-gogrid-privacy: ');
  });

  test('of a friend that is not admitted says so, and not that nobody has the model', () => {
    const error = refusal('friends', ['no-such-model', 'privacy', 'not-admitted']);
    expect(error).toMatchObject({ code: 'privacy_unserved', hint: expect.stringContaining('gogrid peers') });
    expect(error.message).toBe(
      "a friend has model 'llama:latest' and is not admitted, and the request may not go further",
    );
  });

  test('by what the providers said themselves, before what is only known of them', () => {
    const failed = new GoGridError({ code: 'engine_failed', message: 'it broke' });
    const unknown = new GoGridError({ code: 'model_not_found', message: 'not here' });
    expect(refusal('mesh', ['not-taking-jobs'], [unknown, failed])).toBe(failed);
    expect(refusal('mesh', [], [unknown]).code).toBe('model_not_found');
  });

  test('with how far the model is, when it is on its way', () => {
    const own = { ...nothing, arriving: () => ({ percent: 37.9, secondsLeft: 12.3 }) };
    expect(refusal('local', ['privacy'], [], own)).toMatchObject({ code: 'engine_unavailable', retryAfterSecs: 13 });
  });

  test('with what is wrong with the engine here, when it may have the model', () => {
    const own = { ...nothing, trouble: () => 'start it' };
    expect(refusal('local', ['privacy'], [], own)).toMatchObject({ code: 'engine_unavailable', hint: 'start it' });
  });
});

describe('an answer that breaks off', () => {
  const nobody = new GoGridError({ code: 'overloaded', message: 'all are busy', retryAfterSecs: 7 });

  test.each([
    ['provider_lost', 'the provider fell silent'],
    ['engine_failed', 'the owner of that machine cancelled the job there'],
    ['shutting_down', 'that machine is shutting down'],
  ] as const)('after %s says that %s, once', (code, message) => {
    const cut = new GoGridError({ code, message });
    const error = brokenOff(nobody, cut);
    expect(error.message).toBe(`the answer broke off: ${message}; no other machine can go on with it: all are busy`);
    expect(brokenOff(cut, cut).message).toBe(`the answer broke off: ${message}; no other machine can go on with it`);
    expect(error).toMatchObject({ code: 'overloaded', retryAfterSecs: 7, hint: 'send the request again' });
  });
});

test.each([
  [0, JOB.minRetryAfterSecs],
  [1.2, 2],
  [999, JOB.maxRetryAfterSecs],
])('Retry-After for %d s is %d: a whole number that clients bear', (secs, expected) => {
  expect(overloaded('x', secs).retryAfterSecs).toBe(expected);
});

test('whose fault a failure is', () => {
  const blame = (code: ErrorCode) => blameOf(new GoGridError({ code, message: 'x' }));
  expect(
    ['preempted', 'shutting_down', 'overloaded', 'model_not_found', 'cannot_continue'].map((code) =>
      blame(code as ErrorCode),
    ),
  ).toEqual(Array(5).fill('nobody'));
  expect(
    ['provider_lost', 'engine_failed', 'protocol_violation', 'peer_unreachable'].map((code) =>
      blame(code as ErrorCode),
    ),
  ).toEqual(Array(4).fill('provider'));
  expect(['invalid_request', 'prompt_too_long'].map((code) => blame(code as ErrorCode))).toEqual(
    Array(2).fill('request'),
  );
});

test('a provider may give a job back only by saying so: no error of it passes for that', () => {
  expect(failureOf({ type: 'error', code: 'preempted', message: 'x' }).code).toBe('engine_failed');
  expect(failureOf({ type: 'handOver', reason: 'owner' }).code).toBe('preempted');
  expect(failureOf({ type: 'handOver', reason: 'pause' }).code).toBe('preempted');
  expect(failureOf({ type: 'handOver', reason: 'drain' }).code).toBe('shutting_down');
  expect(failureOf(undefined).code).toBe('provider_lost');
});
