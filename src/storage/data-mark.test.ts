import { cp, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../telemetry/logger.ts';
import { readDataMark } from './data-mark.ts';
import { openDatabase } from './database.ts';
import { LevelLedgerStore } from './ledger-store.ts';

let home = '';
let data = '';
beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'gogrid-mark-'));
  data = path.join(home, 'data');
});
afterEach(() => rm(home, { recursive: true, force: true }));

/** A start, as far as the mark goes. @returns whether it found a copy */
async function start({ crashes = false, mesh = 0 } = {}): Promise<boolean> {
  const networkId = new Uint8Array(32).fill(mesh);
  const database = await openDatabase(data);
  try {
    const { notes } = new LevelLedgerStore(database, networkId, silentLogger);
    const dies = new Error('the machine dies');
    const put = crashes ? () => Promise.reject(dies) : notes.put.bind(notes);
    const mark = await readDataMark(data, networkId, { get: (key) => notes.get(key), put });
    await mark.renew().catch((thrown) => {
      if (thrown !== dies) throw thrown;
    });
    return mark.isCopy;
  } finally {
    await database.close();
  }
}

const backup = () => path.join(home, 'backup');
const copyTo = (to: string) => cp(data, to, { recursive: true, preserveTimestamps: true });
const marks = async () => (await readdir(data)).filter((name) => name.startsWith('mark-'));

describe('the mark of a data folder', () => {
  it('says nothing at the first start, nor at those after it, wherever one ends', async () => {
    for (const crashes of [true, false, false, true, true, false]) expect(await start({ crashes })).toBe(false);
    expect(await marks()).toHaveLength(1);
  });

  it('is one for each mesh', async () => {
    for (const mesh of [0, 1, 0, 1]) expect(await start({ mesh })).toBe(false);
  });

  it('goes along when the folder is moved', async () => {
    await start();
    await rename(data, backup());
    data = backup();
    expect(await start()).toBe(false);
  });

  it('tells a backup that is put back in its place, once', async () => {
    await start();
    await copyTo(backup());
    await start();
    await rm(data, { recursive: true });
    await rename(backup(), data);
    expect(await start()).toBe(true);
    expect(await start()).toBe(false);
  });

  it('tells a backup that was made while the node ran', async () => {
    await start();
    await copyTo(backup());
    await rm(data, { recursive: true });
    await rename(backup(), data);
    expect(await start()).toBe(true);
  });

  it('tells one again whose finding was not noted before the machine died', async () => {
    await start();
    await copyTo(backup());
    await rm(data, { recursive: true });
    await rename(backup(), data);
    expect(await start({ crashes: true })).toBe(true);
    expect(await start()).toBe(true);
  });

  it('tells a backup of which only what differs is put back', async () => {
    await start();
    await copyTo(backup());
    await start();
    // As `rsync --archive --delete` does: what has the same name, size and time stays as it is.
    const [now, then] = [await readdir(data), await readdir(backup())];
    for (const name of now) if (!then.includes(name)) await rm(path.join(data, name));
    for (const name of then) {
      const isEmpty = (await stat(path.join(backup(), name))).size === 0;
      if (isEmpty && now.includes(name)) continue;
      await cp(path.join(backup(), name), path.join(data, name), { preserveTimestamps: true });
    }
    expect(await start()).toBe(true);
  });
});
