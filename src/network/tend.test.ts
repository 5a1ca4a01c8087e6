import { createServer } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../clock.ts';
import { startLoopbackMesh, startLoopbackNode, stopLoopbackNodes } from '../testing/loopback-mesh.ts';

// Every wait ends with its condition; the bound is for machines that are busy with something else.
vi.setConfig({ testTimeout: 30_000 });
afterEach(stopLoopbackNodes);

const soon = { timeout: 20_000, interval: 10 };
const portOf = (address: string) => Number(/\/tcp\/(\d+)/.exec(address)?.[1]);

describe('the bootstrap node', () => {
  it('may die and come back: both sides find each other again', async () => {
    const bootstrap = await startLoopbackNode();
    const address = bootstrap.address();
    const node = await startLoopbackNode({ bootstrap: [address], reconnectDelayMs: 100 });
    await vi.waitFor(() => expect(node.network.admitted()).toBe(1), soon);
    await bootstrap.stop();
    await vi.waitFor(() => expect(node.network.admitted()).toBe(0), soon);
    const again = await startLoopbackNode({ seed: bootstrap.seed, port: portOf(address), models: ['words:latest'] });
    expect(again.address()).toBe(address);
    await vi.waitFor(() => expect(node.directory.get(again.id)?.profile.models).toHaveLength(1), soon);
    await vi.waitFor(() => expect(again.directory.get(node.id)).toBeDefined(), soon);
  });

  it('may start later than those who join through it', async () => {
    const first = await startLoopbackNode();
    const address = first.address();
    await first.stop();
    const node = await startLoopbackNode({ bootstrap: [address], reconnectDelayMs: 10_000 });
    await startLoopbackNode({ seed: first.seed, port: portOf(address) });
    await vi.waitFor(() => expect(node.network.admitted()).toBe(1), soon);
  });
});

describe('a node that starts again with its clock set back', () => {
  it('is heard at once', async () => {
    const numberDisk = { number: 0 };
    const other = await startLoopbackNode();
    const node = await startLoopbackNode({ bootstrap: [other.address()], models: ['a:latest'], numberDisk });
    await vi.waitFor(() => expect(other.directory.get(node.id)).toBeDefined(), soon);
    await node.stop();
    await vi.waitFor(() => expect(other.directory.get(node.id)).toBeUndefined(), soon);
    const again = await startLoopbackNode({
      seed: node.seed,
      bootstrap: [other.address()],
      models: ['b:latest'],
      numberDisk,
      clock: { ...systemClock, now: () => systemClock.now() - 36 * 60_000 },
    });
    await vi.waitFor(() => expect(other.directory.get(again.id)?.profile.models[0]?.name).toBe('b:latest'), soon);
  });
});

describe('a mesh whose bootstrap node is gone', () => {
  it('stays together, and lets a node back in that remembers a peer', async () => {
    const saved = vi.fn<(addresses: readonly string[]) => void>();
    const knownPeers = { load: async () => saved.mock.lastCall?.[0] ?? [], save: saved };
    const [bootstrap, ...others] = await startLoopbackMesh(3);
    const node = await startLoopbackNode({ bootstrap: [bootstrap!.address()], knownPeers });
    await vi.waitFor(() => {
      for (const other of others) {
        expect(node.network.peers().map((peer) => peer.node)).toContain(other.id);
        expect(node.directory.get(other.id)).toBeDefined();
      }
    }, soon);
    await node.stop();
    expect(saved.mock.lastCall?.[0]).toEqual(expect.arrayContaining(others.map((other) => other.address())));
    await bootstrap!.stop();
    const back = await startLoopbackNode({ seed: node.seed, knownPeers });
    await vi.waitFor(() => expect(back.network.admitted()).toBe(2), soon);
  });
});

describe('a peer that is lost without a word', () => {
  it('is found out before a job is sent to it', async () => {
    const node = await startLoopbackNode();
    const peer = await startLoopbackNode({ bootstrap: [node.address()] });
    await vi.waitFor(() => expect(node.directory.get(peer.id)).toBeDefined(), soon);
    expect(node.network.view(peer.id)).toMatchObject({ connected: true, outOfReach: false });
    // Stopped without `leaving`: what a crash looks like from outside.
    await peer.network.stop();
    await vi.waitFor(() => expect(node.network.mayUse(peer.id)).toBe(false), soon);
    expect(node.directory.get(peer.id)).toBeDefined();
    expect(node.network.view(peer.id)).toMatchObject({ connected: false, outOfReach: true });
  });
});

describe('the port', () => {
  it('when busy and not asked for gives way to a free one, and says so', async () => {
    const taken = await startLoopbackNode();
    const port = portOf(taken.address());
    const node = await startLoopbackNode({ port, portIsConfigured: false });
    expect(portOf(node.address())).not.toBe(port);
    expect(node.listening).toEqual({ addresses: [node.address()], port: portOf(node.address()), tookFreePort: true });
    expect(taken.listening?.tookFreePort).toBe(false);
  });

  it('when busy and asked for is an error that names the address', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as { port: number };
    await expect(startLoopbackNode({ port })).rejects.toMatchObject({
      code: 'port_in_use',
      message: `network.port: 127.0.0.1:${port} is in use by another program`,
    });
    taken.close();
  });

  it('can be on IPv6', async () => {
    const node = await startLoopbackNode({ listen: ['::1'] });
    expect(node.address()).toMatch(/^\/ip6\/::1\/tcp\/\d+\/p2p\//);
    const peer = await startLoopbackNode({ bootstrap: [node.address()] });
    await vi.waitFor(() => expect(peer.network.admitted()).toBe(1), soon);
  });

  it.each([
    ['10.255.255.1', 'network.listen: 10.255.255.1 is not an address of this machine'],
    ['localhost', "network.listen: 'localhost' is not an IP address"],
  ])('on %s is an error of the configuration', async (listen, message) => {
    await expect(startLoopbackNode({ listen: [listen] })).rejects.toMatchObject({ code: 'invalid_config', message });
  });
});
