/** A witness that runs on an older copy of its data folder, among real nodes. */

import { expect, it } from 'vitest';
import { LEDGER } from '../../limits/ledger.ts';
import { account, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { MemoryLedgerStore } from '../../testing/ledger/memory-store.ts';
import { type WholeNode, WholeNodes } from '../../testing/ledger/whole-nodes.ts';
import type { AccountId, EntryId } from '../entries/entry.ts';

const mesh = meshOf({ witnesses: 4 });
const W1 = account('W1').id;

async function attestedBy(node: WholeNode, witness: AccountId): Promise<EntryId[]> {
  const ids: EntryId[] = [];
  for await (const stored of node.store.attestations(account(FOUNDER).id, 0)) {
    if (stored.witness === witness) ids.push(stored.id);
  }
  return ids;
}

it('hears from the others what it attested, also what made no certificate and what one peer does not have', async () => {
  const net = new WholeNodes(mesh);
  const w1 = await net.start('W1', { fresh: true });
  const w2 = await net.start('W2', { fresh: true });
  const one = new Writer(mesh, FOUNDER).transfer('A', 1n);
  const other = new Writer(mesh, FOUNDER).transfer('B', 1n);
  for (const node of [w1, w2]) await node.ingest.take({ entries: [one.sealed] }, 'a peer');
  await net.until(() => [...w2.ingest.ledger.newestVotesOf(W1)].length === 1);
  await w2.ingest.flushed();
  await net.stop(w1);
  await net.stop(w2);
  const w3 = await net.start('W3', { fresh: true });
  await w3.ingest.take({ entries: [other.sealed] }, 'a peer');
  await net.clock.advance(LEDGER.attestGatherMs);
  // Its disk of before, and at first only a peer that knows the other branch alone.
  const restored = await net.start('W1', { store: new MemoryLedgerStore() });
  await net.clock.advance(2_000);
  expect(restored.witness?.state().state).toBe('starting');
  await net.start('W2', { store: w2.store });
  await net.until(() => restored.witness?.state().state === 'running');
  await net.clock.advance(10_000);
  expect(await attestedBy(restored, W1)).not.toContain(other.id);
});

it('begins by itself when the others do not come', async () => {
  const net = new WholeNodes(mesh);
  await net.start('A', { fresh: true });
  const w1 = await net.start('W1');
  await net.until(() => w1.witness?.state().state === 'running', LEDGER.askHeadMs + 2 * LEDGER.askHeadAgainMs);
});
