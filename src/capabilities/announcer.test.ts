import { describe, expect, test } from 'vitest';
import { MESH } from '../limits/mesh.ts';
import { type NodeStatus, openBeat } from '../protocol/beat.ts';
import { LOCAL_NETWORK, networkIdOf, nodeIdOf } from '../protocol/ids.ts';
import { openProfile } from '../protocol/profile.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { profileWith } from '../testing/builders.ts';
import { numbersOn } from '../testing/kept-number.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { Announcer } from './announcer.ts';
import { Directory } from './directory.ts';

const networkId = networkIdOf(LOCAL_NETWORK);
const signer = signerFromSeed(new Uint8Array(32).fill(3));

function newAnnouncer(clock = new VirtualClock(), disk = { number: 0 }, others?: Directory) {
  const numbers = numbersOn(disk, clock);
  const now = { status: 'idle' as NodeStatus, queueDepth: 0, models: ['a:latest'] };
  const beats: ReturnType<typeof openBeat>[] = [];
  const profiles: ReturnType<typeof openProfile>[] = [];
  const announcer = new Announcer(
    { networkId, beatEveryMs: MESH.beatEveryMs },
    {
      signer,
      clock,
      random: () => 0.5,
      nextNumber: () => numbers.next(),
      describe: () => profileWith({ models: now.models }),
      load: () => ({ status: now.status, queueDepth: now.queueDepth, running: 0 }),
      sendProfile: (bytes) => {
        profiles.push(openProfile(networkId, bytes));
        others?.ingestProfile(bytes);
      },
      sendBeat: (bytes) => {
        beats.push(openBeat(networkId, bytes));
        others?.ingestBeat(bytes, 0);
      },
    },
  );
  return { clock, now, beats, profiles, announcer };
}

describe('the announcer', () => {
  test('says who it is at the start, and beats every half minute (G45, C5)', async () => {
    const { clock, beats, profiles, announcer } = newAnnouncer();
    announcer.start();
    expect([profiles.length, beats.length]).toEqual([1, 1]);
    await clock.advance(10 * MESH.beatEveryMs);
    expect([profiles.length, beats.length]).toEqual([1, 11]);
    const sequences = beats.map((beat) => beat.sequence);
    expect(sequences).toEqual([...new Set(sequences)].toSorted((a, b) => a - b));
    announcer.stop();
    expect(beats.at(-1)?.status).toBe('leaving');
    expect(clock.pending).toBe(0);
  });

  test('tells a change of status at once, also right behind a regular beat', async () => {
    const { clock, now, beats, announcer } = newAnnouncer();
    announcer.start();
    await clock.advance(MESH.beatEveryMs);
    now.status = 'busy';
    announcer.loadChanged();
    await clock.advance(MESH.statusSettleMs);
    expect(beats.at(-1)?.status).toBe('busy');
  });

  test('tells a change of status at once, and a flutter of it in steps', async () => {
    const { clock, now, beats, announcer } = newAnnouncer();
    announcer.start();
    await clock.advance(MESH.statusEveryMs);
    now.status = 'busy';
    announcer.loadChanged();
    await clock.advance(MESH.statusSettleMs);
    expect(beats.at(-1)?.status).toBe('busy');
    const before = beats.length;
    for (let i = 0; i < 100; i++) {
      now.status = i % 2 === 0 ? 'idle' : 'busy';
      announcer.loadChanged();
      await clock.advance(100);
    }
    now.status = 'idle';
    announcer.loadChanged();
    await clock.advance(MESH.statusEveryMs);
    expect(beats.length - before).toBeLessThanOrEqual(10_000 / MESH.statusEveryMs + 1);
    expect(beats.at(-1)?.status).toBe('idle');
  });

  test('tells of a line that is twice or half as long, and leaves the rest to the next beat', async () => {
    const { clock, now, beats, announcer } = newAnnouncer();
    announcer.start();
    const told: number[] = [];
    for (const depth of [1, 2, 4, 5, 6, 9, 11, 9, 6, 5, 2, 1, 0]) {
      const before = beats.length;
      now.queueDepth = depth;
      announcer.loadChanged();
      await clock.advance(MESH.statusEveryMs);
      if (beats.length > before) told.push(depth);
    }
    announcer.stop();
    expect(told).toEqual([2, 5, 11, 5, 2, 0]);
  });

  test('sends a new profile when something in it changed, at most one a second (G43)', async () => {
    const { clock, now, profiles, beats, announcer } = newAnnouncer();
    announcer.start();
    announcer.profileChanged();
    await clock.advance(5_000);
    expect(profiles).toHaveLength(1);
    for (let i = 0; i < 10; i++) {
      now.models = [`m${i}:latest`];
      announcer.profileChanged();
      await clock.advance(100);
    }
    await clock.advance(MESH.profileEveryMs);
    expect(profiles.length).toBeLessThanOrEqual(3);
    expect(profiles.at(-1)?.models[0]?.name).toBe('m9:latest');
    expect(beats.at(-1)?.profileNumber).toBe(profiles.at(-1)?.number);
  });

  test.each([
    ['says that it leaves', true],
    ['dies', false],
  ])('is heard at once after a restart with the clock set back, be it that it %s before', async (_, leaves) => {
    const node = nodeIdOf(signer.publicKey);
    const disk = { number: 0 };
    const elsewhere = new VirtualClock();
    const others = new Directory({ self: 'them', networkId }, { clock: elsewhere, emit: () => {} });
    const first = newAnnouncer(new VirtualClock(), disk, others);
    first.announcer.start();
    await first.clock.advance(20 * MESH.beatEveryMs);
    expect(others.get(node)?.profile.models[0]?.name).toBe('a:latest');
    if (leaves) first.announcer.stop();
    const again = newAnnouncer(new VirtualClock(first.clock.now() - 36 * 60_000), disk, others);
    again.now.models = ['b:latest'];
    again.announcer.start();
    expect(others.get(node)?.profile.models[0]?.name).toBe('b:latest');
    expect(others.get(node)?.beat).toEqual(again.beats.at(-1));
  });

  test('answers who asks with how it is now', () => {
    const { now, beats, announcer } = newAnnouncer();
    now.status = 'busy';
    expect(openBeat(networkId, announcer.own().beat).status).toBe('busy');
    expect(beats).toHaveLength(0);
  });
});
