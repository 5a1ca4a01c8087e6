/** The Ollama surface as the real `ollama` package sees it. */

import { Ollama } from 'ollama';
import { describe, expect, it } from 'vitest';
import { GoGridError } from '../errors.ts';
import type { RunJob } from '../jobs/output.ts';
import { apiOfTest } from '../testing/api-of-test.ts';
import { collected } from '../testing/collected.ts';
import { catalogueOf, done, placed, recording, says, testJobId, testModel, yields } from '../testing/small-api.ts';
import type { ApiDeps } from './server.ts';

const messages = [{ role: 'user', content: 'hi' }];
const api = apiOfTest();
const { post } = api;

async function client(deps: Partial<ApiDeps>): Promise<Ollama> {
  const { url } = await api.start(deps);
  return new Ollama({ host: url });
}

describe('chat', () => {
  it('streams lines that each hold what clients look for', async () => {
    const ollama = await client({ runJob: says('Hel', 'lo', '"\n') });
    const lines = await collected(await ollama.chat({ model: 'Tiny', messages, stream: true }));
    expect(lines.map((line) => line.message)).toEqual([
      { role: 'assistant', content: 'Hel' },
      { role: 'assistant', content: 'lo' },
      { role: 'assistant', content: '"\n' },
      { role: 'assistant', content: '' },
    ]);
    expect(lines.map((line) => line.done)).toEqual([false, false, false, true]);
    for (const line of lines) {
      expect(line.model).toBe('Tiny');
      expect(String(line.created_at)).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    }
    expect(lines.at(-1)).toMatchObject({
      done_reason: 'stop',
      total_duration: expect.any(Number),
      load_duration: 1_000_000,
      prompt_eval_count: 7,
      prompt_eval_duration: 2_000_000,
      eval_count: 2,
      eval_duration: 3_000_000,
      x_gogrid: { job: testJobId, route: 'direct' },
    });
  });

  it('streams unless told otherwise', async () => {
    await client({});
    const streamed = await post('/api/chat', { model: 'tiny', messages });
    expect(streamed.text.trimEnd().split('\n')).toHaveLength(3);
    const whole = await post('/api/chat', { model: 'tiny', messages, stream: false });
    expect(JSON.parse(whole.text)).toMatchObject({
      message: { role: 'assistant', content: 'Hello world' },
      done: true,
      done_reason: 'stop',
      eval_count: 2,
    });
  });

  it('gives tool calls as objects, with id and index', async () => {
    const runJob = yields([
      placed,
      { type: 'chunk', tokens: 1, toolCalls: [{ name: 'add', arguments: '{"a":[1]}' }] },
      done,
    ]);
    const ollama = await client({ runJob });
    const expected = {
      id: expect.stringMatching(/^call_/),
      function: { index: 0, name: 'add', arguments: { a: [1] } },
    };
    const whole = await ollama.chat({ model: 'tiny', messages });
    expect(whole.message.tool_calls).toEqual([expected]);
    const lines = await collected(await ollama.chat({ model: 'tiny', messages, stream: true }));
    expect(lines[0]?.message).toEqual({ role: 'assistant', content: '', tool_calls: [expected] });
  });

  it('does not pass on arguments that are no object', async () => {
    const runJob = yields([
      placed,
      { type: 'chunk', tokens: 1, toolCalls: [{ name: 'add', arguments: '[broken' }] },
      done,
    ]);
    const ollama = await client({ runJob });
    await expect(ollama.chat({ model: 'tiny', messages })).rejects.toThrow('no object');
    await expect(ollama.chat({ model: 'tiny', messages, stream: true })).rejects.toThrow('no object');
  });

  it('gives thinking apart from the text', async () => {
    const runJob = yields([
      placed,
      { type: 'chunk', tokens: 1, thinking: 'hm' },
      { type: 'chunk', tokens: 1, text: 'Yes' },
      done,
    ]);
    const ollama = await client({ runJob });
    const whole = await ollama.chat({ model: 'tiny', messages, think: true });
    expect(whole.message).toEqual({ role: 'assistant', content: 'Yes', thinking: 'hm' });
    const lines = await collected(await ollama.generate({ model: 'tiny', prompt: 'x', stream: true }));
    expect(lines[0]).toMatchObject({ response: '', thinking: 'hm' });
    expect(lines[1]).toMatchObject({ response: 'Yes' });
  });

  it('asks the mesh for what the request says', async () => {
    const { run, specs } = recording(says('x'));
    const ollama = await client({ runJob: run });
    await ollama.chat({
      model: 'tiny',
      messages: [
        { role: 'user', content: 'look', images: ['aGVsbG8='] },
        { role: 'assistant', content: '', tool_calls: [{ function: { name: 'add', arguments: { a: 1 } } }] },
        { role: 'tool', content: '2', tool_name: 'add' },
      ],
      tools: [{ type: 'function', function: { name: 'add', description: 'adds', parameters: { type: 'object' } } }],
      format: { type: 'object' },
      options: { temperature: 0, stop: ['a'], num_ctx: null as never },
      keep_alive: '5m',
      think: false,
    });
    expect(specs[0]?.input).toEqual({
      kind: 'chat',
      messages: [
        { role: 'user', content: 'look', images: ['aGVsbG8='] },
        { role: 'assistant', content: '', toolCalls: [{ name: 'add', arguments: '{"a":1}' }] },
        { role: 'tool', content: '2', toolName: 'add' },
      ],
      tools: [{ type: 'function', function: { name: 'add', description: 'adds', parameters: { type: 'object' } } }],
      format: { type: 'object' },
      think: false,
      options: { temperature: 0, stop: ['a'] },
      keepAlive: '5m',
    });
  });

  it('takes empty lists and nulls for nothing', async () => {
    const { run, specs } = recording(says('x'));
    await client({ runJob: run });
    await post('/api/chat', {
      model: 'tiny',
      messages: [{ role: 'user', content: 'hi', images: [], tool_calls: null }],
      tools: [],
      format: '',
      options: { temperature: null, seed: null },
      keep_alive: null,
      unknown: { a: 1 },
    });
    expect(specs[0]?.input).toEqual({ kind: 'chat', messages: [{ role: 'user', content: 'hi' }] });
  });
});

