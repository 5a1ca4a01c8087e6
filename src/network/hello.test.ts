import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import type { Connection } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../clock.ts';
import { MESH } from '../limits/mesh.ts';
import { LOCAL_NETWORK, networkIdOf } from '../protocol/ids.ts';
import { silentLogger } from '../telemetry/logger.ts';
import {
  buildLoopbackNode,
  startLoopbackNode,
  startStranger,
  stopLoopbackNodes,
  TEST_NETWORK_ID,
} from '../testing/loopback-mesh.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { encodeFrame } from './frames.ts';
import { Admission } from './hello.ts';
import { createHost, type Host } from './libp2p.ts';
import { HELLO_PROTOCOL, JOB_PROTOCOL, networkNames, STATE_PROTOCOL } from './protocols.ts';
import { loadTransports } from './transports.ts';

// Every wait ends with its condition; the bound is for machines that are busy with something else.
vi.setConfig({ testTimeout: 30_000 });
afterEach(stopLoopbackNodes);

const soon = { timeout: 20_000, interval: 10 };

describe('two nodes of one mesh', () => {
  it('admit each other, and know each other’s name, version, profile and beat (G44)', async () => {
    const older = await startLoopbackNode({ models: ['words:latest'] });
    const younger = await startLoopbackNode({ bootstrap: [older.address()] });
    for (const [node, other] of [
      [older, younger],
      [younger, older],
    ] as const) {
      await vi.waitFor(() => expect(node.directory.get(other.id)).toBeDefined(), soon);
      await vi.waitFor(() => expect(node.network.latencyMs(other.id)).toBeDefined(), soon);
      const view = { node: other.id, name: 'desk', version: '0.1.0', admitted: true, connected: true, route: 'direct' };
      expect(node.network.peers()).toEqual([expect.objectContaining(view)]);
      expect(node.network.admitted()).toBe(1);
      expect(node.network.mayUse(other.id)).toBe(true);
      expect(node.events).toEqual([{ type: 'peer-admitted', node: other.id, name: 'desk', version: '0.1.0' }]);
    }
    expect(younger.directory.get(older.id)?.profile.models[0]?.name).toBe('words:latest');
  });

  it('tell when a peer is gone, and forget one that said it leaves', async () => {
    const a = await startLoopbackNode();
    const c = await startLoopbackNode({ bootstrap: [a.address()] });
    // Gossip runs between them from here on.
    await vi.waitFor(() => {
      c.facts.status = c.facts.status === 'busy' ? 'idle' : 'busy';
      c.network.publishBeat(c.announcer.own().beat);
      expect(a.directory.get(c.id)?.beat.status).toBe('busy');
    }, soon);
    await c.stop();
    await vi.waitFor(() => expect(a.events.at(-1)).toEqual({ type: 'peer-left', node: c.id }), soon);
    await vi.waitFor(() => expect(a.directory.get(c.id)).toBeUndefined(), soon);
    expect(a.network.peers().map(({ node }) => node)).not.toContain(c.id);
  });
});

describe('a node of another mesh', () => {
  const otherNetwork = networkIdOf({ ...LOCAL_NETWORK, name: 'elsewhere' });

  it('is refused, disconnected, and not dialed again at once', async () => {
    const node = await startLoopbackNode();
    // A port that takes connections and says nothing libp2p knows: a node that is only out of order is tried again and again.
    let tries = 0;
    const deaf = createServer((socket) => {
      tries++;
      socket.destroy();
    });
    await once(deaf.listen(0, '127.0.0.1'), 'listening');
    const somebody = buildLoopbackNode().id;
    const deafAddress = `/ip4/127.0.0.1/tcp/${(deaf.address() as AddressInfo).port}/p2p/${somebody}`;
    const opened = vi.fn();
    const watch = setInterval(() => node.network.view(other.id).connected && opened(), 1);
    const other = await startLoopbackNode({
      networkId: otherNetwork,
      bootstrap: [node.address(), deafAddress],
      reconnectDelayMs: 20,
    });
    await vi.waitFor(() => expect(opened).toHaveBeenCalled(), soon);
    await vi.waitFor(() => expect(node.network.view(other.id).connected).toBe(false), soon);
    opened.mockClear();
    const triesBefore = tries;
    await vi.waitFor(() => expect(tries).toBeGreaterThan(triesBefore + 2), soon);
    clearInterval(watch);
    deaf.close();
    expect(opened).not.toHaveBeenCalled();
    expect([node.events, other.events]).toEqual([[], []]);
    expect([...node.directory.nodes(), ...other.directory.nodes()]).toEqual([]);
  });
});

