/** Real clients against the node that runs the model, and against one that reaches it through the mesh. */

import { text } from 'node:stream/consumers';
import OpenAI from 'openai';
import { describe, expect, test } from 'vitest';
import { ask, ollama, openai, rawPost, streamChat } from '../harness/clients.ts';
import { answerTo, generations, WORDS } from '../harness/expected.ts';
import { sharedStage } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

const SLASHED = 'hf.co/someone/Words-GGUF:Q4_K_M';
const PACE = 400;

const shared = sharedStage('clients', async (stage) => ({
  mesh: await stage.mesh([
    {
      engine: {
        tokensPerSecond: PACE,
        models: [
          WORDS,
          { name: SLASHED },
          { name: 'vectors', capabilities: ['embedding'], dimensions: 24 },
          { name: 'caller', capabilities: ['completion', 'tools'] },
        ],
      },
    },
    {},
  ]),
}));

const places = [
  ['on the machine that has the model', 0, 'local'],
  ['across the mesh', 1, 'direct'],
] as const;

describe.each(places)('openai %s', (_, index, route) => {
  const node = () => shared().mesh.node(index);
  const engine = () => shared().mesh.engine(0);
  const question = () => `Name things like ${shared().stage.random.word(6)} words=40`;

  test('streams and gives whole answers, word for word', async () => {
    const content = question();
    const before = (await generations(engine())).length;
    const streamed = await streamChat(openai(node()), { content });
    expect(streamed).toMatchObject({ text: answerTo(content), finish: 'stop', route });
    expect(streamed.provider).toBe(shared().mesh.node(0).peerId);
    expect(streamed.chunks).toBeGreaterThan(5);
    const whole = await openai(node()).chat.completions.create({ model: 'words', messages: ask(content) });
    expect(whole.choices[0]?.message.content).toBe(answerTo(content));
    expect(whole.model).toBe('words');
    expect(whole.usage).toEqual(streamed.usage);
    expect(whole.usage?.completion_tokens).toBe(40);
    expect(await generations(engine())).toHaveLength(before + 2);
    const job = await node().job(streamed.job);
    expect(job).toMatchObject({ state: 'completed', reason: null, model: 'words:latest', tokensOut: 40 });
    expect(job.direction).toBe(index === 0 ? 'local' : 'out');
    const atProvider = await shared().mesh.node(0).job(streamed.job);
    expect(atProvider).toMatchObject({ direction: index === 0 ? 'local' : 'in', state: 'completed', tokensOut: 40 });
  });

  test('respects max_tokens, stop and seed', async () => {
    const content = question();
    const words = answerTo(content).split(' ');
    const limited = await streamChat(openai(node()), { content, more: { max_completion_tokens: 3, seed: 1 } });
    expect(limited).toMatchObject({ finish: 'length' });
    expect(limited.usage?.completion_tokens).toBe(3);
    const stop = words[7] ?? '';
    const stopped = await streamChat(openai(node()), { content, more: { stop: [stop] } });
    expect(stopped.text).toBe(answerTo(content).slice(0, answerTo(content).indexOf(stop)));
    expect(stopped.finish).toBe('stop');
  });

  test('an abort frees the slot at once', async () => {
    const hangUp = new AbortController();
    const content = `${question()} words=100000`;
    const aborted = streamChat(openai(node()), {
      content,
      signal: hangUp.signal,
      onChunk: ({ chunks }) => {
        if (chunks === 5) hangUp.abort();
      },
    });
    await aborted.catch((error: unknown) => expect(error).toBeInstanceOf(OpenAI.APIUserAbortError));
    const hungUpAt = Date.now();
    const call = await until(async () => (await generations(engine())).findLast(({ aborted }) => aborted), {
      what: 'the engine to see the abort',
    });
    expect((call.endedAt ?? 0) - hungUpAt).toBeLessThan(1000);
    const next = question();
    expect((await streamChat(openai(node()), { content: next })).text).toBe(answerTo(next));
  });

  test('calls tools, and keeps to a JSON schema', async () => {
    const parameters = { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } } };
    const called = await openai(node()).chat.completions.create({
      model: 'caller',
      messages: ask('please call weather'),
      tools: [{ type: 'function', function: { name: 'weather', parameters } }],
    });
    const [choice] = called.choices;
    expect(choice?.finish_reason).toBe('tool_calls');
    const call = choice?.message.tool_calls?.[0];
    expect(call?.type === 'function' && JSON.parse(call.function.arguments)).toEqual({ city: 'harbor', days: 7 });
    const json = await openai(node()).chat.completions.create({
      model: 'words',
      messages: ask(question()),
      response_format: { type: 'json_schema', json_schema: { name: 'trip', schema: parameters } },
    });
    expect(JSON.parse(json.choices[0]?.message.content ?? '')).toEqual({ city: 'harbor', days: 7 });
  });

  test('embeds by default as the native API does', async () => {
    const input = [question(), 'naïve 数据 🌱'];
    const { data, usage } = await openai(node()).embeddings.create({ model: 'vectors', input });
    const { embeddings } = await ollama(node()).embed({ model: 'vectors', input });
    expect(embeddings.map((vector) => vector.length)).toEqual([24, 24]);
    // Both are 32-bit floats; JSON has their shortest decimals, base64 all their bits.
    const exact = embeddings.map((vector) => vector.map(Math.fround));
    expect(data.map(({ embedding }) => embedding)).toEqual(exact);
    expect(usage.prompt_tokens).toBeGreaterThan(0);
    const floats = await openai(node()).embeddings.create({ model: 'vectors', input, encoding_format: 'float' });
    expect(floats.data.map(({ embedding }) => embedding.map(Math.fround))).toEqual(exact);
  });

  test('lists and retrieves models, with a slash in the name too', async () => {
    const names: string[] = [];
    for await (const model of openai(node()).models.list()) names.push(model.id);
    const listed = SLASHED.toLowerCase();
    expect(names.toSorted()).toEqual(['caller:latest', listed, 'vectors:latest', 'words:latest']);
    const model = await openai(node()).models.retrieve(SLASHED);
    expect(model).toMatchObject({ object: 'model' });
    expect(model.id.toLowerCase()).toBe(listed);
    expect(Number.isInteger(model.created)).toBe(true);
    await expect(openai(node()).models.retrieve('nobody')).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  test('gets the errors that it has classes for', async () => {
    const client = openai(node());
    const unknown = client.chat.completions.create({ model: 'nobody', messages: ask('hi') });
    await expect(unknown).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(unknown).rejects.toThrow("model 'nobody' not found");
    const two = client.chat.completions.create({ model: 'words', messages: ask('hi'), n: 2 });
    await expect(two).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await expect(two).rejects.toMatchObject({ param: 'n' });
    const noMessages = client.chat.completions.create({ model: 'words', messages: 'hi' as never });
    await expect(noMessages).rejects.toMatchObject({ status: 400, param: 'messages' });
    const tools = client.chat.completions.create({
      model: 'words',
      messages: ask('call it'),
      tools: [{ type: 'function', function: { name: 'it' } }],
    });
    await expect(tools).rejects.toMatchObject({ status: 400 });
    await expect(tools).rejects.toThrow('does not support tools');
  });
});

