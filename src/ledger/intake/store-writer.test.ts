import { describe, expect, it } from 'vitest';
import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import { FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { settle, VirtualClock } from '../../testing/virtual-clock.ts';
import type { LedgerBatch } from '../ports.ts';
import { StoreWriter } from './store-writer.ts';

function stage() {
  const clock = new VirtualClock();
  const written: { entries: number; durable: boolean; snapshot: boolean }[] = [];
  const disk = { isFull: false };
  const write = async ({ entries = [], snapshot }: LedgerBatch, durable: boolean) => {
    if (disk.isFull) throw new GoGridError({ code: 'disk_full', message: 'full' });
    written.push({ entries: entries.length, durable, snapshot: snapshot !== undefined });
  };
  const founder = new Writer(meshOf(), FOUNDER, { signed: false });
  const next = () => founder.transfer('A', 1n);
  return { clock, written, disk, next, writer: new StoreWriter({ store: { write }, clock, log: silentLogger }) };
}

describe('the writer of the store', () => {
  it('gathers what others sent, and writes it in one group without waiting for the disk', async () => {
    const { clock, writer, written, next } = stage();
    for (let count = 0; count < 50; count++) writer.addEntry(next());
    expect(written).toEqual([]);
    await clock.advance(LEDGER.storeGatherMs);
    expect(written).toEqual([{ entries: 50, durable: false, snapshot: false }]);
  });

  it('writes own entries at once and durably, with all that was gathered', async () => {
    const { writer, written, next } = stage();
    writer.addEntry(next());
    await Promise.all([writer.write({ entries: [next()] }, true), writer.write({ entries: [next()] }, true)]);
    expect(written).toEqual([{ entries: 3, durable: true, snapshot: false }]);
    await writer.flushed();
    expect(written).toHaveLength(1);
  });

  it('keeps what others sent when the disk refuses, and tells who waits; an own entry that was refused is never written', async () => {
    const { clock, writer, written, disk, next } = stage();
    disk.isFull = true;
    writer.addEntry(next());
    await expect(writer.write({ entries: [next()] }, true)).rejects.toMatchObject({ code: 'disk_full' });
    disk.isFull = false;
    await clock.advance(LEDGER.storeRetryMs);
    expect(written).toEqual([{ entries: 1, durable: false, snapshot: false }]);
  });

  it('says when too much waits for the disk', async () => {
    const { clock, writer, disk, next } = stage();
    disk.isFull = true;
    const entry = next();
    for (let count = 0; count < LEDGER.maxUnwritten; count++) writer.addEntry(entry);
    await settle();
    expect(writer.isFull).toBe(true);
    disk.isFull = false;
    await clock.advance(LEDGER.storeRetryMs);
    expect(writer.isFull).toBe(false);
  });
});
