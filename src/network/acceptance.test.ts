import { describe, expect, it } from 'vitest';
import { MESH } from '../limits/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { Acceptance, type AcceptRule } from './acceptance.ts';
import type { AcceptedPeers } from './ports.ts';

type Saved = Parameters<AcceptedPeers['save']>[0];
type Loaded = Awaited<ReturnType<AcceptedPeers['load']>>;

const peer = (node: number | string) => ({ node: `node ${node}` as NodeId, name: `peer ${node}` });
const many = (count: number) => Array.from({ length: count }, (_, n) => peer(n));

/** A disk that ends each write when the test says so, in the order that the test says. */
function slowDisk(loaded: Loaded = { accepted: [], blocked: [] }) {
  const writes: { readonly lists: Saved; readonly end: () => void; readonly fail: () => void }[] = [];
  let onDisk: Saved | undefined;
  const store: AcceptedPeers = {
    load: async () => loaded,
    save: (lists) =>
      new Promise((resolve, reject) => {
        const end = () => {
          onDisk = lists;
          resolve();
        };
        writes.push({ lists, end, fail: () => reject(new Error('the disk is full')) });
      }),
  };
  return { store, writes, onDisk: () => onDisk };
}

const quickDisk = (loaded: Loaded): AcceptedPeers => ({ load: async () => loaded, save: async () => {} });

async function loaded(rule: AcceptRule, lists: Loaded) {
  const acceptance = new Acceptance(rule, quickDisk(lists), silentLogger);
  await acceptance.load();
  return acceptance;
}

/** Lets everything go on that does not wait for the disk. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('what is decided in quick succession', () => {
  it('is on disk as it was decided last, in whatever order the disk ends its writes', async () => {
    const { store, writes, onDisk } = slowDisk();
    const acceptance = new Acceptance('confirm', store, silentLogger);
    const all = Promise.all([acceptance.accept(peer(1)), acceptance.block(peer(1)), acceptance.accept(peer(2))]);
    for (let ended = 0; ended < 3; ended++) {
      await turn();
      for (const write of writes.splice(0).reverse()) write.end();
    }
    await all;
    expect(onDisk()).toEqual({ accepted: [peer(2)], blocked: [peer(1)] });
  });

  it('is one write at a time, and resolves with the write that holds it', async () => {
    const { store, writes } = slowDisk();
    const acceptance = new Acceptance('confirm', store, silentLogger);
    const first = acceptance.accept(peer(1));
    await turn();
    let isSecondSaved = false;
    const second = acceptance.block(peer(1)).then(() => {
      isSecondSaved = true;
    });
    await turn();
    expect(writes).toHaveLength(1);
    writes[0]?.end();
    await first;
    await turn();
    expect([writes.length, isSecondSaved]).toEqual([2, false]);
    writes[1]?.end();
    await second;
  });

  it('goes on after a write that failed', async () => {
    const { store, writes, onDisk } = slowDisk();
    const acceptance = new Acceptance('confirm', store, silentLogger);
    const first = acceptance.accept(peer(1));
    await turn();
    const second = acceptance.accept(peer(2));
    writes[0]?.fail();
    await expect(first).rejects.toThrow('the disk is full');
    await turn();
    writes[1]?.end();
    await second;
    expect(onDisk()?.accepted).toEqual([peer(1), peer(2)]);
  });
});

describe('lists that are full', () => {
  const full = {
    accepted: many(MESH.maxAccepted),
    blocked: many(MESH.maxAccepted).map(({ name }) => peer(`b ${name}`)),
  };

  it('take in nobody else, and lose nobody', async () => {
    const acceptance = await loaded('confirm', full);
    const refused = { code: 'invalid_request', message: expect.stringContaining('1024'), hint: expect.any(String) };
    // Before it returns: whoever is about to hang up on the peer must not.
    expect(() => acceptance.block(peer('new'))).toThrow(expect.objectContaining(refused));
    expect(() => acceptance.accept(peer('new'))).toThrow(expect.objectContaining(refused));
    expect([acceptance.isBlocked(peer('new').node), acceptance.accepts(peer('new').node)]).toEqual([false, false]);
    for (const { node } of full.accepted) expect(acceptance.accepts(node)).toBe(true);
    for (const { node } of full.blocked) expect(acceptance.isBlocked(node)).toBe(true);
  });

  it('refuse to accept a blocked peer, which stays blocked', async () => {
    const acceptance = await loaded('confirm', full);
    const [blocked] = full.blocked;
    expect(() => acceptance.accept(blocked!)).toThrow();
    expect(acceptance.isBlocked(blocked!.node)).toBe(true);
  });

  it('take whom they have already, and another one where there is room again', async () => {
    const acceptance = await loaded('confirm', full);
    await acceptance.accept(peer(7));
    await acceptance.block({ ...full.blocked[7]! });
    await acceptance.unblock(full.blocked[7]!.node);
    await acceptance.block(peer(7));
    await acceptance.accept(peer('new'));
    expect([acceptance.isBlocked(peer(7).node), acceptance.accepts(peer('new').node)]).toEqual([true, true]);
  });
});

describe('a damaged list', () => {
  it('of blocked peers ends the start where everybody else is let in', async () => {
    const damaged = { code: 'damaged', hint: expect.stringContaining('network.accept confirm') };
    await expect(loaded('all', { accepted: [peer(1)], blocked: undefined })).rejects.toMatchObject(damaged);
    const broken: AcceptedPeers = {
      ...quickDisk({ accepted: [], blocked: [] }),
      load: () => Promise.reject(new Error()),
    };
    await expect(new Acceptance('all', broken, silentLogger).load()).rejects.toMatchObject(damaged);
  });

  it('of blocked peers lets in nobody but the accepted where the user decides', async () => {
    const acceptance = await loaded('confirm', { accepted: [peer(1)], blocked: undefined });
    expect([1, 2].map((n) => acceptance.accepts(peer(n).node))).toEqual([true, false]);
  });

  it('of accepted peers forgets no block', async () => {
    for (const rule of ['all', 'confirm'] as const) {
      const acceptance = await loaded(rule, { accepted: undefined, blocked: [peer(1)] });
      expect(acceptance.isBlocked(peer(1).node)).toBe(true);
      expect(acceptance.accepts(peer(1).node)).toBe(false);
    }
  });
});
