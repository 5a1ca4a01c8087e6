/** Laws of writing answers: what is put together by hand is what JSON.stringify would have written. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { done, placed } from '../testing/small-api.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import type { Placed } from './job-answer.ts';
import { jsonErrorPosition } from './json-position.ts';
import { AnswerLines } from './ollama/answers.ts';
import { parameterSize } from './ollama/models.ts';
import { ChatEvents } from './openai/chat-answer.ts';
import { splitVectors, toBase64, toJsonNumbers } from './vectors.ts';

const anyText = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('\n', '\r\n\r\n', 'data: ', '"', '\\', '\u2028', '😀'),
);
const pieces = fc.array(
  anyText.filter((text) => text !== ''),
  { maxLength: 8 },
);

describe('server-sent events', () => {
  it('parse back to the same text, under any name of a model', () => {
    fc.assert(
      fc.property(pieces, anyText, (texts, model) => {
        const events = new ChatEvents({ model, created: 5, includeUsage: true });
        events.placed(placed as Placed);
        const stream =
          texts.map((text) => events.chunk({ type: 'chunk', tokens: 1, text })).join('') + events.done(done);
        const parsed = parseEvents(stream);
        expect(parsed.at(-1)).toBe('[DONE]');
        const objects = parsed.slice(0, -1).map((data) => JSON.parse(data));
        expect(objects.map((object) => object.choices[0]?.delta.content ?? '').join('')).toBe(texts.join(''));
        expect(objects[0].choices[0].delta.role).toBe('assistant');
        for (const object of objects)
          expect(object).toMatchObject({ model, created: 5, object: 'chat.completion.chunk' });
      }),
    );
  });

  it('keep id and role when another provider goes on', () => {
    const events = new ChatEvents({ model: 'tiny', created: 5, includeUsage: false });
    expect(events.placed(placed as Placed)).toBe('');
    const first = events.chunk({ type: 'chunk', tokens: 1, text: 'a' });
    const notice = events.placed({ ...(placed as Placed), provider: 'another' });
    const second = events.chunk({ type: 'chunk', tokens: 1, text: 'b' });
    const ids = parseEvents(first + second).map((data) => JSON.parse(data).id);
    expect(ids).toHaveLength(2);
    expect(new Set(ids).size).toBe(1);
    // In the place of the hand-over stands a comment (HTML standard, 9.2.6) that says who goes on.
    expect(notice).toBe(': handover {"provider":"another","route":"direct"}\n\n');
  });
});

describe('lines', () => {
  it.each(['chat', 'generate'] as const)('of %s parse back to the same text', (endpoint) => {
    fc.assert(
      fc.property(pieces, anyText, (texts, model) => {
        const clock = new VirtualClock(1_800_000_000_007);
        const lines = new AnswerLines({ endpoint, model, startedAt: 0 }, clock);
        lines.placed(placed as Placed);
        const stream = texts.map((text) => lines.chunk({ type: 'chunk', tokens: 1, text })).join('') + lines.done(done);
        expect(stream.endsWith('}\n')).toBe(true);
        const objects = stream
          .slice(0, -1)
          .split('\n')
          .map((line) => JSON.parse(line));
        expect(objects.map((object) => (endpoint === 'chat' ? object.message.content : object.response)).join('')).toBe(
          texts.join(''),
        );
        for (const object of objects)
          expect(object).toMatchObject({ model, created_at: new Date(1_800_000_000_007).toISOString() });
      }),
    );
  });

  it('carry the time at which they are made', async () => {
    const clock = new VirtualClock(1_799_999_999_999);
    const lines = new AnswerLines({ endpoint: 'chat', model: 'm', startedAt: 0 }, clock);
    for (const step of [0, 1, 0, 998, 1, 60_000, 86_400_000]) {
      await clock.advance(step);
      expect(JSON.parse(lines.keepAlive()).created_at).toBe(new Date(clock.now()).toISOString());
    }
  });
});

describe('the position of what is no JSON', () => {
  it('is none exactly when JSON.parse reads the text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string(), brokenJson()), (text) => {
        expect(jsonErrorPosition(text) === undefined).toBe(isJson(text));
      }),
      { numRuns: 3000 },
    );
  });

  it('is the end when the text is cut, and the place when a character is wrong', () => {
    fc.assert(
      fc.property(fc.json({ noUnicodeString: false }), fc.nat(), (text, at) => {
        const cut = text.slice(0, at % text.length);
        if (!isJson(cut)) expect(jsonErrorPosition(cut)).toBe(cut.length - danglingEscape(cut));
        const position = jsonErrorPosition(`${text}#`);
        expect(position).toBe(text.length);
      }),
    );
  });

  it('is found in a string of many megabytes', () => {
    const text = `{"image":"${'a'.repeat(8_000_000)}`;
    expect(jsonErrorPosition(text)).toBe(text.length);
    expect(jsonErrorPosition(`${text}",}`)).toBe(text.length + 2);
  });
});

describe('vectors', () => {
  const vector = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 20 });

  it('are the same float32 after JSON and after base64', () => {
    fc.assert(
      fc.property(vector, (numbers) => {
        const floats = Float32Array.from(numbers);
        const bytes = new Uint8Array(floats.buffer);
        const fromJson = Float32Array.from(JSON.parse(toJsonNumbers(bytes)) as number[]);
        expect(fromJson.map((value) => value + 0)).toEqual(floats.map((value) => value + 0));
        const back = Buffer.from(toBase64(bytes), 'base64');
        expect(new Uint8Array(back)).toEqual(bytes);
      }),
    );
  });

  it('are short', () => {
    const text = toJsonNumbers(new Uint8Array(Float32Array.of(0.1, -0.25, 1, 0, 1e-10, 16777216, 3.4e38).buffer));
    expect(text).toBe('[0.1,-0.25,1,0,1e-10,16777216,3.4e+38]');
  });

  it('are split as they came, in any number of pieces and at any offset', () => {
    const bytes = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
    const shifted = new Uint8Array(25);
    shifted.set(bytes, 1);
    const pieces = [
      { type: 'vectors' as const, dimensions: 2, data: shifted.subarray(1, 17) },
      { type: 'vectors' as const, dimensions: 2, data: bytes.subarray(16) },
    ];
    expect(splitVectors(pieces, 3).map(toJsonNumbers)).toEqual(['[1,2]', '[3,4]', '[5,6]']);
    expect(() => splitVectors(pieces, 2)).toThrow('3 vectors for 2 inputs');
    expect(() => splitVectors([{ type: 'vectors', dimensions: 4, data: bytes }], 1)).toThrow('cut short');
    expect(() => toJsonNumbers(new Uint8Array(Float32Array.of(Number.NaN).buffer))).toThrow('not a number');
  });
});

it.each([
  [0, ''],
  [500, '500'],
  [158_000, '158K'],
  [134_515_008, '134.52M'],
  [8_030_261_248, '8.0B'],
  [70_553_706_496, '70.6B'],
])('%d parameters are %j', (count, text) => {
  expect(parameterSize(count)).toBe(text);
});

/** By the rules of the standard: an event ends at a blank line, and its data are the rest of its `data:` lines. */
function parseEvents(stream: string): string[] {
  expect(stream.endsWith('\n\n')).toBe(true);
  return stream
    .slice(0, -2)
    .split(/\r\n\r\n|\n\n|\r\r/)
    .map((event) => {
      expect(event.split(/\r\n|\n|\r/)).toHaveLength(1);
      expect(event.startsWith('data: ')).toBe(true);
      return event.slice('data: '.length);
    });
}

