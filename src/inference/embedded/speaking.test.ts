/** Answers of the embedded engine, where they differ from what every engine must do. */

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { EngineCall } from '../../jobs/ports.ts';
import type { ChatMessage, JobInput, Options } from '../../protocol/job.ts';
import { type EmbeddedStage, embeddedStage } from '../../testing/embedded-stage.ts';
import { NEVER_ENDS } from '../../testing/tiny-gguf.ts';
import { ODD_WORDS, WORDS } from '../../testing/tiny-words.ts';
import { hear, hearFailure, never } from '../acceptance/stage.ts';
import type { EmbeddedEngine } from './engine.ts';

// The process gets what computing time the tests beside it leave.
vi.setConfig({ testTimeout: 30_000 });

let stage: EmbeddedStage;
let engine: EmbeddedEngine;
beforeAll(async () => {
  stage = await embeddedStage();
  engine = await stage.start();
});
afterAll(async () => {
  stage.stopEngines();
  await stage.close();
});

const call = (input: JobInput, resume?: EngineCall['resume']): EngineCall => ({
  model: 'endless:latest',
  input: { ...input, options: { temperature: 0, num_predict: 20, ...input.options } } as JobInput,
  resume,
});
const chat = (messages: ChatMessage[], options: Options = {}): JobInput => ({ kind: 'chat', messages, options });
const user = (content: string): ChatMessage => ({ role: 'user', content });
const run = (input: JobInput) => hear(engine.run(call(input), never));
const fail = async (input: JobInput) => (await hearFailure(engine.run(call(input), never))).error;

describe('what the model reads', () => {
  it('has no marker that a message brought along', async () => {
    const tokens = async (content: string) => (await run(chat([user(content)]))).done?.usage.promptTokens ?? 0;
    const plain = await tokens('xxxxxxxxxx');
    // Ten characters, and not the one token that they stand for in a template.
    expect(await tokens('<|im_end|>')).toBe(plain);
    expect((await run({ kind: 'generate', prompt: '<|im_end|>', raw: true })).done?.usage.promptTokens).toBe(1);
  });

  it('is what the client said, in the form of the model’s own template', async () => {
    const prompt = '<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n';
    const raw = await run({ kind: 'generate', prompt, raw: true });
    const asked = await run(chat([{ role: 'system', content: 'Be kind.' }, user('Hello')]));
    const generated = await run({ kind: 'generate', system: 'Be kind.', prompt: 'Hello' });
    expect(asked.text).toBe(raw.text);
    expect(asked.done?.usage.promptTokens).toBe(raw.done?.usage.promptTokens);
    expect(generated.text).toBe(raw.text);
  });

  it('loses its oldest messages when it does not fit, but for the system’s', async () => {
    const talk = Array.from({ length: 40 }, (_, index): ChatMessage[] => [
      user(`question ${index} about the harbor`),
      { role: 'assistant', content: `answer ${index}` },
    ]).flat();
    const messages: ChatMessage[] = [{ role: 'system', content: 'Be kind.' }, ...talk, user('And now?')];
    const cut = await run(chat(messages, { num_ctx: 512 }));
    expect(cut.done?.usage.promptTokens).toBeLessThan(512);
    expect(cut.done?.usage.promptTokens).toBeGreaterThan(350);
    const kept = cut.text;
    expect(kept).not.toBe((await run(chat(messages, { num_ctx: 4096 }))).text);
    expect(kept).not.toBe((await run(chat(messages.slice(1), { num_ctx: 512 }))).text);
  });

  it('that does not fit by itself is too long', async () => {
    const long = 'harbor '.repeat(200);
    const error = expect.objectContaining({ code: 'prompt_too_long', hint: expect.stringContaining('num_ctx') });
    expect(await fail(chat([user(long)], { num_ctx: 100 }))).toEqual(error);
    expect(await fail({ kind: 'generate', prompt: long, raw: true, options: { num_ctx: 100 } })).toEqual(error);
    const resumed = call(chat([user('Hello')], { num_ctx: 100, num_predict: 1000 }), { text: long, tokens: 200 });
    expect((await hearFailure(engine.run(resumed, never))).error.code).toBe('cannot_continue');
  });
});

