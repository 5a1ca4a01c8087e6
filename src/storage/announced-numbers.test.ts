import { describe, expect, it } from 'vitest';
import { GoGridError } from '../errors.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { smallDatabase } from '../testing/small-database.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { openNumbers } from './announced-numbers.ts';

const NOW = 1_800_000_000_000;
const deps = (now = NOW) => ({ clock: new VirtualClock(now), log: silentLogger });

describe('the numbers of profiles and beats', () => {
  const small = smallDatabase();

  it('go on after a restart with the clock set back', async () => {
    const before = (await openNumbers(small.database, deps())).next();
    expect(before).toBe(NOW);
    const again = await openNumbers(await small.reopen(), deps(NOW - 36 * 60_000));
    expect(again.next()).toBeGreaterThan(before);
  });

  it('are on the disk before the first of them is said', async () => {
    const put: [string, unknown][] = [];
    const database = {
      get: async () => undefined,
      put: async (_key: unknown, value: unknown, options: unknown) => void put.push([String(value), options]),
    };
    const numbers = await openNumbers(database, deps());
    expect(put).toEqual([[expect.any(String), { sync: true }]]);
    expect(Number(put[0]?.[0])).toBeGreaterThan(numbers.next());
  });

  it('start at the clock where the disk is full', async () => {
    const full = new GoGridError({ code: 'disk_full', message: 'the disk is full' });
    const database = { get: async () => undefined, put: () => Promise.reject(full) };
    expect((await openNumbers(database, deps())).next()).toBe(NOW);
  });

  it.each(['-1', '1.5', '1e300', '99999999999999999', 'x', ''])('are not made of %j', async (text) => {
    await small.database.put('announced/number', text);
    expect((await openNumbers(small.database, deps())).next()).toBe(NOW);
  });
});
