import { describe, expect, test } from 'vitest';
import type { JobInput } from '../protocol/job.ts';
import { planResume } from './resume.ts';

const some = { text: 'The sky is ', tokens: 4, thinking: false, toolCalls: false };
const chat: JobInput = { kind: 'chat', messages: [{ role: 'user', content: 'x' }] };
const generate: JobInput = { kind: 'generate', prompt: 'x' };

describe('an answer whose provider is gone', () => {
  test.each([
    ['a chat', chat],
    ['a completion', generate],
    ['a raw completion', { ...generate, raw: true }],
  ] as const)('of %s goes on behind its text, without the white space at its end', (_, input) => {
    expect(planResume(input, some)).toEqual({ kind: 'continue', resume: { text: 'The sky is', tokens: 4 } });
  });

  test('starts again when the client has nothing of it', () => {
    const nothing = { text: '', tokens: 0, thinking: false, toolCalls: false };
    expect(planResume({ ...chat, tools: [{}] }, nothing).kind).toBe('restart');
    expect(planResume({ kind: 'embed', inputs: ['x'] }, some).kind).toBe('restart');
  });

  test.each([
    ['reasoning was shown', chat, { ...some, thinking: true }],
    ['reasoning is all that was shown', chat, { ...some, text: '', thinking: true }],
    ['a tool was called', chat, { ...some, toolCalls: true }],
    ['tools are offered', { ...chat, tools: [{}] }, some],
    ['a grammar holds', { ...chat, format: 'json' }, some],
    ['images are looked at', { ...chat, messages: [{ role: 'user', content: '', images: ['aa'] }] }, some],
    ['a suffix waits', { ...generate, suffix: 'y' }, some],
    ['a token context was given', { ...generate, context: [1] }, some],
  ] as const)('cannot go on when %s, and says why', (_, input, delivered) => {
    const plan = planResume(input as JobInput, delivered);
    expect(plan.kind).toBe('impossible');
    expect(plan).toHaveProperty('why');
  });
});
