import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { silentLogger } from '../telemetry/logger.ts';
import { openDatabase } from './database.ts';
import { LevelKnownPeers } from './known-peers.ts';

it('the peers of one mesh are not dialed in another, and are there again in their own', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'gogrid-known-'));
  const database = await openDatabase(folder);
  const peersOf = (mesh: number) => new LevelKnownPeers(database, new Uint8Array(32).fill(mesh), silentLogger);
  try {
    peersOf(1).save(['/ip4/10.0.0.1/tcp/1/p2p/a']);
    await expect.poll(() => peersOf(1).load()).toEqual(['/ip4/10.0.0.1/tcp/1/p2p/a']);
    expect(await peersOf(2).load()).toEqual([]);
    peersOf(2).save(['/ip4/10.0.0.2/tcp/1/p2p/b']);
    await expect.poll(() => peersOf(2).load()).toEqual(['/ip4/10.0.0.2/tcp/1/p2p/b']);
    expect(await peersOf(1).load()).toEqual(['/ip4/10.0.0.1/tcp/1/p2p/a']);
  } finally {
    await database.close();
    await rm(folder, { recursive: true, force: true });
  }
});
