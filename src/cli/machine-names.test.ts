/** No name that a peer chose passes for another machine. */

import { expect, it } from 'vitest';
import { seers } from './job-story.ts';
import { machineName, namesOf } from './machine-names.ts';

const EVIL = '12D3KooWEvilEvilEvilEvilEvil123456';

it.each([
  'this machine',
  'this machine alone',
  'THIS  Machine',
  '  this\u00a0machine',
  'ｔｈｉｓ machine',
  'this\u200b machine',
  'th\u00eds machine',
  'this-machine',
  'kitchen, this machine',
  '12D3KooW…abcdef',
  'kitchen (12D3KooWabcdef)',
])('%j is told apart from what it passes for', (name) => {
  const nameOf = namesOf('me', [{ peerId: EVIL, name }]);
  for (const shown of [nameOf(EVIL), machineName({ peerId: EVIL, name })]) {
    expect(shown).toMatch(/ \(12D3KooW…123456\)$/);
  }
  expect(seers({ direction: 'out', seenBy: [EVIL], requester: 'me' } as never, nameOf)).toContain('12D3KooW…123456');
});

it.each(['kitchen', 'Anna’s laptop', 'machine 7', '台所'])('%s is shown as it is', (name) => {
  expect(machineName({ peerId: EVIL, name })).toBe(name);
});

it('names that eyes read as one are told apart', () => {
  const nameOf = namesOf('me', [
    { peerId: 'one', name: 'Kitchen' },
    { peerId: 'two', name: 'kitchen ' },
    { peerId: 'three', name: '' },
    { peerId: 'four', name: ' ' },
  ]);
  expect(['one', 'two', 'three', 'four'].map(nameOf)).toEqual(['Kitchen (one)', 'kitchen  (two)', 'three', 'four']);
});
