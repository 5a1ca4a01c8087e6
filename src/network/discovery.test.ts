import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, expect, it, vi } from 'vitest';
import { silentLogger } from '../telemetry/logger.ts';
import { startLoopbackNode, startStranger, stopLoopbackNodes, TEST_NETWORK_ID } from '../testing/loopback-mesh.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { recordKey } from './dht.ts';
import { Discovery } from './discovery.ts';
import { encodeFrame } from './frames.ts';
import { HELLO_PROTOCOL, networkNames } from './protocols.ts';

// Every wait ends with its condition; the bound is for machines that are busy with something else.
vi.setConfig({ testTimeout: 30_000 });
afterEach(stopLoopbackNodes);

const soon = { timeout: 20_000, interval: 20 };
const never = new AbortController().signal;
const MODEL = 'words:latest';

/** Bytes of multiaddrs whose text is of another shape, or that have none. */
const HOSTILE = {
  'dns4 with a slash': Uint8Array.from([0x36, 3, ...Buffer.from('a/b')]),
  'dnsaddr that is a slash': Uint8Array.from([0x38, 1, ...Buffer.from('/')]),
  'http-path that cannot be escaped': Uint8Array.from([0xe1, 0x03, 4, 0xf1, 0x82, 0xb4, 0xa9]),
};

it('names coordinators whose records hold addresses that nobody can read, and keeps those that can be', async () => {
  const { peerStore, peerId } = await startStranger();
  const ids = (await Promise.all([startStranger(), startStranger()])).map((stranger) => stranger.peerId);
  const good = multiaddr('/ip4/10.0.0.1/tcp/4001');
  const multiaddrs = [...Object.values(HOSTILE).map((bytes) => multiaddr(bytes)), good];
  const nobody = { toString: () => 'no name of a node' };
  const dht = {
    async *findProviders() {
      yield { name: 'PROVIDER', providers: [nobody, ...ids].map((id) => ({ id, multiaddrs })) };
    },
  };
  const discovery = new Discovery({
    host: { peerStore, services: { dht } } as never,
    self: peerId.toString(),
    accepts: () => true,
    dialer: { reach: () => Promise.reject(new Error('not asked for')) },
    state: { ask: () => Promise.reject(new Error('not asked for')) },
    directory: { get: () => undefined } as never,
    onWorkAdvertised: () => {},
    clock: new VirtualClock(),
    log: silentLogger,
  });
  const found = await discovery.findWork(MODEL, never, () => false);
  expect(found).toEqual([nobody, ...ids].map(String));
  for (const id of ids) {
    const { addresses } = await peerStore.get(id);
    expect(addresses.map((address) => address.multiaddr.toString())).toEqual([good.toString()]);
  }
});

/* ---- the same on the wire: Kademlia's messages by hand (kad-dht `message/dht.proto`) ---- */

const field = (tag: number, bytes: Uint8Array) => Buffer.concat([Uint8Array.of((tag << 3) | 2, bytes.length), bytes]);
const [KEY, CLOSER, PROVIDERS] = [2, 8, 9];
const ADD_PROVIDER = 2;

function message(type: number, ...fields: Uint8Array[]): Uint8Array {
  const body = Buffer.concat([Uint8Array.of(1 << 3, type), ...fields]);
  return Buffer.concat([Uint8Array.from([(body.length & 0x7f) | 0x80, body.length >>> 7]), body]);
}

it.each(Object.entries(HOSTILE))('lives with an admitted peer that has a record of %s', async (_, address) => {
  const { dhtProtocol } = networkNames(TEST_NETWORK_ID);
  const node = await startLoopbackNode({ models: [MODEL] });
  const hostile = await startStranger();
  const info = Buffer.concat([field(1, hostile.peerId.toMultihash().bytes), field(2, address)]);
  await hostile.handle('/ipfs/ping/1.0.0', (stream) => {
    stream.addEventListener('message', ({ data }) => stream.send(data));
  });
  await hostile.handle(dhtProtocol, (stream) => {
    stream.addEventListener('message', ({ data }) => {
      const [, , type = 0] = data.subarray();
      stream.send(message(type, field(CLOSER, info), field(PROVIDERS, info)));
    });
  });
  const hello = { type: 'hello', networkId: TEST_NETWORK_ID, name: 'raw', version: '1', features: [] };
  const connection = await hostile.dial(multiaddr(node.address()));
  (await connection.newStream(HELLO_PROTOCOL)).send(encodeFrame(hello));
  await vi.waitFor(() => expect(node.network.admitted()).toBe(1), soon);
  const key = recordKey('work', MODEL).multihash.bytes;
  (await connection.newStream(dhtProtocol)).send(message(ADD_PROVIDER, field(KEY, key), field(PROVIDERS, info)));
  await vi.waitFor(
    async () => expect(await node.network.findWork(MODEL, never, () => false)).toEqual([hostile.peerId.toString()]),
    soon,
  );
  expect(await node.network.findProviders(MODEL, never)).toBe(0);
  expect(node.network.admitted()).toBe(1);
});
