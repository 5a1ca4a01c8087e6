/** The fake engine itself: its answers are exact, and it speaks as the daemon does. */

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answerText, continueFrom } from './answers.ts';
import { pieces } from './generation.ts';
import { type FakeEngine, startFakeEngine } from './start.ts';

const DIGEST = 'ab'.repeat(32);
const join = (tokens: Iterable<string>) => [...tokens].join('');

describe('answers', () => {
  it('are continued exactly from anywhere, also behind an earlier answer', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 80 }), fc.nat(), (question, words, where) => {
        const earlier = `user\n${question} words=5\nassistant\n`;
        const prompt = `${earlier}${answerText(DIGEST, earlier)}\nuser\nmore words=${words}\nassistant\n`;
        const whole = answerText(DIGEST, prompt);
        // From behind the first word on there is something to recognise it by.
        const cut = 2 + (where % (whole.length - 1));
        expect(join(continueFrom(DIGEST, prompt + whole.slice(0, cut)).tokens)).toBe(whole.slice(cut));
        expect(join(continueFrom(DIGEST, prompt).tokens)).toBe(whole);
      }),
    );
  });

  it('number their words, and differ with the prompt and the model', () => {
    const words = answerText(DIGEST, 'words=200').split(/\s+/);
    const numbers = words.map((word) => Number(/\d+$/.exec(word)?.[0]));
    expect(numbers.toSorted((a, b) => a - b)).toEqual(numbers);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(answerText(DIGEST, 'other words=200')).not.toBe(words.join(' '));
    expect(answerText('cd'.repeat(32), 'words=200')).not.toBe(answerText(DIGEST, 'words=200'));
  });
});

describe('stop sequences', () => {
  const plan = (tokens: string[], stop: string[], limit = 0) => {
    const source = pieces({ tokens, stop, limit, tokensPerSecond: 0, fault: undefined, line: (text) => text });
    const texts: string[] = [];
    for (let next = source.next(); ; next = source.next()) {
      if (next.done === true) return { texts, ...next.value };
      texts.push(next.value.text);
    }
  };

  it.each([
    [['a', ' b', ' c'], ['\n'], 0, ['a', ' b', ' c'], 'stop'],
    [['a', ' E', 'N', 'D', ' c'], ['END'], 0, ['a', ' '], 'stop'],
    [['a', ' E', 'N', 'x', ' c'], ['END'], 0, ['a', ' ENx', ' c'], 'stop'],
    [['a', ' EN'], ['END'], 0, ['a', ' EN'], 'stop'],
    [['a', 'b', 'c'], [], 2, ['a', 'b'], 'length'],
  ] as const)('%j with stop %j and limit %i give %j', (tokens, stop, limit, texts, reason) => {
    expect(plan([...tokens], [...stop], limit)).toMatchObject({ texts, reason });
  });
});

