import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../telemetry/logger.ts';
import { openDatabase } from './database.ts';
import { LevelNetworkPort } from './network-port.ts';

describe('the network port', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'gogrid-port-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('outlives a restart', async () => {
    const first = await openDatabase(folder);
    const port = await LevelNetworkPort.open(first, silentLogger);
    expect(port.remembered).toBeUndefined();
    port.remember(40_123);
    await first.close();

    const second = await openDatabase(folder);
    expect((await LevelNetworkPort.open(second, silentLogger)).remembered).toBe(40_123);
    await second.close();
  });

  it.each(['0', '-1', '70000', '1.5', 'x', ''])('is not made of %j', async (text) => {
    const database = await openDatabase(folder);
    await database.put('network/port', text);
    expect((await LevelNetworkPort.open(database, silentLogger)).remembered).toBeUndefined();
    await database.close();
  });
});
