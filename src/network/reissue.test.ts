/** A descriptor that is reissued, among real nodes. */

import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createDescriptor, type NetworkDescriptor, openDescriptor, reissue } from '../protocol/descriptor.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import {
  type LoopbackNode,
  type LoopbackOptions,
  startLoopbackNode,
  stopLoopbackNodes,
} from '../testing/loopback-mesh.ts';
import { networkNames } from './protocols.ts';

// Every wait ends with its condition; the bound is for machines that are busy with something else.
vi.setConfig({ testTimeout: 30_000 });
afterEach(stopLoopbackNodes);

const soon = { timeout: 20_000, interval: 10 };
const seed = Uint8Array.from(randomBytes(32));
const founder = signerFromSeed(seed);
const mesh = createDescriptor({ name: 'home', genesisMicrocredits: 0n, createdAt: 1 }, {}, founder);
const start = (options: LoopbackOptions = {}) => startLoopbackNode({ mesh, ...options });

const everybodyHas = (descriptor: NetworkDescriptor, nodes: readonly LoopbackNode[]) =>
  vi.waitFor(() => {
    for (const node of nodes) {
      expect(node.descriptor.current).toEqual(descriptor);
      expect(node.saved.at(-1)).toEqual(descriptor);
    }
  }, soon);

const connected = (nodes: readonly LoopbackNode[]) =>
  vi.waitFor(() => {
    for (const node of nodes) expect(node.network.admitted()).toBe(nodes.length - 1);
  }, soon);

/** Every node joins through the one before it; then all are connected, so that no new hello brings the news by itself. */
async function chain(size: number): Promise<LoopbackNode[]> {
  const nodes = [await start({ seed })];
  while (nodes.length < size) nodes.push(await start({ bootstrap: [nodes.at(-1)!.address()] }));
  await connected(nodes);
  return nodes;
}

describe('a reissued descriptor', () => {
  it('is with all five nodes, on the disk of each', async () => {
    const nodes = await chain(5);
    const next = await nodes[0]!.descriptor.reissue({ bootstrap: [nodes[4]!.address()] });
    await everybodyHas(next, nodes);
  });

  it('and another, and another: the last is with all', async () => {
    const nodes = await chain(3);
    for (let at = 0; at < 4; at++) await nodes[0]!.descriptor.reissue({ params: { at } });
    await everybodyHas(nodes[0]!.descriptor.current, nodes);
    expect(nodes[2]!.descriptor.current.terms).toMatchObject({ revision: 5, params: { at: 3 } });
    // Nobody took the news for an attack.
    for (const node of nodes) expect(node.events.filter(({ type }) => type === 'peer-left')).toEqual([]);
  });

  it('is learnt by who was away, from anybody who has it', async () => {
    const [first, second] = await chain(2);
    const next = await first!.descriptor.reissue({ params: { a: 1 } });
    await everybodyHas(next, [second!]);
    await first!.stop();
    const late = await start({ bootstrap: [second!.address()] });
    await everybodyHas(next, [late]);
  });

  it('is learnt by the side that was dialed, too', async () => {
    const older = await start();
    const next = reissue(mesh, { params: { a: 1 } }, founder);
    await start({ seed, mesh: next, bootstrap: [older.address()] });
    await everybodyHas(next, [older]);
  });

  it('signed twice in one revision is one and the same on all nodes in the end', async () => {
    const drawn = [1, 2].map((a) => reissue(mesh, { params: { a } }, founder));
    const [winner, loser] = drawn.toSorted((a, b) => Buffer.compare(a.hash, b.hash));
    const left = await start({ mesh: loser! });
    const leaf = await start({ mesh: loser!, bootstrap: [left.address()] });
    await connected([left, leaf]);
    await start({ mesh: winner!, bootstrap: [left.address()] });
    await everybodyHas(winner!, [left, leaf]);
  });

  it('names other nodes to join through, which are dialed at once', async () => {
    const [first, second] = await chain(2);
    // A part of the mesh that the first two have never heard of.
    const island = await start();
    const next = await first!.descriptor.reissue({ bootstrap: [island.address()] });
    first!.network.setBootstrap(next.terms.bootstrap);
    await vi.waitFor(() => expect(first!.network.peers().map(({ node }) => node)).toContain(island.id), soon);
    await everybodyHas(next, [second!, island]);
  });
});

describe('the question for a descriptor', () => {
  it('is answered with the signed one, and in a mesh that has none with nothing', async () => {
    const [first, second] = await chain(2);
    const signal = AbortSignal.timeout(10_000);
    const bytes = await second!.network.askDescriptor(first!.id, signal);
    expect(openDescriptor(bytes!)).toEqual(mesh);
    const bare = await startLoopbackNode();
    const asker = await startLoopbackNode({ bootstrap: [bare.address()] });
    await connected([bare, asker]);
    expect(await asker.network.askDescriptor(bare.id, signal)).toBeUndefined();
  });
});

describe('what carries the id of the mesh', () => {
  it('is every name of gossip and of the DHT', () => {
    const id = Buffer.from(mesh.networkId).toString('hex');
    for (const name of Object.values(networkNames(mesh.networkId))) expect(name).toContain(id);
  });
});

describe('nodes of two meshes, each with the other as bootstrap', () => {
  it('do not admit each other, tell each other nothing, and keep their own descriptors', async () => {
    const other = createDescriptor({ name: 'home', genesisMicrocredits: 0n, createdAt: 2 }, {}, founder);
    const ours = await start({ seed });
    const theirs = await start({ mesh: reissue(other, {}, founder), bootstrap: [ours.address()] });
    const ally = await start({ mesh: other, bootstrap: [theirs.address(), ours.address()] });
    ours.network.setBootstrap([theirs.address(), ally.address()]);
    await everybodyHas(theirs.descriptor.current, [ally]);
    await vi.waitFor(() => expect(theirs.network.admitted()).toBe(1), soon);
    expect(ours.network.admitted()).toBe(0);
    expect([...ours.directory.nodes()]).toEqual([]);
    expect(ours.descriptor.current).toEqual(mesh);
    expect(ours.saved).toEqual([]);
    expect(theirs.network.peers().map(({ node }) => node)).toEqual([ally.id]);
  });
});
