import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JOB } from '../limits/jobs.ts';
import type { JobChunk, JobVectors, ToolCall } from '../protocol/job.ts';
import { Answer } from './answer.ts';
import { planResume } from './resume.ts';

const usage = { type: 'usage', loadMs: 0, prefillMs: 1, decodeMs: 10 } as const;

const question = { kind: 'generate', prompt: 'x', options: { num_predict: 100_000 } } as const;

function chunk(text: string, tokens = 1): JobChunk {
  return { type: 'chunk', seq: 0, tokens, text };
}

describe('an answer', () => {
  test('of one provider has that provider’s usage, and is not estimated', () => {
    const answer = new Answer(false);
    answer.take(chunk('one'));
    answer.usage = { ...usage, promptTokens: 7, outputTokens: 2 };
    expect(answer.totals()).toMatchObject({ promptTokens: 7, outputTokens: 2, estimated: false });
  });

  test('without a usage is counted on its chunks, and says so', () => {
    const answer = new Answer(false);
    answer.take(chunk('one', 3));
    expect(answer.totals(8)).toMatchObject({ promptTokens: 8, outputTokens: 3, estimated: true });
  });

  test('in one piece comes at its end, thinking and calls with it', () => {
    const answer = new Answer(true);
    const call = { name: 'look', arguments: '{}' };
    expect(answer.take({ ...chunk('one'), thinking: 'hm' })).toBeUndefined();
    expect(answer.take({ ...chunk(' two'), toolCalls: [call] })).toBeUndefined();
    expect(answer.finish()).toEqual({
      type: 'chunk',
      tokens: 2,
      text: 'one two',
      thinking: 'hm',
      toolCalls: [call],
    });
  });

  test('that starts again has nothing of what was there', () => {
    const answer = new Answer(true);
    answer.take({ ...chunk('one'), thinking: 'hm' });
    answer.startsAgain();
    answer.take(chunk('two'));
    answer.usage = { ...usage, promptTokens: 7, outputTokens: 1 };
    expect(answer.finish()).toMatchObject({ text: 'two', thinking: undefined, tokens: 1 });
    expect(answer.totals()).toMatchObject({ promptTokens: 7, outputTokens: 1, estimated: false });
  });

  test('has no more tokens than bytes, but for a few that show nothing: what its provider counts travels on', () => {
    const answer = new Answer(false);
    expect(answer.take(chunk('日本', 1e15))).toMatchObject({ tokens: 6 + JOB.maxHiddenTokens });
    for (let i = 0; i < 1_000; i++) answer.take({ type: 'chunk', seq: 0, tokens: 1e15 });
    answer.take(chunk('one', Number.MAX_SAFE_INTEGER));
    expect(answer.delivered().tokens).toBe('日本'.length * 3 + 'one'.length + JOB.maxHiddenTokens);
    expect(planResume(question, answer.delivered())).toMatchObject({ kind: 'continue' });
    answer.startsAgain();
    expect(answer.take(chunk('two', 1e15))).toMatchObject({ tokens: 3 + JOB.maxHiddenTokens });
  });

  test('has the tokens that its provider counts where they are fewer', () => {
    const answer = new Answer(false);
    for (let i = 0; i < 500; i++) expect(answer.take(chunk(' word', 2))).toMatchObject({ tokens: 2 });
    expect(answer.tokens).toBe(1_000);
  });

  test('of calls and vectors without end is the provider’s fault, however small they are', () => {
    const answer = new Answer(false);
    const toolCalls = Array.from({ length: 5_000 }).fill({ name: '', arguments: '' }) as ToolCall[];
    const calls = () => answer.take({ type: 'chunk', seq: 0, tokens: 0, toolCalls });
    const pieces = Math.floor(JOB.maxAnswerBytes / (JOB.heldItemBytes * toolCalls.length));
    for (let i = 0; i < pieces; i++) calls();
    expect(calls).toThrow('an answer of more than');
    expect(answer.delivered().toolCalls).toBe(true);

    const embedding = new Answer(true);
    const vector: JobVectors = { type: 'vectors', dimensions: 1, data: new Uint8Array(4) };
    const keep = () => {
      while (embedding.vectors().length * JOB.heldItemBytes <= JOB.maxAnswerBytes) embedding.keepVectors(vector);
    };
    expect(keep).toThrow('an answer of more than');
  });

  test.each([
    [0, 1],
    [3, 1],
    [12, 2],
  ])(
    'with vectors of %i bytes in %i dimensions is the provider’s fault: none of them is whole',
    (bytes, dimensions) => {
      const answer = new Answer(true);
      const data = new Uint8Array(bytes);
      expect(() => answer.keepVectors({ type: 'vectors', dimensions, data })).toThrow(`of ${dimensions} dimensions`);
      expect(answer.vectors()).toEqual([]);
    },
  );

  test('longer than any model writes is the provider’s fault', () => {
    const answer = new Answer(false);
    const big = chunk('x'.repeat(JOB.maxAnswerBytes / 2));
    answer.take(big);
    answer.take(big);
    expect(() => answer.take(chunk('x'))).toThrow('an answer of more than');
  });
});

