/** A judge that never condemns would let every run pass. */

import { describe, expect, it } from 'vitest';
import type { Job } from '../../src/contract/control.ts';
import { type Asked, HANGING, judge, standstills } from './judge.ts';

const EXPECTED = '#1 paper2 cloud3';
const attempt = (reason: string | null, endedAt = 1_000) =>
  ({ provider: 'p', startedAt: 0, endedAt, fromToken: 0, toToken: 1, reason, digest: null }) as const;
const job = (reason: string | null, attempts: Job['attempts'] = []) => ({ reason, attempts }) as Job;
const asked = (more: Partial<Asked>): Asked => ({
  way: 'openai streamed',
  content: 'q',
  expected: EXPECTED,
  askedAt: 0,
  text: EXPECTED,
  arrivals: [],
  status: 200,
  retryAfter: null,
  error: undefined,
  job: job(null),
  ...more,
});
const refused = { text: '', status: 503, retryAfter: '5', error: 'overloaded', job: job('overloaded') };

describe('allows', () => {
  it.each([
    ['exact', asked({})],
    ['refused', asked(refused)],
    [
      'broken off',
      asked({ text: '#1 pap', error: 'gone', job: job('provider_lost', Array(4).fill(attempt('provider_lost'))) }),
    ],
  ])('%s', (kind, one) => {
    expect(judge(one)).toEqual({ kind });
  });
});

describe('condemns', () => {
  it.each([
    ['a word that is lost', asked({ text: '#1 cloud3' }), "word 2 of 3 is 'cloud3' instead of 'paper2'"],
    [
      'a word that comes twice',
      asked({ text: '#1 paper2 paper2 cloud3' }),
      "word 3 of 3 is 'paper2' instead of 'cloud3'",
    ],
    ['a word too many', asked({ text: `${EXPECTED} bird4` }), "word 4 of 3 is 'bird4' instead of '(none)'"],
    ['an end before the end', asked({ text: '#1 paper2' }), "word 3 of 3 is '(none)' instead of 'cloud3'"],
    ['white space', asked({ text: '#1  paper2 cloud3' }), 'another white space'],
    ['an answer that hangs', asked({ text: '#1', error: HANGING }), 'no end'],
    ['a foreign word before an error', asked({ ...refused, text: '#1 bird2' }), "word 2 of 3 is 'bird2'"],
    ['an error that nobody may repeat', asked({ ...refused, job: job('cannot_continue') }), 'refused for good'],
    ['an error of a job that nobody knows', asked({ ...refused, job: undefined }), 'does not know of'],
    [
      'too few tries',
      asked({ ...refused, text: '#1', job: job('provider_lost', [attempt('provider_lost')]) }),
      'after 1 ',
    ],
    [
      'hand-overs that are counted as failures',
      asked({ ...refused, text: '#1', job: job('provider_lost', Array(4).fill(attempt('preempted'))) }),
      'after 0 ',
    ],
    ['no time to come back', asked({ ...refused, retryAfter: null }), 'when to come back'],
    ['a time in words', asked({ ...refused, retryAfter: 'soon' }), 'when to come back'],
    ['a time too far', asked({ ...refused, retryAfter: '61' }), 'when to come back'],
    ['another status', asked({ ...refused, status: 404 }), 'status 404'],
  ])('%s', (_, one, why) => {
    expect(judge(one)).toEqual({ violation: expect.stringContaining(why) });
  });
});

describe('the text stood still', () => {
  const handedOver = job(null, [attempt('provider_lost'), attempt(null, 2_000)]);

  it('from the last word before a change of provider to the first one behind it', () => {
    const one = asked({ arrivals: [800, 900, 1_300, 1_320], job: handedOver });
    expect(standstills(one)).toEqual([{ provider: 'p', noticedAt: 1_000, ms: 400 }]);
  });

  it('is not said of an answer that had not begun, or that comes whole', () => {
    expect(standstills(asked({ arrivals: [1_300, 1_320], job: handedOver }))).toEqual([]);
    expect(standstills(asked({ arrivals: [900, 1_300], job: handedOver, way: 'ollama whole' }))).toEqual([]);
  });
});
