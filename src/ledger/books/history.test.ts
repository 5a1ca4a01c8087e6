/** What an account's history says of entries that are long final, also after a restart, when only the disk knows them. */

import { afterEach, expect, it } from 'vitest';
import { account, certify, FOUNDER, Writer } from '../../testing/ledger/authors.ts';
import type { MemoryLedgerStore } from '../../testing/ledger/memory-store.ts';
import { type SmallLedger, smallLedger } from '../../testing/small-ledger.ts';
import type { Entry } from '../entries/entry.ts';

let node: SmallLedger | undefined;
afterEach(async () => {
  await node?.stop();
  node = undefined;
});

async function restarted(store: MemoryLedgerStore): Promise<SmallLedger> {
  await node?.stop();
  node = await smallLedger({ store });
  return node;
}

async function told({ credits }: SmallLedger) {
  const { entries } = await credits.history(undefined, 50);
  return entries.map(({ kind, amountMicrocredits, state }) => `${kind} ${amountMicrocredits} ${state}`);
}

it('amounts, what was void and what was lost are the same when all of it is final, and after a restart', async () => {
  node = await smallLedger();
  const { mesh, author, take, store } = node;
  const final = (...entries: readonly Entry[]) => take(...entries.flatMap((entry) => certify(mesh, entry)));
  const founder = new Writer(mesh, FOUNDER);
  const b = new Writer(mesh, 'B');
  const toA = founder.transfer('A', 100n);
  const toB = founder.transfer('B', 100n);
  const bookedB = b.accept(toB);
  const lost = b.transfer('A', 60n);
  await take(toA, toB, bookedB, lost);
  const own = [
    await author.accept(toA),
    await author.accept(lost),
    await author.transfer({ to: account('C').id, amount: 150n, memo: '' }),
  ];

  // B spends the 60 again, and witnesses pick that one: what A sent out of them is void.
  const instead = b.behind(bookedB).transfer('C', 60n);
  await take(instead);
  await final(toA, toB, bookedB, instead);
  const held = await author.hold([{ payee: account('B').id, max: 30n }]);
  const bLiving = b.behind(instead);
  const part = bLiving.claim(held, 10n);
  const rest = bLiving.claim(held, 12n, { last: true });
  await take(part, rest);
  own.push(held, await author.release(held, 0, rest));
  const expected = (state: string) => [
    `release 18 ${state}`,
    `hold -30 ${state}`,
    'transfer 0 void',
    'accept 0 cut',
    `accept 100 ${state}`,
  ];
  expect(await told(node)).toEqual([...expected('stands').slice(0, 4), 'accept 100 stands']);

  await final(...own, part, rest);
  expect(node.ingest.ledger.find(own[4]?.id ?? '')).toBeUndefined();
  expect(await told(node)).toEqual(expected('final'));
  expect(await told(await restarted(store))).toEqual(expected('final'));
  expect(await node.ledger.verify()).toMatchObject({ valid: true });
});
