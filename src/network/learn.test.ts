import type { Connection } from '@libp2p/interface';
import { describe, expect, it } from 'vitest';
import { MESH } from '../limits/mesh.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { Learning } from './learn.ts';
import type { DirectoryNode, SignedNode } from './ports.ts';

const signed: SignedNode = { profile: Uint8Array.of(1), beat: Uint8Array.of(2), ageMs: 0 };

/** A node that learns, with peers that answer as they are told and write down what they are asked. */
function setUp() {
  const clock = new VirtualClock();
  const asked: string[] = [];
  const published: string[] = [];
  const profiles = new Map<string, number>();
  const world = { fails: false, news: undefined as SignedNode | undefined, open: new Set<string>() };
  const connection = (node: string) => ({ remotePeer: { toString: () => node } }) as unknown as Connection;
  const learning = new Learning({
    clock,
    log: silentLogger,
    state: {
      ask: async (peer: Connection, scope: string) => {
        asked.push(`${peer.remotePeer} ${scope}`);
        if (world.fails) throw new Error('silent');
        return { self: world.news, nodes: 0 };
      },
    } as never,
    gossip: {
      publishProfile: () => void published.push('profile'),
      publishBeat: () => void published.push('beat'),
    } as never,
    directory: {
      get: (node: string) => {
        const number = profiles.get(node);
        return number === undefined ? undefined : ({ node, profile: { number } } as DirectoryNode);
      },
    } as never,
    connectionTo: (node) => (world.open.has(node) ? connection(node) : undefined),
  });
  const admit = (node: string) => {
    world.open.add(node);
    learning.onAdmitted(connection(node));
  };
  return { clock, asked, published, profiles, world, learning, admit };
}

describe('a node that joins', () => {
  it('asks its first peers for everybody and later ones for themselves', () => {
    const { asked, admit } = setUp();
    for (const node of ['a', 'b', 'c', 'd', 'e']) admit(node);
    expect(asked).toEqual(['a all', 'b all', 'c all', 'd self', 'e self']);
  });

  it('asks another in place of one that does not answer', async () => {
    const { clock, asked, admit, world } = setUp();
    world.fails = true;
    for (const node of ['a', 'b', 'c']) admit(node);
    await clock.advance(1);
    world.fails = false;
    admit('d');
    expect(asked.at(-1)).toBe('d all');
  });

  it('asks the first once more, since others may have joined before gossip reached it', async () => {
    const { clock, asked, admit } = setUp();
    admit('a');
    await clock.advance(MESH.catchUpAfterMs);
    expect(asked).toEqual(['a all', 'a all']);
    await clock.advance(10 * MESH.catchUpEveryMs);
    expect(asked).toHaveLength(2);
  });

  it('begins anew after it was alone', () => {
    const { asked, admit, learning } = setUp();
    for (const node of ['a', 'b', 'c', 'd']) admit(node);
    for (let i = 0; i < 4; i++) learning.onLeft();
    admit('e');
    expect(asked.at(-1)).toBe('e all');
  });

  it('passes on by gossip what is new about the peer itself, and nothing else', async () => {
    const { clock, published, admit, world } = setUp();
    admit('a');
    await clock.advance(1);
    expect(published).toEqual([]);
    world.news = signed;
    admit('b');
    await clock.advance(1);
    expect(published).toEqual(['profile', 'beat']);
  });
});

describe('a beat that names a profile which is not here', () => {
  it('is given a moment, then its author is asked when it is a peer', async () => {
    const { clock, asked, learning, world } = setUp();
    world.open.add('author');
    learning.onMissingProfile('author', 7, 'relay');
    await clock.advance(MESH.catchUpAfterMs - 1);
    expect(asked).toEqual([]);
    await clock.advance(1);
    expect(asked).toEqual(['author self']);
  });

  it('leads to the peer that passed it on, asked once for all that is missing, and not again for a while', async () => {
    const { clock, asked, learning, world } = setUp();
    world.open.add('relay');
    for (let i = 0; i < 50; i++) learning.onMissingProfile(`author${i}`, 7, 'relay');
    await clock.advance(MESH.catchUpAfterMs);
    expect(asked).toEqual(['relay all']);
    learning.onMissingProfile('author1', 8, 'relay');
    await clock.advance(MESH.catchUpEveryMs - 1);
    expect(asked).toHaveLength(1);
    await clock.advance(1);
    expect(asked).toEqual(['relay all', 'relay all']);
  });

  it('is forgotten when the profile comes, or a newer one', async () => {
    const { clock, asked, learning, world, profiles } = setUp();
    world.open.add('relay');
    learning.onMissingProfile('author', 7, 'relay');
    profiles.set('author', 8);
    await clock.advance(MESH.catchUpEveryMs);
    expect(asked).toEqual([]);
  });

  it('is not followed up after the stop', async () => {
    const { clock, asked, learning, world } = setUp();
    world.open.add('relay');
    learning.onMissingProfile('author', 7, 'relay');
    learning.stop();
    await clock.advance(MESH.catchUpEveryMs);
    expect(asked).toEqual([]);
    expect(clock.pending).toBe(0);
  });
});
