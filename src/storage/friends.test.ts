import { expect, it } from 'vitest';
import { MESH } from '../limits/mesh.ts';
import { nodeIdOf } from '../protocol/ids.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { type Logger, silentLogger } from '../telemetry/logger.ts';
import { smallDatabase } from '../testing/small-database.ts';
import { LevelFriends } from './friends.ts';

const peer = (n: number) => ({
  node: nodeIdOf(signerFromSeed(new Uint8Array(32).fill(n)).publicKey),
  name: `peer ${n}`,
});
const mesh = (n: number) => new Uint8Array(32).fill(n);
const small = smallDatabase();

const open = (n = 1, log: Logger = silentLogger) => LevelFriends.open(small.database, mesh(n), log);

it('a friend is one after a restart, and is none in another mesh', async () => {
  const friends = await open();
  expect(friends.has(peer(1).node)).toBe(false);
  await friends.replace([peer(1), peer(2)]);
  expect(friends.has(peer(1).node)).toBe(true);
  await small.reopen();
  expect((await open()).list()).toEqual([peer(1), peer(2)]);
  expect((await open(2)).list()).toEqual([]);
});

it('whoever is taken off is no friend from that moment on, and not after a restart', async () => {
  const friends = await open();
  const added = friends.replace([peer(1), peer(2)]);
  const removed = friends.remove(peer(1).node);
  expect(friends.has(peer(1).node)).toBe(false);
  await Promise.all([added, removed]);
  expect((await open()).list()).toEqual([peer(2)]);
  await friends.replace([]);
  expect((await open()).list()).toEqual([]);
});

it('of a damaged list nobody is a friend, and the log says so', async () => {
  await (await open()).replace([peer(1)]);
  const [key = ''] = await small.database.keys().all();
  for (const text of ['{', '{}', 'null', '7', '"x"']) {
    await small.database.put(key, text);
    const warnings: string[] = [];
    const friends = await open(1, { ...silentLogger, warn: (_fields, message) => warnings.push(message) });
    expect(friends.list()).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining('damaged')]);
  }
  await small.database.put(key, JSON.stringify([{ node: 'x', name: 'y' }, null, peer(1), { node: peer(2).node }]));
  expect((await open()).list()).toEqual([peer(1)]);
});

it('holds no more than the bound', async () => {
  const friends = await open();
  const many = Array.from({ length: MESH.maxFriends + 5 }, (_, n) => ({ ...peer(0), node: `node ${n}` }));
  await friends.replace(many as never);
  expect(friends.list()).toHaveLength(MESH.maxFriends);
});

it('of several that come and go at once none undoes another, and no more come than the bound', async () => {
  const friends = await open();
  await friends.replace([peer(1)]);
  await Promise.all([friends.add(peer(2)), friends.remove(peer(1).node), friends.add(peer(3))]);
  expect((await open()).list()).toEqual([peer(2), peer(3)]);
  await friends.replace(
    Array.from({ length: MESH.maxFriends }, (_, n) => ({ ...peer(0), node: `node ${n}` })) as never,
  );
  await expect(friends.add(peer(1))).rejects.toMatchObject({ code: 'invalid_request' });
  expect(friends.has(peer(1).node)).toBe(false);
});
