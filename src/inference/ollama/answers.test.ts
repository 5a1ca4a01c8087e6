import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EngineEvent } from '../../jobs/ports.ts';
import { AnswerReader, readVectors } from './answers.ts';

const chat = (message: object, more: object = {}) =>
  JSON.stringify({ message: { role: 'assistant', ...message }, ...more });
const say = (content: string) => chat({ content });
const think = (thinking: string) => chat({ content: '', thinking });
const last = chat({ content: '' }, { done: true, done_reason: 'length', prompt_eval_count: 7, eval_count: 3 });

describe('one batch', () => {
  it('is merged into one chunk', () => {
    const reader = new AnswerReader('/api/chat', 'm');
    expect(reader.read([say('a'), say(' b'), '', say(' c')])).toEqual([{ type: 'chunk', tokens: 3, text: 'a b c' }]);
  });

  it('does not hide white space behind words', () => {
    const reader = new AnswerReader('/api/chat', 'm');
    expect(reader.read([say('a'), say(' b'), say('\n'), say(' '), say('c')])).toEqual([
      { type: 'chunk', tokens: 2, text: 'a b' },
      { type: 'chunk', tokens: 3, text: '\n c' },
    ]);
  });

  it('keeps the order of thinking, text and tool calls', () => {
    const reader = new AnswerReader('/api/chat', 'm');
    const call = chat({ content: '', tool_calls: [{ id: 'x', function: { name: 'f', arguments: { a: [1] } } }] });
    expect(reader.read([think('t'), think('u'), say('a'), call, say('b'), last])).toEqual([
      { type: 'chunk', tokens: 2, thinking: 'tu' },
      { type: 'chunk', tokens: 1, text: 'a' },
      { type: 'chunk', tokens: 1, toolCalls: [{ id: 'x', name: 'f', arguments: '{"a":[1]}' }] },
      { type: 'chunk', tokens: 1, text: 'b' },
      {
        type: 'done',
        reason: 'length',
        usage: { promptTokens: 7, outputTokens: 3, loadMs: 0, prefillMs: 0, decodeMs: 0 },
      },
    ]);
    expect(reader.done).toBe(true);
  });

  it('reads a generation, whose text stands elsewhere', () => {
    const reader = new AnswerReader('/api/generate', 'm');
    expect(reader.read(['{"response":"a","done":false}', '{"response":"b","thinking":"t"}'])).toEqual([
      { type: 'chunk', tokens: 1, text: 'a' },
      { type: 'chunk', tokens: 1, thinking: 't' },
      { type: 'chunk', tokens: 0, text: 'b' },
    ]);
  });
});

it('says the same however the lines are cut into batches', () => {
  const piece = fc.oneof(fc.string({ minLength: 1 }).map(say), fc.string({ minLength: 1 }).map(think));
  fc.assert(
    fc.property(fc.array(piece), fc.array(fc.nat(5)), (lines, cuts) => {
      const whole = new AnswerReader('/api/chat', 'm').read([...lines, last]);
      const reader = new AnswerReader('/api/chat', 'm');
      const events: EngineEvent[] = [];
      let at = 0;
      for (const cut of cuts) {
        events.push(...reader.read(lines.slice(at, at + cut)));
        at += cut;
      }
      events.push(...reader.read([...lines.slice(at), last]));
      const flat = (all: readonly EngineEvent[]) =>
        all
          .filter((event) => event.type === 'chunk')
          .map((chunk) => (chunk.text === undefined ? `[${chunk.thinking}]` : chunk.text))
          .join('')
          .replaceAll('][', '');
      const tokens = (all: readonly EngineEvent[]) =>
        all.reduce((sum, event) => sum + (event.type === 'chunk' ? event.tokens : 0), 0);
      expect(flat(events)).toBe(flat(whole));
      expect(tokens(events)).toBe(tokens(whole));
    }),
  );
});

describe('lines that say what went wrong', () => {
  it.each([
    ['{"error":"an error was encountered while running the model: unexpected EOF"}', 'engine_failed'],
    ['{"error":"CUDA error: out of memory"}', 'engine_out_of_memory'],
    ['<html>', 'engine_failed'],
    ['[]', 'engine_failed'],
    ['null', 'engine_failed'],
    ['{"done":false}', 'engine_failed'],
    [chat({ content: '', tool_calls: [{ function: {} }] }), 'engine_failed'],
  ])('%s', (line, code) => {
    const reader = new AnswerReader('/api/chat', 'm');
    expect(reader.read([say('so far'), line])).toEqual([{ type: 'chunk', tokens: 1, text: 'so far' }]);
    expect(reader.failure).toMatchObject({ code });
  });

  it('never shows what it could not read', () => {
    const reader = new AnswerReader('/api/chat', 'm');
    reader.read(['{"message":{"content":"my secret']);
    expect(reader.failure?.message).not.toContain('secret');
  });
});

describe('an answer without a last line', () => {
  it('has failed', () => {
    const reader = new AnswerReader('/api/chat', 'm');
    reader.read([say('a')]);
    expect(() => reader.endWithoutLastLine()).toThrow(expect.objectContaining({ code: 'engine_failed' }));
  });

  it('has reached its length when the model only repeated itself: Ollama stops it then', () => {
    const reader = new AnswerReader('/api/chat', 'm');
    reader.read(Array.from({ length: 31 }, () => say('1')));
    expect(reader.endWithoutLastLine()).toMatchObject({ reason: 'length', usage: { outputTokens: 31 } });
  });
});

describe('vectors', () => {
  it.each([
    { embeddings: [[1, 2]] },
    { embeddings: [[1, 2], [1]] },
    { embeddings: [[], []] },
    {
      embeddings: [
        ['a', 1],
        [1, 2],
      ],
    },
    {},
  ])('%j are not two', (answer) => {
    expect(() => readVectors(answer, 2)).toThrow(expect.objectContaining({ code: 'engine_failed' }));
  });
});
