import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EMBEDDED } from '../../limits/engine.ts';
import type { JobInput } from '../../protocol/job.ts';
import { checkResumable, checkSupported, contextTokens, isSpent, keepAliveMs } from './requests.ts';

const chat: Extract<JobInput, { kind: 'chat' }> = { kind: 'chat', messages: [{ role: 'user', content: 'hello' }] };
const generate: Extract<JobInput, { kind: 'generate' }> = { kind: 'generate', prompt: 'hello' };

describe('what the embedded engine refuses', () => {
  it.each<[string, JobInput]>([
    ['tools', { ...chat, tools: [{ type: 'function' }] }],
    ['images', { ...chat, messages: [{ role: 'user', content: '', images: ['aGk='] }] }],
    ['images', { ...generate, images: ['aGk='] }],
    ['thinking', { ...chat, think: true }],
    ['thinking', { ...generate, think: 'high' }],
    ['suffix', { ...generate, suffix: 'end' }],
    ['template', { ...generate, template: '{{ .Prompt }}' }],
    ['token context', { ...generate, context: [1, 2] }],
  ])('%s, in a sentence', (what, input) => {
    const check = () => checkSupported('m:latest', input, false);
    expect(check).toThrow(
      expect.objectContaining({
        code: 'unsupported',
        message: expect.stringContaining(what),
        hint: expect.any(String),
      }),
    );
  });

  it('is not what clients send for nothing', () => {
    checkSupported(
      'm',
      { ...chat, tools: [], think: false, messages: [{ role: 'user', content: '', images: [] }] },
      false,
    );
    checkSupported('m', { ...generate, images: [], suffix: '', template: '', context: [] }, false);
  });

  it('is a chat with a model that only makes vectors', () => {
    expect(() => checkSupported('m', chat, true)).toThrow(expect.objectContaining({ code: 'unsupported' }));
    checkSupported('m', { kind: 'embed', inputs: [] }, true);
  });
});

describe('going on', () => {
  it('takes a plain text answer', () => {
    expect(() => checkResumable('m', { ...chat, format: 'json' })).toThrow(
      expect.objectContaining({ code: 'cannot_continue' }),
    );
    expect(() => checkResumable('m', { kind: 'load' })).toThrow(expect.objectContaining({ code: 'cannot_continue' }));
    checkResumable('m', chat);
  });

  it('is over when the tokens are used up', () => {
    const resume = { text: 'so far', tokens: 5 };
    expect(isSpent({ ...chat, options: { num_predict: 5 } }, resume)).toBe(true);
    expect(isSpent({ ...chat, options: { num_predict: 6 } }, resume)).toBe(false);
    for (const none of [0, -1, -2, null])
      expect(isSpent({ ...chat, options: { num_predict: none } }, resume)).toBe(false);
  });
});

describe('keep_alive', () => {
  it.each([
    [undefined, undefined],
    [0, 0],
    [30, 30_000],
    ['30', 30_000],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['1.5s', 1_500],
    ['250ms', 250],
    ['0s', 0],
    [-1, Number.POSITIVE_INFINITY],
    ['-1m', Number.POSITIVE_INFINITY],
  ])('%j is %j ms', (given, ms) => {
    expect(keepAliveMs(given)).toBe(ms);
  });

  it('of anything else is refused, and never makes a time that is none', () => {
    for (const odd of ['', 'soon', '5 minutes', '5m later', 'm5', '.', '-']) {
      expect(() => keepAliveMs(odd), odd).toThrow(expect.objectContaining({ code: 'invalid_request' }));
    }
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), (text) => {
        try {
          expect(keepAliveMs(text)).not.toBeNaN();
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: 'invalid_request' });
        }
      }),
    );
  });
});

describe('the context', () => {
  it('is what was asked for, within what the model can do', () => {
    const of = (asked: number | null | undefined, model: number) =>
      contextTokens({ options: asked === undefined ? {} : { num_ctx: asked } }, model);
    expect(of(undefined, 8192)).toBe(EMBEDDED.defaultContextTokens);
    expect(of(2048, 8192)).toBe(2048);
    expect(of(1_000_000, 8192)).toBe(8192);
    expect(of(1, 8192)).toBe(EMBEDDED.minContextTokens);
    expect(of(undefined, 512)).toBe(512);
    expect(of(100_000, 0)).toBe(EMBEDDED.defaultContextTokens);
    expect(of(null, 8192)).toBe(EMBEDDED.defaultContextTokens);
  });
});