test('a prompt that may not leave its machine does not', async () => {
  const { mesh } = shared();
  const before = await generations(mesh.engine(0));
  const headers = { 'x-gogrid-privacy': 'local' };
  const asked = openai(mesh.node(1)).chat.completions.create({ model: 'words', messages: ask('secret') }, { headers });
  await expect(asked).rejects.toBeInstanceOf(OpenAI.PermissionDeniedError);
  await expect(asked).rejects.toMatchObject({ code: 'privacy_unserved' });
  expect(await generations(mesh.engine(0))).toHaveLength(before.length);
  const content = 'no secret words=5';
  const here = await openai(mesh.node(0)).chat.completions.create(
    { model: 'words', messages: ask(content) },
    { headers },
  );
  expect(here.choices[0]?.message.content).toBe(answerTo(content));
});

describe.each(places)('ollama %s', (_, index) => {
  const node = () => shared().mesh.node(index);
  const engine = () => shared().mesh.engine(0);
  const question = () => `Name things like ${shared().stage.random.word(6)} words=40`;

  test('chats and generates, streamed and whole', async () => {
    const content = question();
    const client = ollama(node());
    let text = '';
    let last: { done: boolean; done_reason?: string; eval_count?: number } | undefined;
    for await (const part of await client.chat({ model: 'words', messages: ask(content), stream: true })) {
      text += part.message.content;
      last = part;
    }
    expect(text).toBe(answerTo(content));
    expect(last).toMatchObject({ done: true, done_reason: 'stop', eval_count: 40, model: 'words' });
    const whole = await client.chat({ model: 'words', messages: ask(content) });
    expect(whole.message).toEqual({ role: 'assistant', content: text });
    let generated = '';
    for await (const part of await client.generate({ model: 'words', prompt: content, stream: true })) {
      generated += part.response;
    }
    expect(generated).toBe(answerTo(content));
    expect((await client.generate({ model: 'words', prompt: content })).response).toBe(generated);
  });

  test('lists, shows, loads and tells what is loaded', async () => {
    const client = ollama(node());
    const { models } = await client.list();
    expect(models.map(({ name }) => name).toSorted()).toContain('words:latest');
    const listed = models.find(({ name }) => name === 'words:latest');
    expect(listed).toMatchObject({ model: 'words:latest', details: { quantization_level: 'Q4_1', family: 'llama' } });
    expect(listed?.digest).toMatch(/^[0-9a-f]{64}$/);
    const shown = await client.show({ model: 'words' });
    expect(shown.capabilities).toEqual(['completion']);
    expect(Object.entries(shown.model_info)).toContainEqual(['llama.context_length', 8192]);
    const loaded = await client.generate({ model: 'words', prompt: '' });
    expect(loaded).toMatchObject({ done: true, done_reason: 'load' });
    await until(async () => (await client.ps()).models.some(({ name }) => name === 'words:latest'), {
      what: 'the model to be listed as loaded',
    });
    expect((await client.version()).version).toMatch(/^\d+\.\d+\.\d+/);
  });

  test('embeds by the old endpoint too', async () => {
    const { embeddings } = await ollama(node()).embed({ model: 'vectors', input: 'river' });
    const { embedding } = await ollama(node()).embeddings({ model: 'vectors', prompt: 'river' });
    expect(embedding.map(Math.fround)).toEqual(embeddings[0]?.map(Math.fround));
  });

  test('an abort frees the slot at once', async () => {
    const client = ollama(node());
    let parts = 0;
    const follow = async () => {
      const content = `${question()} words=100000`;
      for await (const _part of await client.chat({ model: 'words', messages: ask(content), stream: true })) {
        if (++parts === 5) client.abort();
      }
    };
    await expect(follow()).rejects.toMatchObject({ name: 'AbortError' });
    const hungUpAt = Date.now();
    await until(async () => (await engine().report()).totals.open === 0, { what: 'the engine to be free' });
    expect(Date.now() - hungUpAt).toBeLessThan(1500);
    const next = question();
    expect((await ollama(node()).chat({ model: 'words', messages: ask(next) })).message.content).toBe(answerTo(next));
  });

  test('gets the texts that it shows', async () => {
    const client = ollama(node());
    const missing = { status_code: 404, error: "model 'nobody' not found" };
    await expect(client.chat({ model: 'nobody', messages: ask('hi') })).rejects.toMatchObject(missing);
    await expect(client.show({ model: 'nobody' })).rejects.toMatchObject({ status_code: 404 });
    const tools = [{ type: 'function', function: { name: 'it' } }];
    const refused = client.chat({ model: 'words', messages: ask('call it'), tools });
    await expect(refused).rejects.toThrow('does not support tools');
  });
});

test('a plain body without a content type, and a doubled or trailing slash, are served', async () => {
  const { mesh } = shared();
  const content = 'one plain question words=5';
  const body = JSON.stringify({ model: 'words', messages: ask(content), stream: false });
  for (const path of ['/api/chat', '//api/chat', '/api/chat/']) {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const response = await fetch(mesh.node(1).api + path, { method: 'POST', body, headers });
    expect(response.status, path).toBe(200);
    expect(await response.json()).toMatchObject({ message: { content: answerTo(content) } });
  }
});

test('a stream of lines says so, and has no blank line', async () => {
  const content = 'one question words=30';
  const url = `${shared().mesh.node(1).api}/api/chat`;
  const { response } = await rawPost(url, { model: 'words', messages: ask(content) });
  expect(response.headers['content-type']).toMatch(/^application\/x-ndjson/);
  const lines = (await text(response)).split('\n');
  expect(lines.pop()).toBe('');
  expect(lines).not.toContain('');
  expect(lines.map((line) => JSON.parse(line).message.content).join('')).toBe(answerTo(content));
});