/** A stranger that says hello by hand on a connection of its own, and does not let this node in. */
async function startRaw(node: { address(): string }) {
  const stranger = await startStranger();
  const connect = () => stranger.dial(multiaddr(node.address()), { force: true });
  const say = async (connection: Connection, waiting: boolean) => {
    const stream = await connection.newStream(HELLO_PROTOCOL);
    const hello = { type: 'hello', networkId: TEST_NETWORK_ID, name: 'raw', version: '1', features: [], waiting };
    stream.send(encodeFrame(hello));
    await stream.close().catch(() => {});
  };
  return { id: stranger.peerId.toString(), connect, say };
}

describe('a full waiting room', () => {
  it('keeps nobody out who does not have to wait: not who dials, and not who is dialed', async () => {
    const seed = await startLoopbackNode();
    for (let n = 0; n < MESH.maxWaitingPerAddress; n++) {
      const { connect, say } = await startRaw(seed);
      await say(await connect(), true);
    }
    await vi.waitFor(() => expect(seed.network.waiting()).toHaveLength(MESH.maxWaitingPerAddress), soon);
    const dialing = await startLoopbackNode({ bootstrap: [seed.address()] });
    await vi.waitFor(() => expect(seed.network.peers().map(({ node }) => node)).toEqual([dialing.id]), soon);
    await dialing.stop();
    const dialed = await startLoopbackNode();
    seed.network.setBootstrap([dialed.address()]);
    await vi.waitFor(() => expect(seed.network.peers().map(({ node }) => node)).toEqual([dialed.id]), soon);
    // Who would have to wait is still turned away.
    const { id, connect, say } = await startRaw(seed);
    const connection = await connect();
    await say(connection, true);
    await vi.waitFor(() => expect(connection.status).not.toBe('open'), soon);
    expect(seed.network.waiting().map(({ node }) => node)).not.toContain(id);
  });
});

/** A host with nothing on it but admission, so that a test sees when each of its connections is gone. */
async function startDoor() {
  const events = { admitted: vi.fn(), left: vi.fn(), waiting: vi.fn(), refused: vi.fn(), heard: vi.fn() };
  const networkId = TEST_NETWORK_ID;
  const admission = new Admission(
    {
      clock: systemClock,
      log: silentLogger,
      onViolation: () => {},
      own: () => ({ networkId: Uint8Array.from(networkId), name: 'door', version: '1', features: [], revision: 0 }),
      accepts: () => true,
      isChosen: () => false,
    },
    events,
  );
  const transports = await loadTransports(['tcp'], silentLogger);
  const listen = ['/ip4/127.0.0.1/tcp/0'];
  const host = await createHost(
    {
      seed: randomBytes(32),
      version: '1',
      names: networkNames(networkId),
      listen,
      transports,
      isBlocked: () => false,
      onRecord: () => {},
    },
    admission,
  );
  await admission.attach(host);
  await host.start();
  hosts.push(host);
  const connections = (id: string) => host.getConnections(peerIdFromString(id)).length;
  return { admission, events, connections, address: () => host.getMultiaddrs()[0]!.toString() };
}

const hosts: Host[] = [];
afterEach(async () => {
  await Promise.all(hosts.splice(0).map((host) => host.stop()));
});

describe('a peer that comes back on another connection before its old one is closed', () => {
  /** Its old connection, on which it was admitted, is closed; on the young one it has still to say hello. */
  async function comeBack() {
    const door = await startDoor();
    const { id, connect, say } = await startRaw(door);
    const old = await connect();
    await say(old, false);
    await vi.waitFor(() => expect(door.events.admitted).toHaveBeenCalledOnce(), soon);
    const young = await connect();
    await vi.waitFor(() => expect(door.connections(id)).toBe(2), soon);
    await old.close();
    await vi.waitFor(() => expect(door.connections(id)).toBe(1), soon);
    return { ...door, id, young, say };
  }

  it('stays', async () => {
    const { admission, events, id, young, say } = await comeBack();
    expect(admission.isAdmitted(id)).toBe(true);
    await say(young, false);
    await vi.waitFor(() => expect(events.heard).toHaveBeenCalledTimes(2), soon);
    expect(admission.isAdmitted(id)).toBe(true);
    expect([events.left.mock.calls, young.status]).toEqual([[], 'open']);
  });

  it.each([
    ['never says hello', undefined],
    ['has not let this node in', true],
  ])('goes, when on the new one it %s', async (_what, waiting) => {
    const { admission, events, id, young, say } = await comeBack();
    if (waiting !== undefined) await say(young, waiting);
    await vi.waitFor(() => expect(events.left).toHaveBeenCalledOnce(), soon);
    expect(admission.isAdmitted(id)).toBe(false);
    await vi.waitFor(() => expect(young.status).not.toBe('open'), soon);
  });
});

