import { describe, expect, test } from 'vitest';
import { JOB } from '../limits/jobs.ts';
import type { ChatInput, GenerateInput, JobInput } from '../protocol/job.ts';
import { planResume, requestObstacle } from './resume.ts';

const nothing = { text: '', tokens: 0, thinking: false, toolCalls: false };
const some = { text: 'The sky is \n', tokens: 4, thinking: false, toolCalls: false };
const chat: ChatInput = { kind: 'chat', messages: [{ role: 'user', content: 'x' }] };
const generate: GenerateInput = { kind: 'generate', prompt: 'x' };
const picture = { role: 'user' as const, content: '', images: ['aa'] };

/** Requests of which every answer can be continued from its text. */
const PLAIN: readonly (readonly [string, JobInput])[] = [
  ['a chat', chat],
  ['a chat that begins with an assistant', { ...chat, messages: [{ role: 'assistant', content: 'The' }] }],
  ['a chat with empty lists', { ...chat, tools: [], messages: [{ role: 'user', content: 'x', images: [] }] }],
  ['a chat that must not reason', { ...chat, think: false }],
  ['a chat with no format', { ...chat, format: '' }],
  ['a chat with a null format', { ...chat, format: null }],
  ['a completion', generate],
  ['a raw completion', { ...generate, raw: true }],
  ['a completion with its own template and system text', { ...generate, template: '{{ .Prompt }}', system: 'y' }],
  ['a completion with empty lists', { ...generate, images: [], context: [], suffix: '' }],
  ['a completion with stop sequences', { ...generate, options: { stop: ['END'], num_ctx: 512, seed: 1 } }],
];

/** Requests of which no answer can. */
const STATEFUL: readonly (readonly [string, JobInput, string])[] = [
  ['tools are offered', { ...chat, tools: [{}] }, 'a tool call cannot be recognised from the middle'],
  ['JSON is wanted', { ...chat, format: 'json' }, 'its grammar (format) cannot start in the middle'],
  ['a schema holds', { ...chat, format: { type: 'object' } }, 'its grammar (format) cannot start in the middle'],
  ['JSON is to be completed', { ...generate, format: 'json' }, 'its grammar (format) cannot start in the middle'],
  ['it must reason', { ...chat, think: true }, 'it was asked to reason before it answers'],
  ['it must reason hard', { ...generate, think: 'high' }, 'it was asked to reason before it answers'],
  ['images are looked at', { ...chat, messages: [picture] }, 'it looks at images'],
  ['a completion looks at images', { ...generate, images: ['aa'] }, 'it looks at images'],
  ['a suffix waits', { ...generate, suffix: 'y' }, 'it fills in text before a suffix'],
  ['a token context was given', { ...generate, context: [1] }, 'it goes on from a token context'],
];

/** What there is of an answer that a plain prefix does not carry. */
const PARTIAL = [
  ['its reasoning was written', { ...some, thinking: true }, 'part of its reasoning was already written'],
  ['its reasoning is all there is', { ...some, text: '', thinking: true }, 'part of its reasoning was already written'],
  ['a tool was called', { ...some, toolCalls: true }, 'it had already called a tool'],
  [
    'it is as long as no context',
    { ...some, text: 'x'.repeat(JOB.maxResumeChars + 1) },
    'it is too long to be handed on',
  ],
] as const;

describe('an answer of which the client has a part', () => {
  test.each(PLAIN)('of %s goes on behind it, without the white space at its end', (_, input) => {
    expect(planResume(input, some)).toEqual({ kind: 'continue', resume: { text: 'The sky is', tokens: 4 } });
  });

  test.each(STATEFUL)('cannot go on when %s, and says why', (_, input, why) => {
    expect(planResume(input, some)).toEqual({ kind: 'impossible', why });
  });

  test.each(PARTIAL)('cannot go on when %s, and says why', (_, delivered, why) => {
    expect(planResume(chat, delivered)).toEqual({ kind: 'impossible', why });
  });

  test('of white space alone goes on behind nothing: the next provider writes that again, and the seam takes it away', () => {
    expect(planResume(chat, { ...nothing, text: '\n\n', tokens: 0 })).toEqual({
      kind: 'continue',
      resume: { text: '', tokens: 0 },
    });
  });

  test('that has all the tokens it may have is complete', () => {
    const limited = { ...chat, options: { num_predict: 4 } };
    expect(planResume(limited, some)).toEqual({ kind: 'complete', reason: 'length' });
    expect(planResume({ ...limited, tools: [{}] }, some)).toEqual({ kind: 'complete', reason: 'length' });
    expect(planResume({ ...chat, options: { num_predict: 5 } }, some).kind).toBe('continue');
    // For Ollama these mean: no limit.
    for (const num_predict of [0, -1, -2]) {
      expect(planResume({ ...chat, options: { num_predict } }, some).kind).toBe('continue');
    }
  });
});

describe('an answer of which the client has nothing', () => {
  const all = [...PLAIN, ...STATEFUL].map(([name, input]) => [name, input] as const);

  test.each(all)('starts again when nothing was written: %s', (_, input) => {
    expect(planResume(input, nothing)).toEqual({ kind: 'restart' });
  });

  test.each(PLAIN)('goes on all the same when it can, which saves the work: %s', (_, input) => {
    expect(planResume(input, some, false)).toEqual({ kind: 'continue', resume: { text: 'The sky is', tokens: 4 } });
  });

  test.each(STATEFUL)('starts again where it cannot go on: %s', (_, input) => {
    expect(planResume(input, some, false)).toEqual({ kind: 'restart' });
  });

  test.each(PARTIAL)('starts again where it cannot go on: %s', (_, delivered) => {
    expect(planResume(chat, delivered, false)).toEqual({ kind: 'restart' });
  });

  test('of vectors, or of a model that is loaded, starts again: they come at the end, whole', () => {
    expect(planResume({ kind: 'embed', inputs: ['x'] }, some)).toEqual({ kind: 'restart' });
    expect(planResume({ kind: 'load' }, some)).toEqual({ kind: 'restart' });
  });
});

test('engines are told the same of a request', () => {
  for (const [, input] of PLAIN) expect(requestObstacle(input as ChatInput | GenerateInput)).toBeUndefined();
  for (const [, input, why] of STATEFUL) expect(requestObstacle(input as ChatInput | GenerateInput)).toBe(why);
});
