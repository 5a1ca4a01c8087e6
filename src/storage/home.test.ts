import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HOME } from '../limits/program.ts';
import {
  type HomeHints,
  locateHome,
  prepareHome,
  readMark,
  readSmallFile,
  removeMark,
  replaceFile,
  resolveInHome,
  writeMark,
} from './home.ts';

const hints = (more: Partial<HomeHints> = {}): HomeHints => ({
  home: undefined,
  env: {},
  platform: 'linux',
  userFolder: '/home/me',
  workingFolder: '/somewhere',
  ...more,
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gogrid-home-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const homeIn = (name: string) => locateHome(hints({ home: path.join(folder, name) }));
const modeOf = async (file: string) => (await stat(file)).mode & 0o777;

describe('the place of the home', () => {
  it('is the folder that was given, for everything', () => {
    const home = locateHome(hints({ home: 'mine', env: { XDG_CONFIG_HOME: '/c', XDG_DATA_HOME: '/d' } }));
    expect(home.folder).toBe('/somewhere/mine');
    expect(home.configFile).toBe('/somewhere/mine/config.toml');
    expect(home.logFile).toBe('/somewhere/mine/logs/gogrid.log');
    expect(locateHome(hints({ home: '~/g' })).folder).toBe('/home/me/g');
  });

  it('is what XDG says on Linux', () => {
    expect(locateHome(hints()).identityKey).toBe('/home/me/.local/share/gogrid/identity.key');
    expect(locateHome(hints()).configFile).toBe('/home/me/.config/gogrid/config.toml');
    const set = locateHome(hints({ home: '', env: { XDG_CONFIG_HOME: '/c', XDG_DATA_HOME: '/d' } }));
    expect([set.folder, set.configFile]).toEqual(['/d/gogrid', '/c/gogrid/config.toml']);
    expect(locateHome(hints({ env: { XDG_DATA_HOME: 'relative' } })).folder).toBe('/home/me/.local/share/gogrid');
  });

  it("is the system's own on macOS and Windows", () => {
    const mac = locateHome(hints({ platform: 'darwin', userFolder: '/Users/me', env: { XDG_DATA_HOME: '/d' } }));
    expect(mac.configFile).toBe('/Users/me/Library/Application Support/gogrid/config.toml');
    const windows = locateHome(hints({ platform: 'win32', env: { LOCALAPPDATA: '/local' } }));
    expect(windows.folder).toBe('/local/gogrid');
  });

  it("has a cache beside it, which is the user's own, whatever the home", () => {
    expect(locateHome(hints({ home: '/h' })).cacheFolder).toBe('/home/me/.cache/gogrid');
    expect(locateHome(hints({ env: { XDG_CACHE_HOME: '/c' } })).cacheFolder).toBe('/c/gogrid');
    expect(locateHome(hints({ env: { XDG_CACHE_HOME: 'relative' } })).cacheFolder).toBe('/home/me/.cache/gogrid');
    const mac = locateHome(hints({ platform: 'darwin', userFolder: '/Users/me', env: { XDG_CACHE_HOME: '/c' } }));
    expect(mac.cacheFolder).toBe('/Users/me/Library/Caches/gogrid');
    const windows = locateHome(hints({ home: '/h', platform: 'win32', env: { LOCALAPPDATA: '/local' } }));
    expect(windows.cacheFolder).toBe('/local/gogrid/cache');
    expect(locateHome(hints({ platform: 'win32' })).cacheFolder).toBe('/home/me/AppData/Local/gogrid/cache');
  });

  it('is where relative paths of settings begin', () => {
    const home = locateHome(hints({ home: '/h' }));
    expect(resolveInHome(home, '/home/me', 'a/b')).toBe('/h/a/b');
    expect(resolveInHome(home, '/home/me', '~/b')).toBe('/home/me/b');
    expect(resolveInHome(home, '/home/me', '/b')).toBe('/b');
  });
});

describe('preparing the home', () => {
  it('makes its folders for the user alone, and twice is no error', async () => {
    const home = homeIn('deep/er');
    await prepareHome(home);
    await prepareHome(home);
    for (const made of [home.folder, home.dataFolder, path.dirname(home.logFile)])
      expect(await modeOf(made)).toBe(0o700);
  });

  it('names the path that cannot be used', async () => {
    await writeFile(path.join(folder, 'file'), '');
    await expect(prepareHome(homeIn('file'))).rejects.toMatchObject({
      code: 'home_unusable',
      exit: 1,
      message: expect.stringContaining(path.join(folder, 'file')),
      hint: expect.stringContaining('--home'),
    });
    await expect(prepareHome(homeIn('file/below'))).rejects.toMatchObject({ code: 'home_unusable' });
    await expect(prepareHome(locateHome(hints({ home: '/proc/gogrid' })))).rejects.toMatchObject({
      code: 'home_unusable',
      message: expect.stringContaining('/proc/gogrid'),
    });
  });
});

describe('a file', () => {
  it('is replaced as a whole, keeps its mode, and leaves nothing beside it', async () => {
    const file = path.join(folder, 'config', 'config.toml');
    await replaceFile(file, 'one');
    expect(await modeOf(file)).toBe(0o600);
    const open = path.join(folder, 'open.toml');
    await writeFile(open, 'old', { mode: 0o644 });
    await replaceFile(open, 'new');
    expect(await readFile(open, 'utf8')).toBe('new');
    expect(await modeOf(open)).toBe(0o644);
    expect(await readdir(folder)).toEqual(['config', 'open.toml']);
    expect(await readdir(path.join(folder, 'config'))).toEqual(['config.toml']);
  });

  it('that is too large, or a folder, is not read', async () => {
    const file = path.join(folder, 'large');
    await writeFile(file, 'x'.repeat(101));
    await expect(readSmallFile(file, 100)).rejects.toMatchObject({ code: 'damaged' });
    expect(await readSmallFile(file, 101)).toHaveLength(101);
    await expect(readSmallFile(folder, 1e9)).rejects.toMatchObject({ code: 'home_unusable' });
    expect(await readSmallFile(path.join(folder, 'none'), 1)).toBeUndefined();
  });
});

describe('gogrid.lock', () => {
  const mark = { pid: process.pid, api: 'http://127.0.0.1:4301', startedAt: 1_700_000_000_000 };

  it('comes back as it was written, and goes with its own process only', async () => {
    const home = homeIn('h');
    await writeMark(home, mark);
    expect(await readMark(home)).toEqual(mark);
    await removeMark(home, mark.pid + 1);
    expect(await readMark(home)).toEqual(mark);
    await removeMark(home, mark.pid);
    expect(await readMark(home)).toBeUndefined();
  });

  it.each([
    '',
    'null',
    '{}',
    '{"pid":1}',
    '{"pid":0,"api":"http://a","startedAt":1}',
    '{"pid":1,"api":"x","startedAt":1}',
    'x'.repeat(HOME.maxLockBytes + 1),
  ])('that says nothing is none: %#', async (text) => {
    const home = homeIn('h');
    await prepareHome(home);
    await writeFile(home.lockFile, text);
    expect(await readMark(home)).toBeUndefined();
  });
});
