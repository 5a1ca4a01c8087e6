import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Seam } from './seam.ts';

/** What the client has in the end, when the continuation comes in these pieces. */
function joined(delivered: string, pieces: readonly string[], stops: readonly string[] = []) {
  const seam = new Seam(delivered, stops);
  let text = delivered;
  for (const piece of pieces) {
    const taken = seam.take(piece);
    text += taken.text;
    if (taken.stopped) return { text, stopped: true };
  }
  return { text: text + seam.end(), stopped: false };
}

function cut(text: string, sizes: readonly number[]): string[] {
  const pieces: string[] = [];
  let at = 0;
  for (const size of sizes) {
    pieces.push(text.slice(at, at + size));
    at += size;
  }
  return [...pieces, text.slice(at)];
}

describe('a seam', () => {
  test.each([
    ['one ', ' two', 'one two'],
    ['one', ' two', 'one two'],
    ['one\n\n', '\n\ntwo', 'one\n\ntwo'],
    ['one ', 'two', 'one two'],
    ['one  ', ' two', 'one   two'],
    ['one \n', '', 'one \n'],
    ['one \n', ' ', 'one \n'],
  ])('joins %j and %j', (delivered, continuation, whole) => {
    expect(joined(delivered, [continuation]).text).toBe(whole);
  });

  test('gives the whole answer wherever it is cut, and however the continuation is split', () => {
    const word = fc.constantFrom('a', 'bb', '日', '🙂', ' ', '\n', '  ');
    const answer = fc.array(word, { maxLength: 20 }).map((words) => words.join(''));
    fc.assert(
      fc.property(answer, fc.nat(30), fc.array(fc.integer({ min: 1, max: 3 })), (whole, at, sizes) => {
        const delivered = whole.slice(0, at);
        // The next provider is shown the text without its trailing white space, and goes on behind that.
        const continuation = whole.slice(delivered.trimEnd().length);
        expect(joined(delivered, cut(continuation, sizes)).text).toBe(whole);
      }),
    );
  });

  test('finds a stop sequence that began on the other side', () => {
    expect(joined('say EN', ['D of it'], ['END'])).toEqual({ text: 'say EN', stopped: true });
    expect(joined('say EN', ['D', ' of it'], ['END'])).toEqual({ text: 'say EN', stopped: true });
    expect(joined('say E', ['N', 'X'], ['END'])).toEqual({ text: 'say ENX', stopped: false });
    expect(joined('say ', ['EN', 'D'], ['END'])).toEqual({ text: 'say END', stopped: false });
  });
});