describe('generate', () => {
  it('answers', async () => {
    const ollama = await client({});
    expect(await ollama.generate({ model: 'tiny', prompt: 'x' })).toMatchObject({
      model: 'tiny',
      response: 'Hello world',
      done: true,
      done_reason: 'stop',
    });
  });

  it.each([
    ['/api/generate', { prompt: '' }, { response: '' }],
    ['/api/generate', {}, { response: '' }],
    ['/api/chat', { messages: [] }, { message: { role: 'assistant', content: '' } }],
  ])('loads and unloads by %s %j', async (path, body, empty) => {
    const { run, specs } = recording(async function* load(spec) {
      yield placed;
      yield { ...done, reason: spec.input.keepAlive === 0 ? 'unload' : 'load' };
    });
    await client({ runJob: run });
    const loaded = await post(path, { model: 'tiny', ...body });
    expect(JSON.parse(loaded.text)).toEqual({
      model: 'tiny',
      created_at: expect.any(String),
      ...empty,
      done: true,
      done_reason: 'load',
    });
    for (const keep_alive of [0, '0', '0s', '0h0m']) {
      const unloaded = await post(path, { model: 'tiny', ...body, keep_alive });
      expect(JSON.parse(unloaded.text).done_reason).toBe('unload');
    }
    expect(specs[1]).toMatchObject({ input: { kind: 'load', keepAlive: 0 }, privacy: 'local' });
    await post(path, { model: 'tiny', ...body, keep_alive: '10m', stream: false });
    expect(specs.at(-1)).toMatchObject({ input: { kind: 'load', keepAlive: '10m' }, privacy: 'mesh' });
  });

  it('does not unload what only other machines have, and above all does not load it there', async () => {
    const { run, specs } = recording(says('x'));
    await client({ runJob: run, catalogue: catalogueOf([testModel({ local: false, providers: ['p1'] })]) });
    const refused = await post('/api/generate', { model: 'tiny', prompt: '', keep_alive: 0 });
    expect(refused.status).toBe(400);
    expect(JSON.parse(refused.text).error).toContain("'tiny' is not unloaded");
    expect(specs).toEqual([]);
  });
});

