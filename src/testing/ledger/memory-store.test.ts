import { describe, expect, it } from 'vitest';
import { GoGridError } from '../../errors.ts';
import type { StoredEntry } from '../../ledger/ports.ts';
import { collected } from '../collected.ts';
import { errorOf } from '../failure.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { MemoryLedgerStore } from './memory-store.ts';
import { storeAcceptance } from './store-acceptance.ts';

let opened = new MemoryLedgerStore();
storeAcceptance('the store in memory', {
  async open() {
    opened = new MemoryLedgerStore();
    return opened;
  },
  async restart() {
    opened = opened.crash(opened.unsaved);
    return opened;
  },
  async close() {},
});

const author = 'aa'.repeat(32);
const entry = (sequence: number): StoredEntry => ({
  author,
  sequence,
  id: 'bb'.repeat(32),
  sealed: Uint8Array.of(sequence),
});
async function sequencesIn(store: MemoryLedgerStore): Promise<number[]> {
  const found: number[] = [];
  for await (const { sequence } of store.chain(author, 0)) found.push(sequence);
  return found;
}

describe('a crash of the store in memory', () => {
  it('loses exactly what was not durable', async () => {
    const store = new MemoryLedgerStore();
    await store.write({ entries: [entry(0)] }, false);
    await store.write({ entries: [entry(1)] }, true);
    await store.write({ entries: [entry(2)], snapshot: Uint8Array.of(1) }, false);
    await store.drop([entry(0)]);
    await store.write({ entries: [entry(3)] }, false);
    expect(await sequencesIn(store)).toEqual([1, 2, 3]);
    expect(store.unsaved).toBe(3);
    const after = store.crash();
    expect(await sequencesIn(after)).toEqual([0, 1]);
    expect(await after.snapshot()).toBeUndefined();
  });

  it('brings back what lay under a name before, however often it was written over', async () => {
    const store = new MemoryLedgerStore();
    const named = (n: number) => ({ ...entry(0), sealed: Uint8Array.of(n) });
    await store.write({ entries: [named(1)] }, true);
    await store.write({ entries: [named(2), named(3)] }, false);
    await store.write({ entries: [named(4)] }, false);
    expect(await store.entry(entry(0))).toEqual(Uint8Array.of(4));
    const after = store.crash(1);
    expect(await after.entry(entry(0))).toEqual(Uint8Array.of(3));
    await after.write({ entries: [named(5), named(6)] }, false);
    await after.drop([entry(0)]);
    expect(await after.crash().entry(entry(0))).toEqual(Uint8Array.of(3));
  });

  it('leaves of what was not durable the oldest, as many as the disk had got', async () => {
    for (const [kept, expected] of [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]].entries()) {
      const store = new MemoryLedgerStore();
      await store.notes.put([['x', Uint8Array.of(1)]]);
      await store.write({ entries: [entry(0)] }, true);
      for (const n of [1, 2, 3]) await store.write({ entries: [entry(n)] }, false);
      const after = store.crash(kept);
      expect(await sequencesIn(after)).toEqual(expected);
      expect(await after.notes.get('x')).toEqual(Uint8Array.of(1));
    }
  });

  it('leaves whoever waited without an answer, and takes nothing more from the dead', async () => {
    const clock = new VirtualClock();
    const delay = () => new Promise<void>((resolve) => void clock.after(5, resolve));
    const store = new MemoryLedgerStore({ delay });
    let answered = 0;
    const told = () => answered++;
    store.write({ entries: [entry(0)] }, true).then(told, told);
    await clock.advance(2);
    const after = store.crash();
    store.write({ entries: [entry(1)] }, true).then(told, told);
    store.entry(entry(0)).then(told, told);
    await clock.advance(1_000);
    expect(answered).toBe(0);
    expect(await sequencesIn(after)).toEqual([]);
  });
});

it('writes that come while one is on its way take one fsync together', async () => {
  const clock = new VirtualClock();
  const taken: boolean[] = [];
  const delay = (durable: boolean) => {
    taken.push(durable);
    return new Promise<void>((resolve) => void clock.after(5, resolve));
  };
  const store = new MemoryLedgerStore({ delay });
  const ends: number[] = [];
  for (let n = 0; n < 10; n++) {
    const end = () => ends.push(clock.elapsed());
    store.write({ entries: [entry(n)] }, n === 7).then(end, end);
  }
  await clock.advance(20);
  expect(taken).toEqual([false, true]);
  expect(ends).toEqual([5, ...Array(9).fill(10)]);
});

it('a write fails with what its delay rejects with, changes nothing, and the next goes well', async () => {
  let full = true;
  const error = new GoGridError({ code: 'disk_full', message: 'full' });
  const store = new MemoryLedgerStore({ delay: () => (full ? Promise.reject(error) : Promise.resolve()) });
  expect(await errorOf(store.write({ entries: [entry(0)] }, true))).toBe(error);
  full = false;
  await store.write({ entries: [entry(1)] }, true);
  expect(await sequencesIn(store)).toEqual([1]);
});

it('what was damaged is listed without its bytes, until it is dropped and written again', async () => {
  const store = new MemoryLedgerStore();
  await store.write({ entries: [entry(1)] }, true);
  store.damage(entry(1));
  const [found] = await collected(store.chain(author, 0));
  expect(found).toEqual({ ...entry(1), sealed: new Uint8Array() });
  expect(await store.entry(entry(1))).toBeUndefined();
  await store.drop([entry(1)]);
  await store.write({ entries: [entry(1)] }, true);
  expect(await store.entry(entry(1))).toEqual(entry(1).sealed);
});
