import { describe, expect, it } from 'vitest';
import { FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { MemoryLedgerStore } from '../../testing/ledger/memory-store.ts';
import { Damage } from './damage.ts';

const mesh = meshOf({ witnesses: 1, genesis: 1_000_000n });

async function stage() {
  const founder = new Writer(mesh, FOUNDER);
  const entries = Array.from({ length: 10 }, () => founder.transfer('A', 1n));
  const store = new MemoryLedgerStore();
  await store.write({ entries }, true);
  const ids = (...places: readonly number[]) => places.map((place) => ({ id: entries[place]!.id, sequence: place }));
  const damage = new Damage(mesh, store, []);
  const look = (place: number) => damage.look(mesh.founder, place, entries.at(-1));
  return { store, entries, ids, damage, look };
}

describe('a look for what a disk has lost', () => {
  it('finds nothing where an entry can be read', async () => {
    const { look, damage } = await stage();
    expect(await look(5)).toEqual([]);
    expect(await look(9)).toEqual([]);
    expect(damage.names()).toEqual([]);
  });

  it('finds what lies there and cannot be read, and drops it', async () => {
    const { store, entries, ids, look } = await stage();
    store.damage(entries[5]!);
    expect(await look(5)).toMatchObject(ids(5));
    expect(await store.idsAt(mesh.founder, 5)).toEqual([]);
  });

  it('finds what is gone by what names it: of several in a row the last, and then those before it', async () => {
    const { store, entries, ids, look, damage } = await stage();
    await store.drop([entries[5]!, entries[6]!]);
    expect(await look(5)).toMatchObject(ids(6));
    await store.write({ entries: [entries[6]!] }, true);
    damage.onHealed(entries[6]!.id);
    expect(await look(5)).toMatchObject(ids(5));
    expect(damage.names()).toMatchObject(ids(5));
  });

  it('finds the newest, which nothing names', async () => {
    const { store, entries, ids, look } = await stage();
    await store.drop([entries[9]!]);
    expect(await look(9)).toMatchObject(ids(9));
  });

  it('is not misled by another entry of the same place', async () => {
    const { store, entries, ids, look } = await stage();
    const other = new Writer(mesh, FOUNDER).behind(entries[4]).transfer('B', 1n);
    await store.write({ entries: [other] }, true);
    expect(await look(5)).toEqual([]);
    await store.drop([entries[5]!]);
    expect(await look(5)).toMatchObject(ids(5));
  });
});
