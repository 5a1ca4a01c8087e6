import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Connection } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../clock.ts';
import type { LedgerMesh } from '../ledger/entries/entry.ts';
import { Ingest } from '../ledger/intake/ingest.ts';
import { Hints } from '../ledger/sync/hints.ts';
import { Serve } from '../ledger/sync/serve.ts';
import { Sync } from '../ledger/sync/sync.ts';
import { LEDGER } from '../limits/ledger.ts';
import { encode } from '../protocol/cbor.ts';
import type { LedgerAnswer, LedgerAsk } from '../protocol/ledger.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { certify, FOUNDER, meshOf, Writer } from '../testing/ledger/authors.ts';
import { MemoryLedgerStore } from '../testing/ledger/memory-store.ts';
import {
  type LoopbackNode,
  type LoopbackOptions,
  startLoopbackNode,
  startStranger,
  stopLoopbackNodes,
} from '../testing/loopback-mesh.ts';
import { encodeFrame } from './frames.ts';
import { HELLO_PROTOCOL, LEDGER_PROTOCOL } from './protocols.ts';

// Every wait ends with its condition; the bound is for machines that are busy with something else.
vi.setConfig({ testTimeout: 30_000 });
afterEach(stopLoopbackNodes);

const soon = { timeout: 20_000, interval: 10 };
const never = new AbortController().signal;
const mesh = meshOf({ witnesses: 1, genesis: 1_000_000n });
const sealed = (items: readonly { sealed: Uint8Array }[]) => items.map((item) => item.sealed);

interface LedgerNode extends LoopbackNode {
  readonly ingest: Ingest;
  readonly sync: Sync;
  readonly hints: Hints;
}

/** A node with a ledger, as the node's wiring joins the two. */
async function start(options: LoopbackOptions & { of?: LedgerMesh } = {}): Promise<LedgerNode> {
  const { of = mesh, ...rest } = options;
  const store = new MemoryLedgerStore();
  const log = silentLogger;
  const ingest = await Ingest.load({ mesh: of }, { store, clock: systemClock, log, pause: () => nextTurn() });
  const serve = new Serve({ mesh: of }, { ingest, store, pause: () => nextTurn() });
  const node = await startLoopbackNode({
    networkId: mesh.networkId,
    ledger: {
      onHint: (bytes, from) => ingest.takeHint(bytes, from),
      answer: (ask) => serve.answer(ask),
    },
    ...rest,
  });
  const link = node.network.ledger;
  const sync = new Sync({ mesh: of }, { ingest, store, link, clock: systemClock, random: Math.random, log });
  const hints = new Hints({ ingest, link, clock: systemClock });
  hints.start();
  return Object.assign(node, { ingest, sync, hints });
}

async function joined(options: Parameters<typeof start>[0] = {}): Promise<[LedgerNode, LedgerNode]> {
  const one = await start();
  const other = await start({ ...options, bootstrap: [one.address()] });
  await vi.waitFor(() => expect([one.network.admitted(), other.network.admitted()]).toEqual([1, 1]), soon);
  return [one, other];
}

function history(of = mesh) {
  const founder = new Writer(of, FOUNDER);
  const a = new Writer(of, 'A');
  const grant = founder.transfer('A', 100n);
  return { founder, a, grant, entries: [grant, a.accept(grant), a.transfer('B', 10n)] };
}

/** A peer that has said hello, and speaks to `node` in raw frames. */
async function stranger(node: LoopbackNode, answering?: (connection: Connection) => void): Promise<Connection> {
  const raw = await startStranger();
  const connection = await raw.dial(multiaddr(node.address()));
  answering?.(connection);
  const hello = { type: 'hello', networkId: mesh.networkId, name: 'raw', version: '1', features: [] };
  (await connection.newStream(HELLO_PROTOCOL)).send(encodeFrame(hello));
  await vi.waitFor(() => expect(node.network.admitted()).toBeGreaterThan(0), soon);
  return connection;
}

