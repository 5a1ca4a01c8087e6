import { cp, mkdir, mkdtemp, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HOME } from '../limits/program.ts';
import { type HomePaths, locateHome } from './home.ts';
import { loadIdentity } from './key-file.ts';
import { markUnused, takeUnused } from './unused-key.ts';

const NOW = 1_800_000_000_000;

let folder = '';
let home: HomePaths;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gogrid-unused-'));
  home = homeIn('home');
  await mkdir(home.folder);
  await loadIdentity(home);
  await markUnused(home, NOW);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function homeIn(name: string): HomePaths {
  const hints = { env: {}, platform: process.platform, userFolder: '/', workingFolder: '/' };
  return locateHome({ ...hints, home: path.join(folder, name) });
}

describe('the mark of an unused key', () => {
  it('holds once', async () => {
    expect(await takeUnused(home, NOW)).toBe(true);
    expect(await takeUnused(home, NOW)).toBe(false);
  });

  it('holds for an hour, and never before it was made', async () => {
    expect(await takeUnused(home, NOW + HOME.unusedKeyMs + 1)).toBe(false);
    await markUnused(home, NOW);
    expect(await takeUnused(home, NOW - 1)).toBe(false);
  });

  it('goes along when the home is moved', async () => {
    await rename(home.folder, homeIn('moved').folder);
    expect(await takeUnused(homeIn('moved'), NOW)).toBe(true);
  });

  it('says nothing in a copy of the home, also in one that is put back in its place', async () => {
    const backup = homeIn('backup');
    await cp(home.folder, backup.folder, { recursive: true, preserveTimestamps: true });
    await rm(home.folder, { recursive: true });
    await rename(backup.folder, home.folder);
    expect(await takeUnused(home, NOW)).toBe(false);
  });

  it('says nothing once the file of the key was written again', async () => {
    const key = await readFile(home.identityKey);
    await writeFile(home.identityKey, key);
    await utimes(home.identityKey, 1, 1);
    expect(await takeUnused(home, NOW)).toBe(false);
  });

  it('is not there in a home that nobody marked', async () => {
    await mkdir(homeIn('other').folder);
    expect(await takeUnused(homeIn('other'), NOW)).toBe(false);
  });
});
