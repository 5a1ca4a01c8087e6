import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type HomePaths, locateHome, prepareHome } from './home.ts';
import { loadApiKey, loadIdentity, readApiKey } from './key-file.ts';

let home: HomePaths;
beforeEach(async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'gogrid-keys-'));
  home = locateHome({ home: folder, env: {}, platform: process.platform, userFolder: '/', workingFolder: '/' });
  await prepareHome(home);
});
afterEach(() => rm(home.folder, { recursive: true, force: true }));

const modeOf = async (file: string) => (await stat(file)).mode & 0o777;

describe.each([
  ['identity.key', loadIdentity, 44],
  ['api.key', loadApiKey, 43],
] as const)('%s', (name, load, chars) => {
  const file = () => path.join(home.folder, name);

  it('is made once, for its owner alone, as one line of text', async () => {
    const first = await load(home);
    expect(first).toMatchObject({ created: true, warning: undefined });
    expect(await load(home)).toEqual({ ...first, created: false });
    expect(await readFile(file(), 'utf8')).toMatch(/^[^\n]+\n$/);
    expect(await readFile(file(), 'utf8')).toHaveLength(chars + 1);
    expect(await modeOf(file())).toBe(0o600);
    expect(await readdir(home.folder)).toEqual([name, 'data', 'logs'].sort());
  });

  it('is the same for all who start at once', async () => {
    const values = await Promise.all(Array.from({ length: 8 }, () => load(home)));
    expect(new Set(values.map(({ value }) => Buffer.from(value).toString('hex'))).size).toBe(1);
    expect(values.filter(({ created }) => created)).toHaveLength(1);
  });

  it('that others could read is closed to them, with a warning', async () => {
    const { value } = await load(home);
    await chmod(file(), 0o644);
    const again = await load(home);
    expect(again.value).toEqual(value);
    expect(again.warning).toContain(file());
    expect(again.warning).toContain('644');
    expect(await modeOf(file())).toBe(0o600);
    expect((await load(home)).warning).toBeUndefined();
  });

  it.each(['', '\n', 'short', 'A'.repeat(45), `${'A'.repeat(42)}!`, 'A'.repeat(5000)])(
    'with %j in it is damaged',
    async (text) => {
      await writeFile(file(), text, { mode: 0o600 });
      await expect(load(home)).rejects.toMatchObject({ code: 'damaged', message: expect.stringContaining(file()) });
      expect(await readFile(file(), 'utf8')).toBe(text);
    },
  );

  it('never tells its content in an error', async () => {
    await writeFile(file(), 'secret-but-broken');
    await expect(load(home)).rejects.not.toMatchObject({ message: expect.stringContaining('secret-but-broken') });
  });

  it('that is a link to nowhere, or cannot be made, is an error', async () => {
    await symlink(path.join(home.folder, 'nowhere'), file());
    await expect(load(home)).rejects.toMatchObject({ code: 'damaged' });
    await rm(home.folder, { recursive: true });
    await expect(load(home)).rejects.toMatchObject({ code: 'home_unusable' });
  });
});

it('the identity is the 32 bytes that were drawn', async () => {
  const seed = Uint8Array.from({ length: 32 }, (_, index) => index);
  expect((await loadIdentity(home, () => seed)).value).toEqual(seed);
  expect((await loadIdentity(home)).value).toEqual(seed);
  expect(await readFile(home.identityKey, 'utf8')).toBe('AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n');
});

it('the API key is read by other commands, and not made by them', async () => {
  expect(await readApiKey(home)).toBeUndefined();
  const { value } = await loadApiKey(home);
  expect(value).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(await readApiKey(home)).toBe(value);
});
