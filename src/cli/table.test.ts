import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderFacts, renderTable } from './table.ts';
import {
  cut,
  displayWidth,
  formatAgo,
  formatBytes,
  formatDuration,
  formatParameters,
  jsonFor,
  type Paint,
  painter,
  printable,
  printableLines,
  shellWord,
  shortId,
} from './text.ts';

const plain: Paint = (_, text) => text;
const columns = [
  { title: 'NAME', shrinks: true },
  { title: 'JOBS', align: 'right' as const },
  { title: 'MODELS', shrinks: true },
];

describe('a table', () => {
  it('aligns its columns', () => {
    const rows = [
      ['kitchen', '3', 'llama3.2:latest'],
      ['厨房🦆', { text: '12', style: 'red' as const }, 'qwen3:8b'],
    ];
    expect(renderTable(columns, rows, { columns: undefined, paint: plain })).toBe(
      ['NAME     JOBS  MODELS', 'kitchen     3  llama3.2:latest', '厨房🦆     12  qwen3:8b', ''].join('\n'),
    );
  });

  it('is not wider than the terminal, but keeps what does not shrink', () => {
    const row = ['a'.repeat(60), '123456', 'b'.repeat(60)];
    const drawn = renderTable(columns, [row], { columns: 60, paint: plain }).trimEnd().split('\n');
    for (const line of drawn) expect(displayWidth(line)).toBeLessThanOrEqual(60);
    expect(drawn[1]).toContain('123456');
    expect(drawn[1]).toContain('a…');
    expect(drawn[1]).toContain('b…');
  });

  it('fits any text into any terminal', () => {
    const cell = fc.string({ unit: 'binary', maxLength: 80 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(cell, fc.nat(99).map(String), cell)),
        fc.integer({ min: 40, max: 200 }),
        (rows, width) => {
          const lines = renderTable(columns, rows, { columns: width, paint: plain }).split('\n');
          expect(lines).toHaveLength(rows.length + 2);
          for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(width);
        },
      ),
    );
  });

  it('in a file is cut nowhere, and never steers the terminal', () => {
    const long = 'm'.repeat(300);
    const drawn = renderTable(columns, [[`evil\u001b[2J\n${long}`, '1', '\u202eabc']], {
      columns: undefined,
      paint: plain,
    });
    expect(drawn).toContain(long);
    expect(drawn.split('\n')).toHaveLength(3);
    for (const steering of ['\u001b', '\u202e']) expect(drawn).not.toContain(steering);
  });

  it('without rows is its titles', () => {
    expect(renderTable(columns, [], { columns: 80, paint: plain })).toBe('NAME  JOBS  MODELS\n');
  });
});

it('facts are aligned', () => {
  expect(
    renderFacts(
      [
        ['state', 'idle'],
        ['peer id', { text: 'x', style: 'red' }],
        ['', 'y'],
      ],
      { columns: 80, paint: plain },
    ),
  ).toBe('state    idle\npeer id  x\n         y\n');
});

describe('text', () => {
  it.each([
    [0, '-'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [999_949, '1.0 MB'],
    [4_661_224_676, '4.7 GB'],
    [17_000_000_000, '17.0 GB'],
    [150_000_000_000, '150 GB'],
  ])('%i bytes are %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it.each([
    [0, '0s'],
    [59.9, '59s'],
    [60, '1m'],
    [3_725, '1h 2m'],
    [90_000, '1d 1h'],
    [86_400, '1d'],
    [86_460, '1d'],
  ])('%d seconds are %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });

  it('of other kinds', () => {
    expect(formatAgo(0, 999)).toBe('now');
    expect(formatAgo(0, 125_000)).toBe('2m ago');
    expect(formatAgo(5000, 0)).toBe('now');
    expect([0, 134_520_000, 3_212_749_888, 70_000_000_000].map(formatParameters)).toEqual(['-', '135M', '3.2B', '70B']);
    expect(shortId('12D3KooWGzBkQ3nCqVdQZ8XtT9uEJ1vVYV1Y1B1Fq1mH9m2a7bCd')).toBe('12D3KooW…2a7bCd');
    expect(shortId('short')).toBe('short');
    expect(cut('abcdef', 4)).toBe('abc…');
    expect(cut('厨房厨房', 5)).toBe('厨房…');
    expect(shellWord('/a/b-c')).toBe('/a/b-c');
    expect(shellWord("it's here")).toBe("'it'\\''s here'");
  });

  it('from elsewhere has nothing in it that steers a terminal', () => {
    expect(printable('a\nb\u009bc')).toBe('a�b�c');
    const json = JSON.stringify({ name: 'a\u009b2Jb\u202e\u{e0041}\n' }, null, 2);
    const safe = jsonFor({ isTty: true }, json);
    expect(safe).toBe('{\n  "name": "a\\u009b2Jb\\u202e\\udb40\\udc41\\n"\n}');
    expect(JSON.parse(safe)).toEqual(JSON.parse(json));
    expect(jsonFor({ isTty: false }, json)).toBe(json);
    const unseen = '\u061c\u200e\u200f\u{e0041}';
    expect(printable(`a${unseen}`)).toBe('a����');
    expect(printableLines(`a${unseen}b`)).toBe('ab');
    expect(printableLines('a\n\tb\r\u001b[31mc\u0007')).toBe('a\n\tb[31mc');
  });

  it('is coloured on a terminal that can, and nowhere else', () => {
    const tty = { isTty: true };
    expect(painter({ env: {} }, tty)('red', 'x')).toBe('\u001b[31mx\u001b[0m');
    expect(painter({ env: { NO_COLOR: '1' } }, tty)('red', 'x')).toBe('x');
    expect(painter({ env: { TERM: 'dumb' } }, tty)('red', 'x')).toBe('x');
    expect(painter({ env: {} }, { isTty: false })('red', 'x')).toBe('x');
  });
});
