import { multiaddr } from '@multiformats/multiaddr';
import type { CID } from 'multiformats/cid';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { MESH } from '../limits/mesh.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { startLoopbackNode, startStranger, stopLoopbackNodes, TEST_NETWORK_ID } from '../testing/loopback-mesh.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { DhtRecords, type RecordKind, recordKey } from './dht.ts';
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
    expect(await asker.network.findProviders('words:latest', never)).toBe(0);
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

  it('takes no word of a node that this side does not accept, and none of one that is to be skipped', async () => {
    const dht = {
      ...fakeDht(),
      async *findProviders() {
        for (const nodes of [
          ['stranger', 'known'],
          ['friend', 'self'],
        ]) {
          yield { name: 'PROVIDER', providers: nodes.map((id) => ({ id: { toString: () => id }, multiaddrs: [] })) };
        }
      },
    };
    const records = recordsWith(dht, { accepts: (node) => node !== 'stranger' });
    const found: string[] = [];
    for await (const hits of records.find('words:latest', never, (node) => node === 'known')) {
      found.push(...hits.map(({ node }) => node));
    }
    expect(found).toEqual(['friend']);
  });

  it('does not end at an address that has no text', async () => {
    // An http-path (0x01e1) whose characters cannot be escaped.
    const unspeakable = multiaddr(Uint8Array.from([0xe1, 0x03, 4, 0xf1, 0x82, 0xb4, 0xa9]));
    expect(() => unspeakable.toString()).toThrow();
    const good = multiaddr('/ip4/10.0.0.1/tcp/4001');
    const dht = {
      ...fakeDht(),
      async *findProviders() {
        for (const id of ['hostile', 'other']) {
          yield { name: 'PROVIDER', providers: [{ id: { toString: () => id }, multiaddrs: [unspeakable, good] }] };
        }
      },
    };
    const found: unknown[] = [];
    for await (const hits of recordsWith(dht).find('words:latest', never)) found.push(...hits);
    const addresses = [good.toString()];
    expect(found).toEqual([
      { node: 'hostile', addresses },
      { node: 'other', addresses },
    ]);
  });
});

/** A DHT that writes down what is placed and taken out. */
function fakeDht() {
  const said: string[] = [];
  const dht = {
    said,
    takers: 1,
    async *provide(key: CID) {
      said.push(`+${nameOf(key)}`);
      for (let i = 0; i < dht.takers; i++) yield { name: 'PEER_RESPONSE', messageName: 'ADD_PROVIDER' };
    },
    async cancelReprovide(key: CID) {
      said.push(`-${nameOf(key)}`);
    },
    async *findProviders() {},
  };
  return dht;
}

const NAMES = ['a:latest', 'b:latest'];
const nameOf = (key: CID) =>
  NAMES.find((name) => recordKey('work', name).equals(key) || recordKey('model', name).equals(key));

function recordsWith(
  dht: object,
  more: { accepts?: (node: string) => boolean; clock?: VirtualClock; kind?: RecordKind } = {},
) {
  const { kind = 'work', clock = new VirtualClock(), accepts = () => true } = more;
  const renewMs = kind === 'work' ? MESH.workRenewMs : undefined;
  return new DhtRecords(
    { kind, self: 'self', settleMs: 1000, renewMs },
    { dht: dht as never, accepts, clock, log: silentLogger },
  );
}

