import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock as clock } from '../clock.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { startLoopbackNode, startStranger, stopLoopbackNodes, TEST_NETWORK_ID } from '../testing/loopback-mesh.ts';
import { modelKey, ProviderRecords } from './dht.ts';
import { encodeFrame } from './frames.ts';
import { HELLO_PROTOCOL, networkNames } from './protocols.ts';

// Every wait ends with its condition; the bound is for machines that are busy with something else.
vi.setConfig({ testTimeout: 30_000 });
afterEach(stopLoopbackNodes);

const soon = { timeout: 20_000, interval: 20 };
const never = new AbortController().signal;

describe('the DHT', () => {
  it('leads a node whose directory knows nobody to a provider, and confirms it', async () => {
    const middle = await startLoopbackNode();
    const provider = await startLoopbackNode({ bootstrap: [middle.address()], models: ['words:latest'] });
    await vi.waitFor(async () => expect(await middle.network.findProviders('words:latest', never)).toBe(1), soon);
    // It joins, and does not take in what its peers tell it on joining.
    const asker = await startLoopbackNode({ bootstrap: [middle.address()], deaf: true });
    await vi.waitFor(() => expect(asker.network.admitted()).toBeGreaterThan(0), soon);
    expect([...asker.directory.nodes()]).toEqual([]);
    asker.facts.deaf = false;
    await vi.waitFor(async () => expect(await asker.network.findProviders('words:latest', never)).toBe(1), soon);
    expect(asker.directory.get(provider.id)?.profile.models[0]?.name).toBe('words:latest');
  });

  it('does not count a provider that is gone, or that has the model no more', async () => {
    const middle = await startLoopbackNode();
    const [gone, changed] = [
      await startLoopbackNode({ bootstrap: [middle.address()], models: ['words:latest'] }),
      await startLoopbackNode({ bootstrap: [middle.address()], models: ['words:latest'] }),
    ];
    const asker = await startLoopbackNode({ bootstrap: [middle.address()] });
    await vi.waitFor(async () => expect(await asker.network.findProviders('words:latest', never)).not.toBe(0), soon);
    await gone.stop();
    changed.facts.models = [];
    changed.announcer.profileChanged();
    await vi.waitFor(() => expect(asker.directory.get(changed.id)?.profile.models).toEqual([]), soon);
    const since = performance.now();
    expect(await asker.network.findProviders('words:latest', never)).toBe(0);
    expect(performance.now() - since).toBeLessThan(4000);
  });

  it('finds nobody for a model that nobody has, soon, and alone at once', async () => {
    const alone = await startLoopbackNode();
    expect(await alone.network.findProviders('words:latest', never)).toBe(0);
    const peer = await startLoopbackNode({ bootstrap: [alone.address()] });
    await vi.waitFor(() => expect(peer.network.admitted()).toBe(1), soon);
    expect(await peer.network.findProviders('nothing:latest', never)).toBe(0);
    expect(await peer.network.findProviders('nothing:latest', AbortSignal.abort())).toBe(0);
  });
});

describe('a walk through the DHT', () => {
  /** In the routing table of the node that it dialed, where it is admitted; whoever dials it hears that it has to wait. */
  async function startRaw(address: string) {
    const { dhtProtocol } = networkNames(TEST_NETWORK_ID);
    const stranger = await startStranger();
    const asked = new Set<string>();
    /** Who dialed it. */
    const dialers = new Set<string>();
    stranger.addEventListener('connection:open', ({ detail }) => {
      if (detail.direction === 'inbound') dialers.add(detail.remotePeer.toString());
    });
    await stranger.handle('/ipfs/ping/1.0.0', (stream) => {
      stream.addEventListener('message', ({ data }) => stream.send(data));
    });
    await stranger.handle(dhtProtocol, (_stream, { remotePeer }) => void asked.add(remotePeer.toString()));
    const hello = { type: 'hello', networkId: TEST_NETWORK_ID, name: 'raw', version: '1', features: [] };
    await stranger.handle(HELLO_PROTOCOL, (stream) => void stream.send(encodeFrame({ ...hello, waiting: true })));
    const connection = await stranger.dial(multiaddr(address));
    (await connection.newStream(HELLO_PROTOCOL)).send(encodeFrame({ ...hello, waiting: false }));
    return { id: stranger.peerId.toString(), asked, dialers };
  }

  it('leaves out whom this side does not accept, and asks nobody who has not let this node in', async () => {
    const middle = await startLoopbackNode();
    const stranger = await startRaw(middle.address());
    await vi.waitFor(() => expect(middle.network.admitted()).toBe(1), soon);
    const picky = await startLoopbackNode({ bootstrap: [middle.address()], accept: 'confirm' });
    await picky.network.accept(middle.id);
    const open = await startLoopbackNode({ bootstrap: [middle.address()] });
    // It lets everybody in, and so it goes where its peer sends it.
    await vi.waitFor(async () => {
      await open.network.findProviders('words:latest', never);
      expect(stranger.dialers).toContain(open.id);
    }, soon);
    await vi.waitFor(() => expect(open.network.view(stranger.id).waitsFor).toBe('there'), soon);
    await vi.waitFor(() => expect(picky.network.peers().map(({ node }) => node)).toEqual([middle.id]), soon);
    for (const { network } of [open, picky]) await network.findProviders('words:latest', never);
    expect(stranger.dialers).not.toContain(picky.id);
    expect([open.id, picky.id].filter((node) => stranger.asked.has(node))).toEqual([]);
  });

  it('takes no word of a provider that this side does not accept', async () => {
    const provider = (node: string) => ({ id: { toString: () => node }, multiaddrs: [] });
    const dht = {
      async *findProviders() {
        yield { name: 'PROVIDER', providers: ['stranger', 'friend'].map(provider) };
      },
    };
    const reached: string[] = [];
    const records = new ProviderRecords({
      dht: dht as never,
      self: 'self',
      accepts: (node) => node === 'friend',
      dialer: {
        reach: async (node) => {
          reached.push(node);
          throw new Error('away');
        },
      },
      state: { ask: vi.fn() },
      directory: { get: () => undefined } as never,
      clock,
      log: silentLogger,
    });
    expect(await records.find('words:latest', never)).toBe(0);
    expect(reached).toEqual(['friend']);
  });
});

describe('the key of a model', () => {
  it('is the CID version 1 of the SHA-256 of its name', () => {
    // printf 'model:words:latest' | sha256sum, as raw CIDv1 in base32.
    expect(modelKey('words:latest').toString()).toMatch(/^bafkrei[a-z2-7]{52}$/);
    expect(modelKey('words:latest').equals(modelKey('other:latest'))).toBe(false);
  });
});