describe('the ledger between nodes', () => {
  it('carries a hint of an own entry to everybody, over nodes between', async () => {
    const first = await start();
    const second = await start({ bootstrap: [first.address()] });
    const third = await start({ bootstrap: [first.address()] });
    await vi.waitFor(() => expect(first.network.admitted()).toBe(2), soon);
    const founder = new Writer(mesh, FOUNDER);
    const reached = () =>
      [second, third].every(({ ingest }) => ingest.ledger.counts().entries + ingest.waiting.size > 0);
    // Gossip begins a heartbeat after the peers have met.
    await vi.waitUntil(async () => {
      await first.ingest.own(founder.transfer('A', 1n));
      return reached();
    }, soon);
    await Promise.all([second, third].map((node) => node.sync.with(first.id)));
    expect(second.ingest.ledger.digest()).toBe(first.ingest.ledger.digest());
    expect(third.ingest.ledger.digest()).toBe(first.ingest.ledger.digest());
  });

  it('brings a node that was away up to date', async () => {
    const [one, other] = await joined();
    const { entries, grant } = history();
    await one.ingest.take({ entries: sealed(entries), attestations: sealed(certify(mesh, grant)) }, 'x');
    expect(other.network.ledger.peers()).toEqual([one.id]);
    expect(await other.sync.with(one.id)).toMatchObject({ taken: 4, failed: undefined });
    expect(other.ingest.ledger.digest()).toBe(one.ingest.ledger.digest());
    expect(other.ingest.ledger.status(grant)).toBe('final');
    expect(await other.sync.with(one.id)).toMatchObject({ isEqual: true });
    expect((await other.sync.head(one.id, grant.author, never)).map(({ id }) => id)).toEqual([grant.id]);
  });

  it('does not take the entries of another mesh, and makes their sender pay', async () => {
    const [one, other] = await joined();
    const foreign = history(meshOf({ network: 'another mesh', witnesses: 1, genesis: 1_000_000n }));
    one.network.ledger.publish(encode([sealed(foreign.entries), []]));
    const outcome = await other.ingest.take({ entries: sealed(foreign.entries) }, one.id);
    expect(outcome).toMatchObject({ taken: 0, bad: 3 });
    expect(other.ingest.ledger.counts().entries).toBe(0);
  });

  it('cuts off a peer that hints at forgeries', async () => {
    const node = await start();
    const { entries } = history();
    const [good] = sealed(entries);
    const forged = Uint8Array.from(good ?? []);
    forged[forged.length - 1]! ^= 1;
    expect(node.ingest.takeHint(encode([[forged], []]), 'x')).toBe('reject');
    expect(node.ingest.takeHint(encode([[good], []]), 'x')).toBe('accept');
    expect(node.ingest.takeHint(encode([[good], []]), 'x')).toBe('ignore');
    expect(node.ingest.takeHint(new Uint8Array(LEDGER.maxHintBytes + 1), 'x')).toBe('reject');
  });

  it('is not spoken in a mesh without credits', async () => {
    const silent = await startLoopbackNode({ networkId: mesh.networkId });
    const node = await start({ bootstrap: [silent.address()] });
    await vi.waitFor(() => expect(node.network.admitted()).toBe(1), soon);
    expect(await node.sync.with(silent.id)).toMatchObject({ failed: { code: 'peer_unreachable' } });
    // From then on it is no peer of the ledger.
    expect(node.network.ledger.peers()).toEqual([]);
  });

  it('opens no stream for a peer that has not said hello', async () => {
    const node = await start();
    const raw = await startStranger();
    const connection = await raw.dial(multiaddr(node.address()));
    const stream = await connection.newStream(LEDGER_PROTOCOL);
    stream.send(encodeFrame({ type: 'root' }));
    let received = 0;
    stream.addEventListener('message', ({ data }) => {
      received += data.byteLength;
    });
    await vi.waitFor(() => expect(stream.readableEnded || stream.status !== 'open').toBe(true), soon);
    expect(received).toBe(0);
  });
});

