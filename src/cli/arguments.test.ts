import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Option, readArguments } from './arguments.ts';

const options: Option[] = [
  { name: 'home', kind: 'text', doc: '' },
  { name: 'follow', short: 'f', kind: 'switch', doc: '' },
  { name: 'lines', short: 'n', kind: 'text', doc: '' },
  { name: 'network-mdns', kind: 'boolean', doc: '' },
];
const read = (...args: string[]) => {
  const { words, flags } = readArguments('logs', args, options);
  return { words, flags: Object.fromEntries(flags) };
};

describe('arguments', () => {
  it.each([
    [['a', '--home', 'x', 'b'], ['a', 'b'], { home: ['x'] }],
    [['--home=x', '--home', 'y'], [], { home: ['x', 'y'] }],
    [['-f', '-n', '5'], [], { follow: [''], lines: ['5'] }],
    [['-fn5'], [], { follow: [''], lines: ['5'] }],
    [['--home='], [], { home: [''] }],
    [['--network-mdns'], [], { 'network-mdns': ['true'] }],
    [['--network-mdns', 'a'], ['a'], { 'network-mdns': ['true'] }],
    [['--network-mdns', 'false'], [], { 'network-mdns': ['false'] }],
    [['--network-mdns=false'], [], { 'network-mdns': ['false'] }],
    [['--no-network-mdns', 'true'], ['true'], { 'network-mdns': ['false'] }],
    [['--', '--home', '--no-network-mdns', '-x'], ['--home', '--no-network-mdns', '-x'], {}],
    [['-'], ['-'], {}],
  ])('%j', (args, words, flags) => {
    expect(read(...args)).toEqual({ words, flags });
  });

  it.each([
    [['--hoem', 'x'], 'there is no flag --hoem; did you mean --home?'],
    [['--no-home'], 'there is no flag --no-home'],
    [['-x'], 'there is no flag -x'],
    [['--home'], '--home needs a value'],
    [['--home', '--follow'], '--home needs a value'],
    [['--follow=yes'], '--follow takes no value'],
  ])('%j is refused', (args, message) => {
    expect(() => read(...args)).toThrow(
      expect.objectContaining({ code: 'usage', message, hint: 'see `gogrid help logs`' }),
    );
  });

  it('of any kind are read or refused, never lost', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 6 })), (args) => {
        const { words } = read('--', ...args);
        expect(words).toEqual(args);
      }),
    );
  });
});
