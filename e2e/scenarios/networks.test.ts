/** Meshes of one's own: made, joined by their descriptor, kept apart, reissued. */

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Network, network as networkSchema } from '../../src/contract/network.ts';
import { openai, streamChat } from '../harness/clients.ts';
import { answerTo, generations } from '../harness/expected.ts';
import type { NodeProcess } from '../harness/node-process.ts';
import { type Stage, scenario, sharedStage } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

/** Makes a mesh in the home that the node of this name will have. */
async function create(stage: Stage, name: string, ...more: string[]): Promise<Network> {
  const home = path.join(stage.folder, name);
  const made = await stage.gogrid([
    'network',
    'create',
    '--home',
    home,
    '--name',
    `mesh of ${name}`,
    ...more,
    '--json',
  ]);
  expect(made).toMatchObject({ code: 0, stderr: '' });
  return networkSchema.parse(JSON.parse(made.stdout));
}

async function meshOf(node: NodeProcess): Promise<Network> {
  return networkSchema.parse(await node.get('/network'));
}

/** Waits until each of these nodes lists exactly the others, admitted. */
async function meet(...nodes: NodeProcess[]): Promise<void> {
  for (const node of nodes) {
    const others = nodes.filter((other) => other !== node).map(({ peerId }) => peerId);
    const seen = async () => {
      const peers = (await node.peers()).filter(({ status }) => status !== 'leaving');
      if (peers.some(({ admitted }) => !admitted)) throw new Error('one is not admitted');
      expect(peers.map(({ peerId }) => peerId).toSorted()).toEqual(others.toSorted());
      return true;
    };
    await until(seen, { what: `${node.name} to list ${others.length} others`, within: 20_000 });
  }
}

async function everybodyHas(revision: number, nodes: readonly NodeProcess[]): Promise<void> {
  for (const node of nodes) {
    const there = async () => {
      const file = JSON.parse(await readFile(path.join(node.home, 'network.json'), 'utf8'));
      expect({ node: (await meshOf(node)).revision, file: file.revision }).toEqual({ node: revision, file: revision });
      return true;
    };
    await until(there, { what: `${node.name} to have revision ${revision}`, within: 10_000 });
  }
}

