import { describe, expect, it } from 'vitest';
import type { ChatInput, JobInput } from '../../protocol/job.ts';
import { nativeRequest, unloads } from './requests.ts';
import { checkResumable, renderedPrompt, renderRequest, resumeRequest, tokensLeft } from './resume.ts';

const native = (input: JobInput, embedsOnly = false) => nativeRequest('M:7B', input, embedsOnly);

describe('requests', () => {
  it('say what the job says, in Ollama’s words', () => {
    const input: ChatInput = {
      kind: 'chat',
      messages: [
        { role: 'user', content: 'look', images: ['aGk='] },
        { role: 'assistant', content: '', toolCalls: [{ id: 'c1', name: 'f', arguments: '{"a":1}' }] },
        { role: 'tool', content: '2', toolName: 'f', toolCallId: 'c1' },
      ],
      tools: [{ type: 'function' }],
      format: { type: 'object' },
      think: 'low',
      options: { temperature: 0, seed: null, stop: ['x'] },
      keepAlive: '5m',
    };
    expect(native(input)).toEqual({
      path: '/api/chat',
      body: {
        model: 'M:7B',
        stream: true,
        messages: [
          { role: 'user', content: 'look', images: ['aGk='] },
          {
            role: 'assistant',
            content: '',
            tool_calls: [{ id: 'c1', function: { index: 0, name: 'f', arguments: { a: 1 } } }],
          },
          { role: 'tool', content: '2', tool_name: 'f', tool_call_id: 'c1' },
        ],
        tools: [{ type: 'function' }],
        format: { type: 'object' },
        think: 'low',
        options: { temperature: 0, stop: ['x'] },
        keep_alive: '5m',
      },
    });
  });

  it('leave out what is empty', () => {
    const input: JobInput = {
      kind: 'chat',
      messages: [{ role: 'user', content: 'x', images: [] }],
      tools: [],
      format: '',
    };
    expect(native(input).body).toEqual({ model: 'M:7B', stream: true, messages: [{ role: 'user', content: 'x' }] });
  });

  it('name the tool call whose arguments are no object', () => {
    const toolCalls = [{ name: 'f', arguments: '[1]' }];
    const input: JobInput = { kind: 'chat', messages: [{ role: 'assistant', content: '', toolCalls }] };
    expect(() => native(input)).toThrow(
      expect.objectContaining({
        code: 'invalid_request',
        message: expect.stringContaining('messages[0].toolCalls[0]'),
      }),
    );
  });

  it('load by the endpoint that the model has', () => {
    expect(native({ kind: 'load' }).path).toBe('/api/generate');
    expect(native({ kind: 'load' }, true)).toMatchObject({ path: '/api/embed', body: { input: [] } });
    expect(native({ kind: 'load', keepAlive: 0 }, true).path).toBe('/api/generate');
  });

  it.each([
    [0, true],
    ['0', true],
    ['0s', true],
    ['0.0m', true],
    [undefined, false],
    [-1, false],
    ['-1', false],
    ['10s', false],
    ['5m', false],
  ])('keepAlive %j unloads: %s', (keepAlive, expected) => {
    expect(unloads(keepAlive)).toBe(expected);
  });
});

describe('resuming', () => {
  const traits = { thinks: false, numPredict: undefined };
  const input: ChatInput = {
    kind: 'chat',
    messages: [{ role: 'user', content: 'x' }],
    options: { num_predict: 10, stop: ['END'], num_ctx: 8192 },
    keepAlive: 60,
  };

  it('asks for the prompt with the same request, and for one token at most', () => {
    expect(renderRequest(native(input))).toEqual({
      path: '/api/chat',
      body: {
        ...native(input).body,
        _debug_render_only: true,
        options: { num_predict: 1, stop: ['END'], num_ctx: 8192 },
      },
    });
  });

  it('goes on raw, with what is left of num_predict and everything else as it was', () => {
    expect(resumeRequest(native(input), '<user>x<assistant>', { text: 'so far', tokens: 4 }, traits)).toEqual({
      path: '/api/generate',
      body: {
        model: 'M:7B',
        prompt: '<user>x<assistant>so far',
        raw: true,
        stream: true,
        truncate: false,
        keep_alive: 60,
        options: { num_predict: 6, stop: ['END'], num_ctx: 8192 },
      },
    });
  });

  it.each([
    [{ num_predict: 10 }, undefined, 10, 0],
    [{ num_predict: 10 }, undefined, 12, 0],
    [{}, 10, 10, 0],
    [{}, 10, 4, 6],
    [{ num_predict: -1 }, 10, 400, undefined],
    [{ num_predict: 0 }, 10, 400, undefined],
    [{}, undefined, 400, undefined],
  ])('options %j, of the model %s, after %i tokens: %s left', (options, numPredict, tokens, left) => {
    const resume = { text: 't', tokens };
    const request = native({ ...input, options });
    expect(tokensLeft(request, resume, { thinks: false, numPredict })).toBe(left);
    const { body } = resumeRequest(request, 'p', resume, { thinks: false, numPredict });
    expect(body.options).toEqual(left === undefined ? options : { num_predict: left });
  });

  it.each<[string, JobInput, boolean, boolean]>([
    ['a chat', input, false, true],
    ['a chat of a thinking model', input, true, false],
    ['a chat of a thinking model that is told not to', { ...input, think: false }, true, true],
    ['a chat with tools', { ...input, tools: [{}] }, false, false],
    ['a chat with empty tools', { ...input, tools: [] }, false, true],
    ['a chat with a format', { ...input, format: 'json' }, false, false],
    ['a chat with images', { ...input, messages: [{ role: 'user', content: '', images: ['aGk='] }] }, false, false],
    ['a raw generation of a thinking model', { kind: 'generate', prompt: 'x', raw: true }, true, true],
    ['embeddings', { kind: 'embed', inputs: ['x'] }, false, false],
    ['a load', { kind: 'load' }, false, false],
  ])('of %s', (_what, job, thinks, can) => {
    const check = () => checkResumable('m', job, { thinks, numPredict: undefined });
    if (can) expect(check).not.toThrow();
    else expect(check).toThrow(expect.objectContaining({ code: 'cannot_continue' }));
  });

  it('refuses a template that leaves the reasoning open', () => {
    const thinks = { thinks: true, numPredict: undefined };
    const resume = { text: 't', tokens: 1 };
    expect(() => resumeRequest(native(input), '<assistant>', resume, thinks)).toThrow(
      expect.objectContaining({ code: 'cannot_continue' }),
    );
    const closed = resumeRequest(native(input), '<assistant><think>\n\n</think>\n\n', resume, thinks);
    expect(closed.body).toMatchObject({ think: false });
  });

  it('knows a rendered prompt from an answer', () => {
    expect(renderedPrompt({ _debug_info: { rendered_template: 'p' } })).toBe('p');
    expect(renderedPrompt({ _debug_info: {} })).toBeUndefined();
    expect(renderedPrompt({ message: { content: 'Hello' }, done: false })).toBeUndefined();
  });
});
