/** Acceptance: answers and vectors. */

import { expect, it } from 'vitest';
import { JOB } from '../../limits/jobs.ts';
import type { JobInput } from '../../protocol/job.ts';
import { hear, hearFailure, needed, never, type Stage } from './stage.ts';

export function testAnswers({ subject, engine, chat }: Stage): void {
  it('streams a chat, with its usage at the end', async () => {
    const heard = await hear(engine().run(chat(8, { options: { num_predict: 8 } }), never));
    expect(heard.events[0]).toMatchObject({ type: 'progress' });
    expect(heard.events.at(-1)).toBe(heard.done);
    expect(heard.text).not.toBe('');
    expect(heard.tokens).toBeGreaterThan(0);
    expect(heard.done?.usage.outputTokens).toBeGreaterThanOrEqual(heard.tokens);
    expect(heard.done?.usage.promptTokens).toBeGreaterThan(0);
  });

  it('gives the same answer to the same prompt', async () => {
    const first = await hear(engine().run(chat(12, { options: { num_predict: 12 } }), never));
    const second = await hear(engine().run(chat(12, { options: { num_predict: 12 } }), never));
    expect(second.text).toBe(first.text);
  });

  it('generates, and obeys num_predict', async () => {
    const input: JobInput = {
      kind: 'generate',
      prompt: subject.prompt(20),
      options: { ...subject.options, num_predict: 4, seed: null },
    };
    const heard = await hear(engine().run({ model: subject.models.chat, input, resume: undefined }, never));
    expect(heard.done).toMatchObject({ reason: 'length', usage: { outputTokens: 4 } });
    const raw = await hear(
      engine().run({ model: subject.models.chat, input: { ...input, raw: true }, resume: undefined }, never),
    );
    expect(raw.text).not.toBe(heard.text);
  });

  it('refuses a model it does not have', async () => {
    const { error } = await hearFailure(engine().run(chat(2, { model: 'nobody-has-this:latest' }), never));
    expect(error).toMatchObject({ code: 'model_not_found' });
    expect(error.hint).toBeDefined();
  });

  it('says that a model has no tools', async () => {
    const input: JobInput = {
      kind: 'chat',
      messages: [{ role: 'user', content: 'x' }],
      tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }],
    };
    const { error } = await hearFailure(engine().run({ model: subject.models.chat, input, resume: undefined }, never));
    expect(error).toMatchObject({ code: 'unsupported', message: expect.stringContaining('does not support tools') });
  });

  it.skipIf(subject.models.tools === undefined)('calls tools, and takes their results', async () => {
    const weather = { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } };
    const tools = [{ type: 'function', function: weather }];
    const ask = { role: 'user', content: 'call weather please' } as const;
    const model = needed(subject.models.tools);
    const asked = await hear(
      engine().run({ model, input: { kind: 'chat', messages: [ask], tools }, resume: undefined }, never),
    );
    expect(asked.toolCalls).toHaveLength(1);
    const [call] = asked.toolCalls;
    expect(call).toMatchObject({ name: 'weather', id: expect.any(String) });
    expect(JSON.parse(call?.arguments ?? '')).toEqual({ city: expect.any(String) });
    const messages = [
      ask,
      { role: 'assistant' as const, content: '', toolCalls: [...asked.toolCalls] },
      { role: 'tool' as const, content: 'sunny', toolName: 'weather' },
    ];
    const answered = await hear(
      engine().run({ model, input: { kind: 'chat', messages, tools }, resume: undefined }, never),
    );
    expect(answered.text).not.toBe('');
  });

  it.skipIf(subject.models.thinking === undefined)('thinks before it speaks, unless told not to', async () => {
    const model = needed(subject.models.thinking);
    const input = (think: boolean): JobInput => ({
      kind: 'chat',
      messages: [{ role: 'user', content: subject.prompt(10) }],
      think,
    });
    const thought = await hear(engine().run({ model, input: input(true), resume: undefined }, never));
    const kinds = thought.events.filter((event) => event.type === 'chunk').map((chunk) => chunk.thinking !== undefined);
    expect(kinds.toSorted((a, b) => Number(b) - Number(a))).toEqual(kinds);
    expect(thought.thinking).not.toBe('');
    expect(thought.text).not.toBe('');
    const quick = await hear(engine().run({ model, input: input(false), resume: undefined }, never));
    expect(quick.thinking).toBe('');
    expect(quick.text).not.toBe('');
  });
}

export function testEmbeddings({ subject, engine }: Stage): void {
  const embed = async (inputs: string[]) => {
    const input: JobInput = { kind: 'embed', inputs, options: subject.options };
    const heard = await hear(engine().run({ model: subject.models.embedding, input, resume: undefined }, never));
    const parts = heard.events.filter((event) => event.type === 'vectors');
    const bytes = Buffer.concat(parts.map((part) => part.data));
    const dimensions = parts[0]?.dimensions ?? 0;
    const values = Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4));
    return { heard, parts, dimensions, values };
  };

  it('come as float32, one vector for every text, in order', async () => {
    const both = await embed(['harbor', 'a candle']);
    expect(both.values).toHaveLength(2 * both.dimensions);
    expect(Math.hypot(...both.values.slice(0, both.dimensions))).toBeCloseTo(1, 2);
    expect(both.heard.done).toMatchObject({ reason: 'stop', usage: { outputTokens: 0 } });
    expect(both.heard.done?.usage.promptTokens).toBeGreaterThan(0);
    const second = await embed(['a candle']);
    for (const [index, value] of second.values.entries()) {
      expect(value).toBeCloseTo(both.values[both.dimensions + index] ?? Number.NaN, 3);
    }
  });

  it('come in parts when there are many', async () => {
    const texts = Array.from({ length: subject.control === undefined ? 16 : 1000 }, (_, index) => `text ${index}`);
    const many = await embed(texts);
    expect(many.values).toHaveLength(texts.length * many.dimensions);
    for (const part of many.parts) expect(part.data.length).toBeLessThanOrEqual(JOB.maxChunkBytes);
  });

  it('of nothing are nothing', async () => {
    const none = await embed([]);
    expect(none.values).toEqual([]);
    expect(none.heard.done?.reason).toBe('stop');
  });
}
