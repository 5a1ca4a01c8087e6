import type { Connection, Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { JOB } from '../limits/jobs.ts';
import { MESH } from '../limits/mesh.ts';
import {
  type LoopbackNode,
  startLoopbackNode,
  startStranger,
  stopLoopbackNodes,
  TEST_NETWORK_ID,
} from '../testing/loopback-mesh.ts';
import { encodeFrame } from './frames.ts';
import { HELLO_PROTOCOL, JOB_PROTOCOL, STATE_PROTOCOL } from './protocols.ts';

// Every wait ends with its condition; the bound is for machines that are busy with something else.
vi.setConfig({ testTimeout: 30_000 });
afterEach(stopLoopbackNodes);

const soon = { timeout: 20_000, interval: 10 };
const hello = { type: 'hello', networkId: TEST_NETWORK_ID, name: 'raw', version: '1', features: [] };
const head = { type: 'request', job: '0193a6c0-0000-7000-8000-000000000000', model: 'm:latest' };
const large = (bodyBytes: number) => encodeFrame({ ...head, bodyBytes });
const part = (bytes: number) => encodeFrame({ type: 'part', data: new Uint8Array(bytes) });
const small = encodeFrame({ ...head, input: { kind: 'load' } });
const random = Uint8Array.from({ length: 3000 }, (_, i) => (i * 7919) % 251);

/** A peer that says hello as it should, by hand. */
async function admitted(node: LoopbackNode): Promise<Connection> {
  const stranger = await startStranger();
  const connection = await stranger.dial(multiaddr(node.address()));
  (await connection.newStream(HELLO_PROTOCOL)).send(encodeFrame(hello));
  await vi.waitFor(() => expect(node.network.admitted()).toBeGreaterThan(0), soon);
  return connection;
}

const gone = (stream: Stream) => vi.waitFor(() => expect(stream.status).not.toBe('open'), soon);

/** What the peer sends, by what it is; each must end its stream and nothing else. */
const rubbish: Record<string, [protocol: string, bytes: Uint8Array][]> = {
  'random bytes': [STATE_PROTOCOL, JOB_PROTOCOL].map((protocol) => [protocol, random]),
  'a frame longer than the bound': [STATE_PROTOCOL, JOB_PROTOCOL].map((protocol) => [
    protocol,
    Uint8Array.of(0xff, 0xff, 0xff, 0x7f),
  ]),
  'CBOR that nests a hundred thousand deep': [STATE_PROTOCOL, JOB_PROTOCOL].map((protocol) => [
    protocol,
    Buffer.concat([Uint8Array.of(0xa0, 0x8d, 0x06), new Uint8Array(100_000).fill(0x81)]),
  ]),
  'a message of an unknown type': [STATE_PROTOCOL, JOB_PROTOCOL].map((protocol) => [
    protocol,
    encodeFrame({ type: 'joke' }),
  ]),
  'an ack of bytes that were never sent': [
    [STATE_PROTOCOL, encodeFrame({ type: 'ack', bytes: 1000 })],
    [JOB_PROTOCOL, Buffer.concat([small, encodeFrame({ type: 'ack', bytes: 1_000_000 })])],
  ],
  'a part without a request': [[JOB_PROTOCOL, part(10)]],
  'parts beyond what was announced': [[JOB_PROTOCOL, Buffer.concat([large(1000), part(600), part(600)])]],
  'parts of no bytes': [[JOB_PROTOCOL, Buffer.concat([large(1000), part(0)])]],
  'a body that is no job': [[JOB_PROTOCOL, Buffer.concat([large(1000), part(1000)])]],
  'two requests': [[JOB_PROTOCOL, Buffer.concat([small, small])]],
  'a request larger than any': [[JOB_PROTOCOL, large(JOB.maxRequestBytes + 1)]],
};

describe('a peer that sends', () => {
  it.each(Object.entries(rubbish))('%s loses the stream and keeps the connection', async (_what, attempts) => {
    const onJob = vi.fn();
    const node = await startLoopbackNode({ onJob });
    const connection = await admitted(node);
    for (const [protocol, bytes] of attempts) {
      const stream = await connection.newStream(protocol);
      stream.send(bytes);
      await gone(stream);
      expect(stream.status).toBe('reset');
    }
    expect(connection.status).toBe('open');
    expect(node.network.admitted()).toBe(1);
  });

  it('rubbish in place of hello is not admitted', async () => {
    const node = await startLoopbackNode();
    for (const bytes of [
      random,
      encodeFrame({ ...hello, networkId: new Uint8Array(3) }),
      encodeFrame({ type: 'get' }),
    ]) {
      const stranger = await startStranger();
      const connection = await stranger.dial(multiaddr(node.address()));
      const stream = await connection.newStream(HELLO_PROTOCOL);
      stream.send(bytes);
      await gone(stream);
    }
    expect(node.network.admitted()).toBe(0);
    // And the node still takes who speaks its language.
    const peer = await startLoopbackNode({ bootstrap: [node.address()] });
    await vi.waitFor(() => expect(peer.network.admitted()).toBe(1), soon);
  });

  it('rubbish again and again loses its connection', async () => {
    const node = await startLoopbackNode();
    const connection = await admitted(node);
    for (let i = 0; i <= MESH.maxBadPerMinute && connection.status === 'open'; i++) {
      const stream = await connection.newStream(JOB_PROTOCOL);
      stream.send(random);
      await gone(stream);
    }
    await vi.waitFor(() => expect(connection.status).not.toBe('open'), soon);
    expect(node.network.admitted()).toBe(0);
  });

  it('half a request and nothing more is cut off in time', async () => {
    const onJob = vi.fn();
    const node = await startLoopbackNode({ onJob });
    const connection = await admitted(node);
    const stream = await connection.newStream(JOB_PROTOCOL);
    stream.send(Buffer.concat([large(200_000), part(1000)]));
    await vi.waitFor(() => expect(stream.status).toBe('reset'), { timeout: JOB.openTimeoutMs + 3000, interval: 50 });
    expect(onJob).not.toHaveBeenCalled();
  });

  it('past the window, unread, loses the stream: memory stays bounded', async () => {
    const channels: unknown[] = [];
    const node = await startLoopbackNode({ onJob: (_from, _request, channel) => void channels.push(channel) });
    const connection = await admitted(node);
    const stream = await connection.newStream(JOB_PROTOCOL);
    stream.send(large(JOB.requestWindowBytes * 8));
    // Once it has seen a cancel nobody reads any more: what follows fills the inbox. Unknown fields make it large.
    const cancel = encodeFrame({ type: 'cancel', padding: 'x'.repeat(100_000) });
    for (let i = 0; i < 40 && stream.writeStatus === 'writable'; i++) stream.send(cancel);
    await gone(stream);
    expect(node.network.admitted()).toBe(1);
  });
});