describe('what the model says', () => {
  it('ends at a stop sequence, in the middle of a word too', async () => {
    const whole = await run(chat([user('Hello')]));
    const [, second = '', third = ''] = whole.text.split(/(?= )/);
    const cut = await run(chat([user('Hello')], { stop: [third.slice(0, 4), 'never said'] }));
    expect(cut.text).toBe(whole.text.slice(0, whole.text.indexOf(third.slice(0, 4))));
    expect(cut.text).toContain(second);
    expect(cut.done).toMatchObject({ reason: 'stop' });
  });

  it('ends where the context ends', async () => {
    const { done } = await run(chat([user('Hello')], { num_ctx: 64, num_predict: -1 }));
    expect(done?.reason).toBe('length');
    expect((done?.usage.promptTokens ?? 0) + (done?.usage.outputTokens ?? 0)).toBe(64);
  });

  it('is another thing with another seed, and the same with the same', async () => {
    const say = async (seed: number) => (await run(chat([user('Hello')], { temperature: 1, seed }))).text;
    const [one, again, other] = [await say(1), await say(1), await say(2)];
    expect(again).toBe(one);
    expect(other).not.toBe(one);
  });

  it('repeats itself less when that is punished', async () => {
    const kinds = async (penalty: number) => {
      const { text } = await run(chat([user('Hello')], { repeat_penalty: penalty, num_predict: 80 }));
      return new Set(text.split(' ')).size;
    };
    expect(await kinds(2)).toBeGreaterThan(await kinds(1));
  });

  it('is what a JSON schema allows', async () => {
    const properties = { open: { type: 'boolean' }, kind: { enum: ['harbor', 'river'] } };
    const format = { type: 'object', properties, required: ['open', 'kind'] };
    const { text, done } = await run({ ...chat([user('Hello')], { num_predict: 200 }), format } as JobInput);
    expect(JSON.parse(text)).toEqual({ open: expect.any(Boolean), kind: expect.stringMatching(/^(harbor|river)$/) });
    expect(text).toBe(text.trim());
    expect(done?.reason).toBe('stop');
  });

  it('begins with a brace when it is to be JSON', async () => {
    expect((await run({ ...chat([user('Hello')]), format: 'json' } as JobInput)).text).toMatch(/^\{/);
    for (const format of ['yaml', 7, [1]]) {
      expect(await fail({ ...chat([user('Hello')]), format } as JobInput)).toMatchObject({ code: 'invalid_request' });
    }
  });

  it('is refused for what it cannot do, before anything is loaded', async () => {
    expect(await fail({ kind: 'generate', prompt: 'x', suffix: 'y' })).toMatchObject({ code: 'unsupported' });
    const odd = { ...call(chat([user('x')])), input: { ...chat([user('x')]), keepAlive: 'soon' } };
    expect((await hearFailure(engine.run(odd, never))).error).toMatchObject({ code: 'invalid_request' });
  });
});

describe('the tiny model', () => {
  it('says nothing but its words, however deep it is made', async () => {
    await stage.write('deep.gguf', { end: NEVER_ENDS, layers: 12 });
    await engine.refresh();
    const deep = { ...call(chat([user('Hello')], { num_predict: 300 })), model: 'deep:latest' };
    const { text } = await hear(engine.run(deep, never));
    const known = new Set([...WORDS, ...ODD_WORDS]);
    expect(text.trim().split(' ')).toHaveLength(300);
    for (const word of text.trim().split(' ')) expect(known).toContain(word);
  });
});

describe('going on', () => {
  it('behind any character, also one of several bytes, is going on in the same answer', async () => {
    // Of this prompt's answer, see the check below.
    const input = chat([user(ODD_PROMPT)], { num_predict: 60 });
    const whole = await run(input);
    expect(whole.text).toMatch(/[^\x20-\x7e]/u);
    const ends = [...whole.text.matchAll(/\S(?= |$)/gu)].map(({ index, 0: char }) => index + char.length);
    for (const end of ends.slice(0, -1)) {
      const text = whole.text.slice(0, end);
      const tokens = text.split(' ').length - 1;
      const rest = await hear(engine.run(call(input, { text, tokens }), never));
      expect(text + rest.text).toBe(whole.text);
      expect(rest.done?.usage.outputTokens).toBe(60 - tokens);
    }
  });
});

const ODD_PROMPT = 'Tell me about the harbor.';
