import { expect, it } from 'vitest';
import { findExactly, findOne } from './find.ts';

const machines = [
  { id: '12D3KooWAAAAAAAAAAAAAAAAAAAAbob', name: 'kitchen' },
  { id: '12D3KooWBBBBBBBBBBBBBBBBBBBBBBB', name: '' },
];
const named = ({ id, name }: { id: string; name: string }) => ({ id, name });

it('nothing typed is nobody, even where there is only one', () => {
  for (const items of [machines, machines.slice(1)]) {
    expect(() => findOne(items, '', named, 'peer', 'peer_not_found')).toThrow("there is no peer ''");
    expect(() => findExactly(items, '', named)).toThrow('it is empty');
  }
});

it('a part of an id is enough, but not where credits go', () => {
  expect(findOne(machines, 'bob', named, 'peer', 'peer_not_found').name).toBe('kitchen');
  expect(() => findExactly(machines, 'bob', named)).toThrow(expect.objectContaining({ code: 'peer_not_found' }));
  expect(findExactly(machines, '12D3KooW…AAAbob', named).name).toBe('kitchen');
  expect(findExactly(machines, 'kitchen', named).id).toBe(machines[0]?.id);
  expect(() => findExactly([...machines, { id: '12D3KooWC', name: 'kitchen' }], 'kitchen', named)).toThrow('2 peers');
});
