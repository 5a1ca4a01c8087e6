/** The OpenAI surface as the real `openai` package sees it. */

import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { GoGridError } from '../errors.ts';
import type { RunJob } from '../jobs/output.ts';
import { PRIVACY_TIERS } from '../jobs/privacy.ts';
import { apiOfTest } from '../testing/api-of-test.ts';
import { collected } from '../testing/collected.ts';
import {
  catalogueOf,
  done,
  placed,
  recording,
  says,
  testJobId,
  testModel,
  vectorsOf,
  yields,
} from '../testing/small-api.ts';
import type { ApiDeps } from './server.ts';

const messages = [{ role: 'user' as const, content: 'hi' }];
const api = apiOfTest();

async function client(deps: Partial<ApiDeps>, options: { maxRetries?: number } = {}): Promise<OpenAI> {
  const { url } = await api.start(deps);
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: 'anything', ...options });
}

describe('chat', () => {
  it('answers whole', async () => {
    const openai = await client({ runJob: says('Hello', ' world') });
    const { data, response } = await openai.chat.completions.create({ model: 'Tiny', messages }).withResponse();
    expect(data.choices[0]).toMatchObject({
      index: 0,
      message: { role: 'assistant', content: 'Hello world' },
      finish_reason: 'stop',
    });
    expect(data.model).toBe('Tiny');
    expect(data.usage).toMatchObject({ prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 });
    expect(data).toMatchObject({ x_gogrid: { job: testJobId, route: 'direct', attempts: [{ toToken: 2 }] } });
    expect(response.headers.get('x-gogrid-job')).toBe(testJobId);
    expect(response.headers.get('x-gogrid-route')).toBe('direct');
    expect(response.headers.get('x-gogrid-provider')).toBe('12D3KooWProvider');
    expect(response.headers.get('x-gogrid-attempts')).toBe('1');
    expect(response.headers.get('x-gogrid-handovers')).toBe('0');
    expect(response.headers.get('x-gogrid-cost-microcredits')).toBe('0');
  });

  it('tells every provider with its share, and how often the answer moved', async () => {
    const part = { startedAt: 1, endedAt: 2, reason: 'provider_lost', digest: 'd'.repeat(64) };
    const attempts = [
      { ...part, provider: 'away', fromToken: 0, toToken: 0, reason: 'peer_unreachable', digest: null },
      { ...part, provider: 'first', fromToken: 0, toToken: 5 },
      { ...part, provider: 'second', fromToken: 5, toToken: 9, reason: null },
    ];
    const end = { ...done, usage: { ...done.usage, estimated: true }, job: { ...done.job, attempts } };
    const openai = await client({ runJob: yields([placed, { type: 'chunk', tokens: 1, text: 'x' }, end]) });
    const asked = { model: 'tiny', messages };
    const { data, response } = await openai.chat.completions.create(asked).withResponse();
    expect(data).toMatchObject({ x_gogrid: { attempts, handovers: 1, cost_microcredits: '0', usage_estimated: true } });
    expect(response.headers.get('x-gogrid-handovers')).toBe('1');
    expect(response.headers.get('x-gogrid-usage-estimated')).toBe('true');
    const stream_options = { include_usage: true };
    const chunks = await collected(await openai.chat.completions.create({ ...asked, stream: true, stream_options }));
    expect(chunks.at(-1)).toMatchObject({ x_gogrid: { attempts, handovers: 1, usage_estimated: true } });
  });

  it('streams one delta a chunk, then the finish, and usage only when asked', async () => {
    const openai = await client({ runJob: says('Hel', 'lo', '\n"😀"') });
    const request = { model: 'tiny', messages, stream: true as const };
    const plain = await collected(await openai.chat.completions.create(request));
    expect(plain.map((chunk) => chunk.choices[0]?.delta)).toEqual([
      { role: 'assistant', content: 'Hel' },
      { content: 'lo' },
      { content: '\n"😀"' },
      {},
    ]);
    expect(plain.at(-1)?.choices[0]?.finish_reason).toBe('stop');
    expect(plain.some((chunk) => chunk.usage != null)).toBe(false);
    expect(new Set(plain.map(({ id, created, model }) => `${id} ${created} ${model}`)).size).toBe(1);

    const counted = await collected(
      await openai.chat.completions.create({ ...request, stream_options: { include_usage: true } }),
    );
    expect(counted).toHaveLength(plain.length + 1);
    expect(counted.at(-1)).toMatchObject({
      id: plain[0]?.id,
      choices: [],
      usage: { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 },
      x_gogrid: { job: testJobId, usage_estimated: false },
    });
  });

  it('begins with the role even when the answer is empty', async () => {
    const openai = await client({ runJob: says() });
    const chunks = await collected(await openai.chat.completions.create({ model: 'tiny', messages, stream: true }));
    expect(chunks.map((chunk) => chunk.choices[0]?.delta)).toEqual([{ role: 'assistant', content: '' }, {}]);
  });

  it('gives tool calls with id, index and arguments as text', async () => {
    const toolCalls = [
      { name: 'add', arguments: '{"a":1}' },
      { id: 'own', name: 'sub', arguments: '{}' },
    ];
    const openai = await client({ runJob: yields([placed, { type: 'chunk', tokens: 1, toolCalls }, done]) });
    const whole = await openai.chat.completions.create({ model: 'tiny', messages });
    expect(whole.choices[0]?.finish_reason).toBe('tool_calls');
    expect(whole.choices[0]?.message.content).toBeNull();
    expect(whole.choices[0]?.message.tool_calls).toMatchObject([
      { id: expect.stringMatching(/^call_/), type: 'function', function: { name: 'add', arguments: '{"a":1}' } },
      { id: 'own', function: { name: 'sub' } },
    ]);

    const stream = openai.chat.completions.stream({ model: 'tiny', messages });
    const final = await stream.finalChatCompletion();
    expect(final.choices[0]?.message.tool_calls).toHaveLength(2);
    expect(final.choices[0]?.finish_reason).toBe('tool_calls');
  });

  it('gives thinking apart from the text', async () => {
    const runJob = yields([
      placed,
      { type: 'chunk', tokens: 1, thinking: 'hm' },
      { type: 'chunk', tokens: 1, text: 'Yes' },
      done,
    ]);
    const openai = await client({ runJob });
    const whole = await openai.chat.completions.create({ model: 'tiny', messages });
    expect(whole.choices[0]?.message).toEqual({ role: 'assistant', content: 'Yes', reasoning: 'hm' });
    const chunks = await collected(await openai.chat.completions.create({ model: 'tiny', messages, stream: true }));
    expect(chunks.map((chunk) => chunk.choices[0]?.delta)).toEqual([
      { role: 'assistant', reasoning: 'hm' },
      { content: 'Yes' },
      {},
    ]);
  });

  it('says length when the answer was cut', async () => {
    const openai = await client({ runJob: yields([placed, { ...done, reason: 'length' }]) });
    const whole = await openai.chat.completions.create({ model: 'tiny', messages });
    expect(whole.choices[0]?.finish_reason).toBe('length');
  });

  it('asks the mesh for what the request says, and for nothing it does not say', async () => {
    const { run, specs } = recording(says('x'));
    const openai = await client({ runJob: run });
    await openai.chat.completions.create({ model: 'tiny', messages });
    expect(specs[0]).toEqual({
      model: 'tiny',
      input: { kind: 'chat', messages: [{ role: 'user', content: 'hi' }] },
      deadlineMs: undefined,
      privacy: 'mesh',
      whole: true,
    });
    await openai.chat.completions.create(
      { model: 'tiny', messages, max_completion_tokens: 3, max_tokens: 9, temperature: 0, seed: 1, stop: 'END' },
      { headers: { 'x-gogrid-deadline-secs': '1.5', 'x-gogrid-privacy': 'local' } },
    );
    expect(specs[1]).toMatchObject({ deadlineMs: 1500, privacy: 'local' });
    expect(specs[1]?.input.options).toEqual({ num_predict: 3, temperature: 0, seed: 1, stop: ['END'] });
  });
});