/** The fields and their types, in the order of the daemon. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shape(value[0])];
  if (typeof value !== 'object' || value === null) return typeof value;
  return Object.entries(value).map(([key, inner]) => [key, shape(inner)]);
}

const DETAILS = [
  ['parent_model', 'string'],
  ['format', 'string'],
  ['family', 'string'],
  ['families', ['string']],
  ['parameter_size', 'string'],
  ['quantization_level', 'string'],
];
const MESSAGE = [
  'message',
  [
    ['role', 'string'],
    ['content', 'string'],
  ],
];
const HEAD = [
  ['model', 'string'],
  ['created_at', 'string'],
];
const TIMES = [
  ['total_duration', 'number'],
  ['load_duration', 'number'],
  ['prompt_eval_count', 'number'],
  ['prompt_eval_duration', 'number'],
  ['eval_count', 'number'],
  ['eval_duration', 'number'],
];
const DONE = [
  ['done', 'boolean'],
  ['done_reason', 'string'],
];
const DEBUG = ['_debug_info', [['rendered_template', 'string']]];
const NDJSON = 'application/x-ndjson';
const JSON_TYPE = 'application/json; charset=utf-8';

/** What the daemon 0.24 answers: status, content type, and the shapes of its first and last object. */
const WIRE: readonly [string, string, object | undefined, number, string, unknown, unknown?][] = [
  ['GET', '/api/version', undefined, 200, JSON_TYPE, [['version', 'string']]],
  [
    'POST',
    '/api/chat',
    {},
    200,
    NDJSON,
    [...HEAD, MESSAGE, ['done', 'boolean']],
    [...HEAD, MESSAGE, ...DONE, ...TIMES],
  ],
  ['POST', '/api/chat', { stream: false }, 200, JSON_TYPE, [...HEAD, MESSAGE, ...DONE, ...TIMES]],
  ['POST', '/api/chat', { messages: [] }, 200, JSON_TYPE, [...HEAD, MESSAGE, ...DONE]],
  ['POST', '/api/chat', { _debug_render_only: true }, 200, JSON_TYPE, [...HEAD, MESSAGE, ['done', 'boolean'], DEBUG]],
  [
    'POST',
    '/api/generate',
    {},
    200,
    NDJSON,
    [...HEAD, ['response', 'string'], ['done', 'boolean']],
    [...HEAD, ['response', 'string'], ...DONE, ['context', ['number']], ...TIMES],
  ],
  [
    'POST',
    '/api/generate',
    { raw: true },
    200,
    NDJSON,
    [...HEAD, ['response', 'string'], ['done', 'boolean']],
    [...HEAD, ['response', 'string'], ...DONE, ...TIMES],
  ],
  ['POST', '/api/generate', { prompt: '' }, 200, JSON_TYPE, [...HEAD, ['response', 'string'], ...DONE]],
  [
    'POST',
    '/api/generate',
    { _debug_render_only: true },
    200,
    JSON_TYPE,
    [...HEAD, ['response', 'string'], ['done', 'boolean'], DEBUG],
  ],
  [
    'POST',
    '/api/embed',
    {},
    200,
    JSON_TYPE,
    [
      ['model', 'string'],
      ['embeddings', [['number']]],
      ['total_duration', 'number'],
      ['load_duration', 'number'],
      ['prompt_eval_count', 'number'],
    ],
  ],
  [
    'POST',
    '/api/embed',
    { input: [] },
    200,
    JSON_TYPE,
    [
      ['model', 'string'],
      ['embeddings', []],
    ],
  ],
  ['POST', '/api/embeddings', {}, 200, JSON_TYPE, [['embedding', ['number']]]],
  [
    'GET',
    '/api/tags',
    undefined,
    200,
    JSON_TYPE,
    [
      [
        'models',
        [
          [
            ['name', 'string'],
            ['model', 'string'],
            ['modified_at', 'string'],
            ['size', 'number'],
            ['digest', 'string'],
            ['details', DETAILS],
          ],
        ],
      ],
    ],
  ],
  [
    'GET',
    '/api/ps',
    undefined,
    200,
    JSON_TYPE,
    [
      [
        'models',
        [
          [
            ['name', 'string'],
            ['model', 'string'],
            ['size', 'number'],
            ['digest', 'string'],
            ['details', DETAILS],
            ['expires_at', 'string'],
            ['size_vram', 'number'],
            ['context_length', 'number'],
          ],
        ],
      ],
    ],
  ],
  ['POST', '/api/chat', { model: 'nope' }, 404, JSON_TYPE, [['error', 'string']]],
  ['POST', '/api/embed', { model: 'nope' }, 404, JSON_TYPE, [['error', 'string']]],
  ['POST', '/api/chat', { think: true }, 400, JSON_TYPE, [['error', 'string']]],
  [
    'POST',
    '/api/chat',
    { tools: [{ type: 'function', function: { name: 'f' } }] },
    400,
    JSON_TYPE,
    [['error', 'string']],
  ],
  ['GET', '/api/nothing', undefined, 404, 'text/plain', undefined],
];

