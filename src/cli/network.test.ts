/** The command with real homes on the disk, and against the real API. */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { network as networkSchema } from '../contract/network.ts';
import { GoGridError } from '../errors.ts';
import { readDescriptor } from '../protocol/descriptor-file.ts';
import { nodeIdOf } from '../protocol/ids.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { type HomePaths, locateHome } from '../storage/home.ts';
import { createMesh, reissueMesh, showMesh } from '../storage/network-file.ts';
import { type SmallApi, smallApi, testKey, testNetwork } from '../testing/small-api.ts';
import { type SmallWorldOptions, smallWorld } from '../testing/small-world.ts';
import { runCli } from './cli.ts';

let folder = '';
let paths: HomePaths;
let running: SmallApi | undefined;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gogrid-cli-network-'));
  const hints = { env: {}, platform: process.platform, userFolder: '/', workingFolder: '/' };
  paths = locateHome({ ...hints, home: path.join(folder, 'home') });
});
afterEach(async () => {
  await running?.api.stop(0);
  running = undefined;
  await rm(folder, { recursive: true, force: true });
});

const ADDRESS = '/ip4/192.168.1.10/tcp/8443/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo';

async function gogrid(args: readonly string[], more: SmallWorldOptions = {}) {
  const given = (setting: string) => (setting === '' ? undefined : setting);
  const small = smallWorld(['network', ...args], {
    home: {
      folder: paths.folder,
      mesh: {
        create: (plan) => createMesh(paths, plan),
        show: (setting) => showMesh(paths, given(setting)),
        reissue: (setting, changes) => reissueMesh(paths, given(setting), changes),
      },
    },
    ...more,
  });
  const code = await runCli(small.world);
  return { code, out: small.stdout(), err: small.stderr() };
}

