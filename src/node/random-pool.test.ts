import fc from 'fast-check';
import { expect, test } from 'vitest';
import { randomPool } from './random-pool.ts';

test('gives as many bytes as asked for, and none of them twice', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 8, max: 5000 }), { maxLength: 50 }), (sizes) => {
      const random = randomPool();
      const given = sizes.map((size) => random(size));
      expect(given.map(({ length }) => length)).toEqual(sizes);
      // Eight random bytes are never the same by chance.
      const beginnings = new Set(given.map((bytes) => Buffer.from(bytes.subarray(0, 8)).toString('hex')));
      expect(beginnings.size).toBe(given.length);
    }),
  );
});

test('what was given stays as it is', () => {
  const random = randomPool();
  const first = random(10);
  const copy = Buffer.from(first);
  for (let i = 0; i < 1000; i++) random(10);
  expect(Buffer.from(first).equals(copy)).toBe(true);
});
