/** Laws of the text on the screen: it can be read back word for word, however it came and wherever it broke. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { displayWidth } from '../text.ts';
import { TextColumn } from './column.ts';

const COLUMNS = 50;
const GUTTER = /^ {2}(.{7}) │( |$)/;

const MARK = /(^| )✖ killed$/;

function draw(parts: readonly (readonly [name: string, pieces: readonly string[]])[], columns = COLUMNS): string[] {
  let screen = '';
  const column = new TextColumn(
    (text) => {
      screen += text;
    },
    { columns, nameColumns: 7, paint: (_, text) => text },
  );
  for (const [index, [name, pieces]] of parts.entries()) {
    if (index > 0) column.cut();
    column.begin(name, 'cyan');
    for (const piece of pieces) column.add(piece);
  }
  column.end(false);
  return screen.slice(1, -1).split('\n');
}

/** The text as a reader joins it: where it broke off, it goes on at the same column of the next line. */
function readBack(lines: readonly string[]): string {
  let text = '';
  let brokeAt: number | undefined;
  for (const line of lines) {
    expect(line).toMatch(GUTTER);
    let rest = line.replace(GUTTER, '');
    if (brokeAt !== undefined && rest.trim() !== '' && rest.search(/\S/) >= brokeAt) {
      const gap = rest.slice(brokeAt).search(/\S/) > 0 ? ' ' : '';
      rest = gap + rest.trimStart();
    } else if (text !== '') {
      rest = ` ${rest}`;
    }
    brokeAt = undefined;
    if (MARK.test(rest)) {
      rest = rest.replace(MARK, '');
      brokeAt = displayWidth(line.replace(GUTTER, '').replace(MARK, ''));
    }
    text += rest;
  }
  return text.replace(/\s+/g, ' ').trim();
}

const text = fc
  .array(fc.constantFrom('sea', 'a', 'lighthouse', 'keeper,', 'naïve', 'end.', '\n', '\n\n', '灯台', 'fox'), {
    minLength: 1,
    maxLength: 60,
  })
  .map((words) => words.join(' ').trim())
  .filter((joined) => joined !== '');

describe('the column of text', () => {
  it('wraps at words, with the name on the first line', () => {
    expect(draw([['kitchen', ['The sea is wide and deep and ', 'full of salt']]], 40)).toEqual([
      '  kitchen │ The sea is wide and',
      '          │ deep and full of',
      '          │ salt',
    ]);
  });

  it('goes on at the column where it broke off', () => {
    expect(
      draw([
        ['kitchen', ['The sea ', 'is ']],
        ['attic', ['wide']],
      ]),
    ).toEqual(['  kitchen │ The sea is ✖ killed', '  attic   │            wide']);
  });

  it('goes on in the middle of a word', () => {
    expect(
      draw([
        ['kitchen', ['The se']],
        ['attic', ['a is wide']],
      ]),
    ).toEqual(['  kitchen │ The se ✖ killed', '  attic   │       a is wide']);
  });

  it('reads back as it came, in any pieces, broken anywhere, and never wider than the terminal', () => {
    fc.assert(
      fc.property(text, fc.nat(), fc.integer({ min: 1, max: 9 }), (whole, place, step) => {
        const at = place % (whole.length + 1);
        const pieces = (part: string) => part.match(new RegExp(`[^]{1,${step}}`, 'gu')) ?? [];
        const halves = [whole.slice(0, at), whole.slice(at)] as const;
        const lines = draw([
          ['kitchen', pieces(halves[0])],
          ['attic', pieces(halves[1])],
        ]);
        for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(COLUMNS);
        // A break between two lines or paragraphs reads as the space that it is.
        const normal = (each: string) => each.replace(/\s+/g, ' ').trim();
        const read = readBack(lines);
        expect(read.replaceAll(' ', '')).toBe(normal(whole).replaceAll(' ', ''));
        const inWord = /\S$/.test(halves[0]) && /^\S/.test(halves[1]);
        if (!inWord) expect(read).toBe(normal(whole));
      }),
      { numRuns: 500 },
    );
  });

  it('breaks what has no spaces', () => {
    const lines = draw([['kitchen', ['語'.repeat(60)]]]);
    expect(lines.length).toBeGreaterThan(2);
    for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(COLUMNS);
  });
});
