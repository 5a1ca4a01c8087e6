import { randomBytes } from 'node:crypto';
import type { Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { MESH } from '../limits/mesh.ts';
import { newJobId } from '../protocol/ids.ts';
import { wordsOf } from '../protocol/words.ts';
import {
  type LoopbackNode,
  type LoopbackOptions,
  rememberedPeers,
  startLoopbackNode,
  startStranger,
  stopLoopbackNodes,
  TEST_NETWORK_ID,
} from '../testing/loopback-mesh.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { encodeFrame } from './frames.ts';
import { HELLO_PROTOCOL, JOB_PROTOCOL, STATE_PROTOCOL } from './protocols.ts';

// Every wait ends with its condition; the bound is for machines that are busy with something else.
vi.setConfig({ testTimeout: 30_000 });
afterEach(stopLoopbackNodes);

const soon = { timeout: 20_000, interval: 10 };
const never = new AbortController().signal;
const load = { kind: 'load' } as const;
const request = () => ({
  type: 'request' as const,
  job: newJobId(1, randomBytes(16)),
  model: 'words:latest',
  input: load,
});

/** A node that counts the jobs it is asked for. */
async function startCounting(options: LoopbackOptions) {
  const onJob = vi.fn<NonNullable<LoopbackOptions['onJob']>>((_from, _request, channel) => {
    channel.send({ type: 'reject', code: 'overloaded', message: 'counted' });
    channel.close();
  });
  const node = await startLoopbackNode({ accept: 'confirm', models: ['words:latest'], ...options, onJob });
  return Object.assign(node, { onJob });
}

const waiting = (node: LoopbackNode) => node.network.waiting().map(({ node: peer, waitsFor }) => [peer, waitsFor]);

/** Neither side knows, uses or serves the other. */
async function expectNothingBetween(nodes: readonly (LoopbackNode & { onJob: ReturnType<typeof vi.fn> })[]) {
  for (const [one, other] of [nodes, nodes.toReversed()] as unknown as [LoopbackNode, LoopbackNode][]) {
    expect(one.network.peers()).toEqual([]);
    expect(one.network.admitted()).toBe(0);
    expect(one.directory.get(other.id)).toBeUndefined();
    expect(one.network.mayUse(other.id)).toBe(false);
    await expect(one.network.openJob(other.id, request(), never)).rejects.toMatchObject({ code: 'peer_unreachable' });
  }
  for (const { onJob } of nodes) expect(onJob).not.toHaveBeenCalled();
}

/** Each admits the other, knows its models, and a job gets through; gossip carries what changes. */
async function expectFriends(one: LoopbackNode, other: LoopbackNode & { onJob?: ReturnType<typeof vi.fn> }) {
  await vi.waitFor(() => {
    for (const [a, b] of [
      [one, other],
      [other, one],
    ] as const) {
      expect(a.network.peers().map(({ node }) => node)).toEqual([b.id]);
      expect(a.network.waiting()).toEqual([]);
      expect(a.directory.get(b.id)?.profile.models).toHaveLength(1);
    }
  }, soon);
  const channel = await one.network.openJob(other.id, request(), never);
  expect(await channel.receive()).toMatchObject({ type: 'reject', message: 'counted' });
  await vi.waitFor(() => {
    other.facts.status = other.facts.status === 'busy' ? 'idle' : 'busy';
    other.network.publishBeat(other.announcer.own().beat);
    expect(one.directory.get(other.id)?.beat.status).toBe('busy');
  }, soon);
}

async function startPair(options: { one?: LoopbackOptions; other?: LoopbackOptions } = {}) {
  const one = await startCounting({ name: 'one', ...options.one });
  const other = await startCounting({ name: 'other', bootstrap: [one.address()], ...options.other });
  return [one, other] as const;
}

describe('two nodes that let in whom their users accept', () => {
  it('wait, know each other’s name and words, and nothing else', async () => {
    const [one, other] = await startPair();
    const words = await wordsOf(TEST_NETWORK_ID, one.id, other.id);
    for (const [node, peer] of [
      [one, other],
      [other, one],
    ] as const) {
      await vi.waitFor(() => expect(node.network.waiting()).toHaveLength(1), soon);
      await vi.waitFor(() => expect(node.network.waiting()[0]?.words).toBe(words), soon);
      const name = peer === one ? 'one' : 'other';
      const view = { node: peer.id, name, version: '0.1.0', admitted: false, connected: true, waitsFor: 'both' };
      expect(node.network.waiting()).toEqual([expect.objectContaining(view)]);
      expect(node.events).toEqual([{ type: 'peer-waiting', node: peer.id }]);
    }
    await expectNothingBetween([one, other]);
  });

  it.each([
    ['the dialer', true],
    ['the one that was dialed', false],
  ])('admit each other when both have accepted, %s first', async (_who, dialerFirst) => {
    // Their clocks stand still: what follows, follows from what they say to each other.
    const [one, other] = await startPair({ one: { clock: new VirtualClock() }, other: { clock: new VirtualClock() } });
    const [first, second] = dialerFirst ? [other, one] : [one, other];
    await vi.waitFor(() => expect([waiting(first), waiting(second)].map((list) => list.length)).toEqual([1, 1]), soon);
    await first.network.accept(second.id);
    await vi.waitFor(() => expect(waiting(first)).toEqual([[second.id, 'there']]), soon);
    await vi.waitFor(() => expect(waiting(second)).toEqual([[first.id, 'here']]), soon);
    await expectNothingBetween([one, other]);
    await second.network.accept(first.id);
    await vi.waitFor(() => expect([one, other].map(({ network }) => network.admitted())).toEqual([1, 1]), soon);
    await expectFriends(one, other);
    await expectFriends(other, one);
  });

  it('admit each other when both accept in one moment, again and again', async () => {
    for (let round = 0; round < 5; round++) {
      const [one, other] = await startPair();
      await vi.waitFor(() => expect([waiting(one), waiting(other)].map((list) => list.length)).toEqual([1, 1]), soon);
      await Promise.all([one.network.accept(other.id), other.network.accept(one.id)]);
      await expectFriends(one, other);
      await stopLoopbackNodes();
    }
  });

  it('may accept before they have met', async () => {
    const seed = randomBytes(32);
    const later = await startCounting({ seed, name: 'later' });
    const { id } = later;
    await later.stop();
    const one = await startCounting({ name: 'one' });
    await one.network.accept(id);
    const other = await startCounting({ seed, name: 'later', bootstrap: [one.address()] });
    await vi.waitFor(() => expect(waiting(one)).toEqual([[id, 'there']]), soon);
    await expectNothingBetween([one, other]);
    await other.network.accept(one.id);
    await expectFriends(one, other);
  });

  it('do not ask again after a restart of either side, and find each other soon', async () => {
    const [store, otherStore] = [rememberedPeers(), rememberedPeers()];
    const [one, other] = await startPair({ one: { acceptedPeers: store }, other: { acceptedPeers: otherStore } });
    await one.network.accept(other.id);
    await other.network.accept(one.id);
    await expectFriends(one, other);
    await other.stop();
    await vi.waitFor(() => expect(one.network.admitted()).toBe(0), soon);
    const again = await startCounting({ seed: other.seed, acceptedPeers: otherStore, bootstrap: [one.address()] });
    await expectFriends(one, again);
    expect(again.events).not.toContainEqual(expect.objectContaining({ type: 'peer-waiting' }));
  });

  it('wait again when one has lost its memory', async () => {
    const [one, other] = await startPair();
    await one.network.accept(other.id);
    await other.network.accept(one.id);
    await expectFriends(one, other);
    await other.stop();
    const again = await startCounting({ seed: other.seed, bootstrap: [one.address()] });
    await vi.waitFor(() => expect(waiting(one)).toEqual([[other.id, 'there']]), soon);
    await vi.waitFor(() => expect(waiting(again)).toEqual([[one.id, 'here']]), soon);
    expect(again.onJob).not.toHaveBeenCalled();
    expect(one.network.mayUse(other.id)).toBe(false);
    await expect(one.network.openJob(other.id, request(), never)).rejects.toThrow();
    expect(again.onJob).not.toHaveBeenCalled();
  });
});

describe('a node that asks its user, and one that lets everybody in', () => {
  it.each([
    ['dials', true],
    ['is dialed', false],
  ])('work together when the one has accepted: it %s', async (_how, confirms) => {
    const rule = (confirm: boolean) => ({ accept: confirm ? ('confirm' as const) : ('all' as const) });
    const [one, other] = await startPair({ one: rule(!confirms), other: rule(confirms) });
    const [asker, open] = confirms ? [other, one] : [one, other];
    await vi.waitFor(() => expect(waiting(asker)).toEqual([[open.id, 'here']]), soon);
    await vi.waitFor(() => expect(waiting(open)).toEqual([[asker.id, 'there']]), soon);
    // Both screens show them, also that of the side that asks nobody.
    const words = await wordsOf(TEST_NETWORK_ID, one.id, other.id);
    for (const { network } of [one, other]) {
      await vi.waitFor(() => expect(network.waiting()[0]?.words).toBe(words), soon);
    }
    expect(await open.network.words(asker.id)).toBe(words);
    await expectNothingBetween([one, other]);
    await asker.network.accept(open.id);
    await expectFriends(one, other);
  });
});

describe('a blocked peer', () => {
  it('loses its connection at once, is not dialed and not let in, and is a stranger after that', async () => {
    const [one, other] = await startPair();
    await one.network.accept(other.id);
    await other.network.accept(one.id);
    await expectFriends(one, other);
    await one.network.block(other.id);
    expect(one.network.mayUse(other.id)).toBe(false);
    expect(one.directory.get(other.id)).toBeUndefined();
    expect(one.network.blocked()).toEqual([{ node: other.id, name: 'other' }]);
    await vi.waitFor(() => expect([one, other].map(({ network }) => network.admitted())).toEqual([0, 0]), soon);
    // It dials again, as it does for a bootstrap node, and gets nowhere.
    await expect(other.network.openJob(one.id, request(), never)).rejects.toMatchObject({ code: 'peer_unreachable' });
    await expect(one.network.openJob(other.id, request(), never)).rejects.toMatchObject({ code: 'peer_unreachable' });
    expect(one.network.waiting()).toEqual([]);
    await one.network.unblock(other.id);
    await expect(one.network.openJob(other.id, request(), never)).rejects.toMatchObject({ code: 'peer_unreachable' });
    await vi.waitFor(() => expect(waiting(one)).toEqual([[other.id, 'here']]), soon);
    await one.network.accept(other.id);
    await expectFriends(one, other);
  });

  it('is out where everybody else may come in', async () => {
    const [one, other] = await startPair({ one: { accept: 'all' }, other: { accept: 'all' } });
    await expectFriends(one, other);
    await one.network.block(other.id);
    await vi.waitFor(() => expect(other.network.admitted()).toBe(0), soon);
    await expect(other.network.openJob(one.id, request(), never)).rejects.toMatchObject({ code: 'peer_unreachable' });
  });
});

describe('a stranger', () => {
  const hello = { type: 'hello', networkId: TEST_NETWORK_ID, name: 'raw', version: '1', features: [], waiting: false };
  const gone = (stream: Stream) => vi.waitFor(() => expect(stream.status).not.toBe('open'), soon);

  /** Says hello by hand, as often as it is told, over one connection. */
  async function connect(node: LoopbackNode) {
    const stranger = await startStranger();
    const connection = await stranger.dial(multiaddr(node.address()));
    const say = async (more: object = {}) => {
      const stream = await connection.newStream(HELLO_PROTOCOL);
      if (stream.writeStatus === 'writable') stream.send(encodeFrame({ ...hello, ...more }));
      await stream.close().catch(() => {});
      await gone(stream);
      return stream.status;
    };
    return { connection, say, id: stranger.peerId.toString() };
  }

  it('that claims to have accepted gets nothing until this side accepts', async () => {
    const node = await startCounting({});
    const { connection, say, id } = await connect(node);
    await say({ waiting: false });
    await vi.waitFor(() => expect(waiting(node)).toEqual([[id, 'here']]), soon);
    for (const protocol of [JOB_PROTOCOL, STATE_PROTOCOL]) {
      const stream = await connection.newStream(protocol);
      if (stream.writeStatus === 'writable') stream.send(encodeFrame(request()));
      await gone(stream);
      expect(stream.status).toBe('reset');
    }
    expect(node.onJob).not.toHaveBeenCalled();
    expect(connection.status).toBe('open');
  });

  it('that changes its name again and again is one entry, and then is not heard any more', async () => {
    const node = await startCounting({});
    const { say } = await connect(node);
    const ends: string[] = [];
    for (let round = 0; round < 3 * MESH.maxHellosPerSecond; round++) ends.push(await say({ name: `name ${round}` }));
    expect(node.network.waiting()).toHaveLength(1);
    expect(ends).toContain('reset');
  });

  it.each([
    ['that steers a terminal', 'a\u001b[2J'],
    ['that turns the line around', 'a\u202eb'],
    ['that is too long', 'x'.repeat(65)],
  ])('with a name %s is not taken in', async (_what, name) => {
    const node = await startCounting({});
    const { say } = await connect(node);
    expect(await say({ name })).toBe('reset');
    expect(node.network.waiting()).toEqual([]);
  });

  it('with many keys takes only a part of the places', async () => {
    // Its clock stands still: it takes its time until all of them have said hello.
    const node = await startCounting({ clock: new VirtualClock() });
    for (let n = 0; n < MESH.maxWaitingPerAddress + 3; n++) await (await connect(node)).say();
    expect(node.network.waiting()).toHaveLength(MESH.maxWaitingPerAddress);
    // One whom the user has chosen comes in all the same.
    const friend = await startCounting({ name: 'friend' });
    const { id, seed } = friend;
    await friend.stop();
    await node.network.accept(id);
    const chosen = await startCounting({ seed, bootstrap: [node.address()] });
    await chosen.network.accept(node.id);
    await vi.waitFor(() => expect(node.network.admitted()).toBe(1), soon);
  });
});

describe('what peers pass on of a node that this one has not let in', () => {
  it('is not taken into the directory', async () => {
    const middle = await startCounting({ name: 'middle', accept: 'all' });
    const stranger = await startCounting({ name: 'stranger', accept: 'all', bootstrap: [middle.address()] });
    await vi.waitFor(() => expect(middle.directory.get(stranger.id)).toBeDefined(), soon);
    // Whoever is admitted gets what the middle node knows, the stranger's statements among it.
    const node = await startCounting({ name: 'node', bootstrap: [middle.address()] });
    await node.network.accept(middle.id);
    await vi.waitFor(() => expect(node.directory.get(middle.id)).toBeDefined(), soon);
    await vi.waitFor(() => expect(middle.directory.get(node.id)).toBeDefined(), soon);
    await vi.waitFor(() => {
      stranger.facts.status = stranger.facts.status === 'busy' ? 'idle' : 'busy';
      stranger.network.publishBeat(stranger.announcer.own().beat);
      expect(middle.directory.get(stranger.id)?.beat.status).toBe('busy');
    }, soon);
    // What the middle node says after that comes after that: then the stranger's would be here, if it were let in.
    await vi.waitFor(() => {
      middle.facts.status = middle.facts.status === 'busy' ? 'idle' : 'busy';
      middle.network.publishBeat(middle.announcer.own().beat);
      expect(node.directory.get(middle.id)?.beat.status).toBe('busy');
    }, soon);
    expect(node.directory.get(stranger.id)).toBeUndefined();
  });
});
