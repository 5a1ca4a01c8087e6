import { expect, test } from 'vitest';
import { RecentMap } from './recent-map.ts';

test('the entry that was set longest ago makes room, and who set it is told', () => {
  const map = new RecentMap<string, number>(2);
  expect([map.set('a', 1), map.set('b', 2), map.set('a', 3)]).toEqual([undefined, undefined, undefined]);
  expect([map.set('c', 4), map.size]).toEqual([2, 2]);
  expect([...map]).toEqual([
    ['a', 3],
    ['c', 4],
  ]);
  const deleted = [map.delete('a'), map.delete('a')];
  expect([map.has('b'), map.get('c'), deleted, [...map.keys()]]).toEqual([false, 4, [3, undefined], ['c']]);
});