describe('errors', () => {
  it('are text', async () => {
    let error = new GoGridError({ code: 'model_not_found', message: "model 'tiny:latest' not found", hint: 'x' });
    // biome-ignore lint/correctness/useYield: it fails before it says anything
    const fail: RunJob = async function* fail() {
      throw error;
    };
    const ollama = await client({ runJob: fail });
    await expect(ollama.chat({ model: 'Tiny', messages })).rejects.toMatchObject({
      status_code: 404,
      error: "model 'Tiny' not found",
    });
    error = new GoGridError({ code: 'overloaded', message: 'all busy', retryAfterSecs: 3 });
    await expect(ollama.chat({ model: 'tiny', messages, stream: true })).rejects.toMatchObject({
      status_code: 503,
      error: 'overloaded: all busy',
    });
    error = new GoGridError({
      code: 'privacy_unserved',
      message: 'not here',
      hint: 'pull it',
      data: { job: testJobId },
    });
    await expect(ollama.chat({ model: 'tiny', messages })).rejects.toMatchObject({
      status_code: 403,
      error: 'not here (pull it)',
    });
  });

  it('reach the client in mid-stream, with their text, and cut the connection', async () => {
    const error = new GoGridError({ code: 'provider_lost', message: 'the provider is gone' });
    const ollama = await client({ runJob: yields([placed, { type: 'chunk', tokens: 1, text: 'half' }], error) });
    const texts: string[] = [];
    const read = async () => {
      for await (const line of await ollama.chat({ model: 'tiny', messages, stream: true }))
        texts.push(line.message.content);
    };
    await expect(read()).rejects.toThrow('the provider is gone');
    expect(texts).toEqual(['half']);
    // A client that only looks at the connection sees that the answer is not whole.
    await expect(post('/api/chat', { model: 'tiny', messages })).rejects.toThrow('aborted');
  });

  it.each([
    [
      '/api/chat',
      { messages: [{ role: 'user', content: 1 }] },
      'messages[0].content: expected a string, got the number 1',
    ],
    ['/api/chat', { messages, options: { temperature: {} } }, 'options.temperature: expected'],
    ['/api/chat', { messages, options: { stop: 5 } }, 'options.stop: expected a string or a list'],
    ['/api/chat', { messages, format: 'yaml' }, 'format:'],
    ['/api/chat', { messages: [{ role: 'user', content: 'x', images: ['%%%'] }] }, 'messages[0].images[0]'],
    ['/api/generate', { prompt: 'x', images: ['https://x/y.png'] }, 'not fetched from the web'],
    ['/api/generate', { prompt: ['x'] }, 'prompt: expected a string, got a list of 1'],
    ['/api/embed', { input: { a: 1 } }, 'input: expected a string or a list, got an object'],
    ['/api/show', { model: undefined }, 'model: expected a name'],
  ])('name what is wrong: %s %j', async (path, fields, text) => {
    await client({});
    const answer = await post(path, { model: 'tiny', ...fields });
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.text).error).toContain(text);
  });
});

describe('hanging up', () => {
  it('aborts the signal', async () => {
    const { run, signals } = recording(async function* hang(_spec, signal) {
      yield placed;
      yield { type: 'chunk', tokens: 1, text: 'a' };
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
    });
    const ollama = await client({ runJob: run });
    const stream = await ollama.chat({ model: 'tiny', messages, stream: true });
    await expect(
      (async () => {
        for await (const _line of stream) stream.abort();
      })(),
    ).rejects.toThrow();
    await expect.poll(() => signals[0]?.aborted).toBe(true);
  });
});

it.each(['/api/create', '/api/copy', '/api/push', `/api/blobs/sha256:${'e'.repeat(64)}`])(
  'says at %s where models are made',
  async (path) => {
    await client({});
    const { status, text } = await post(path, { model: 'new', from: 'tiny' });
    expect(status).toBe(400);
    expect(JSON.parse(text).error).toMatch(/makes, copies and pushes no models .*with Ollama itself/);
  },
);
