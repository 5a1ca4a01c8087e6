import { describe, expect, it } from 'vitest';
import { certify, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { MemoryLedgerStore } from '../../testing/ledger/memory-store.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import { Ledger } from '../books/ledger.ts';
import type { Entry } from '../entries/entry.ts';
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
  const options = { self: 'ab'.repeat(32), capMicrocredits: cap, requireFinal };
  const deps = { ingest: { ledger }, notes: store.notes, clock };
  const load = (notes = store.notes) => Exposure.load(options, { ...deps, notes });
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

  it('is known after a crash as soon as it was counted', async () => {
    const { exposure, pays, load, store } = await exposureWith(100n);
    const transfer = pays(0, 60n);
    await exposure.take(transfer, 60n);
    const after = await load(store.crash().notes);
    expect(after.room(transfer.author)).toBe(40n);
    expect(after.counts(transfer)).toBe(true);
  });
});
