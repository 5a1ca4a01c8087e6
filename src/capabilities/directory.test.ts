import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MESH } from '../limits/mesh.ts';
import { type Beat, sealBeat } from '../protocol/beat.ts';
import { LOCAL_NETWORK, networkIdOf, nodeIdOf } from '../protocol/ids.ts';
import { sealProfile } from '../protocol/profile.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { profileWith } from '../testing/builders.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { Directory, type DirectoryEvent } from './directory.ts';

const networkId = networkIdOf(LOCAL_NETWORK);
const signer = signerFromSeed(new Uint8Array(32).fill(1));
const node = nodeIdOf(signer.publicKey);

function beatBytes(changes: Partial<Beat> = {}): Uint8Array {
  const beat = {
    sequence: 1,
    status: 'idle',
    queueDepth: 0,
    running: 0,
    profileNumber: 1,
    ttlMs: MESH.beatTtlMs,
  } as const;
  return sealBeat(networkId, signer, { ...beat, ...changes });
}

function profileBytes(number = 1, models = ['tiny:latest']): Uint8Array {
  return sealProfile(networkId, signer, profileWith({ number, models }));
}

function newDirectory() {
  const clock = new VirtualClock();
  const events: DirectoryEvent[] = [];
  const directory = new Directory({ self: 'me', networkId }, { clock, emit: (event) => events.push(event) });
  return { clock, events, directory, types: () => events.map((event) => event.type) };
}

describe('the directory', () => {
  test('knows a node by its profile and its beat, in either order', () => {
    for (const order of ['profile first', 'beat first']) {
      const { directory, types } = newDirectory();
      const steps = [() => directory.ingestProfile(profileBytes()), () => directory.ingestBeat(beatBytes(), 0)];
      for (const step of order === 'profile first' ? steps : steps.reverse()) {
        expect(directory.get(node)).toBeUndefined();
        expect(step()).toBe('accept');
      }
      expect(directory.get(node)?.profile.models[0]?.name).toBe('tiny:latest');
      expect([...directory.providersOf('tiny:latest')]).toHaveLength(1);
      expect(types()).toEqual(['node-joined']);
    }
  });

  test('finds providers by the models of the newest profile, and by none of a node that is gone', () => {
    const { directory } = newDirectory();
    const providers = (model: string) =>
      [...directory.providersOf(model)].map((found) => [found.node.node, found.model.name]);
    directory.ingestProfile(profileBytes(1, ['a:latest', 'b:latest']));
    expect(providers('a:latest')).toEqual([]);
    directory.ingestBeat(beatBytes(), 0);
    expect(providers('a:latest')).toEqual([[node, 'a:latest']]);
    directory.ingestProfile(profileBytes(2, ['b:latest', 'c:latest']));
    expect(['a:latest', 'b:latest', 'c:latest'].map((model) => providers(model).length)).toEqual([0, 1, 1]);
    directory.forget(node);
    expect(['b:latest', 'c:latest'].map((model) => providers(model).length)).toEqual([0, 0]);
  });

  test('ignores what is not newer', () => {
    const { directory } = newDirectory();
    expect(directory.ingestBeat(beatBytes({ sequence: 5 }), 0)).toBe('accept');
    expect(directory.ingestBeat(beatBytes({ sequence: 5 }), 0)).toBe('ignore');
    expect(directory.ingestBeat(beatBytes({ sequence: 4 }), 0)).toBe('ignore');
    expect(directory.ingestProfile(profileBytes(2))).toBe('accept');
    expect(directory.ingestProfile(profileBytes(1))).toBe('ignore');
  });

  test('rejects rubbish, forgeries and other meshes, and never throws', () => {
    const { directory } = newDirectory();
    const other = sealBeat(new Uint8Array(32), signer, {
      sequence: 1,
      status: 'idle',
      queueDepth: 0,
      running: 0,
      profileNumber: 1,
      ttlMs: 1,
    });
    expect(directory.ingestBeat(other, 0)).toBe('reject');
    const forged = beatBytes();
    forged[forged.length - 1]! ^= 1;
    expect(directory.ingestBeat(forged, 0)).toBe('reject');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(directory.ingestBeat(bytes, 0)).toBe('reject');
        expect(directory.ingestProfile(bytes)).toBe('reject');
      }),
    );
    expect(directory.size).toBe(0);
  });

  test('forgets a node whose beat has run out, and does not take its old beat back (Q17)', async () => {
    const { directory, clock, types } = newDirectory();
    directory.ingestProfile(profileBytes());
    directory.ingestBeat(beatBytes(), 0);
    await clock.advance(MESH.beatTtlMs - 1);
    expect(directory.get(node)).toBeDefined();
    await clock.advance(1);
    expect(directory.get(node)).toBeUndefined();
    directory.expire();
    expect(types()).toEqual(['node-joined', 'node-gone']);
    expect(directory.ingestBeat(beatBytes(), 0)).toBe('ignore');
  });

  test('a relayed beat is as old as it says', async () => {
    const { directory, clock } = newDirectory();
    directory.ingestProfile(profileBytes());
    expect(directory.ingestBeat(beatBytes(), MESH.beatTtlMs)).toBe('ignore');
    directory.ingestBeat(beatBytes({ sequence: 2 }), MESH.beatTtlMs - 1_000);
    expect([...directory.signed()][0]?.ageMs).toBe(MESH.beatTtlMs - 1_000);
    await clock.advance(1_000);
    expect(directory.get(node)).toBeUndefined();
  });

  test('a node that says it leaves is gone at once, until it beats again', () => {
    const { directory, types } = newDirectory();
    directory.ingestProfile(profileBytes());
    directory.ingestBeat(beatBytes({ sequence: 1 }), 0);
    expect(directory.ingestBeat(beatBytes({ sequence: 2, status: 'leaving' }), 0)).toBe('accept');
    expect(directory.get(node)).toBeUndefined();
    expect(directory.ingestBeat(beatBytes({ sequence: 1 }), 0)).toBe('ignore');
    directory.ingestProfile(profileBytes());
    directory.ingestBeat(beatBytes({ sequence: 3 }), 0);
    expect(types()).toEqual(['node-joined', 'node-gone', 'node-joined']);
  });

  test('is no place for what this node says of itself', () => {
    const clock = new VirtualClock();
    const directory = new Directory({ self: node, networkId }, { clock, emit: () => {} });
    expect(directory.ingestProfile(profileBytes())).toBe('ignore');
    expect(directory.ingestBeat(beatBytes(), 0)).toBe('ignore');
  });
});
