import { afterEach, describe, expect, it, vi } from 'vitest';
import { sealBeat } from '../protocol/beat.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import {
  type LoopbackNode,
  startLoopbackMesh,
  startLoopbackNode,
  stopLoopbackNodes,
  TEST_NETWORK_ID,
} from '../testing/loopback-mesh.ts';

// Every wait ends with its condition; the bound is for machines that are busy with something else.
vi.setConfig({ testTimeout: 30_000 });
afterEach(stopLoopbackNodes);

const soon = { timeout: 20_000, interval: 10 };
const known = (node: LoopbackNode) => [...node.directory.nodes()].map((entry) => entry.node).toSorted();
const everybodyKnowsEverybody = (nodes: readonly LoopbackNode[]) => {
  for (const node of nodes) {
    const others = nodes.filter((other) => other !== node).map((other) => other.id);
    expect(known(node)).toEqual(others.toSorted());
  }
};

describe('a mesh of eight that start together', () => {
  it('learns of everybody, of a change, and of a ninth that joins later', async () => {
    const nodes = await startLoopbackMesh(8);
    await vi.waitFor(() => everybodyKnowsEverybody(nodes), soon);

    const changed = nodes[5]!;
    changed.facts.models = ['words:latest'];
    changed.facts.status = 'paused';
    changed.announcer.profileChanged();
    changed.announcer.loadChanged();
    const others = nodes.filter((node) => node !== changed);
    await vi.waitFor(() => {
      const seen = others.map((node) => node.directory.get(changed.id));
      expect(seen.map((entry) => entry?.profile.models.length)).toEqual(others.map(() => 1));
      expect(seen.map((entry) => entry?.beat.status)).toEqual(others.map(() => 'paused'));
    }, soon);

    const joiner = await startLoopbackNode({ bootstrap: [nodes[0]!.address()] });
    await vi.waitFor(() => everybodyKnowsEverybody([...nodes, joiner]), soon);
  });
});

describe('gossip', () => {
  it('may be published by a node that is alone', async () => {
    const node = await startLoopbackNode();
    node.network.publishBeat(node.announcer.own().beat);
    node.network.publishBeat(node.announcer.own().beat);
    const peer = await startLoopbackNode({ bootstrap: [node.address()] });
    await vi.waitFor(() => expect(peer.directory.get(node.id)).toBeDefined(), soon);
  });

  it('passes a beat on over nodes between', async () => {
    const a = await startLoopbackNode();
    const b = await startLoopbackNode({ bootstrap: [a.address()] });
    await vi.waitFor(() => everybodyKnowsEverybody([a, b]), soon);
    const author = signerFromSeed(new Uint8Array(32).fill(7));
    const beat = {
      sequence: 1,
      status: 'leaving',
      queueDepth: 0,
      running: 0,
      profileNumber: 1,
      ttlMs: 90_000,
    } as const;
    const ingest = vi.spyOn(b.directory, 'ingestBeat');
    a.network.publishBeat(sealBeat(TEST_NETWORK_ID, author, beat));
    await vi.waitFor(() => expect(ingest.mock.results.map(({ value }) => value)).toContain('accept'), soon);
  });

  /** A genuine beat with one bit of its signature turned. */
  function forge({ announcer }: LoopbackNode, place: number): Uint8Array {
    const forged = Uint8Array.from(announcer.own().beat);
    forged[forged.length - 1 - place]! ^= 1;
    return forged;
  }

  it('closes the connection to a peer that sends many forged messages', async () => {
    const node = await startLoopbackNode();
    const forger = await startLoopbackNode({ bootstrap: [node.address()] });
    await vi.waitFor(() => everybodyKnowsEverybody([node, forger]), soon);
    for (let i = 0; i < 40; i++) forger.network.publishBeat(forge(forger, i));
    await vi.waitFor(() => expect(node.events.at(-1)).toEqual({ type: 'peer-left', node: forger.id }), soon);
  });

  it('bears a few of them', async () => {
    const node = await startLoopbackNode();
    const peer = await startLoopbackNode({ bootstrap: [node.address()] });
    await vi.waitFor(() => everybodyKnowsEverybody([node, peer]), soon);
    const ingest = vi.spyOn(node.directory, 'ingestBeat');
    for (let i = 0; i < 10; i++) peer.network.publishBeat(forge(peer, i));
    await vi.waitFor(
      () => expect(ingest.mock.results.filter(({ value }) => value === 'reject')).toHaveLength(10),
      soon,
    );
    peer.facts.status = 'busy';
    peer.announcer.loadChanged();
    await vi.waitFor(() => expect(node.directory.get(peer.id)?.beat.status).toBe('busy'), soon);
    expect(node.network.admitted()).toBe(1);
  });
});
