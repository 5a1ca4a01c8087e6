import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { MESH } from '../limits/mesh.ts';
import { sealBeat } from '../protocol/beat.ts';
import { sealProfile } from '../protocol/profile.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { profileWith } from '../testing/builders.ts';
import {
  type LoopbackNode,
  startLoopbackNode,
  startStranger,
  stopLoopbackNodes,
  TEST_NETWORK_ID,
} from '../testing/loopback-mesh.ts';
import { encodeFrame } from './frames.ts';
import { HELLO_PROTOCOL, STATE_PROTOCOL } from './protocols.ts';

// Every wait ends with its condition; the bound is for machines that are busy with something else.
vi.setConfig({ testTimeout: 30_000 });
afterEach(stopLoopbackNodes);

const soon = { timeout: 20_000, interval: 10 };

/** Puts nodes into a directory that nobody else has heard of, each with models enough to fill pages. */
function fill(node: LoopbackNode, count: number, models: number): void {
  for (let i = 0; i < count; i++) {
    const signer = signerFromSeed(new Uint8Array(32).fill(i + 1));
    const names = Array.from({ length: models }, (_, model) => `model-${model}-${'x'.repeat(60)}:latest`);
    const profile = sealProfile(TEST_NETWORK_ID, signer, profileWith({ models: names, addresses: [] }));
    const beat = { sequence: 1, status: 'idle', queueDepth: 0, running: 0, profileNumber: 1, ttlMs: 90_000 } as const;
    expect(node.directory.ingestProfile(profile)).toBe('accept');
    expect(node.directory.ingestBeat(sealBeat(TEST_NETWORK_ID, signer, beat), 30_000)).toBe('accept');
  }
}

describe('joining', () => {
  it('brings a directory of many pages, more than a window of them, with the age of every beat', async () => {
    const older = await startLoopbackNode();
    fill(older, 100, 60);
    const bytes = [...older.directory.signed()].reduce((sum, { profile }) => sum + profile.length, 0);
    expect(bytes).toBeGreaterThan(4 * MESH.statePageBytes);
    const younger = await startLoopbackNode({ bootstrap: [older.address()] });
    await vi.waitFor(() => expect([...younger.directory.nodes()]).toHaveLength(101), soon);
    const ages = [...younger.directory.signed()].map(({ ageMs }) => ageMs).toSorted((a, b) => b - a);
    expect(ages.slice(0, 100).every((age) => age >= 30_000)).toBe(true);
  });

  it('tells the older node of the younger, and those behind it too', async () => {
    const far = await startLoopbackNode();
    const middle = await startLoopbackNode({ bootstrap: [far.address()] });
    await vi.waitFor(() => expect(far.directory.get(middle.id)).toBeDefined(), soon);
    const young = await startLoopbackNode({ bootstrap: [middle.address()], models: ['words:latest'] });
    await vi.waitFor(() => expect(far.directory.get(young.id)?.profile.models).toHaveLength(1), soon);
  });
});

describe('a profile that gossip has lost', () => {
  it('is asked for when a beat names it', async () => {
    const a = await startLoopbackNode();
    const b = await startLoopbackNode({ bootstrap: [a.address()] });
    await vi.waitFor(() => expect(a.directory.get(b.id)).toBeDefined(), soon);
    // Only b has heard of this node; a hears its next beat.
    fill(b, 1, 1);
    const signer = signerFromSeed(new Uint8Array(32).fill(1));
    const beat = { sequence: 2, status: 'busy', queueDepth: 0, running: 1, profileNumber: 1, ttlMs: 90_000 } as const;
    b.network.publishBeat(sealBeat(TEST_NETWORK_ID, signer, beat));
    await vi.waitFor(() => expect([...a.directory.nodes()]).toHaveLength(2), soon);
  });
});

describe('a peer that asks too often', () => {
  it('is refused', async () => {
    const node = await startLoopbackNode();
    const stranger = await startStranger();
    const connection = await stranger.dial(multiaddr(node.address()));
    const hello = { type: 'hello', networkId: TEST_NETWORK_ID, name: 'raw', version: '1', features: [] };
    (await connection.newStream(HELLO_PROTOCOL)).send(encodeFrame(hello));
    const ask = async () => {
      const stream = await connection.newStream(STATE_PROTOCOL);
      let received = 0;
      stream.addEventListener('message', ({ data }) => {
        received += data.byteLength;
      });
      // One that is refused may be reset before anything is sent.
      if (stream.writeStatus === 'writable') stream.send(encodeFrame({ type: 'get', scope: 'all' }));
      await vi.waitFor(() => expect(stream.readableEnded).toBe(true), soon);
      await stream.close();
      return { status: stream.status, received };
    };
    const answers = [];
    for (let i = 0; i < 4 * MESH.maxStatePerSecond; i++) answers.push(await ask());
    expect(answers[0]?.received).toBeGreaterThan(0);
    expect(answers.filter(({ status }) => status === 'reset').length).toBeGreaterThan(0);
    expect(connection.status).toBe('open');
  });
});
