import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { areContiguous, compareTexts, isMidSentence, sharesOf } from './checks.ts';

const attempt = (provider: string, fromToken: number, toToken: number) => ({
  provider,
  fromToken,
  toToken,
  startedAt: 1,
  endedAt: 2,
  reason: null,
  digest: null,
});

describe('the parts of an answer', () => {
  it('are those that delivered something', () => {
    const attempts = [attempt('a', 0, 0), attempt('b', 0, 7), attempt('c', 7, 7), attempt('d', 7, 9)];
    expect(sharesOf({ attempts })).toEqual([
      { provider: 'b', fromToken: 0, toToken: 7 },
      { provider: 'd', fromToken: 7, toToken: 9 },
    ]);
  });

  it('join exactly when no token is missing and none is there twice', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 99 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(lengths, fc.nat(), fc.integer({ min: -2, max: 2 }), (parts, which, shift) => {
        const ends = parts.map((_, index) => parts.slice(0, index + 1).reduce((sum, each) => sum + each, 0));
        const at = ends.at(-1) ?? 0;
        const shares = ends.map((toToken, index) => ({ provider: 'x', fromToken: ends[index - 1] ?? 0, toToken }));
        expect(areContiguous(shares, at)).toBe(true);
        expect(areContiguous(shares, at + 1)).toBe(false);
        const broken = shares.with(which % shares.length, {
          ...(shares[which % shares.length] as (typeof shares)[number]),
          fromToken: (shares[which % shares.length]?.fromToken ?? 0) + shift,
        });
        expect(areContiguous(broken, at)).toBe(shift === 0);
      }),
    );
  });

  it('of nothing are no answer', () => {
    expect(areContiguous([], 3)).toBe(false);
  });
});

describe('two answers', () => {
  it.each([
    ['one two three', 'one two three', { equal: true, sameWords: 3 }],
    ['one two three', 'one two four', { equal: false, sameWords: 2 }],
    ['one two', 'one two three', { equal: false, sameWords: 2 }],
    ['one  two', 'one two', { equal: false, sameWords: 2 }],
    ['', 'one', { equal: false, sameWords: 0 }],
  ])('%j and %j', (text, reference, expected) => {
    expect(compareTexts(text, reference)).toEqual(expected);
  });
});

describe('the middle of a sentence', () => {
  it.each([
    ['one two three fo', 3, true],
    ['one two three', 3, false],
    ['one two three. Fo', 3, false],
    ['one two three, fo', 3, false],
    ['one two three. Four fi', 3, true],
    ['', 1, false],
    ['東京 光 Привет w', 3, true],
  ])('%j has %i complete words: %j', (text, words, expected) => {
    expect(isMidSentence(text, words)).toBe(expected);
  });
});