/** The same questions for the fake engine and, where one is named, for a real daemon: neither may answer differently. */
function speaksLikeTheDaemon(name: string, at: () => { url: string; model: string }): void {
  describe(`${name} on the wire`, () => {
    it.each(WIRE)('%s %s %j', async (method, path, body, status, type, first, last) => {
      const { url, model } = at();
      const standard = {
        model,
        prompt: 'Say hi',
        input: ['a'],
        messages: [{ role: 'user', content: 'Say hi' }],
        options: { num_predict: 3, temperature: 0, num_thread: 1 },
      };
      const init = body === undefined ? {} : { body: JSON.stringify({ ...standard, ...body }) };
      const response = await fetch(url + path, { method, ...init });
      expect(response.status).toBe(status);
      expect(response.headers.get('content-type')).toBe(type);
      const text = await response.text();
      if (first === undefined) return;
      const objects = text.split('\n').filter((line) => line !== '');
      expect(shape(JSON.parse(objects[0]!))).toEqual(first);
      if (last === undefined) expect(objects).toHaveLength(1);
      else expect(shape(JSON.parse(objects.at(-1)!))).toEqual(last);
    });

    it('says that it is running', async () => {
      expect(await (await fetch(at().url)).text()).toBe('Ollama is running');
      expect((await fetch(at().url, { method: 'HEAD' })).status).toBe(200);
    });

    it('describes a model', async () => {
      const { url, model } = at();
      const shown = await fetch(`${url}/api/show`, { method: 'POST', body: JSON.stringify({ model }) });
      const fields = (await shown.json()) as Record<string, unknown>;
      expect(
        shape({ ...fields, model_info: {}, tensors: undefined, projector_info: undefined, license: undefined }),
      ).toEqual(
        expect.arrayContaining([
          ['modelfile', 'string'],
          ['parameters', 'string'],
          ['template', 'string'],
          ['details', DETAILS],
          ['model_info', []],
          ['capabilities', ['string']],
          ['modified_at', 'string'],
        ]),
      );
      const info = fields.model_info as Record<string, unknown>;
      expect(info['general.parameter_count']).toBeTypeOf('number');
      expect(info[`${String(info['general.architecture'])}.context_length`]).toBeTypeOf('number');
    });
  });
}

let fake: FakeEngine | undefined;
beforeAll(async () => {
  fake = await startFakeEngine();
});
afterAll(() => fake?.stop());
speaksLikeTheDaemon('the fake engine', () => ({ url: fake!.url, model: 'words' }));

const { GOGRID_TEST_OLLAMA_URL: url, GOGRID_TEST_OLLAMA_MODEL: model } = process.env;
if (url && model) speaksLikeTheDaemon('a real daemon', () => ({ url, model }));

describe('the process', () => {
  it('gives the same answer as any other', async () => {
    const other = await startFakeEngine();
    try {
      const ask = async (engine: FakeEngine) => {
        const body = JSON.stringify({
          model: 'words',
          stream: false,
          messages: [{ role: 'user', content: 'words=30' }],
        });
        const answer = (await (await fetch(`${engine.url}/api/chat`, { method: 'POST', body })).json()) as {
          message: { content: string };
        };
        return answer.message.content;
      };
      expect(await ask(other)).toBe(await ask(fake!));
    } finally {
      await other.stop();
    }
  });

  it('serves one generation at a time, in order, and refuses what is too much', async () => {
    await fake!.control({ tokensPerSecond: 500, maxQueue: 2 });
    const ask = async (words: number) => {
      const body = JSON.stringify({ model: 'words', messages: [{ role: 'user', content: `words=${words}` }] });
      const response = await fetch(`${fake!.url}/api/chat`, { method: 'POST', body });
      await response.text();
      return response.status;
    };
    const statuses = await Promise.all([ask(30), ask(31), ask(32), ask(33)]);
    expect(statuses.toSorted()).toEqual([200, 200, 200, 503]);
    expect((await fake!.report()).totals).toMatchObject({ maxConcurrent: 1, open: 0 });
  });

  it('pauses, and goes on as if nothing had been', async () => {
    await fake!.control({ tokensPerSecond: 0, faults: [{ kind: 'pause', afterTokens: 5, ms: 300 }] });
    const body = JSON.stringify({ model: 'words', messages: [{ role: 'user', content: 'words=10' }] });
    const ask = async () => (await fetch(`${fake!.url}/api/chat`, { method: 'POST', body })).text();
    const text = (lines: string) =>
      lines
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { message: { content: string } }).message.content)
        .join('');
    const startedAt = performance.now();
    const paused = text(await ask());
    expect(performance.now() - startedAt).toBeGreaterThan(290);
    expect(paused).toBe(text(await ask()));
  });

  it('knows its settings', async () => {
    await expect(fake!.control({ tokenRate: 3 } as object)).rejects.toThrow('tokenRate');
  });
});
