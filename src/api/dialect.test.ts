/** What every error promises its client, in every dialect. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ERRORS, type ErrorCode, GoGridError } from '../errors.ts';
import { type Dialect, errorAnswer } from './dialect.ts';

const DIALECTS: readonly Dialect[] = ['openai', 'ollama', 'control'];
const codes = fc.constantFrom(...(Object.keys(ERRORS) as ErrorCode[]));

describe.each(DIALECTS)('%s', (dialect) => {
  const body = (error: GoGridError) => JSON.parse(errorAnswer(dialect, error).body) as Record<string, unknown>;

  it('503 always says when to come back, in whole seconds from 1 to 60, and that it makes sense', () => {
    const secs = fc.option(fc.double({ noNaN: true }), { nil: undefined });
    fc.assert(
      fc.property(codes, secs, (code, retryAfterSecs) => {
        const error = new GoGridError({ code, message: 'x', ...(retryAfterSecs !== undefined && { retryAfterSecs }) });
        const { status, headers } = errorAnswer(dialect, error);
        const after = headers['retry-after'];
        expect(after !== undefined).toBe(status === 503);
        if (after === undefined) return;
        expect(after).toMatch(/^([1-9]|[1-5]\d|60)$/);
        expect(headers['x-should-retry']).toBe('true');
      }),
    );
  });

  it('what another try cannot change is told so', () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      const error = new GoGridError({ code, message: 'x' });
      const { headers } = errorAnswer(dialect, error);
      // The SDKs look at the header before the status, and would try again whatever is 408, 409, 429 or 500 and more.
      if (error.status >= 500 || code === 'privacy_unserved') {
        expect(headers['x-should-retry'], code).toBe(String(error.retry));
      }
    }
  });

  it('names its job, where there is one, in a header and beside the text', () => {
    const job = '0198c0de-0000-7000-8000-0000000000aa';
    const error = new GoGridError({ code: 'overloaded', message: 'busy', data: { job } });
    expect(errorAnswer(dialect, error).headers['x-gogrid-job']).toBe(job);
    expect(JSON.stringify(body(error))).toContain(`"jobId":"${job}"`);
    const without = new GoGridError({ code: 'overloaded', message: 'busy' });
    expect(errorAnswer(dialect, without).headers).not.toHaveProperty('x-gogrid-job');
    expect(JSON.stringify(body(without))).not.toContain('jobId');
  });
});

it('busy begins with the word that clients look for', () => {
  const error = new GoGridError({ code: 'overloaded', message: "every provider of 'x' is busy", hint: 'wait' });
  expect(JSON.parse(errorAnswer('ollama', error).body).error).toBe("overloaded: every provider of 'x' is busy (wait)");
  expect(JSON.parse(errorAnswer('openai', error).body).error).toMatchObject({
    type: 'overloaded_error',
    message: "overloaded: every provider of 'x' is busy (wait)",
  });
});