describe('network create', () => {
  it('makes a mesh, and says what to give to others', async () => {
    const { code, out, err } = await gogrid(['create', '--name', 'home mesh', '--genesis', '9007199254740993']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain("The mesh 'home mesh' is made");
    expect(out).toContain(`gogrid up --network-descriptor ${paths.networkFile}`);
    expect(out).toMatch(/^credits +9,007,199,254\.740993 credits, in all$/m);
    expect(out).toMatch(/^admission +all$/m);
    const { core, terms } = readDescriptor(await readFile(paths.networkFile, 'utf8'));
    expect(core).toMatchObject({ name: 'home mesh', genesisMicrocredits: 9_007_199_254_740_993n });
    expect(core.createdAt).toBe(1_700_000_000_000);
    expect(terms.bootstrap).toEqual([]);
  });

  it('is an object for programs, of the form that the API has', async () => {
    const args = ['create', '--name', 'm', '--admission', 'confirm', '--bootstrap', ADDRESS, '--json'];
    const { out } = await gogrid(args);
    const made = networkSchema.parse(JSON.parse(out));
    expect(made).toMatchObject({ name: 'm', admission: 'confirm', bootstrap: [ADDRESS], isFounder: true, revision: 1 });
    expect(made).toMatchObject({ file: paths.networkFile, genesisMicrocredits: '0' });
    expect(JSON.parse((await gogrid(['show', '--json'])).out)).toEqual(made);
  });

  it('names the witnesses of its ledger', async () => {
    const [one, other] = [1, 2].map((seed) => nodeIdOf(signerFromSeed(new Uint8Array(32).fill(seed)).publicKey));
    const witnesses = ['--witness', `${one},${other}`, '--witness', `${one}`];
    const { code, out } = await gogrid(['create', '--name', 'm', '--genesis', '1', ...witnesses]);
    expect(code).toBe(0);
    expect(out).toMatch(new RegExp(`^witnesses +${one}\\n +${other}$`, 'm'));
    const { terms } = readDescriptor(await readFile(paths.networkFile, 'utf8'));
    expect(terms.witnesses.map(nodeIdOf)).toEqual([one, other]);
  });

  it.each([
    [['create'], /needs a name/],
    [['create', '--name', 'm', '--witness', 'kitchen'], /'kitchen' is not the PeerId of a node/],
    [['reissue', '--witness', 'x'], /reissue takes no --witness/],
    [['create', '--name', ''], /name is empty/],
    [['create', '--name', 'a\u0007b'], /cannot be printed/],
    [['create', '--name', 'local'], /'local'/],
    [['create', '--name', 'm', '--genesis', 'many'], /--genesis 'many' is not a whole number/],
    [['create', '--name', 'm', '--genesis', '1.5'], /--genesis '1.5' .*a million to the credit/],
    [['create', '--name', 'm', '--genesis=-1'], /--genesis/],
    [['create', '--name', 'm', '--genesis', '9223372036854775808'], /--genesis/],
    [['create', '--name', 'm', '--admission', 'friends'], /--admission 'friends' is none of/],
    [['create', '--name', 'm', '--admission', 'members'], /not built yet/],
    [
      ['create', '--name', 'm', '--bootstrap', '192.168.1.10:8443'],
      /--bootstrap '192.168.1.10:8443' is not a multiaddr/,
    ],
    [['show', '--name', 'm'], /show takes no --name/],
    [['reissue', '--genesis', '1'], /reissue takes no --genesis/],
    [['reissue'], /changes nothing/],
    [['join'], /cannot 'join'/],
    [['create', 'm'], /cannot 'create m'/],
  ])('%j ends with 2 and a sentence, and makes nothing', async (args, sentence) => {
    const { code, out, err } = await gogrid(args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(sentence);
    await expect(readFile(paths.networkFile)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('in a home that is not empty ends with 2 and says what is there', async () => {
    await gogrid(['create', '--name', 'm']);
    const { code, err } = await gogrid(['create', '--name', 'n']);
    expect(code).toBe(2);
    expect(err).toContain('identity.key, identity.unused, network.json');
  });
});

describe('network show', () => {
  it('of a fresh home is the mesh `local`', async () => {
    const { code, out } = await gogrid([]);
    expect(code).toBe(0);
    expect(out).toMatch(/^mesh +local$/m);
    expect(out).toMatch(/^founder +none/m);
  });

  it('asks the node that runs', async () => {
    running = await smallApi();
    const node = { api: running.url, key: testKey };
    expect(JSON.parse((await gogrid(['show', '--json'], { node })).out)).toEqual(testNetwork);
  });

  it('says which terms wait for a restart of the node', async () => {
    const changed = { ...testNetwork, admission: 'confirm', pendingRestart: ['admission'] } as const;
    const mesh = networkSchema.parse(changed);
    running = await smallApi({}, { descriptor: { show: () => mesh, reissue: async () => mesh } });
    const node = { api: running.url, key: testKey };
    expect((await gogrid(['show'], { node })).out).toMatch(/^admission +confirm\n +the node here .* restarted$/m);
    expect(JSON.parse((await gogrid(['show', '--json'], { node })).out)).toEqual(changed);
  });

  it('asks the home when the node that it names is gone', async () => {
    await gogrid(['create', '--name', 'm']);
    const node = { api: 'http://127.0.0.1:9', key: testKey };
    expect((await gogrid(['show'], { node })).out).toMatch(/^mesh +m$/m);
  });

  it('of a file that is damaged names it, exit 2', async () => {
    const { code, err } = await gogrid(['show'], { env: { GOGRID_NETWORK_DESCRIPTOR: '/nowhere/network.json' } });
    expect(code).toBe(2);
    expect(err).toContain('/nowhere/network.json');
  });
});

describe('network reissue', () => {
  it('signs on the disk when no node runs', async () => {
    await gogrid(['create', '--name', 'm']);
    const { code, out } = await gogrid(['reissue', '--bootstrap', ADDRESS, '--bootstrap', ADDRESS]);
    expect(code).toBe(0);
    expect(out).toContain("Revision 2 of the mesh 'm' is signed");
    expect(out).toContain('when this node runs');
    expect(readDescriptor(await readFile(paths.networkFile, 'utf8')).terms.bootstrap).toEqual([ADDRESS]);
    await gogrid(['reissue', '--bootstrap', '']);
    expect(readDescriptor(await readFile(paths.networkFile, 'utf8')).terms.bootstrap).toEqual([]);
  });

  it('lets the node that runs sign', async () => {
    const changes: unknown[] = [];
    running = await smallApi(
      {},
      {
        descriptor: {
          show: () => testNetwork,
          reissue: async (change) => {
            changes.push(change);
            return { ...testNetwork, revision: 7 };
          },
        },
      },
    );
    const node = { api: running.url, key: testKey };
    const { code, out } = await gogrid(['reissue', '--admission', 'confirm'], { node });
    expect(code).toBe(0);
    expect(out).toContain('Revision 7');
    expect(changes).toEqual([{ admission: 'confirm' }]);
  });

  it('is refused to all but the founder, exit 5', async () => {
    expect(await gogrid(['reissue', '--admission', 'all'])).toMatchObject({
      code: 5,
      err: expect.stringContaining("the mesh 'local' is part of the program"),
    });
    const refuse = async () => {
      throw new GoGridError({ code: 'not_founder', message: 'only the founder may' });
    };
    running = await smallApi({}, { descriptor: { show: () => testNetwork, reissue: refuse } });
    const node = { api: running.url, key: testKey };
    expect(await gogrid(['reissue', '--admission', 'all'], { node })).toMatchObject({
      code: 5,
      err: expect.stringContaining('only the founder may'),
    });
  });
});

describe('the API', () => {
  const ask = async (method: string, at: string, body?: unknown, key = testKey) => {
    running ??= await smallApi();
    return fetch(running.url + at, {
      method,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  };

  it('tells and changes the mesh, with the key', async () => {
    expect(networkSchema.parse(await (await ask('GET', '/network')).json())).toEqual(testNetwork);
    const reissued = await ask('POST', '/network/reissue', { bootstrap: [ADDRESS] });
    expect(networkSchema.parse(await reissued.json())).toMatchObject({ revision: 2, bootstrap: [ADDRESS] });
    expect((await ask('GET', '/network', undefined, 'b1'.repeat(32))).status).toBe(401);
    expect((await ask('POST', '/network/reissue', { bootstrap: [] }, 'b1'.repeat(32))).status).toBe(401);
  });

  it.each([
    [{}],
    [{ witnesses: [] }],
    [{ admission: 'friends' }],
    [{ bootstrap: 'x' }],
    [{ bootstrap: Array(65).fill(ADDRESS) }],
  ])('refuses %j', async (body) => {
    expect((await ask('POST', '/network/reissue', body)).status).toBe(400);
  });
});
