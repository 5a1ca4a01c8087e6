import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, Socket } from 'node:net';
import type { Libp2p, Stream } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { inOneWrite, noiseInOneWrite, withFewUpdates, yamuxWithFewUpdates } from './few-packets.ts';

vi.setConfig({ testTimeout: 30_000 });

const PROTOCOL = '/few-packets/1';
const soon = { timeout: 20_000, interval: 10 };
const hosts: Libp2p[] = [];
const wires: Server[] = [];

afterEach(async () => {
  await Promise.all(hosts.splice(0).map((host) => host.stop()));
  for (const wire of wires.splice(0)) wire.close();
});

async function startHost(): Promise<Libp2p> {
  const host = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noiseInOneWrite()],
    streamMuxers: [yamuxWithFewUpdates()],
  });
  hosts.push(host);
  return host;
}

/** A stream between two hosts, over a wire that counts what comes back from the one that listens. */
async function overCountedWire() {
  const far = await startHost();
  const target = far.getMultiaddrs()[0]!;
  const back: Buffer[] = [];
  const wire = createServer((near) => {
    const onward = connect(Number(/\/tcp\/(\d+)/.exec(target.toString())![1]), '127.0.0.1');
    near.pipe(onward).pipe(near);
    onward.on('data', (piece) => back.push(piece));
    for (const socket of [near, onward]) socket.on('error', () => undefined);
  });
  wires.push(wire);
  await once(wire.listen(0, '127.0.0.1'), 'listening');
  const incoming = Promise.withResolvers<Stream>();
  await far.handle(PROTOCOL, (stream) => incoming.resolve(stream));
  const near = await startHost();
  const { port } = wire.address() as AddressInfo;
  const stream = await near.dialProtocol(multiaddr(`/ip4/127.0.0.1/tcp/${port}/p2p/${far.peerId}`), PROTOCOL);
  const other = await incoming.promise;
  let received = 0;
  other.addEventListener('message', ({ data }) => {
    received += data.byteLength;
  });
  return { stream, received: () => received, bytesBack: () => back.reduce((sum, { length }) => sum + length, 0) };
}

describe('a stream', () => {
  it('that carries little is not answered piece by piece', async () => {
    const { stream, received, bytesBack } = await overCountedWire();
    stream.send(new Uint8Array(10));
    await vi.waitFor(() => expect(received()).toBe(10), soon);
    const before = bytesBack();
    for (let piece = 2; piece <= 100; piece++) {
      stream.send(new Uint8Array(10));
      await vi.waitFor(() => expect(received()).toBe(10 * piece), soon);
    }
    // A window update has 30 bytes, a ping too.
    expect(bytesBack() - before).toBeLessThan(5 * 30);
  });

  it('that carries many windows is never left without room', async () => {
    const { stream, received } = await overCountedWire();
    const megabyte = new Uint8Array(1024 * 1024);
    for (let sent = 0; sent < 16; sent++) if (!stream.send(megabyte)) await stream.onDrain();
    await vi.waitFor(() => expect(received()).toBe(16 * megabyte.length), soon);
  });
});

describe('a message', () => {
  it('leaves in one write', async () => {
    const writes = vi.spyOn(Socket.prototype as unknown as { _writev(chunks: unknown[]): void }, '_writev');
    const { stream, received } = await overCountedWire();
    const before = writes.mock.calls.length;
    stream.send(new Uint8Array(10));
    await vi.waitFor(() => expect(received()).toBe(10), soon);
    // The length and the message, together.
    const together = writes.mock.calls.slice(before).map(([chunks]) => chunks.length);
    expect(together).toContain(2);
  });
});

describe('a libp2p whose inside has other names', () => {
  const sendData = (): number => 1;
  const window = { state: 3, recvWindow: 100, recvWindowCapacity: 90 };

  it.each([
    ['no way in to its streams', {}],
    ['something else of that name', { _newStream: 'none' }],
  ])('works as it does by itself: a muxer with %s', (_, muxer) => {
    expect(withFewUpdates({ ...muxer })).toEqual(muxer);
  });

  it.each([
    ['no window', { ...window, recvWindow: undefined }],
    ['no count of what may still come', { ...window, recvWindowCapacity: undefined }],
    ['no state', { ...window, state: undefined }],
  ])('works as it does by itself: a stream with %s, which is updated each time', (_, inside) => {
    const sendWindowUpdate = vi.fn();
    const muxer = withFewUpdates({ _newStream: () => ({ ...inside, sendWindowUpdate }) });
    muxer._newStream().sendWindowUpdate();
    expect(sendWindowUpdate).toHaveBeenCalledOnce();
    // And one that has all of it is not.
    withFewUpdates({ _newStream: () => ({ ...window, sendWindowUpdate }) })
      ._newStream()
      .sendWindowUpdate();
    expect(sendWindowUpdate).toHaveBeenCalledOnce();
    expect(withFewUpdates({ _newStream: () => window })._newStream()).toBe(window);
  });

  it.each([
    ['no socket', { sendData }],
    ['a socket that gathers nothing', { socket: {}, sendData }],
    ['another way to send', { socket: { cork: () => {}, uncork: () => {} } }],
  ])('works as it does by itself: a connection with %s', (_, connection) => {
    expect(inOneWrite({ ...connection })).toEqual(connection);
  });
});
