import { describe, expect, it } from 'vitest';
import { JOB } from '../limits/jobs.ts';
import type { JobInput } from '../protocol/job.ts';
import { UNKNOWN_RATES } from '../protocol/profile.ts';
import { learn, OwnRates } from './rates.ts';

const usage = { promptTokens: 100, outputTokens: 50, loadMs: 3_000, prefillMs: 100, decodeMs: 1_000 };
const first: JobInput = { kind: 'chat', messages: [{ role: 'user', content: 'hello' }] };
const later: JobInput = { kind: 'chat', messages: [...first.messages, { role: 'assistant', content: 'hi' }] };

describe('measured rates', () => {
  it('come from the first job as they are, and from later ones as a running mean of the time a token takes', () => {
    const one = learn(UNKNOWN_RATES, { input: first, usage });
    expect(one).toEqual({ tokensPerSecond: 50, prefillTokensPerSecond: 1_000, loadMs: 3_000 });
    const slower = { ...usage, decodeMs: 5_000 };
    expect(learn(one, { input: first, usage: slower }).tokensPerSecond).toBeCloseTo(
      1000 / (20 + JOB.newestWeight * 80),
    );
  });

  it('stay as they are where a job shows nothing', () => {
    const none = { promptTokens: 3, outputTokens: 1, loadMs: 5, prefillMs: 0, decodeMs: 0 };
    const one = learn(UNKNOWN_RATES, { input: first, usage });
    expect(learn(one, { input: first, usage: none })).toEqual(one);
  });

  it('do not take the rate of reading from a conversation of which the engine has the beginning', () => {
    expect(learn(UNKNOWN_RATES, { input: later, usage }).prefillTokensPerSecond).toBe(0);
  });

  it('are told in steps: small changes are worth no message to the whole mesh', () => {
    const rates = new OwnRates();
    expect(rates.of('m')).toEqual(UNKNOWN_RATES);
    rates.measured('m', { input: first, usage });
    const told = rates.of('m');
    expect(told.tokensPerSecond).toBe(50);
    rates.measured('m', { input: first, usage: { ...usage, decodeMs: 1_100 } });
    expect(rates.of('m')).toBe(told);
    for (let i = 0; i < 20; i++) rates.measured('m', { input: first, usage: { ...usage, decodeMs: 2_000 } });
    expect(rates.of('m').tokensPerSecond).toBeLessThan(30);
  });
});
