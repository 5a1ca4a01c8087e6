/** One request, one transfer: at once, again, after a crash before and after the entry was written. */

import { expect, it } from 'vitest';
import { LEDGER } from '../../limits/ledger.ts';
import { account, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { MemoryLedgerStore } from '../../testing/ledger/memory-store.ts';
import type { EntryId } from '../entries/entry.ts';
import { type Order, TransferRequests } from './requests.ts';

const mesh = meshOf();
const order: Order = { to: account('B').id, amount: 5n, memo: '' };

/** A log that may die on the way to the disk. */
function log(store = new MemoryLedgerStore()) {
  const writer = new Writer(mesh, FOUNDER, { signed: false });
  const written = new Set<EntryId>();
  let now = 1_000;
  const state = { dies: 'never' as 'never' | 'before' | 'after', made: 0 };
  const load = () =>
    TransferRequests.load({
      notes: store.notes,
      clock: { now: () => now },
      settled: async () => {},
      isThere: async ({ id }) => written.has(id),
      async transfer({ amount, memo }, beforeWrite) {
        const entry = writer.transfer('B', amount, memo);
        await beforeWrite?.(entry);
        if (state.dies === 'before') throw new Error('died before the entry was written');
        written.add(entry.id);
        state.made++;
        if (state.dies === 'after') throw new Error('died before anybody heard of it');
        return entry;
      },
    });
  const pass = (ms: number) => {
    now += ms;
  };
  return { load, state, store, pass };
}

it('is made once, however often it is asked for', async () => {
  const { load, state } = log();
  const requests = await load();
  const made = await Promise.all([1, 2, 3].map(() => requests.make(order, 'a')));
  expect(new Set(made.map(({ name }) => name.id)).size).toBe(1);
  expect(made.filter(({ repeated }) => !repeated)).toHaveLength(1);
  expect(await requests.make(order, 'b')).toMatchObject({ repeated: false });
  expect(await requests.make(order, undefined)).toMatchObject({ repeated: false });
  expect(state.made).toBe(3);
  await expect(requests.make({ ...order, memo: 'x' }, 'a')).rejects.toMatchObject({ code: 'invalid_request' });
});

it.each(['before', 'after'] as const)(
  'asked for again after a crash %s its entry was written, is made once',
  async (dies) => {
    const { load, state } = log();
    state.dies = dies;
    await expect((await load()).make(order, 'a')).rejects.toThrow('died');
    state.dies = 'never';
    const again = await load();
    expect(await again.make(order, 'a')).toMatchObject({ repeated: dies === 'after' });
    expect(await again.make(order, 'a')).toMatchObject({ repeated: true });
    expect(state.made).toBe(1);
  },
);

it('is forgotten after a day, and the notes do not grow', async () => {
  const { load, store, pass } = log();
  const requests = await load();
  await requests.make(order, 'old');
  pass(LEDGER.requestKeptSecs * 1000 + 1);
  await requests.make(order, 'new');
  const keys: string[] = [];
  for await (const [key] of store.notes.list('')) keys.push(key);
  expect(keys).toEqual(['request/new']);
});
