/** QUIC carries what TCP does. What a connection means does not depend on it, so this is a slice of the tests for TCP. */

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ProviderChannel } from '../jobs/ports.ts';
import { MESH } from '../limits/mesh.ts';
import { silentLogger } from '../telemetry/logger.ts';
import {
  type LoopbackOptions,
  startLoopbackNode,
  startStranger,
  stopLoopbackNodes,
  TEST_NETWORK_ID,
} from '../testing/loopback-mesh.ts';
import { encodeFrame } from './frames.ts';
import { HELLO_PROTOCOL, JOB_PROTOCOL } from './protocols.ts';
import { loadTransports } from './transports.ts';

// Every wait ends with its condition; the bound is for machines that are busy with something else.
vi.setConfig({ testTimeout: 30_000 });
afterEach(stopLoopbackNodes);

const soon = { timeout: 20_000, interval: 5 };
const never = new AbortController().signal;
const accepted = { type: 'accepted', digest: 'ab'.repeat(32) } as const;
const chunk = (seq: number) => ({ type: 'chunk', seq, tokens: 1, text: String(seq).padEnd(2000, '.') }) as const;
const end = { type: 'end', reason: 'stop' } as const;
const job = '0193a6c0-0000-7000-8000-000000000000';
const request = { type: 'request', job, model: 'words:latest', input: { kind: 'load' } } as const;

async function pair(onJob: (channel: ProviderChannel) => void | Promise<void>, options: LoopbackOptions = {}) {
  const quic: LoopbackOptions = { transports: ['quic'], ...options };
  const provider = await startLoopbackNode({ ...quic, onJob: (_from, _request, channel) => onJob(channel) });
  const requester = await startLoopbackNode({ ...quic, bootstrap: [provider.address()] });
  await vi.waitFor(() => expect(requester.network.admitted()).toBe(1), soon);
  return { provider, requester };
}

describe('over QUIC', () => {
  it('an answer comes whole, in order, and ends', async () => {
    const { provider, requester } = await pair((channel) => {
      channel.send(accepted);
      for (let seq = 0; seq < 200; seq++) channel.send(chunk(seq));
      channel.send(end);
      channel.close();
    });
    expect(requester.network.view(provider.id).transport).toBe('quic');
    const channel = await requester.network.openJob(provider.id, request, never);
    const answer: unknown[] = [];
    for (let message = await channel.receive(); message !== undefined; message = await channel.receive())
      answer.push(message);
    channel.close();
    expect(answer).toEqual([accepted, ...Array.from({ length: 200 }, (_, seq) => chunk(seq)), end]);
  });

  it.each([
    ['a cancel', 'cancel'],
    ['a reset, which looks like an end here', 'abort'],
  ] as const)('%s is heard while the connection stands', async (_what, how) => {
    const heard = Promise.withResolvers<unknown>();
    const { provider, requester } = await pair(async (channel) => {
      channel.send(accepted);
      const message = await channel.receive().catch(() => undefined);
      heard.resolve(message);
      channel.close();
    });
    const channel = await requester.network.openJob(provider.id, request, never);
    expect(await channel.receive()).toEqual(accepted);
    if (how === 'cancel') channel.send({ type: 'cancel' });
    else channel.abort(new Error('enough'));
    expect(await heard.promise).toEqual(how === 'cancel' ? { type: 'cancel' } : undefined);
    // It came by itself: QUIC has not given up a connection on which nobody answers.
    expect([provider, requester].map(({ network }) => network.admitted())).toEqual([1, 1]);
    channel.close();
  });

  it.each([
    ['goes away', 'provider'],
    ['breaks off', 'stream'],
  ])('a provider that %s is a failure, and never an end', async (_what, which) => {
    // A reset overtakes what was sent before it: it waits until that was read.
    const read = Promise.withResolvers<void>();
    const { provider, requester } = await pair((channel) => {
      channel.send(accepted);
      channel.send(chunk(0));
      if (which === 'stream') void read.promise.then(() => channel.abort(new Error('broken')));
    });
    const channel = await requester.network.openJob(provider.id, request, never);
    expect(await channel.receive()).toEqual(accepted);
    read.resolve();
    if (which === 'provider') await provider.network.stop();
    const rest = async () => {
      while ((await channel.receive()) !== undefined);
    };
    await expect(rest()).rejects.toMatchObject({ code: 'provider_lost' });
  });

  it('streams that are over make room for others', async () => {
    const { provider, requester } = await pair((channel) => {
      channel.send({ type: 'busy', queue: 1, estimateMs: 1 });
      channel.close();
    });
    for (let round = 0; round < MESH.quicStreams + 10; round++) {
      const channel = await requester.network.openJob(provider.id, request, never);
      expect(await channel.receive()).toMatchObject({ type: 'busy' });
      channel.close();
    }
  });

  it('rubbish ends its stream and nothing else', async () => {
    const onJob = vi.fn();
    const node = await startLoopbackNode({ transports: ['quic'], onJob });
    const stranger = await startStranger([], 'quic');
    const connection = await stranger.dial(multiaddr(node.address()));
    const hello = { type: 'hello', networkId: TEST_NETWORK_ID, name: 'raw', version: '1', features: [] };
    (await connection.newStream(HELLO_PROTOCOL)).send(encodeFrame(hello));
    await vi.waitFor(() => expect(node.network.admitted()).toBe(1), soon);
    const random = Uint8Array.from({ length: 3000 }, (_, i) => (i * 7919) % 251);
    const tooLong = Uint8Array.of(0xff, 0xff, 0xff, 0x7f);
    for (const bytes of [random, tooLong, encodeFrame({ type: 'joke' })]) {
      const stream = await connection.newStream(JOB_PROTOCOL);
      const ended = once(stream, 'end');
      stream.send(bytes);
      // A reset of the other side is an end here, as a close in order would be.
      await ended;
      stream.abort(new Error('done'));
    }
    expect(onJob).not.toHaveBeenCalled();
    expect(connection.status).toBe('open');
    expect(node.network.admitted()).toBe(1);
  });

  it('who has to be accepted waits, and comes in when both have', async () => {
    for (let round = 0; round < 5; round++) {
      const one = await startLoopbackNode({ transports: ['quic'], accept: 'confirm' });
      const other = await startLoopbackNode({ transports: ['quic'], accept: 'confirm', bootstrap: [one.address()] });
      await vi.waitFor(() => {
        expect([one, other].map(({ network }) => network.waiting().length)).toEqual([1, 1]);
      }, soon);
      await Promise.all([one.network.accept(other.id), other.network.accept(one.id)]);
      await vi.waitFor(() => {
        expect([one, other].map(({ network }) => network.admitted())).toEqual([1, 1]);
        expect(one.directory.get(other.id)).toBeDefined();
      }, soon);
      await stopLoopbackNodes();
    }
  });
});

