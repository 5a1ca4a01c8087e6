/** Laws of reading requests: whatever comes, it is a job that can be sent, or an error that can be shown. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ZodType } from 'zod';
import { GoGridError } from '../errors.ts';
import { jobInput } from '../protocol/job.ts';
import { decodeChat, decodeEmbed, decodeGenerate, decodeOldEmbed } from './ollama/requests.ts';
import { decodeChat as decodeOpenAiChat } from './openai/chat-request.ts';
import { decodeEmbeddings } from './openai/embeddings.ts';

const decoders = {
  'OpenAI chat': decodeOpenAiChat,
  'OpenAI embeddings': decodeEmbeddings,
  'Ollama chat': decodeChat,
  'Ollama generate': decodeGenerate,
  'Ollama embed': decodeEmbed,
  'Ollama embeddings': decodeOldEmbed,
};

/** Nearly right bodies find more than wholly random ones: fields that exist, with values that may be anything. */
const anything = fc.jsonValue({ maxDepth: 3 });
const maybe = (right: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 40, arbitrary: right }, { weight: 1, arbitrary: anything });
const text = maybe(fc.string());
const name = maybe(fc.string({ minLength: 1 }));
const toolCall = fc.record(
  { id: text, type: text, function: maybe(fc.record({ name, arguments: anything })) },
  { requiredKeys: ['function'] },
);
const part = fc.record(
  {
    type: maybe(fc.constantFrom('text', 'refusal')),
    text,
  },
  { requiredKeys: ['type'] },
);
const imagePart = fc.record({
  type: fc.constantFrom('image_url', 'text', 'input_audio'),
  image_url: maybe(fc.record({ url: fc.constantFrom('data:image/png;base64,aGk=', 'https://x', 'x') })),
});
const message = fc.record(
  {
    role: maybe(fc.constantFrom('system', 'developer', 'user', 'assistant', 'tool', 'function')),
    content: maybe(
      fc.oneof(fc.string(), fc.array(fc.oneof({ weight: 9, arbitrary: part }, imagePart), { maxLength: 3 })),
    ),
    name: text,
    tool_name: text,
    tool_call_id: text,
    tool_calls: maybe(fc.array(toolCall, { maxLength: 2 })),
    images: maybe(fc.array(fc.constantFrom('aGk=', 'data:image/png;base64,aGk='), { maxLength: 2 })),
    thinking: text,
    reasoning: text,
  },
  { requiredKeys: ['role'] },
);
const number = maybe(fc.double({ noNaN: true, noDefaultInfinity: true }));
const whole = maybe(fc.integer({ min: -1, max: 9 }));
const tool = fc.record(
  { type: maybe(fc.constant('function')), function: maybe(fc.record({ name, parameters: anything })) },
  { requiredKeys: ['function'] },
);
const body = fc.record(
  {
    model: maybe(fc.constantFrom('tiny', 'hf.co/a/b:Q4')),
    messages: maybe(fc.array(message, { maxLength: 3 })),
    prompt: text,
    input: maybe(fc.oneof(fc.string(), fc.array(fc.string(), { maxLength: 3 }))),
    stream: maybe(fc.boolean()),
    stream_options: maybe(fc.record({ include_usage: fc.boolean() })),
    max_tokens: whole,
    max_completion_tokens: whole,
    temperature: number,
    top_p: number,
    seed: whole,
    n: maybe(fc.constantFrom(1, null)),
    stop: maybe(fc.oneof(fc.string(), fc.array(fc.string(), { maxLength: 3 }))),
    tools: maybe(fc.array(tool, { maxLength: 2 })),
    tool_choice: maybe(fc.constantFrom('auto', 'none')),
    response_format: maybe(
      fc.record({
        type: fc.constantFrom('text', 'json_object', 'json_schema'),
        json_schema: fc.record({ schema: fc.object() }),
      }),
    ),
    reasoning_effort: maybe(fc.constantFrom('none', 'minimal', 'low', 'high')),
    format: maybe(fc.oneof(fc.constant('json'), fc.object())),
    think: maybe(fc.oneof(fc.boolean(), fc.constantFrom('low', 'high'))),
    options: maybe(fc.dictionary(fc.string(), fc.oneof(fc.boolean(), fc.string(), fc.integer(), fc.constant(null)))),
    keep_alive: maybe(fc.oneof(fc.integer(), fc.constantFrom('5m', '0s'))),
    suffix: text,
    system: text,
    template: text,
    images: maybe(fc.array(fc.constantFrom('aGk='), { maxLength: 2 })),
    raw: maybe(fc.boolean()),
    context: maybe(fc.array(fc.integer(), { maxLength: 3 })),
    dimensions: maybe(fc.integer({ min: 1 })),
    encoding_format: maybe(fc.constantFrom('float', 'base64')),
  },
  { requiredKeys: ['model'] },
);

