import { describe, expect, it } from 'vitest';
import { readCommand, TextBlock, withoutEscape } from './chat-input.ts';

describe('a line of a chat', () => {
  it.each([
    ['/model', { name: 'model', text: '' }],
    ['/model llama3.2 ', { name: 'model', text: 'llama3.2' }],
    ['/system You are\na pirate', { name: 'system', text: 'You are\na pirate' }],
    ['/models', { name: 'models' }],
    [' /BYE', { name: 'bye' }],
    ['/exit', { name: 'bye' }],
    ['/?', { name: 'help' }],
    ['/modle', { name: 'unknown', word: '/modle', meant: '/model' }],
    ['/modle x', { name: 'unknown', word: '/modle', meant: '/model' }],
    ['/frobnicate', { name: 'unknown', word: '/frobnicate', meant: undefined }],
  ])('%j is a command', (line, command) => {
    expect(readCommand(line)).toEqual(command);
  });

  it.each(['hello', 'a /bye', '/usr/bin is where?', '/etc/passwd', '// a comment', '/frobnicate the text'])(
    '%j is text',
    (line) => {
      expect(readCommand(line)).toBeUndefined();
    },
  );
});

it.each([
  ['//bye', '/bye'],
  ['//model x', '/model x'],
  ['// a comment', '// a comment'],
  ['http://x', 'http://x'],
])('%j is the text %j', (line, text) => {
  expect(readCommand(line)).toBeUndefined();
  expect(withoutEscape(line)).toBe(text);
});

describe('a text of several lines', () => {
  const gather = (...lines: string[]) => {
    const block = new TextBlock();
    return lines.map((line) => block.add(line));
  };

  it('stands between """ and """', () => {
    expect(gather('"""first', 'second', 'third"""', 'after')).toEqual([
      undefined,
      undefined,
      'first\nsecond\nthird',
      'after',
    ]);
    expect(gather('"""', ' a', '', 'b', '"""')).toEqual([undefined, undefined, undefined, undefined, ' a\n\nb']);
    expect(gather('"""all in one"""')).toEqual(['all in one']);
  });

  it('can be thrown away', () => {
    const block = new TextBlock();
    block.add('"""begun');
    expect(block.open).toBe(true);
    block.reset();
    expect(block.add('fresh')).toBe('fresh');
  });
});
