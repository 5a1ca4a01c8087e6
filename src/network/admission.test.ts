/** Admission among addresses that one machine does not have: its connections are made up, its streams are not. */

import { EventEmitter } from 'node:events';
import type { Connection, Stream, StreamHandler } from '@libp2p/interface';
import { afterEach, expect, it, vi } from 'vitest';
import { MESH } from '../limits/mesh.ts';
import { nodeIdOf } from '../protocol/ids.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { startStranger, stopLoopbackNodes } from '../testing/loopback-mesh.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { encodeFrame } from './frames.ts';
import { Admission } from './hello.ts';

afterEach(stopLoopbackNodes);

const networkId = new Uint8Array(32);
const hello = { type: 'hello', networkId, name: 'raw', version: '1', features: [] };

/** Makes streams on which one message has been sent, all on one real connection. */
async function streams() {
  const [one, other] = [await startStranger(), await startStranger()];
  let arrived = Promise.withResolvers<Stream>();
  await other.handle('/test/1', (stream) => arrived.resolve(stream));
  const connection = await one.dial(other.getMultiaddrs());
  return async (message: object) => {
    arrived = Promise.withResolvers();
    const stream = await connection.newStream('/test/1');
    stream.send(encodeFrame(message));
    void stream.close().catch(() => {});
    return arrived.promise;
  };
}

async function setUp() {
  const makeStream = await streams();
  const emitter = new EventEmitter();
  let answer: StreamHandler | undefined;
  const refused: string[] = [];
  const admission = new Admission(
    {
      clock: new VirtualClock(),
      log: silentLogger,
      onViolation: () => {},
      own: () => ({ networkId, name: 'door', version: '1', features: [], revision: 0 }),
      accepts: () => true,
      isChosen: () => false,
    },
    { admitted: vi.fn(), left: vi.fn(), waiting: vi.fn(), refused: (node) => void refused.push(node), heard: vi.fn() },
  );
  const host = {
    addEventListener: (type: string, listener: (event: unknown) => void) => emitter.on(type, listener),
    handle: async (_protocol: string, handler: StreamHandler) => {
      answer = handler;
    },
  };
  await admission.attach(host as never);

  /** A peer with a key of its own that dials in from an address, and whose user has still to decide about this node. */
  let keys = 0;
  const come = async (from: string) => {
    const node = nodeIdOf(signerFromSeed(new Uint8Array(32).fill(++keys)).publicKey);
    const connection = {
      remotePeer: { toString: () => node },
      remoteAddr: { toString: () => `/ip4/${from}/tcp/1` },
      direction: 'inbound',
      status: 'open',
      close: async () => {
        connection.status = 'closed';
        emitter.emit('connection:close', { detail: connection });
      },
    };
    emitter.emit('connection:open', { detail: connection });
    const say = async (waiting: boolean) => {
      const stream = await makeStream({ ...hello, waiting });
      await answer?.(stream, connection as unknown as Connection);
    };
    await say(true);
    return { node, connection, say };
  };
  return { admission, refused, come, waiting: () => [...admission.waiting()].map(({ node }) => node) };
}

it('a waiting room that a few addresses have filled takes one from another address in, and the oldest there goes', async () => {
  const { admission, refused, come, waiting } = await setUp();
  const first = await come('10.0.0.1');
  for (let n = 1; n < MESH.maxWaiting; n++) await come(`10.0.0.${1 + Math.floor(n / MESH.maxWaitingPerAddress)}`);
  expect(waiting()).toHaveLength(MESH.maxWaiting);
  expect(refused).toEqual([]);
  const newcomer = await come('10.0.0.99');
  expect(waiting()).toHaveLength(MESH.maxWaiting);
  expect(waiting()).toContain(newcomer.node);
  expect(waiting()).not.toContain(first.node);
  expect([refused, first.connection.status]).toEqual([[first.node], 'closed']);
  // What was still on its way from the one that had to go finds nobody.
  await first.say(false);
  expect([admission.isAdmitted(first.node), waiting().includes(first.node)]).toEqual([false, false]);
  // Another one of an address that has its share is turned away as before.
  const { node } = await come('10.0.0.2');
  expect(waiting()).not.toContain(node);
});
