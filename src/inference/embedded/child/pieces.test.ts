import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Pieces } from './pieces.ts';

/** A model whose tokens are bytes: every character longer than one is split. */
const textOf = (tokens: readonly number[]) => Buffer.from(tokens).toString('utf8');
const bytesOf = (text: string) => [...Buffer.from(text)];

function speak(text: string, stops: readonly string[] = [], trimEnd = false) {
  const pieces = new Pieces({ textOf, stops, trimEnd, before: [] });
  const said = [];
  for (const token of bytesOf(text)) {
    if (!pieces.stopped) said.push(pieces.add(token));
  }
  said.push(pieces.end());
  return {
    texts: said.map((piece) => piece.text),
    text: said.map((piece) => piece.text).join(''),
    tokens: said.reduce((sum, piece) => sum + piece.tokens, 0),
    stopped: pieces.stopped,
  };
}

/** Text as models write it: white space, letters, characters of two to four bytes, and such as are made of several. */
const anyText = fc.array(fc.constantFrom(' ', '\n', 'a', 'ö', 'м', '日', '🙂', '👩‍🚀', '.', '##'), { maxLength: 40 });

describe('pieces of an answer', () => {
  it('are the whole answer, every token counted, and no character split', () => {
    fc.assert(
      fc.property(anyText, (parts) => {
        const text = parts.join('');
        const said = speak(text);
        expect(said.text).toBe(text);
        expect(said.tokens).toBe(bytesOf(text).length);
        for (const piece of said.texts) expect(piece).not.toContain('\uFFFD');
        for (const piece of said.texts) expect(piece.isWellFormed()).toBe(true);
      }),
    );
  });

  it('end before a stop sequence, whatever its parts came in', () => {
    fc.assert(
      fc.property(anyText, fc.constantFrom('a.', '🙂', '\n\n', '##a', '日м'), (parts, stop) => {
        const text = parts.join('');
        const at = text.indexOf(stop);
        const said = speak(text, [stop]);
        expect(said.text).toBe(at < 0 ? text : text.slice(0, at));
        expect(said.stopped).toBe(at >= 0);
      }),
    );
  });

  it('hold back no more than may become a stop sequence', () => {
    const pieces = new Pieces({ textOf, stops: ['END'], trimEnd: false, before: [] });
    const said = bytesOf('xENxE').map((token) => pieces.add(token).text);
    expect(said).toEqual(['x', '', '', 'ENx', '']);
    expect(pieces.end()).toEqual({ text: 'E', tokens: 1 });
  });

  it('lose white space at the end where a grammar put it', () => {
    expect(speak('{ "a": 1 } \n ', [], true).text).toBe('{ "a": 1 }');
    expect(speak(' a  b ', [], true).text).toBe(' a  b');
  });

  it('pass on bytes that are no text, in the end', () => {
    const pieces = new Pieces({ textOf, stops: [], trimEnd: false, before: [] });
    const said = [0xff, 0xfe, 0x41].map((token) => pieces.add(token).text).join('') + pieces.end().text;
    expect(said).toBe('\uFFFD\uFFFDA');
  });
});
