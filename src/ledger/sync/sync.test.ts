import { describe, expect, it } from 'vitest';
import { LEDGER } from '../../limits/ledger.ts';
import { attest, certify, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { MemoryLedgerStore } from '../../testing/ledger/memory-store.ts';
import { IN_TURN, SmallLedgerMesh } from '../../testing/ledger/small-ledger-mesh.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import { hexOf } from '../entries/fields.ts';

const mesh = meshOf({ witnesses: 1, genesis: 1_000_000n });
const sealed = (items: readonly { sealed: Uint8Array }[]) => items.map((item) => item.sealed);

function history() {
  const founder = new Writer(mesh, FOUNDER);
  const a = new Writer(mesh, 'A');
  const grant = founder.transfer('A', 100n);
  const entries = [grant, a.accept(grant), a.transfer('B', 10n), founder.transfer('B', 5n)];
  return { founder, a, grant, entries };
}

describe('a sync', () => {
  it('brings an empty node everything, and finds equal ledgers equal with one question', async () => {
    const small = new SmallLedgerMesh(mesh);
    const full = await small.add('full');
    const empty = await small.add('empty');
    const { entries, grant } = history();
    await full.ingest.take({ entries: sealed(entries), attestations: sealed(certify(mesh, grant)) }, 'x');
    expect(await empty.sync.with('full')).toMatchObject({ isEqual: false, failed: undefined, taken: 5 });
    expect(empty.ingest.ledger.digest()).toBe(full.ingest.ledger.digest());
    expect(hexOf(empty.ingest.ledger.root())).toBe(hexOf(full.ingest.ledger.root()));
    const asks = empty.traffic.asks;
    expect(await empty.sync.with('full')).toMatchObject({ isEqual: true, taken: 0 });
    expect(empty.traffic.asks).toBe(asks + 1);
    expect(empty.violations).toEqual([]);
  });

  it('goes through accounts that name each other in step, whatever their number, and is no more than the bytes', async () => {
    const small = new SmallLedgerMesh(mesh);
    const full = await small.add('full');
    const empty = await small.add('empty');
    const founder = new Writer(mesh, FOUNDER);
    const writers = Array.from({ length: 12 }, (_, index) => new Writer(mesh, `many ${index}`));
    const entries = writers.flatMap((writer) => {
      const grant = founder.transfer(writer.account.name, 1_000n);
      return [grant, writer.accept(grant)];
    });
    for (let round = 0; round < 100; round++) {
      const [from, to] = [writers[round % 12]!, writers[(round * 5 + 1) % 12]!];
      if (from === to) continue;
      const transfer = from.transfer(to.account.name, 1n);
      entries.push(transfer, to.accept(transfer));
    }
    await full.ingest.take({ entries: sealed(entries) }, 'x');
    expect(await empty.sync.with('full')).toMatchObject({ taken: entries.length, failed: undefined });
    const bytes = entries.reduce((sum, entry) => sum + entry.sealed.length, 0);
    expect(empty.traffic.bytes).toBeLessThan(1.5 * bytes + 20_000);
  });

  it('finds both branches of a fork, and a late one below what is final', async () => {
    const small = new SmallLedgerMesh(mesh);
    const one = await small.add('one');
    const other = await small.add('other');
    const { founder, grant, entries } = history();
    const branch = founder.behind(grant).transfer('C', 7n);
    await one.ingest.take({ entries: sealed(entries) }, 'x');
    await other.ingest.take({ entries: sealed([grant, branch]) }, 'x');
    await small.agree();
    for (const { ingest } of small.nodes) {
      expect(ingest.ledger.forks()).toMatchObject([{ sequence: 1, resolved: undefined }]);
      expect(ingest.ledger.digest()).toBe(one.ingest.ledger.digest());
    }
    await one.ingest.take({ attestations: sealed(certify(mesh, entries[3]!)) }, 'x');
    await small.agree();
    expect(other.ingest.ledger.status(entries[3]!)).toBe('final');

    const late = new Writer(mesh, FOUNDER).transfer('D', 9n);
    const third = await small.add('third');
    await third.ingest.take({ entries: [late.sealed] }, 'x');
    await small.agree();
    for (const { ingest } of small.nodes) {
      expect(ingest.ledger.digest()).toBe(one.ingest.ledger.digest());
      expect(ingest.ledger.forks()[0]).toMatchObject({ sequence: 0, resolved: grant.id });
    }
  });

  it('goes on where a turn was over', async () => {
    const clock = new VirtualClock();
    const small = new SmallLedgerMesh(mesh, { clock, codec: IN_TURN });
    const full = await small.add('full');
    const { entries } = history();
    await full.ingest.take({ entries: sealed(entries) }, 'x');
    const empty = await small.add('empty');
    let asked = 0;
    small.addLiar('slow', async (ask) => {
      if (++asked === 5) await clock.advance(LEDGER.syncTurnMs + 1);
      return full.serve.answer(ask);
    });
    const first = await empty.sync.with('slow');
    expect(first.isCut || first.taken === entries.length).toBe(true);
    const second = await empty.sync.with('slow');
    expect(first.taken + second.taken).toBe(entries.length);
    expect(empty.ingest.ledger.digest()).toBe(full.ingest.ledger.digest());
  });

  it('begins when a hint names what is not here', async () => {
    const clock = new VirtualClock();
    const small = new SmallLedgerMesh(mesh, { clock, codec: IN_TURN });
    const full = await small.add('full');
    const node = await small.add('node');
    full.hints.start();
    node.sync.start();
    await clock.advance(1_000);
    const { founder, entries } = history();
    await full.ingest.take({ entries: sealed(entries) }, 'x');
    await full.ingest.own(founder.transfer('C', 1n));
    await clock.advance(LEDGER.hintGatherMs);
    expect(node.ingest.waiting.size).toBe(1);
    for (let step = 0; step < 20; step++) await clock.advance(LEDGER.gapSettleMs);
    expect(node.ingest.ledger.digest()).toBe(full.ingest.ledger.digest());
    expect(node.ingest.waiting.size).toBe(0);
    await node.sync.stop();
  });

  it('tells the newest entries of an author that a peer has, and brings the chain before them', async () => {
    const small = new SmallLedgerMesh(mesh);
    const full = await small.add('full');
    const node = await small.add('node');
    const { a, entries } = history();
    await full.ingest.take({ entries: sealed(entries) }, 'x');
    const never = new AbortController().signal;
    expect((await node.sync.head('full', a.id, never)).map(({ id }) => id)).toEqual([entries[2]!.id]);
    expect(node.ingest.ledger.tip(a.id)?.id).toBe(entries[2]!.id);
    expect(await node.sync.head('full', new Writer(mesh, 'nobody').id, never)).toEqual([]);
    await expect(node.sync.head('nobody', a.id, never)).rejects.toMatchObject({ code: 'peer_unreachable' });
  });
});

describe('the ledger from the disk', () => {
  it('is the same after a restart, with and without a saved state', async () => {
    const store = new MemoryLedgerStore();
    const node = await new SmallLedgerMesh(mesh).add('node', store);
    const { entries, grant, founder } = history();
    await node.ingest.take({ entries: sealed(entries), attestations: sealed(certify(mesh, grant)) }, 'x');
    await node.ingest.own(founder.transfer('C', 1n));
    await node.ingest.flushed();
    const killed = await new SmallLedgerMesh(mesh).add('node', store.crash(store.unsaved));
    expect(killed.ingest.ledger.digest()).toBe(node.ingest.ledger.digest());
    expect(hexOf(killed.ingest.ledger.root())).toBe(hexOf(node.ingest.ledger.root()));
    await killed.ingest.stop();
    expect(await killed.store.snapshot()).toBeDefined();
    const again = await new SmallLedgerMesh(mesh).add('node', killed.store);
    expect(hexOf(again.ingest.ledger.root())).toBe(hexOf(node.ingest.ledger.root()));
    expect(again.ingest.ledger.status(grant)).toBe('final');
  });

  it('keeps own entries through a crash of the machine', async () => {
    const store = new MemoryLedgerStore();
    const node = await new SmallLedgerMesh(mesh).add('node', store);
    const own = new Writer(mesh, FOUNDER).transfer('A', 1n);
    await node.ingest.own(own);
    const after = await new SmallLedgerMesh(mesh).add('node', store.crash());
    expect(after.ingest.ledger.status(own)).toBe('stands');
  });

  it('drops what is damaged, and fetches it again', async () => {
    const store = new MemoryLedgerStore();
    const small = new SmallLedgerMesh(mesh);
    const full = await small.add('full');
    const node = await small.add('node', store);
    const { entries, grant } = history();
    await full.ingest.take({ entries: sealed(entries), attestations: [attest(mesh, 'W1', grant).sealed] }, 'x');
    await node.sync.with('full');
    await node.ingest.flushed();
    store.damage(entries[2]!);
    store.damage(grant);
    const healed = new SmallLedgerMesh(mesh);
    await healed.add('full', full.store);
    const again = await healed.add('node', store);
    expect(again.ingest.damaged.map(({ id }) => id).toSorted()).toEqual([entries[2]!.id, grant.id].toSorted());
    await healed.agree();
    expect(again.ingest.ledger.digest()).toBe(full.ingest.ledger.digest());
    expect(again.ingest.damaged).toEqual([]);
  });
});
