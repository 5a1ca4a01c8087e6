import { expect, test } from 'vitest';
import { randomFrom } from './random.ts';
import { until, untilStill } from './until.ts';

test('returns what the condition returned', async () => {
  let asked = 0;
  await expect(until(() => ++asked === 3 && 'third', { what: 'the third' })).resolves.toBe('third');
});

test('says what it waited for, how long, and what it saw last', async () => {
  const wait = { what: 'a peer', within: 30 };
  await expect(until(() => 0, wait)).rejects.toThrow(/^waited 0\.\d s for a peer; seen last: 0$/);
  const refuse = () => Promise.reject(new Error('node-2 is not listed'));
  await expect(until(refuse, wait)).rejects.toThrow(/seen last: node-2 is not listed$/);
});

test('sees that something has stopped', async () => {
  let asked = 0;
  const { value } = await untilStill(async () => Math.min(++asked, 5), 20, { what: 'the count to stop' });
  expect(value).toBe(5);
});

test('dice fall the same way for the same seed and name, and otherwise for others', () => {
  const throws = (seed: number, name: string) => {
    const random = randomFrom(seed, name);
    return [random.int(0, 1000), random.int(0, 1000), random.word(8)];
  };
  expect(throws(7, 'a')).toEqual(throws(7, 'a'));
  expect(throws(7, 'a')).not.toEqual(throws(8, 'a'));
  expect(throws(7, 'a')).not.toEqual(throws(7, 'b'));
});