describe('a node with both transports', () => {
  const both: LoopbackOptions = { transports: ['tcp', 'quic'] };

  it('says both addresses, TCP first, and is reached by either (G52, G85)', async () => {
    const node = await startLoopbackNode(both);
    const [first, second, ...more] = node.network.addresses();
    expect([first, second]).toEqual([
      expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\//),
      expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/udp\/\d+\/quic-v1\/p2p\//),
    ]);
    expect(more).toEqual([]);
    for (const [address, transport] of [
      [first, 'tcp'],
      [second, 'quic'],
    ] as const) {
      const peer = await startLoopbackNode({ ...both, bootstrap: [address!] });
      await vi.waitFor(() => expect(peer.network.admitted()).toBe(1), soon);
      expect(peer.network.view(node.id).transport).toBe(transport);
      await peer.stop();
    }
  });

  it('gives way to a free port when either is busy, and says so, unless this port was asked for', async () => {
    const udp = createSocket('udp4');
    udp.bind(0, '127.0.0.1');
    await once(udp, 'listening');
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const ports = [udp.address().port, (server.address() as { port: number }).port];
    try {
      for (const port of ports) {
        const node = await startLoopbackNode({ ...both, port, portIsConfigured: false });
        expect(node.listening?.tookFreePort).toBe(true);
        expect(node.network.addresses()).toHaveLength(2);
        expect(node.network.addresses().join()).not.toContain(`/${port}/`);
        await expect(startLoopbackNode({ ...both, port })).rejects.toMatchObject({
          code: 'port_in_use',
          message: `network.port: 127.0.0.1:${port} is in use by another program`,
        });
      }
    } finally {
      udp.close();
      server.close();
    }
  });

  it('knows that a program has ended without asking by QUIC, which would wait for an answer', async () => {
    const node = await startLoopbackNode(both);
    const peer = await startLoopbackNode({ ...both, bootstrap: [node.address()] });
    await vi.waitFor(() => expect(node.directory.get(peer.id)).toBeDefined(), soon);
    const quic = peer.network.addresses().find((address) => address.includes('/quic-v1')) ?? '';
    await peer.network.stop();
    const packets = vi.fn();
    const silent = createSocket('udp4').on('message', packets);
    silent.bind(Number(/\/udp\/(\d+)/.exec(quic)?.[1]), '127.0.0.1');
    await once(silent, 'listening');
    await vi.waitFor(() => expect(node.network.mayUse(peer.id)).toBe(false), soon);
    silent.close();
    expect(packets).not.toHaveBeenCalled();
  });
});

describe('a machine without the addon of QUIC', () => {
  it('does without it, and says so once; without TCP too it cannot be a node', async () => {
    vi.doMock('@chainsafe/libp2p-quic', () => {
      throw new Error('Cannot find native binding');
    });
    const warn = vi.fn();
    const log = { ...silentLogger, warn };
    expect((await loadTransports(['quic', 'tcp'], log)).names).toEqual(['tcp']);
    expect(warn).toHaveBeenCalledOnce();
    await expect(loadTransports(['quic'], log)).rejects.toMatchObject({ name: 'GoGridError' });
    vi.doUnmock('@chainsafe/libp2p-quic');
  });
});
