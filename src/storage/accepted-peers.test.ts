import { expect, it } from 'vitest';
import { nodeIdOf } from '../protocol/ids.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { smallDatabase } from '../testing/small-database.ts';
import { LevelAcceptedPeers } from './accepted-peers.ts';

const peer = (n: number) => ({
  node: nodeIdOf(signerFromSeed(new Uint8Array(32).fill(n)).publicKey),
  name: `peer ${n}`,
});
const mesh = (n: number) => new Uint8Array(32).fill(n);
const small = smallDatabase();

it('what was decided in one mesh is there after a restart, and is nothing in another', async () => {
  const lists = { accepted: [peer(1), peer(2)], blocked: [peer(3)] };
  expect(await new LevelAcceptedPeers(small.database, mesh(1)).load()).toEqual({ accepted: [], blocked: [] });
  await new LevelAcceptedPeers(small.database, mesh(1)).save(lists);
  await small.reopen();
  expect(await new LevelAcceptedPeers(small.database, mesh(1)).load()).toEqual(lists);
  expect(await new LevelAcceptedPeers(small.database, mesh(2)).load()).toEqual({ accepted: [], blocked: [] });
});

it('of what is damaged each list is read by itself, and a block is not lost without a word', async () => {
  const store = new LevelAcceptedPeers(small.database, mesh(1));
  const [key] = await keysAfter(store);
  const load = async (text: string) => {
    await small.database.put(key!, text);
    return store.load();
  };
  const nothing = { accepted: undefined, blocked: undefined };
  for (const text of ['{', '{}', 'null', '7', '"x"']) expect(await load(text)).toEqual(nothing);
  const one = [peer(1)];
  expect(await load(JSON.stringify({ accepted: {}, blocked: one }))).toEqual({ accepted: undefined, blocked: one });
  expect(await load(JSON.stringify({ accepted: one, blocked: {} }))).toEqual({ accepted: one, blocked: undefined });
  const mixed = [{ node: 'x', name: 'y' }, null, peer(1)];
  expect(await load(JSON.stringify({ accepted: mixed, blocked: mixed }))).toEqual({
    accepted: one,
    blocked: undefined,
  });
});

async function keysAfter(store: LevelAcceptedPeers): Promise<string[]> {
  await store.save({ accepted: [], blocked: [] });
  return small.database.keys().all();
}