describe('hanging up', () => {
  it('aborts the signal of a stream, and of an answer that has not begun', async () => {
    for (const first of [[placed, { type: 'chunk' as const, tokens: 1, text: 'a' }], []]) {
      const { run, signals } = recording(async function* hang(_spec, signal) {
        yield* first;
        await aborted(signal);
      });
      const openai = await client({ runJob: run });
      const abort = new AbortController();
      const request = { model: 'tiny', messages, stream: first.length > 0 };
      const answer = openai.chat.completions.create(request, { signal: abort.signal });
      if (first.length > 0) await answer;
      else await expect.poll(() => signals.length).toBe(1);
      abort.abort();
      await answer.catch(() => {});
      await expect.poll(() => signals[0]?.aborted).toBe(true);
    }
  });
});

describe('errors', () => {
  it('throws the classes that programs catch', async () => {
    let error = new GoGridError({ code: 'model_not_found', message: "model 'tiny:latest' not found", hint: 'x' });
    const openai = await client({ runJob: failing(() => error) }, { maxRetries: 0 });
    const send = () => openai.chat.completions.create({ model: 'Tiny', messages });

    await expect(send()).rejects.toMatchObject({
      constructor: OpenAI.NotFoundError,
      status: 404,
      type: 'not_found_error',
      code: 'model_not_found',
      error: { message: "model 'Tiny' not found" },
    });
    error = new GoGridError({ code: 'invalid_request', message: 'bad', data: { field: 'seed' } });
    await expect(send()).rejects.toMatchObject({
      constructor: OpenAI.BadRequestError,
      param: 'seed',
      type: 'invalid_request_error',
    });
    error = new GoGridError({ code: 'overloaded', message: 'every provider is busy', retryAfterSecs: 400 });
    const busy = await send().catch((thrown) => thrown);
    expect(busy).toBeInstanceOf(OpenAI.InternalServerError);
    expect(busy).toMatchObject({ status: 503, type: 'overloaded_error' });
    expect(busy.error.message).toBe('overloaded: every provider is busy');
    expect(busy.headers.get('retry-after')).toBe('60');
    expect(busy.headers.get('x-should-retry')).toBe('true');
    error = new GoGridError({ code: 'privacy_unserved', message: 'not here', hint: 'x', data: { job: testJobId } });
    const closed = await send().catch((thrown) => thrown);
    expect(closed).toMatchObject({ status: 403, type: 'permission_error', code: 'privacy_unserved' });
    expect(closed.error.jobId).toBe(testJobId);
    expect(closed.headers.get('x-should-retry')).toBe('false');
    expect(closed.headers.get('x-gogrid-job')).toBe(testJobId);
    error = new GoGridError({ code: 'deadline_exceeded', message: 'late' });
    const late = await send().catch((thrown) => thrown);
    expect(late).toMatchObject({ status: 504, type: 'timeout_error' });
    expect(late.headers.get('x-should-retry')).toBe('false');
  });

  it('is asked again after Retry-After when the node was busy', async () => {
    let calls = 0;
    const busy = new GoGridError({ code: 'overloaded', message: 'busy', retryAfterSecs: 1 });
    const openai = await client({
      runJob: (spec, signal) => (++calls === 1 ? failing(() => busy) : says('at last'))(spec, signal),
    });
    const started = performance.now();
    const answer = await openai.chat.completions.create({ model: 'tiny', messages });
    expect(answer.choices[0]?.message.content).toBe('at last');
    expect(calls).toBe(2);
    expect(performance.now() - started).toBeGreaterThan(900);
  });

  it('is not asked again when that cannot help', async () => {
    const { run, specs } = recording(failing(() => new GoGridError({ code: 'cannot_continue', message: 'broke' })));
    const openai = await client({ runJob: run });
    await expect(openai.chat.completions.create({ model: 'tiny', messages })).rejects.toMatchObject({ status: 502 });
    expect(specs).toHaveLength(1);
  });

  it('throws in mid-stream with the text', async () => {
    const error = new GoGridError({ code: 'provider_lost', message: 'the provider is gone' });
    const openai = await client({ runJob: yields([placed, { type: 'chunk', tokens: 1, text: 'half' }], error) });
    const texts: string[] = [];
    const read = async () => {
      for await (const chunk of await openai.chat.completions.create({ model: 'tiny', messages, stream: true })) {
        texts.push(chunk.choices[0]?.delta.content ?? '');
      }
    };
    await expect(read()).rejects.toThrow('the provider is gone');
    expect(texts).toEqual(['half']);
  });

  it('throws when a job stops without its end', async () => {
    const openai = await client({ runJob: yields([placed, { type: 'chunk', tokens: 1, text: 'half' }]) });
    const stream = await openai.chat.completions.create({ model: 'tiny', messages, stream: true });
    await expect(collected(stream)).rejects.toThrow('without its end');
  });

  it.each([
    [{ n: 2 }, 'n:'],
    [{ logprobs: true }, 'logprobs'],
    [{ tool_choice: 'required' as const }, 'tool_choice'],
    [{ max_tokens: 0 }, 'max_tokens'],
    [{ response_format: { type: 'json_schema', json_schema: { name: 'x' } } as never }, 'response_format.json_schema'],
    [
      {
        messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://x/y.png' } }] }] as never,
      },
      'messages[0].content[0].image_url.url',
    ],
    [{ messages: [{ role: 'wizard', content: 'x' }] as never }, 'messages[0].role'],
    [
      { messages: [{ role: 'user', content: 5 }] as never },
      'messages[0].content: expected a string or a list, got the number 5',
    ],
    [{ temperature: 'hot' as never }, 'temperature: expected a number, got a string'],
    [{ model: 5 as never }, 'model: expected a string, got the number 5'],
    [{ model: 'no model!' }, 'is not a model name'],
    [{ messages: [] }, 'messages: expected at least 1 items, got an empty list'],
  ])('names what is wrong with %j', async (fields, text) => {
    const openai = await client({});
    const answer = openai.chat.completions.create({ model: 'tiny', messages, ...fields });
    await expect(answer).rejects.toMatchObject({ status: 400, message: expect.stringContaining(text) });
  });

  it.each([['abc'], ['0'], ['-1'], ['1e3'], ['86401'], ['']])('names a bad deadline: %j', async (value) => {
    const openai = await client({});
    const headers = { 'x-gogrid-deadline-secs': value };
    await expect(openai.chat.completions.create({ model: 'tiny', messages }, { headers })).rejects.toMatchObject({
      status: 400,
      param: 'x-gogrid-deadline-secs',
    });
  });

  it('never widens a tier', async () => {
    const { run, specs } = recording(says('x'));
    const { url } = await api.start({ runJob: run }, { privacy: 'own' });
    const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'x' });
    const ask = (headers: Record<string, string>) =>
      openai.chat.completions.create({ model: 'tiny', messages }, { headers });
    await ask({});
    for (const tier of PRIVACY_TIERS) await ask({ 'x-gogrid-privacy': tier });
    expect(specs.map((spec) => spec.privacy)).toEqual(['own', ...PRIVACY_TIERS]);
    for (const tier of ['public', 'mesh, local', 'Mesh', '']) {
      await expect(ask({ 'x-gogrid-privacy': tier })).rejects.toMatchObject({ status: 400, param: 'x-gogrid-privacy' });
    }
    expect(specs).toHaveLength(1 + PRIVACY_TIERS.length);
  });
});