describe('a work record', () => {
  async function placing(kind: RecordKind = 'work') {
    const clock = new VirtualClock();
    const dht = fakeDht();
    const records = recordsWith(dht, { clock, kind });
    records.onAdmitted();
    return { clock, records, dht, said: dht.said };
  }

  it('costs nothing when jobs waited for a moment only, however often', async () => {
    const { clock, records, said } = await placing();
    for (let i = 0; i < 50; i++) {
      records.provide(['a:latest']);
      await clock.advance(900);
      records.provide([]);
      await clock.advance(400);
    }
    expect(said).toEqual([]);
  });

  it('is placed when they have waited, renewed while they do, and left to run out', async () => {
    const { clock, records, said } = await placing();
    records.provide(['a:latest']);
    await clock.advance(999);
    expect(said).toEqual([]);
    await clock.advance(1);
    // Out of the own store at once: the DHT would renew what stands there for ever.
    expect(said).toEqual(['+a:latest', '-a:latest']);
    await clock.advance(MESH.workRenewMs);
    expect(said.filter((word) => word === '+a:latest')).toHaveLength(2);
    records.provide([]);
    await clock.advance(10 * MESH.workRenewMs);
    expect(said.filter((word) => word === '+a:latest')).toHaveLength(2);
    expect(clock.pending).toBe(0);
  });

  it('is not placed anew whenever a job waits again, but when the last one is old', async () => {
    const { clock, records, said } = await placing();
    for (let ms = 0; ms < MESH.workRenewMs; ms += 3000) {
      records.provide(['a:latest']);
      await clock.advance(2000);
      records.provide([]);
      await clock.advance(1000);
    }
    expect(said.filter((word) => word === '+a:latest')).toHaveLength(1);
    records.provide(['a:latest']);
    await clock.advance(2000);
    expect(said.filter((word) => word === '+a:latest')).toHaveLength(2);
  });

  it('of another model does not wait for the renewal of the first', async () => {
    const { clock, records, said } = await placing();
    records.provide(['a:latest']);
    await clock.advance(1000);
    records.provide(NAMES);
    await clock.advance(1000);
    expect(said).toEqual(['+a:latest', '-a:latest', '+b:latest', '-b:latest']);
  });

  it('that nobody took is tried again, with pauses that grow to a bound', async () => {
    const { clock, records, dht, said } = await placing();
    dht.takers = 0;
    records.provide(['a:latest']);
    await clock.advance(10 * MESH.dhtRetryMs);
    const tries = said.filter((word) => word === '+a:latest').length;
    expect(tries).toBeGreaterThan(9);
    expect(tries).toBeLessThan(18);
    dht.takers = 1;
    await clock.advance(MESH.dhtRetryMs);
    expect(said.filter((word) => word === '+a:latest')).toHaveLength(tries + 1);
  });

  it('waits for a peer: the DHT provides to nobody without a word', async () => {
    const clock = new VirtualClock();
    const dht = fakeDht();
    const records = recordsWith(dht, { clock });
    records.provide(['a:latest']);
    await clock.advance(60_000);
    expect(dht.said).toEqual([]);
    records.onAdmitted();
    await clock.advance(1000);
    expect(dht.said).toEqual(['+a:latest', '-a:latest']);
  });
});

describe('the record of a model', () => {
  it('is placed once and left to the DHT to renew, until the model goes', async () => {
    const clock = new VirtualClock();
    const dht = fakeDht();
    const records = recordsWith(dht, { clock, kind: 'model' });
    records.onAdmitted();
    records.provide(NAMES);
    await clock.advance(3_600_000);
    expect(dht.said).toEqual(['+a:latest', '+b:latest']);
    records.provide(['a:latest']);
    expect(dht.said.at(-1)).toBe('-b:latest');
    // Gone and come again: the DHT has forgotten to renew it.
    records.provide(NAMES);
    await clock.advance(1000);
    expect(dht.said.at(-1)).toBe('+b:latest');
  });

  it('is placed again among twice as many peers', async () => {
    const clock = new VirtualClock();
    const dht = fakeDht();
    const records = recordsWith(dht, { clock, kind: 'model' });
    for (let i = 0; i < 3; i++) records.onAdmitted();
    records.provide(['a:latest']);
    await clock.advance(1000);
    for (let i = 0; i < 2; i++) records.onAdmitted();
    await clock.advance(10_000);
    expect(dht.said).toEqual(['+a:latest']);
    records.onAdmitted();
    await clock.advance(10_000);
    expect(dht.said).toEqual(['+a:latest', '+a:latest']);
  });
});

describe('a key in the DHT', () => {
  it('is the CID version 1 of the SHA-256 of kind and name', () => {
    // printf 'model:words:latest' | sha256sum, as raw CIDv1 in base32.
    expect(recordKey('model', 'words:latest').toString()).toMatch(/^bafkrei[a-z2-7]{52}$/);
    expect(recordKey('model', 'words:latest').equals(recordKey('model', 'other:latest'))).toBe(false);
    expect(recordKey('model', 'words:latest').equals(recordKey('work', 'words:latest'))).toBe(false);
  });
});
