import { describe, expect, it, vi } from 'vitest';
import { errorOf } from '../testing/failure.ts';
import { smallDatabase } from '../testing/small-database.ts';
import { openDatabase } from './database.ts';

const full = () =>
  Object.assign(new Error('IO error: 000003.log: No space left on device'), { code: 'LEVEL_IO_ERROR' });

describe('the database', () => {
  const small = smallDatabase();

  it('belongs to one process', async () => {
    expect(await errorOf(openDatabase(small.folder))).toMatchObject({ code: 'home_in_use' });
  });

  it('has one write on its way, and takes what comes meanwhile together, in order', async () => {
    const { database } = small;
    const batch = vi.spyOn(database.level, 'batch');
    const writes = Array.from({ length: 20 }, (_, n) => database.put('last', String(n), { sync: n === 5 }));
    await Promise.all(writes);
    expect(batch).toHaveBeenCalledTimes(2);
    expect(await database.get('last')).toBe('19');
  });

  it('writes what is on its way before it closes', async () => {
    const write = small.database.put('a', 'b');
    await (await small.reopen()).put('c', 'd');
    await write;
    expect(await small.database.getMany(['a', 'c'])).toEqual(['b', 'd']);
  });

  it('is opened again before the first write behind one that failed', async () => {
    const { database } = small;
    await database.put('before', '1', { sync: true });
    vi.spyOn(database.level, 'batch').mockRejectedValueOnce(full());
    const open = vi.spyOn(database.level, 'open');
    expect(await errorOf(database.put('lost', '1'))).toMatchObject({ code: 'disk_full' });
    expect(open).not.toHaveBeenCalled();
    await database.put('after', '1');
    expect(open).toHaveBeenCalledTimes(1);
    await database.put('later', '1');
    expect(open).toHaveBeenCalledTimes(1);
    expect(await database.getMany(['before', 'lost', 'after', 'later'])).toEqual(['1', undefined, '1', '1']);
  });

  it('is not opened again and again for a disk that stays full', async () => {
    const { database } = small;
    vi.spyOn(database.level, 'batch').mockImplementation((() => Promise.reject(full())) as never);
    const open = vi.spyOn(database.level, 'open');
    for (let n = 0; n < 5; n++) {
      expect(await errorOf(database.put('a', '1'))).toMatchObject({ code: 'disk_full' });
    }
    expect(open).toHaveBeenCalledTimes(1);
  });

  it.each([
    ['IO error: x: No space left on device', 'LEVEL_IO_ERROR', 'disk_full'],
    ['IO error: x: Disk quota exceeded', 'LEVEL_IO_ERROR', 'disk_full'],
    ['IO error: x: Input/output error', 'LEVEL_IO_ERROR', 'home_unusable'],
    ['Corruption: bad block', 'LEVEL_CORRUPTION', 'damaged'],
  ])('says of %j (%s) that it is %s', async (message, code, expected) => {
    const { database } = small;
    vi.spyOn(database.level, 'batch').mockRejectedValueOnce(Object.assign(new Error(message), { code }));
    expect(await errorOf(database.put('a', '1'))).toMatchObject({ code: expected });
  });
});