/**
 * The laws of a cut: whatever providers, cuts and pieces, the client has the exact text once, and the usage is that of the
 * exact answer. Tokens are words with their white space in front, and white space alone; a chunk ends with a token. A chunk of
 * several whose last ones are white space alone is not among them: how many those are cannot be told, and the usage that
 * comes of it is the estimate it says it is.
 */
describe('an answer of many providers', () => {
  const PROMPT_TOKENS = 11;
  const token = fc.constantFrom('a', ' bb', ' 日', ' 🙂', '\n', ' ', '\n\n', '  ', '\nc');

  /** What a provider writes behind the prefix it was given, as tokens: the same ones, as a model would. */
  function continuation(tokens: readonly string[], prefix: string): readonly string[] {
    let text = '';
    for (const [at, one] of tokens.entries()) {
      if (text === prefix) return tokens.slice(at);
      text += one;
    }
    return [];
  }

  /** Chunks of these sizes; white space alone at the end of one is a chunk of its own. */
  function chunks(tokens: readonly string[], sizes: readonly number[]): JobChunk[] {
    const all: JobChunk[] = [];
    let at = 0;
    for (let i = 0; at < tokens.length; i++) {
      let size = Math.min(tokens.length - at, sizes[i % sizes.length] ?? 1);
      while (size > 1 && tokens[at + size - 1]?.trim() === '') size--;
      all.push(chunk(tokens.slice(at, at + size).join(''), size));
      at += size;
    }
    return all;
  }

  /** Runs an answer through providers that are cut off after so many chunks each, and one that ends it. */
  function run(tokens: readonly string[], cuts: readonly number[], sizes: readonly number[], whole: boolean) {
    const answer = new Answer(whole);
    let client = '';
    const give = (piece: { text?: string | undefined } | undefined) => {
      client += piece?.text ?? '';
    };
    let resume = { text: '', tokens: 0 };
    for (const cut of [...cuts, Number.POSITIVE_INFINITY]) {
      const rest = continuation(tokens, resume.text);
      const pieces = chunks(rest, sizes);
      for (const piece of pieces.slice(0, cut)) give(answer.take(piece));
      if (cut > pieces.length) {
        const promptTokens = PROMPT_TOKENS + (tokens.length - rest.length);
        answer.usage = { ...usage, promptTokens, outputTokens: rest.length };
        give(answer.finish());
        return { client, totals: answer.totals(), tokens: answer.tokens };
      }
      const delivered = answer.delivered();
      if (delivered.text === '') {
        answer.startsAgain();
        resume = { text: '', tokens: 0 };
      } else {
        resume = { text: delivered.text.trimEnd(), tokens: delivered.tokens };
        expect(resume.tokens).toBe(tokens.length - continuation(tokens, resume.text).length);
        answer.goesOn([]);
      }
    }
    throw new Error('no provider ended the answer');
  }

  test('tokens and time give the rate of the last provider, however little of it that one wrote', () => {
    const answer = new Answer(false);
    answer.take({ type: 'chunk', seq: 0, tokens: 90, text: 'most '.repeat(20) });
    answer.goesOn([]);
    answer.take({ type: 'chunk', seq: 0, tokens: 10, text: ' of it' });
    answer.usage = { ...usage, promptTokens: 7, outputTokens: 10, decodeMs: 200 };
    const { outputTokens, decodeMs } = answer.totals();
    expect({ outputTokens, decodeMs }).toEqual({ outputTokens: 100, decodeMs: 2_000 });
  });

  test('is exact, and its usage adds up', () => {
    fc.assert(
      fc.property(
        // An answer does not end in the white space where a cut would hide it from everybody.
        fc.array(token, { maxLength: 20 }).map((tokens) => [...tokens, ' end']),
        fc.array(fc.nat(12), { maxLength: 5 }),
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        (tokens, cuts, sizes, whole) => {
          const { client, totals } = run(tokens, cuts, sizes, whole);
          expect(client).toBe(tokens.join(''));
          expect(totals).toMatchObject({ promptTokens: PROMPT_TOKENS, outputTokens: tokens.length });
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
