import { expect, it } from 'vitest';
import { silentLogger } from '../telemetry/logger.ts';
import { smallDatabase } from '../testing/small-database.ts';
import { LevelKnownPeers } from './known-peers.ts';

const small = smallDatabase();

it('the peers of one mesh are not dialed in another, and are there again in their own', async () => {
  const peersOf = (mesh: number) => new LevelKnownPeers(small.database, new Uint8Array(32).fill(mesh), silentLogger);
  peersOf(1).save(['/ip4/10.0.0.1/tcp/1/p2p/a']);
  await expect.poll(() => peersOf(1).load()).toEqual(['/ip4/10.0.0.1/tcp/1/p2p/a']);
  expect(await peersOf(2).load()).toEqual([]);
  peersOf(2).save(['/ip4/10.0.0.2/tcp/1/p2p/b']);
  await expect.poll(() => peersOf(2).load()).toEqual(['/ip4/10.0.0.2/tcp/1/p2p/b']);
  expect(await peersOf(1).load()).toEqual(['/ip4/10.0.0.1/tcp/1/p2p/a']);
});