scenario('a mesh of one’s own: joined by its file, apart from others, reissued', { within: 90_000 }, async (stage) => {
  const mesh = await create(stage, 'founder', '--genesis', '1000000000');
  const file = mesh.file ?? '';
  const engine = await stage.engine();
  const founder = await stage.node({ name: 'founder' });
  expect(founder.peerId).toBe(mesh.founder);
  const join = { bootstrap: founder.addresses, env: { GOGRID_NETWORK_DESCRIPTOR: file } };
  const worker = await stage.node({ ...join, name: 'worker', engineUrl: engine.url });
  const member = await stage.node({ ...join, name: 'member' });
  await meet(founder, worker, member);
  expect(await meshOf(member)).toMatchObject({ name: 'mesh of founder', networkId: mesh.networkId, isFounder: false });

  const ask = async (node: NodeProcess) => {
    const content = `${stage.random.word(8)} words=10`;
    const { text, provider } = await streamChat(openai(node), { content });
    expect({ text, provider }).toEqual({ text: answerTo(content), provider: worker.peerId });
  };
  await ask(founder);
  await ask(member);

  // Another mesh, and the default one, knock at the same door; that they see each other shows that they had the time.
  await create(stage, 'rival');
  const rival = await stage.node({ name: 'rival', bootstrap: founder.addresses });
  const env = { GOGRID_NETWORK_DESCRIPTOR: path.join(rival.home, 'network.json') };
  const ally = await stage.node({ name: 'ally', bootstrap: [...founder.addresses, ...rival.addresses], env });
  const local = await stage.node({ name: 'local', bootstrap: founder.addresses });
  await meet(rival, ally);
  await until(async () => (await local.runtime()).state === 'disconnected', { what: 'the lone node to say so' });
  await meet(founder, worker, member);
  expect(await local.peers()).toEqual([]);
  expect(await rival.models()).toEqual([]);
  const refused = await fetch(`${rival.api}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: 'words', messages: [{ role: 'user', content: 'hi' }] }),
  });
  expect(refused.status).toBe(404);
  expect(await generations(engine)).toHaveLength(2);

  // A reissue reaches those who are connected at once, and who is away when it comes back.
  await member.stop();
  const args = ['network', 'reissue', '--home', founder.home, '--json'];
  const reissued = await stage.gogrid([...args, '--bootstrap', founder.addresses.join(',')]);
  expect(reissued).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(reissued.stdout)).toMatchObject({ revision: 2, bootstrap: founder.addresses });
  await everybodyHas(2, [founder, worker]);
  const back = await stage.node({ ...join, name: 'member' });
  await everybodyHas(2, [back]);
  // The file that the setting still names was written over by the reissue only in the founder's home.
  expect((await meshOf(rival)).revision).toBe(1);

  // Nothing but network.json and the key tells them where the mesh is: no setting, no memory of peers.
  await Promise.all([worker.stop(), back.stop()]);
  await Promise.all([worker, back].map(({ home }) => rm(path.join(home, 'data'), { recursive: true })));
  const worker2 = await stage.node({ name: 'worker', engineUrl: engine.url });
  const member2 = await stage.node({ name: 'member' });
  expect(worker2.peerId).toBe(worker.peerId);
  await meet(founder, worker2, member2);
  await ask(member2);
});

scenario('a reissue while the founder is away from its mesh', { within: 60_000 }, async (stage) => {
  const mesh = await create(stage, 'founder');
  const founder = await stage.node({ name: 'founder' });
  const env = { GOGRID_NETWORK_DESCRIPTOR: mesh.file ?? '' };
  const near = await stage.node({ name: 'near', bootstrap: founder.addresses, env });
  // Knows the founder only over the one between.
  const far = await stage.node({ name: 'far', bootstrap: near.addresses, env });
  await meet(founder, near, far);
  await founder.stop();
  const port = founder.addresses[0]?.match(/\/tcp\/(\d+)/)?.[1] ?? '0';
  const reissued = await stage.gogrid([
    'network',
    'reissue',
    '--home',
    founder.home,
    '--bootstrap',
    near.addresses[0] ?? '',
  ]);
  expect(reissued).toMatchObject({ code: 0, stderr: '' });
  expect(reissued.stdout).toContain('when this node runs');
  expect((await meshOf(near)).revision).toBe(1);
  const again = await stage.node({ name: 'founder', env: { GOGRID_NETWORK_PORT: port } });
  await everybodyHas(2, [again, near, far]);
  await meet(again, near, far);
});

scenario(
  'a mesh whose founder wants each machine confirmed: no setting of one node opens it',
  { within: 40_000 },
  async (stage) => {
    const mesh = await create(stage, 'founder', '--admission', 'confirm');
    const founder = await stage.node({ name: 'founder', env: { GOGRID_NETWORK_ACCEPT: 'all' } });
    const env = { GOGRID_NETWORK_DESCRIPTOR: mesh.file ?? '', GOGRID_NETWORK_ACCEPT: 'all' };
    const member = await stage.node({ name: 'member', bootstrap: founder.addresses, env });
    for (const [node, other] of [
      [founder, member],
      [member, founder],
    ] as const) {
      const waits = async () => (await node.peers()).find(({ peerId }) => peerId === other.peerId)?.admitted === false;
      await until(waits, { what: `${other.name} to wait at ${node.name}` });
    }
    await founder.post('/mesh/accept', { peer: member.peerId });
    await member.post('/mesh/accept', { peer: founder.peerId });
    await meet(founder, member);
  },
);

describe('what is refused', () => {
  const shared = sharedStage('refused networks', async (stage) => {
    const mesh = await create(stage, 'one');
    const other = await create(stage, 'two');
    return { file: mesh.file ?? '', mesh, other };
  });
  const homeOf = (name: string) => path.join(shared().stage.folder, name);
  const up = (home: string, env: Record<string, string>) =>
    shared().stage.gogrid(['up', '--home', home], {
      env: {
        GOGRID_API_PORT: '0',
        GOGRID_NETWORK_PORT: '0',
        GOGRID_NETWORK_MDNS: 'false',
        GOGRID_ENGINE_KIND: 'none',
        ...env,
      },
    });

  test.each([
    ['an empty name', ['--name', ''], /name is empty/],
    ['a name that steers a terminal', ['--name', 'a\u001b[2Jb'], /cannot be printed/],
    ['no name', [], /--name/],
    ['credits in words', ['--name', 'm', '--genesis', 'many'], /'many' is not a whole number/],
    ['members', ['--name', 'm', '--admission', 'members'], /not built yet/],
  ])('a mesh with %s, exit 2', async (_, flags, sentence) => {
    const home = homeOf('nothing');
    const { code, stdout, stderr } = await shared().stage.gogrid(['network', 'create', '--home', home, ...flags]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(sentence);
    await expect(readFile(path.join(home, 'identity.key'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a mesh in a home that is not empty, exit 2, naming what lies there', async () => {
    const home = homeOf('used');
    await mkdir(home);
    await writeFile(path.join(home, 'holiday.jpg'), '');
    const { code, stderr } = await shared().stage.gogrid(['network', 'create', '--home', home, '--name', 'm']);
    expect(code).toBe(2);
    expect(stderr).toContain('holiday.jpg');
  });

  test('a descriptor that was changed, exit 2, and it stays as it is', async () => {
    const forged = homeOf('forged.json');
    const text = (await readFile(shared().file, 'utf8')).replace('"admission": "all"', '"admission": "confirm"');
    await writeFile(forged, text);
    const home = homeOf('forged');
    const given = await up(home, { GOGRID_NETWORK_DESCRIPTOR: forged });
    expect(given).toMatchObject({ code: 2, stdout: '' });
    expect(given.stderr).toMatch(/forged\.json is no valid network descriptor: the signature/);
    await writeFile(path.join(home, 'network.json'), text);
    const own = await up(home, {});
    expect(own.code).toBe(2);
    expect(own.stderr).toContain(path.join(home, 'network.json'));
    expect(await readFile(path.join(home, 'network.json'), 'utf8')).toBe(text);
  });

  test('the descriptor of another mesh later, exit 2, naming both; and none at all is its own mesh', async () => {
    const { stage, file, other, mesh } = shared();
    const node = await stage.node({ name: 'faithful', env: { GOGRID_NETWORK_DESCRIPTOR: file } });
    await node.stop();
    const { code, stderr } = await up(node.home, { GOGRID_NETWORK_DESCRIPTOR: other.file ?? '' });
    expect(code).toBe(2);
    expect(stderr).toContain("'mesh of one'");
    expect(stderr).toContain("'mesh of two'");
    const again = await stage.node({ name: 'faithful' });
    expect((await meshOf(again)).networkId).toBe(mesh.networkId);
    const shown = await stage.gogrid(['status', '--home', again.home]);
    expect(shown.stdout).toMatch(/^mesh +mesh of one/m);
  });

  test('a reissue by anybody but the founder, exit 5, with a node and without', async () => {
    const { stage, file } = shared();
    const reissue = (home: string) => stage.gogrid(['network', 'reissue', '--home', home, '--admission', 'all']);
    const node = await stage.node({ name: 'guest', env: { GOGRID_NETWORK_DESCRIPTOR: file } });
    for (const end of [async () => {}, () => node.stop()]) {
      await end();
      expect(await reissue(node.home)).toMatchObject({ code: 5, stderr: expect.stringContaining('only the founder') });
    }
    expect(await reissue(homeOf('fresh'))).toMatchObject({ code: 5, stderr: expect.stringContaining("'local'") });
  });
});
