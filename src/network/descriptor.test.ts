import { describe, expect, it } from 'vitest';
import {
  createDescriptor,
  LOCAL_DESCRIPTOR,
  type NetworkDescriptor,
  openDescriptor,
  reissue,
  sealDescriptor,
} from '../protocol/descriptor.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { LiveDescriptor } from './descriptor.ts';

const founder = signerFromSeed(new Uint8Array(32).fill(1));
const member = signerFromSeed(new Uint8Array(32).fill(2));
const first = createDescriptor({ name: 'home', genesisMicrocredits: 0n, createdAt: 1 }, {}, founder);
const second = reissue(first, { params: { a: 1 } }, founder);
const third = reissue(second, {}, founder);

/** A node that lives by `first`, and what it wrote to its disk; the disk takes its time when told to. */
function live(signer = member, current = first) {
  const disk: NetworkDescriptor[] = [];
  const told: number[] = [];
  const gate = { open: Promise.resolve() };
  const descriptor = new LiveDescriptor(current, {
    signer,
    log: silentLogger,
    async save(next) {
      await gate.open;
      disk.push(next);
    },
  });
  descriptor.onChange(({ terms }) => told.push(terms.revision));
  return { descriptor, disk, told, gate };
}

describe('a descriptor from a peer', () => {
  it('that is newer holds, is told once, and is on disk soon after', async () => {
    const { descriptor, disk, told } = live();
    expect(descriptor.take(sealDescriptor(second))).toBe('accept');
    expect(descriptor.current).toEqual(second);
    expect(descriptor.take(sealDescriptor(second))).toBe('ignore');
    expect(descriptor.take(sealDescriptor(first))).toBe('ignore');
    await descriptor.saved();
    expect({ disk, told }).toEqual({ disk: [second], told: [2] });
  });

  it('that is forged, of another mesh or rubbish changes nothing', async () => {
    const { descriptor, disk, told } = live();
    const forged = sealDescriptor({ ...second, signature: first.signature });
    const foreign = reissue(createDescriptor({ ...first.core, createdAt: 2 }, {}, founder), {}, founder);
    for (const bytes of [forged, sealDescriptor(foreign), new Uint8Array(9)]) {
      expect(descriptor.take(bytes)).toBe('reject');
    }
    await descriptor.saved();
    expect({ current: descriptor.current, disk, told }).toEqual({ current: first, disk: [], told: [] });
  });

  it('that wants members is not taken over: nobody here could check them', () => {
    const { descriptor } = live();
    expect(descriptor.take(sealDescriptor(reissue(first, { admission: 'members' }, founder)))).toBe('ignore');
    expect(descriptor.current).toEqual(first);
  });

  it('does not reach a node of the mesh `local`', () => {
    const { descriptor } = live(member, LOCAL_DESCRIPTOR);
    expect(descriptor.isNewer({ revision: 9 })).toBe(false);
    expect(descriptor.take(sealDescriptor(second))).toBe('reject');
    expect(descriptor.sealed()).toBeUndefined();
  });

  it('is the last one on the disk, however many come while that is slow', async () => {
    const { descriptor, disk, gate } = live();
    const { promise, resolve } = Promise.withResolvers<void>();
    gate.open = promise;
    descriptor.take(sealDescriptor(second));
    descriptor.take(sealDescriptor(third));
    resolve();
    await descriptor.saved();
    expect(disk.at(-1)).toEqual(third);
    expect(disk.length).toBeLessThanOrEqual(2);
  });
});

describe('news of a descriptor', () => {
  it('is worth a question when the revision is higher, or it is a draw that ours would lose', () => {
    const rival = reissue(first, { params: { a: 2 } }, founder);
    const [winner, loser] = Buffer.compare(rival.hash, second.hash) < 0 ? [rival, second] : [second, rival];
    const { descriptor } = live(member, loser);
    expect(descriptor.isNewer({ revision: 3 })).toBe(true);
    expect(descriptor.isNewer({ revision: 2 })).toBe(false);
    expect(descriptor.isNewer({ revision: 1, descriptorHash: winner.hash })).toBe(false);
    expect(descriptor.isNewer({ revision: 2, descriptorHash: winner.hash })).toBe(true);
    expect(descriptor.isNewer({ revision: 2, descriptorHash: loser.hash })).toBe(false);
    expect(descriptor.take(sealDescriptor(winner))).toBe('accept');
    expect(descriptor.isNewer({ revision: 2, descriptorHash: loser.hash })).toBe(false);
  });
});

describe("the founder's own", () => {
  it('is on disk before it holds', async () => {
    const { descriptor, disk, told, gate } = live(founder);
    const { promise, resolve } = Promise.withResolvers<void>();
    gate.open = promise;
    const reissued = descriptor.reissue({ params: { a: 1 } });
    await new Promise((done) => setImmediate(done));
    expect({ current: descriptor.current, told }).toEqual({ current: first, told: [] });
    resolve();
    expect(await reissued).toEqual(second);
    expect({ current: descriptor.current, disk, told }).toEqual({ current: second, disk: [second], told: [2] });
    expect(openDescriptor(descriptor.sealed()!)).toEqual(second);
  });

  it('asked for twice at once gives two revisions', async () => {
    const { descriptor, disk } = live(founder);
    const both = await Promise.all([
      descriptor.reissue({ params: { a: 1 } }),
      descriptor.reissue({ params: { b: 1 } }),
    ]);
    expect(both.map(({ terms }) => terms.revision)).toEqual([2, 3]);
    expect(disk).toEqual(both);
  });

  it('that the disk does not take never was', async () => {
    const { descriptor, told, gate } = live(founder);
    gate.open = Promise.reject(new Error('the disk is full'));
    await expect(descriptor.reissue({ params: { a: 1 } })).rejects.toThrow('full');
    expect({ current: descriptor.current, told }).toEqual({ current: first, told: [] });
    gate.open = Promise.resolve();
    expect((await descriptor.reissue({ params: { a: 1 } })).terms.revision).toBe(2);
  });

  it('is nobody else’s', async () => {
    await expect(live(member).descriptor.reissue({ bootstrap: [] })).rejects.toMatchObject({ code: 'not_founder' });
    await expect(live(founder, LOCAL_DESCRIPTOR).descriptor.reissue({ bootstrap: [] })).rejects.toThrow(/no founder/);
    await expect(live(founder).descriptor.reissue({ admission: 'members' })).rejects.toMatchObject({
      code: 'not_built',
    });
  });
});