function brokenJson(): fc.Arbitrary<string> {
  return fc
    .tuple(fc.json(), fc.nat(), fc.constantFrom('', ',', '"', '}', ']', ':', '\\', '\n', '0', 'x', '-', '.'))
    .map(([text, at, char]) => {
      const place = at % (text.length + 1);
      return text.slice(0, place) + char + text.slice(place + 1);
    });
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** An escape or a scalar that is cut cannot be told from a wrong one: the fault is where it begins. */
function danglingEscape(text: string): number {
  const cutEscape = /\\(u[0-9a-fA-F]{0,3})?$/.exec(text)?.[0];
  if (cutEscape !== undefined && isInString(text, text.length - cutEscape.length)) return cutEscape.length;
  const scalar = /(-|[0-9][0-9.eE+-]*|t|tr|tru|f|fa|fal|fals|n|nu|nul)$/.exec(text)?.[0];
  if (scalar === undefined || isInString(text, text.length)) return 0;
  // A number that is cut behind its dot or exponent is a whole number with something after it.
  const whole = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/.exec(scalar)?.[0];
  return whole === undefined ? scalar.length : scalar.length - whole.length;
}

function isInString(text: string, at: number): boolean {
  const quotes = text.slice(0, at).replaceAll(/\\./g, '').split('"').length - 1;
  return quotes % 2 === 1;
}
