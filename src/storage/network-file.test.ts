import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDescriptor, LOCAL_DESCRIPTOR, type NetworkDescriptor, reissue } from '../protocol/descriptor.ts';
import { readDescriptor, writeDescriptor } from '../protocol/descriptor-file.ts';
import { nodeIdOf } from '../protocol/ids.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { openDatabase } from './database.ts';
import { type HomePaths, locateHome } from './home.ts';
import { loadIdentity } from './key-file.ts';
import { createMesh, findMesh, openMesh, reissueMesh, showMesh } from './network-file.ts';

let folder = '';
let home: HomePaths;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gogrid-network-'));
  home = homeIn('home');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function homeIn(name: string): HomePaths {
  const hints = { env: {}, platform: process.platform, userFolder: '/', workingFolder: '/' };
  return locateHome({ ...hints, home: path.join(folder, name) });
}

const signer = signerFromSeed(new Uint8Array(32).fill(9));
const mesh = createDescriptor({ name: 'home', genesisMicrocredits: 0n, createdAt: 1 }, {}, signer);
const other = createDescriptor({ name: 'other', genesisMicrocredits: 0n, createdAt: 1 }, {}, signer);
const address = `/ip4/192.168.1.10/tcp/8443/p2p/${nodeIdOf(signer.publicKey)}`;
const plan = { name: 'mine', genesisMicrocredits: 7n, createdAt: 5, terms: {} };

async function put(file: string, descriptor: NetworkDescriptor | string): Promise<string> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, typeof descriptor === 'string' ? descriptor : writeDescriptor(descriptor));
  return file;
}

const given = (descriptor: NetworkDescriptor | string) => put(path.join(folder, 'given.json'), descriptor);
const own = (descriptor: NetworkDescriptor | string) => put(home.networkFile, descriptor);