describe.each(Object.entries(decoders))('%s', (_name, decode) => {
  it('makes of any JSON a job that the protocol takes, or a GoGridError', () => {
    let decoded = 0;
    fc.assert(
      fc.property(fc.oneof({ weight: 9, arbitrary: body }, { weight: 1, arbitrary: anything }), (value) => {
        // As it comes from the wire: no undefined, no NaN, and numbers too large to read as Infinity.
        const json: unknown = JSON.parse(JSON.stringify(value ?? null).replaceAll('1e+300', '1e999'));
        const result = attempt(() => decode(json));
        if (result === undefined) return;
        decoded++;
        expectFits(jobInput, result.input);
      }),
      { numRuns: 1000 },
    );
    // The law would hold of a decoder that refuses everything, too.
    expect(decoded).toBeGreaterThan(50);
  });
});

it('says nothing that the request does not say', () => {
  const request = decodeOpenAiChat({ model: 'tiny', messages: [{ role: 'user', content: 'x' }] });
  expect(Object.keys(request.input)).toEqual(['kind', 'messages']);
});

it('finds the tool that a result belongs to', () => {
  const { input } = decodeOpenAiChat({
    model: 'tiny',
    messages: [
      {
        role: 'developer',
        content: [
          { type: 'text', text: 'be' },
          { type: 'text', text: 'brief' },
        ],
      },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'c1', type: 'function', function: { name: 'add', arguments: '{"a":1}' } }],
      },
      { role: 'tool', tool_call_id: 'c1', content: '2' },
    ],
    tools: [{ type: 'function', function: { name: 'add' } }],
    tool_choice: 'auto',
  });
  expect(input.messages).toEqual([
    { role: 'system', content: 'be\nbrief' },
    { role: 'assistant', content: '', toolCalls: [{ id: 'c1', name: 'add', arguments: '{"a":1}' }] },
    { role: 'tool', content: '2', toolName: 'add', toolCallId: 'c1' },
  ]);
  expect(input.tools).toEqual([{ type: 'function', function: { name: 'add' } }]);
});

it.each([
  [{ tool_choice: 'none' }, { tools: undefined }],
  [{ tools: [] }, { tools: undefined }],
  [{ reasoning_effort: 'none' }, { think: false }],
  [{ reasoning_effort: 'high' }, { think: 'high' }],
  [{ reasoning: { effort: 'minimal' } }, { think: 'low' }],
  [{ response_format: { type: 'text' } }, { format: undefined }],
  [{ response_format: { type: 'json_object' } }, { format: 'json' }],
  [
    { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'object' } } } },
    { format: { type: 'object' } },
  ],
  [{ max_tokens: 5 }, { options: { num_predict: 5 } }],
  [{ max_tokens: -1 }, { options: undefined }],
  [
    { stop: ['a', ''], presence_penalty: 1, frequency_penalty: 2, top_p: 0.5 },
    { options: { stop: ['a'], presence_penalty: 1, frequency_penalty: 2, top_p: 0.5 } },
  ],
  [{ stop: '', temperature: null, seed: null, logprobs: false, n: 1 }, { options: undefined }],
])('OpenAI %j is %j', (fields, expected) => {
  const tools = [{ type: 'function', function: { name: 'f' } }];
  const { input } = decodeOpenAiChat({ model: 'tiny', messages: [{ role: 'user', content: 'x' }], tools, ...fields });
  for (const [name, value] of Object.entries(expected)) expect(input[name as keyof typeof input]).toEqual(value);
});

function attempt<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(GoGridError);
    expect((thrown as GoGridError).status).toBe(400);
    expect((thrown as GoGridError).message.length).toBeLessThan(1000);
    return undefined;
  }
}

function expectFits(schema: ZodType, value: unknown): void {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new Error(`${parsed.error.message}\n${JSON.stringify(value)}`);
  // Nothing was dropped on the way: what the protocol does not know would be lost at the first hop.
  expect(parsed.data).toEqual(value);
}