const rubbish: Record<string, Uint8Array> = {
  'random bytes': Uint8Array.from({ length: 300 }, (_, i) => (i * 7919) % 251),
  'an unknown question': encodeFrame({ type: 'joke' }),
  'an answer in place of a question': encodeFrame({ type: 'entries', entries: [], more: false }),
  'a group that there is not': encodeFrame({ type: 'lines', buckets: [LEDGER.buckets] }),
  'more accounts than may be asked for': encodeFrame({
    type: 'proofs',
    authors: Array.from({ length: LEDGER.maxAsked + 1 }, () => new Uint8Array(32)),
  }),
  'a negative sequence': encodeFrame({ type: 'chains', from: [[new Uint8Array(32), -1]] }),
};

describe('who answers', () => {
  it.each(Object.entries(rubbish))('resets a stream with %s, and answers the next one', async (_what, bytes) => {
    const node = await start();
    const connection = await stranger(node);
    expect(await say(connection, bytes)).toBe('reset');
    expect(await say(connection, encodeFrame({ type: 'root' }))).toBe('answer');
  });

  it('has a few streams of one peer open, and no more', async () => {
    const node = await start();
    const connection = await stranger(node);
    const open = await Promise.all(
      Array.from({ length: LEDGER.maxStreamsPerPeer + 4 }, () => connection.newStream(LEDGER_PROTOCOL)),
    );
    for (const stream of open) if (stream.writeStatus === 'writable') stream.send(encodeFrame({ type: 'root' }));
    await vi.waitFor(
      () => expect(open.filter(({ status }) => status === 'open').length).toBe(LEDGER.maxStreamsPerPeer),
      soon,
    );
  });

  it('ends the stream of a peer that asks without end, and takes no harm', async () => {
    const node = await start();
    const connection = await stranger(node);
    const stream = await connection.newStream(LEDGER_PROTOCOL);
    const asks = LEDGER.maxRequestsAtOnce + 2 * LEDGER.maxRequestsPerSecond;
    for (let count = 0; count < asks && stream.writeStatus === 'writable'; count++) {
      stream.send(encodeFrame({ type: 'root' }));
    }
    await vi.waitFor(() => expect(stream.status).not.toBe('open'), soon);
    expect(node.network.admitted()).toBe(1);
  });
});

describe('who asks', () => {
  it.each<[string, (ask: LedgerAsk) => LedgerAnswer | Promise<never>, object]>([
    [
      'answers another question',
      () => ({ type: 'attestations', attestations: [], more: false }),
      { code: 'protocol_violation' },
    ],
    ['breaks while it answers', () => Promise.reject(new Error('no')), { code: 'provider_lost' }],
  ])('gives up on a peer that %s', async (_what, answer, error) => {
    const liar = await start({ ledger: { onHint: () => 'ignore', answer: async (ask) => answer(ask) } });
    const node = await start({ bootstrap: [liar.address()] });
    await vi.waitFor(() => expect(node.network.admitted()).toBe(1), soon);
    expect(await node.sync.with(liar.id)).toMatchObject({ failed: error });
  });
});

/** Sends bytes on a ledger stream of its own. Tells whether an answer came. */
async function say(connection: Connection, bytes: Uint8Array): Promise<'answer' | 'reset'> {
  const stream = await connection.newStream(LEDGER_PROTOCOL);
  let received = 0;
  stream.addEventListener('message', ({ data }) => {
    received += data.byteLength;
  });
  if (stream.writeStatus === 'writable') stream.send(bytes);
  await vi.waitFor(() => expect(received > 0 || stream.readableEnded || stream.status !== 'open').toBe(true), soon);
  await stream.close().catch(() => {});
  return received > 0 ? 'answer' : 'reset';
}
