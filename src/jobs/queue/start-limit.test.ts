import { expect, test } from 'vitest';
import { StartLimit } from './start-limit.ts';

test('an account starts so many jobs within any minute', () => {
  const limit = new StartLimit(2, 8);
  limit.started('a', 0);
  expect(limit.nextAt('a', 10_000)).toBe(10_000);
  limit.started('a', 10_000);
  expect(limit.nextAt('a', 20_000)).toBe(60_000);
  limit.started('a', 60_000);
  expect(limit.nextAt('a', 60_000)).toBe(70_000);
  expect(limit.nextAt('b', 60_000)).toBe(60_000);
});

test('more accounts than are remembered wait until one is a minute old: nobody gains by being forgotten', () => {
  const limit = new StartLimit(1, 2);
  limit.started('a', 0);
  limit.started('b', 5_000);
  expect(limit.nextAt('c', 6_000)).toBe(60_000);
  expect(limit.nextAt('c', 60_000)).toBe(60_000);
  limit.started('c', 60_000);
  expect(limit.nextAt('d', 60_000)).toBe(65_000);
});

test('a copy goes its own way', () => {
  const limit = new StartLimit(1, 8);
  const copy = limit.copy();
  copy.started('a', 0);
  expect([limit.nextAt('a', 0), copy.nextAt('a', 0)]).toEqual([0, 60_000]);
});
