import { describe, expect, it } from 'vitest';
import { silentLogger } from '../telemetry/logger.ts';
import { smallDatabase } from '../testing/small-database.ts';
import { LevelNetworkPort } from './network-port.ts';

describe('the network port', () => {
  const small = smallDatabase();

  it('outlives a restart', async () => {
    const port = await LevelNetworkPort.open(small.database, silentLogger);
    expect(port.remembered).toBeUndefined();
    port.remember(40_123);
    const next = await small.reopen();
    expect((await LevelNetworkPort.open(next, silentLogger)).remembered).toBe(40_123);
  });

  it.each(['0', '-1', '70000', '1.5', 'x', ''])('is not made of %j', async (text) => {
    await small.database.put('network/port', text);
    expect((await LevelNetworkPort.open(small.database, silentLogger)).remembered).toBeUndefined();
  });
});