describe('a peer that never says hello', () => {
  it('gets nothing: no gossip, no stream, no place in the list, and is disconnected', async () => {
    const node = await startLoopbackNode();
    const stranger = await startStranger();
    const { beatTopic, profileTopic } = networkNames(TEST_NETWORK_ID);
    const heard: string[] = [];
    stranger.services.pubsub.addEventListener('message', ({ detail }) => heard.push(detail.topic));
    for (const topic of [beatTopic, profileTopic]) stranger.services.pubsub.subscribe(topic);
    const connection = await stranger.dial(multiaddr(node.address()));
    const refused = [STATE_PROTOCOL, JOB_PROTOCOL].map(async (protocol) => {
      const stream = await connection.newStream(protocol);
      stream.send(encodeFrame({ type: 'get', scope: 'all' }));
      return new Promise((resolve) => stream.addEventListener('close', ({ error }) => resolve(error?.name)));
    });
    // Gossip goes to everybody who subscribed, were it not for the gate.
    const talk = setInterval(() => {
      node.facts.status = node.facts.status === 'busy' ? 'idle' : 'busy';
      node.network.publishBeat(node.announcer.own().beat);
    }, 20);
    await vi.waitFor(() => expect(connection.status).not.toBe('open'), soon);
    clearInterval(talk);
    expect(await Promise.all(refused)).toEqual(['StreamResetError', 'StreamResetError']);
    expect(heard).toEqual([]);
    expect(node.events).toEqual([]);
    expect(node.network.peers()).toEqual([]);
  });

  it('that is dialed is disconnected at once', async () => {
    const stranger = await startStranger();
    const opened = vi.fn();
    stranger.addEventListener('connection:open', opened);
    const address = stranger.getMultiaddrs()[0]!.toString();
    const node = await startLoopbackNode({ bootstrap: [address] });
    await vi.waitFor(() => expect(opened).toHaveBeenCalled(), soon);
    await vi.waitFor(() => expect(stranger.getConnections()).toHaveLength(0), soon);
    expect(node.events).toEqual([]);
  });

  it('that answers hello with silence is disconnected when its time is over', async () => {
    const asked = vi.fn();
    const stranger = await startStranger();
    await stranger.handle(HELLO_PROTOCOL, asked);
    const address = stranger.getMultiaddrs()[0]!.toString();
    const clock = new VirtualClock();
    await startLoopbackNode({ bootstrap: [address], clock });
    await vi.waitFor(() => expect(asked).toHaveBeenCalled(), soon);
    await clock.advance(MESH.helloTimeoutMs - 1);
    expect(stranger.getConnections()).toHaveLength(1);
    await clock.advance(MESH.helloTimeoutMs);
    await vi.waitFor(() => expect(stranger.getConnections()).toHaveLength(0), soon);
  });

  it('cannot keep more than a few streams waiting', async () => {
    // Its clock stands still: at the end of the time for hello all of them would be refused.
    const node = await startLoopbackNode({ clock: new VirtualClock() });
    const stranger = await startStranger();
    const connection = await stranger.dial(multiaddr(node.address()));
    // libp2p breaks off a connection on which many streams come before it is through with opening it.
    await vi.waitFor(() => expect(node.network.view(stranger.peerId.toString()).connected).toBe(true), soon);
    const tries = await Promise.allSettled(
      Array.from({ length: MESH.maxHeldStreams + 4 }, () => connection.newStream(JOB_PROTOCOL)),
    );
    // One that is refused early never opens here.
    const isRefused = (each: (typeof tries)[number]) => each.status === 'rejected' || each.value.status === 'reset';
    const refused = () => tries.filter(isRefused).length;
    // Its gossip may be among those that wait.
    await vi.waitFor(() => expect(refused()).toBeGreaterThanOrEqual(4), soon);
    expect(refused()).toBeLessThan(tries.length);
  });
});