describe('models', () => {
  it('lists the mesh, and finds names with slashes however they are sent', async () => {
    const models = [testModel(), testModel({ name: 'hf.co/a/b:q4', local: false, providers: ['p1', 'p2'] })];
    const openai = await client({ catalogue: catalogueOf(models) });
    const list = await collected(await openai.models.list());
    expect(list.map(({ id, owned_by }) => [id, owned_by])).toEqual([
      ['tiny:latest', 'library'],
      ['hf.co/a/b:q4', 'a'],
    ]);
    expect(list[0]).toMatchObject({ object: 'model', created: 1_700_000_000, x_gogrid: { local: true } });
    expect((await openai.models.retrieve('hf.co/a/b:Q4')).id).toBe('hf.co/a/b:q4');
    expect((await openai.models.retrieve('tiny')).id).toBe('tiny:latest');
    const raw = await fetch(`${openai.baseURL}/models/hf.co/a/b:Q4`);
    expect(await raw.json()).toMatchObject({ id: 'hf.co/a/b:q4', x_gogrid: { providers: ['p1', 'p2'], local: false } });
    await expect(openai.models.retrieve('nope')).rejects.toMatchObject({
      constructor: OpenAI.NotFoundError,
      error: { message: "model 'nope' not found" },
    });
    const long = `hf.co/${'x'.repeat(3000)}`;
    await expect(openai.models.retrieve(long)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  it('gives an empty mesh an empty list', async () => {
    const openai = await client({ catalogue: catalogueOf([]) });
    expect(await collected(await openai.models.list())).toEqual([]);
  });
});

describe('embeddings', () => {
  const vectors = [
    [0.1, -2.5, 3e-8],
    [1, 0, 0.33333334],
  ];

  it('are the numbers of the engine, by default (base64) and as floats', async () => {
    const { run, specs } = recording(yields([placed, vectorsOf(vectors), done]));
    const openai = await client({ runJob: run });
    const asked = { model: 'tiny', input: ['a', 'b'] };
    const byDefault = await openai.embeddings.create(asked);
    const floats = await openai.embeddings.create({ ...asked, encoding_format: 'float', dimensions: 3 });
    for (const answer of [byDefault, floats]) {
      expect(answer.data.map((item) => item.embedding.map(Math.fround))).toEqual(
        vectors.map((vector) => vector.map(Math.fround)),
      );
      expect(answer.data.map((item) => item.index)).toEqual([0, 1]);
      expect(answer.usage).toEqual({ prompt_tokens: 7, total_tokens: 7 });
    }
    // Short text, not the digits of a double.
    expect(floats.data[0]?.embedding[0]).toBe(0.1);
    expect(specs[1]?.input).toEqual({ kind: 'embed', inputs: ['a', 'b'], dimensions: 3 });
  });

  it('refuse what is no text', async () => {
    const openai = await client({});
    await expect(openai.embeddings.create({ model: 'tiny', input: [[1, 2]] })).rejects.toMatchObject({
      code: 'unsupported',
    });
    await expect(openai.embeddings.create({ model: 'tiny', input: [] })).rejects.toMatchObject({ param: 'input' });
  });

  it('fail when the engine returned too few', async () => {
    const openai = await client({ runJob: yields([placed, vectorsOf(vectors), done]) }, { maxRetries: 0 });
    await expect(openai.embeddings.create({ model: 'tiny', input: 'one' })).rejects.toMatchObject({ status: 502 });
  });
});

function failing(error: () => GoGridError): RunJob {
  // biome-ignore lint/correctness/useYield: it fails before it says anything
  return async function* fail() {
    throw error();
  };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const fail = () => reject(new GoGridError({ code: 'cancelled', message: 'the client hung up' }));
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail);
  });
}
