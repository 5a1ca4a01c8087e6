import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findTraces } from './canary.ts';

const CANARY = 'кanary-4711-word';
let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gogrid-canary-'));
});
afterEach(() => rm(folder, { recursive: true }));

test.each([
  ['plain', `before ${CANARY} after`],
  ['in JSON', JSON.stringify({ text: CANARY })],
  ['in escaped JSON', '{"text":"\\u043aanary-4711-word"}'],
  ['as hex', Buffer.from(CANARY).toString('hex')],
  ['as base64', Buffer.from(CANARY).toString('base64')],
  ['as base64 behind one byte', Buffer.from(`x${CANARY}y`).toString('base64')],
  ['as base64 behind two bytes', Buffer.from(`xx${CANARY}yyy`).toString('base64')],
])('finds a text %s', async (_, text) => {
  await writeFile(path.join(folder, 'some.log'), text);
  expect(await findTraces([CANARY], folder, new Map())).toHaveLength(1);
  expect(await findTraces([CANARY], path.join(folder), new Map([['stderr', text]]))).toHaveLength(2);
});

test('finds nothing where nothing is', async () => {
  await writeFile(path.join(folder, 'some.log'), 'canary 4711 word');
  expect(await findTraces([CANARY], folder, new Map([['stderr', 'all is well']]))).toEqual([]);
});
