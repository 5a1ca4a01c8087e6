import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GoGridError } from '../../errors.ts';
import { decodeCanonical, encode } from '../../protocol/cbor.ts';
import { Reader } from './reader.ts';

const U64 = 2n ** 64n - 1n;

/** What `read` gives, or undefined when it refuses; nothing but an error of ours may come. */
function takenBy<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    expect(error).toBeInstanceOf(GoGridError);
    return undefined;
  }
}

function wholly<T>(bytes: Uint8Array, read: (reader: Reader) => T): T | undefined {
  return takenBy(() => {
    const reader = new Reader(bytes, 'a test');
    const value = read(reader);
    reader.end();
    return value;
  });
}

const byCborg = (bytes: Uint8Array) => takenBy(() => decodeCanonical(bytes, 'a test'));

describe('the reader and cborg agree', () => {
  test('on every form of every head: all types, all lengths of the argument, at every edge', () => {
    const edges = [0n, 1n, 22n, 23n, 24n, 25n, 254n, 255n, 256n, 257n, 65_534n, 65_535n, 65_536n, 65_537n];
    const wide = [2n ** 32n - 1n, 2n ** 32n, 2n ** 32n + 1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, U64];
    let taken = 0;
    for (let first = 0; first < 256; first++) {
      for (const argument of [...edges, ...wide]) {
        for (const width of [0, 1, 2, 4, 8]) {
          if (argument >= 2n ** BigInt(8 * width)) continue;
          const behind = Buffer.from(
            argument
              .toString(16)
              .padStart(2 * width, '0')
              .slice(0, 2 * width),
            'hex',
          );
          const bytes = Uint8Array.of(first, ...behind);
          const expected = byCborg(bytes);
          const isNumber = typeof expected === 'bigint' || (typeof expected === 'number' && first < 0x20);
          const wanted = isNumber && expected >= 0 ? BigInt(expected) : undefined;
          expect([bytes, wholly(bytes, (reader) => reader.microcredits(0n, U64, 'x'))]).toEqual([bytes, wanted]);
          const safe = wanted !== undefined && wanted <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(wanted) : undefined;
          expect(wholly(bytes, (reader) => reader.uint(Number.MAX_SAFE_INTEGER, 'x'))).toBe(safe);
          taken += wanted === undefined ? 0 : 1;
        }
      }
    }
    expect(taken).toBeGreaterThan(40);
  });

  test('on bytes and text, of whatever content and said length', () => {
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.string({ unit: 'binary', maxLength: 80 }).map((text) => new Uint8Array(Buffer.from(text))),
      fc
        .constantFrom('efbbbf', 'efbbbf61', '61efbbbf', 'eda080', 'c1a1', 'c3', 'f4908080', 'ff', 'e28080')
        .map((some) => new Uint8Array(Buffer.from(some, 'hex'))),
    );
    const lengths = fc.constantFrom(-1, 0, 0, 0, 0, 1);
    fc.assert(
      fc.property(content, lengths, fc.boolean(), fc.boolean(), (some, error, isText, isLong) => {
        const said = Math.max(0, some.length + error);
        const head = said < 24 && !isLong ? [said] : said < 256 ? [24, said] : [25, said >> 8, said & 255];
        head[0]! |= isText ? 0x60 : 0x40;
        const bytes = Uint8Array.of(...head, ...some);
        const read = wholly<unknown>(bytes, (reader) => (isText ? reader.text(999, 'x') : reader.bytes(0, 999, 'x')));
        expect(read).toEqual(byCborg(bytes));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('the reader', () => {
  test('refuses what is not within the bounds it is given, naming the field', () => {
    const of = (value: unknown) => new Reader(encode(value), 'a test');
    expect(of(7).uint(7, 'x')).toBe(7);
    expect(() => of(8).uint(7, 'number of legs')).toThrow('the number of legs of a test is not of 0 to 7');
    expect(of([1, 2]).array(1, 2, 'x')).toBe(2);
    expect(() => of([]).array(1, 2, 'x')).toThrow(GoGridError);
    expect(() => of([1, 2, 3]).array(1, 2, 'x')).toThrow(GoGridError);
    expect(() => of(new Uint8Array(31)).bytes(32, 32, 'x')).toThrow(/is not of 32/);
    expect(() => of(new Uint8Array(33)).hex32('x')).toThrow(GoGridError);
    expect(() => of('four').text(3, 'x')).toThrow(GoGridError);
    expect(of(2n ** 60n).microcredits(1n, 2n ** 60n, 'x')).toBe(2n ** 60n);
    expect(() => of(2n ** 60n).microcredits(1n, 2n ** 60n - 1n, 'x')).toThrow(GoGridError);
    expect(() => of(0).microcredits(1n, 5n, 'x')).toThrow(GoGridError);
    expect(() => of('x').uint(7, 'x')).toThrow(GoGridError);
    expect(() => of(undefined).end()).toThrow(GoGridError);
  });

  test('never reads behind the end', () => {
    const whole = encode([new Uint8Array(300), 2 ** 40, 'text']);
    for (let length = 0; length < whole.length; length++) {
      const reader = new Reader(whole.subarray(0, length), 'a test');
      const read = () => {
        reader.array(3, 3, 'list');
        reader.bytes(300, 300, 'bytes');
        reader.uint(2 ** 41, 'number');
        reader.text(4, 'text');
      };
      expect(read).toThrow(GoGridError);
    }
  });
});
