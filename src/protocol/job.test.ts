import { describe, expect, test } from 'vitest';
import { JOB } from '../limits/jobs.ts';
import { newJobId } from './ids.ts';
import { jobRequest, toRequester } from './job.ts';

const usage = { type: 'usage', promptTokens: 1, outputTokens: 1, loadMs: 0, prefillMs: 0, decodeMs: 0 };
const chunk = { type: 'chunk', seq: 0, tokens: 1, text: 'one' };

function request(resume: { text: string; tokens: number }) {
  const job = newJobId(1, new Uint8Array(10));
  return { type: 'request', job, model: 'words:latest', resume, input: { kind: 'generate', prompt: 'x' } };
}

describe('a count of tokens on the wire', () => {
  test.each([
    ['of a chunk', (tokens: number) => toRequester.safeParse({ ...chunk, tokens })],
    ['of a prompt', (promptTokens: number) => toRequester.safeParse({ ...usage, promptTokens })],
    ['of an answer', (outputTokens: number) => toRequester.safeParse({ ...usage, outputTokens })],
    ['of what is handed on', (tokens: number) => jobRequest.safeParse(request({ text: 'one', tokens }))],
  ])('%s is no larger than any prompt or answer, so that it can be added up', (_, parse) => {
    expect(parse(JOB.maxTokens).success).toBe(true);
    for (const tokens of [JOB.maxTokens + 1, Number.MAX_SAFE_INTEGER, 1e300, -1, 0.5]) {
      expect(parse(tokens).success).toBe(false);
    }
  });

  test('of the longest answer that is handed on has room in it, were every byte a token', () => {
    expect(3 * JOB.maxResumeChars + JOB.maxHiddenTokens).toBeLessThanOrEqual(JOB.maxTokens);
    expect(jobRequest.safeParse(request({ text: 'x'.repeat(JOB.maxResumeChars), tokens: 1 })).success).toBe(true);
    expect(jobRequest.safeParse(request({ text: 'x'.repeat(JOB.maxResumeChars + 1), tokens: 1 })).success).toBe(false);
  });
});
