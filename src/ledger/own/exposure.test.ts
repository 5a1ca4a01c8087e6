import { describe, expect, it } from 'vitest';
import { account, certify, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { MemoryLedgerStore } from '../../testing/ledger/memory-store.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import { Books } from '../books/books.ts';
import { Ledger } from '../books/ledger.ts';
import type { Entry, LedgerMesh } from '../entries/entry.ts';
import { Exposure } from './exposure.ts';

const WEEK_MS = 7 * 86_400_000;

async function exposureWith(cap: bigint, { requireFinal = false, payers = 25 } = {}) {
  const mesh = meshOf({ genesis: 1_000_000n });
  const ledger = new Ledger(mesh);
  const founder = new Writer(mesh, FOUNDER);
  const writers = Array.from({ length: payers }, (_, index) => {
    const writer = new Writer(mesh, `payer ${index}`);
    const grant = founder.transfer(`payer ${index}`, 1_000n);
    for (const entry of [grant, writer.accept(grant)]) ledger.add(entry);
    return writer;
  });
  const store = new MemoryLedgerStore();
  const clock = new VirtualClock();
  const options = { mesh, self: 'ab'.repeat(32), capMicrocredits: cap, requireFinal };
  const load = (disk = store, from: Pick<Ledger, 'status' | 'finalTip'> = ledger) =>
    Exposure.load(options, { ingest: { ledger: from }, store: disk, clock });
  /** A transfer of a payer to us that is not final. */
  const pays = (payer: number, amount: bigint): Entry => {
    const entry = writers[payer]!.transfer('us', amount);
    ledger.add(entry);
    return entry;
  };
  return { mesh, ledger, writers, store, clock, exposure: await load(), load, pays };
}

describe('the caps', () => {
  it('count what one payer has, and refuse what goes beyond', async () => {
    const { exposure, pays } = await exposureWith(100n);
    const first = pays(0, 60n);
    expect(await exposure.take(first, 60n)).toBe(true);
    expect(exposure.room(first.author)).toBe(40n);
    expect(await exposure.take(pays(0, 41n), 41n)).toBe(false);
    expect(await exposure.take(pays(0, 40n), 40n)).toBe(true);
    expect(await exposure.take(pays(1, 100n), 100n)).toBe(true);
  });

  it('hold for all payers together: twenty times the cap of one', async () => {
    const { exposure, pays } = await exposureWith(100n);
    for (let payer = 0; payer < 20; payer++) expect(await exposure.take(pays(payer, 100n), 100n)).toBe(true);
    expect(exposure.room('cd'.repeat(32))).toBe(0n);
    expect(await exposure.take(pays(20, 1n), 1n)).toBe(false);
    expect(exposure.total).toBe(2_000n);
  });

  it('are 0 where everything has to be final', async () => {
    const { exposure, pays } = await exposureWith(100n, { requireFinal: true });
    expect(await exposure.take(pays(0, 1n), 1n)).toBe(false);
  });

  it('count one entry once', async () => {
    const { exposure, pays } = await exposureWith(100n);
    const transfer = pays(0, 60n);
    expect(await exposure.take(transfer, 60n)).toBe(true);
    expect(await exposure.take(transfer, 60n)).toBe(true);
    expect(exposure.total).toBe(60n);
  });
});

describe('what becomes of a risk', () => {
  it('is nothing once the entry is final', async () => {
    const { exposure, pays, ledger, mesh } = await exposureWith(100n, { payers: 1 });
    const transfer = pays(0, 60n);
    await exposure.take(transfer, 60n);
    for (const author of [mesh.founder, transfer.author]) {
      for (const attestation of certify(mesh, ledger.tip(author)!)) ledger.attest(attestation);
    }
    await exposure.settle();
    expect(exposure.total).toBe(0n);
  });

  it('is a loss when the entry falls, counts for a week, and no longer', async () => {
    const { exposure, pays, ledger, writers, clock } = await exposureWith(100n);
    const before = writers[0]!.tip;
    const transfer = pays(0, 60n);
    await exposure.take(transfer, 60n);
    ledger.add(writers[0]!.behind(before).transfer('somebody else', 60n));
    await exposure.settle();
    expect(exposure.room(transfer.author)).toBe(40n);
    await clock.advance(WEEK_MS);
    await exposure.settle();
    expect(exposure.room(transfer.author)).toBe(40n);
    await clock.advance(1);
    await exposure.settle();
    expect(exposure.room(transfer.author)).toBe(100n);
  });

  it('stands again when a certificate picks its branch', async () => {
    const { exposure, pays, ledger, writers, mesh, clock } = await exposureWith(100n, { payers: 1 });
    const before = writers[0]!.tip;
    const transfer = pays(0, 60n);
    await exposure.take(transfer, 60n);
    ledger.add(writers[0]!.behind(before).transfer('somebody else', 60n));
    await exposure.settle();
    for (const attestation of certify(mesh, transfer)) ledger.attest(attestation);
    await exposure.settle();
    await clock.advance(2 * WEEK_MS);
    await exposure.settle();
    expect(exposure.total).toBe(60n);
  });

  /** The ledger as it is after a restart: what is final is a state, and its entries are not read. */
  const fromSnapshot = (ledger: Ledger, mesh: LedgerMesh) =>
    new Ledger(mesh, { final: Books.decode(ledger.finalBooks().encode(), mesh) });

  it.each([
    ['known before', true],
    ['found only then', false],
  ])('is a loss also after a restart from the final state: %s', async (_, isKnown) => {
    const { exposure, pays, ledger, writers, mesh, clock, store, load } = await exposureWith(100n, { payers: 1 });
    const before = writers[0]!.tip;
    const transfer = pays(0, 60n);
    await exposure.take(transfer, 60n);
    const other = writers[0]!.behind(before);
    const wins = other.transfer('somebody else', 60n);
    ledger.add(wins);
    if (isKnown) await exposure.settle();
    const next = other.transfer('somebody else', 1n);
    ledger.add(next);
    for (const tip of [ledger.tip(mesh.founder)!, next]) {
      for (const attestation of certify(mesh, tip)) ledger.attest(attestation);
    }
    await store.write({ entries: [transfer, wins, next] }, true);

    const after = fromSnapshot(ledger, mesh);
    expect(after.status(transfer)).toBe('unknown');
    const restarted = await load(store.crash(), after);
    await restarted.settle();
    expect(restarted.total).toBe(60n);
    await clock.advance(WEEK_MS);
    await restarted.settle();
    expect(restarted.total).toBe(60n);
    await clock.advance(1);
    await restarted.settle();
    expect(restarted.total).toBe(0n);
  });

  it('is nothing after a restart when its branch became final, whatever it was before', async () => {
    const { exposure, pays, ledger, writers, mesh, store, load } = await exposureWith(100n, { payers: 1 });
    const before = writers[0]!.tip;
    const transfer = pays(0, 60n);
    const next = pays(0, 1n);
    await exposure.take(transfer, 60n);
    const loses = writers[0]!.behind(before).transfer('somebody else', 60n);
    ledger.add(loses);
    await exposure.settle();
    const us = new Writer(mesh, 'us');
    const booked = us.accept(transfer);
    for (const entry of [booked]) ledger.add(entry);
    for (const tip of [ledger.tip(mesh.founder)!, next, booked]) {
      for (const attestation of certify(mesh, tip)) ledger.attest(attestation);
    }
    await store.write({ entries: [transfer, loses, next] }, true);

    const after = fromSnapshot(ledger, mesh);
    expect(after.status(transfer)).toBe('unknown');
    const restarted = await load(store.crash(), after);
    await restarted.settle();
    expect(restarted.total).toBe(0n);
  });

  it('stays a risk while the disk does not say what became of it', async () => {
    const { exposure, pays, ledger, mesh, store, load } = await exposureWith(100n, { payers: 1 });
    const transfer = pays(0, 60n);
    const next = pays(0, 1n);
    await exposure.take(transfer, 60n);
    ledger.add(new Writer(mesh, 'us').accept(transfer));
    for (const tip of [ledger.tip(mesh.founder)!, next, ledger.tip(account('us').id)!]) {
      for (const attestation of certify(mesh, tip)) ledger.attest(attestation);
    }
    const restarted = await load(store.crash(), fromSnapshot(ledger, mesh));
    await restarted.settle();
    expect(restarted.total).toBe(60n);
  });

  it('is known after a crash as soon as it was counted', async () => {
    const { exposure, pays, load, store } = await exposureWith(100n);
    const transfer = pays(0, 60n);
    await exposure.take(transfer, 60n);
    const after = await load(store.crash());
    expect(after.room(transfer.author)).toBe(40n);
    expect(after.counts(transfer)).toBe(true);
  });
});