describe('the mesh of a home', () => {
  it('is `local` without any file, and none is written', async () => {
    expect((await openMesh(home, undefined)).descriptor).toBe(LOCAL_DESCRIPTOR);
    await expect(readdir(home.folder)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('is that of the given file, which is copied once and needed no more', async () => {
    const file = await given(mesh);
    expect(await openMesh(home, file)).toMatchObject({ descriptor: mesh, isNew: true });
    expect(readDescriptor(await readFile(home.networkFile, 'utf8'))).toEqual(mesh);
    expect(await openMesh(home, undefined)).toMatchObject({ descriptor: mesh, isNew: false });
    await rm(file);
    const found = await openMesh(home, file);
    expect(found.descriptor).toEqual(mesh);
    expect(found.notice).toContain(`${file}, which is not there`);
  });

  it('is never `local` when a file is named that is not there, not even the home’s own', async () => {
    for (const file of [home.networkFile, path.join(folder, 'missing.json')]) {
      await expect(openMesh(home, file)).rejects.toMatchObject({
        code: 'invalid_config',
        message: `network.descriptor names ${file}, and there is no such file`,
      });
    }
    await own(mesh);
    expect(await openMesh(home, home.networkFile)).toMatchObject({ descriptor: mesh, isNew: false, notice: undefined });
  });

  it('takes over a higher revision of the same mesh, and never a lower one', async () => {
    await own(mesh);
    const next = reissue(mesh, { bootstrap: [address] }, signer);
    expect((await openMesh(home, await given(next))).descriptor).toEqual(next);
    expect((await openMesh(home, await given(mesh))).descriptor).toEqual(next);
    expect(readDescriptor(await readFile(home.networkFile, 'utf8'))).toEqual(next);
  });

  it('does not change to another one: both are named, and nothing is overwritten', async () => {
    await own(mesh);
    const file = await given(other);
    await expect(openMesh(home, file)).rejects.toMatchObject({
      code: 'invalid_config',
      exit: 2,
      message: expect.stringMatching(/'home' \([0-9a-f]{12}…\).*given\.json.*'other' \([0-9a-f]{12}…\)/),
    });
    expect(readDescriptor(await readFile(home.networkFile, 'utf8'))).toEqual(mesh);
  });

  it('refuses members, whom nobody can check yet', async () => {
    const closed = createDescriptor(
      { name: 'club', genesisMicrocredits: 0n, createdAt: 1 },
      { admission: 'members' },
      signer,
    );
    await expect(openMesh(home, await given(closed))).rejects.toMatchObject({ code: 'not_built', exit: 2 });
  });

  const forged = writeDescriptor(mesh).replace('"home"', '"hone"');
  it.each([
    ['forged', forged, /signature/],
    ['no JSON', 'hello', /not JSON/],
    ['empty', '', /not JSON/],
    ['endless', ' '.repeat(200_000), /larger than/],
  ])('with a file that is %s is a fault that names the file, and the file stays as it is', async (_, text, why) => {
    const fault = (file: string) => ({
      code: 'invalid_descriptor',
      exit: 2,
      message: expect.stringMatching(new RegExp(`${path.basename(file)}.*${why.source}`)),
    });
    const file = await given(text);
    await expect(openMesh(home, file)).rejects.toMatchObject(fault(file));
    await own(text);
    await expect(openMesh(home, undefined)).rejects.toMatchObject(fault(home.networkFile));
    await expect(openMesh(home, await given(mesh))).rejects.toMatchObject(fault(home.networkFile));
    expect(await readFile(home.networkFile, 'utf8')).toBe(text);
  });

  it('with a given file that is not there, or is a folder, is a fault', async () => {
    const missing = path.join(folder, 'nowhere.json');
    await expect(openMesh(home, missing)).rejects.toMatchObject({ exit: 2, message: expect.stringContaining(missing) });
    await expect(openMesh(home, folder)).rejects.toMatchObject({ exit: 2, message: expect.stringContaining(folder) });
  });
});

describe('a new mesh', () => {
  it('has the identity of its home as founder', async () => {
    const shown = await createMesh(home, plan);
    const identity = await loadIdentity(home);
    expect(identity.created).toBe(false);
    const founder = nodeIdOf(signerFromSeed(identity.value).publicKey);
    expect(shown).toMatchObject({ name: 'mine', founder, isFounder: true, genesisMicrocredits: '7', revision: 1 });
    expect((await readdir(home.folder)).sort()).toEqual(['identity.key', 'identity.unused', 'network.json']);
    expect(await showMesh(home, undefined)).toEqual(shown);
  });

  it('is made in an empty folder too, and in no other', async () => {
    await mkdir(home.folder);
    await createMesh(home, plan);
    const before = await readFile(home.networkFile, 'utf8');
    await expect(createMesh(home, plan)).rejects.toMatchObject({
      code: 'usage',
      exit: 2,
      message: expect.stringContaining('there is identity.key, identity.unused, network.json'),
    });
    expect(await readFile(home.networkFile, 'utf8')).toBe(before);
  });

  it('that is out of bounds leaves nothing behind', async () => {
    await expect(createMesh(home, { ...plan, name: ' ' })).rejects.toMatchObject({ exit: 2 });
    await expect(createMesh(home, { ...plan, terms: { admission: 'members' } })).rejects.toMatchObject({
      code: 'not_built',
    });
    await expect(readdir(home.folder)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('made twice at once in one home is one mesh', async () => {
    const results = await Promise.allSettled([createMesh(home, plan), createMesh(home, plan)]);
    const made = results.filter(({ status }) => status === 'fulfilled');
    expect(made).toHaveLength(1);
    expect(await showMesh(home, undefined)).toEqual((made[0] as PromiseFulfilledResult<unknown>).value);
  });
});

describe('a reissue on the disk', () => {
  it('is signed by the founder, and holds from then on', async () => {
    await createMesh(home, plan);
    const next = await reissueMesh(home, undefined, { bootstrap: [address], admission: 'confirm' });
    expect(next).toMatchObject({ revision: 2, bootstrap: [address], admission: 'confirm', genesisMicrocredits: '7' });
    expect((await findMesh(home, undefined)).descriptor.terms.revision).toBe(2);
  });

  it('is nobody else’s, and changes nothing then', async () => {
    await own(mesh);
    await expect(reissueMesh(home, undefined, { bootstrap: [] })).rejects.toMatchObject({
      code: 'not_founder',
      exit: 5,
      message: expect.stringContaining(nodeIdOf(signer.publicKey)),
    });
    await expect(reissueMesh(homeIn('empty'), undefined, { bootstrap: [] })).rejects.toMatchObject({
      code: 'not_founder',
      message: expect.stringContaining("'local'"),
    });
    expect(readDescriptor(await readFile(home.networkFile, 'utf8'))).toEqual(mesh);
  });

  it('waits for no node: one that runs without a mark yet is found by its database', async () => {
    await createMesh(home, plan);
    const database = await openDatabase(home.dataFolder);
    await expect(reissueMesh(home, undefined, { bootstrap: [] })).rejects.toMatchObject({
      code: 'home_in_use',
      exit: 4,
    });
    await database.close();
    expect((await reissueMesh(home, undefined, { bootstrap: [] })).revision).toBe(2);
  });
});
