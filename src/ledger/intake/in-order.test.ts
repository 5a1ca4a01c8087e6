/** Whatever lies in a store comes out once, each entry behind all it rests on. */

import { describe, expect, it } from 'vitest';
import { LEDGER } from '../../limits/ledger.ts';
import { certify, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { MemoryLedgerStore } from '../../testing/ledger/memory-store.ts';
import { openAttestation } from '../entries/attestation.ts';
import { type Attestation, type Entry, namesIn } from '../entries/entry.ts';
import { openEntry } from '../entries/entry-codec.ts';
import { hexOf } from '../entries/fields.ts';
import { inOrder } from './in-order.ts';

const mesh = meshOf({ witnesses: 1, genesis: 1_000_000n });
const networkId = hexOf(mesh.networkId);

async function read(entries: readonly Entry[], attestations: readonly Attestation[] = []) {
  const store = new MemoryLedgerStore();
  await store.write({ entries, attestations }, true);
  const found: string[] = [];
  const seen = new Set([networkId]);
  const early: string[] = [];
  for await (const item of inOrder(store, networkId, {
    entry: ({ sealed }) => openEntry(sealed, mesh, { trusted: true }),
    attestation: ({ sealed }) => openAttestation(sealed, mesh, { trusted: true }),
  })) {
    if (item.kind === 'entry') {
      const { id, previous, body } = item.entry;
      for (const rest of [previous, ...namesIn(body).map((name) => name.id)]) if (!seen.has(rest)) early.push(id);
      seen.add(id);
      found.push(id);
    } else if (item.kind === 'attestation') {
      if (!seen.has(item.attestation.id)) early.push(item.attestation.id);
      found.push(`over ${item.attestation.id}`);
    }
  }
  return { found, early };
}

describe('inOrder', () => {
  it('reads long chains that hang on each other, page by page', async () => {
    const founder = new Writer(mesh, FOUNDER, { signed: false });
    const a = new Writer(mesh, 'A', { signed: false });
    const entries: Entry[] = [];
    for (let count = 0; count < 2 * LEDGER.readPage + 3; count++) {
      const to = founder.transfer('A', 1n);
      entries.push(to, a.accept(to));
    }
    const attestations = entries.flatMap((entry) => certify(mesh, entry, { signed: false }));
    const { found, early } = await read(entries, attestations);
    expect(early).toEqual([]);
    expect(found).toHaveLength(entries.length + attestations.length);
    expect(new Set(found).size).toBe(found.length);
  });

  it('reads attestations along with the entries they are over, a page behind at most', async () => {
    const founder = new Writer(mesh, FOUNDER, { signed: false });
    const entries = Array.from({ length: 3 * LEDGER.readPage }, () => founder.transfer('A', 1n));
    const { found } = await read(
      entries,
      entries.flatMap((entry) => certify(mesh, entry, { signed: false })),
    );
    let ahead = 0;
    let most = 0;
    for (const what of found) {
      ahead += what.startsWith('over') ? -1 : 1;
      most = Math.max(most, ahead);
    }
    expect(most).toBe(LEDGER.readPage);
  });

  it('goes round a dead branch that waits for what comes behind the living one', async () => {
    const founder = new Writer(mesh, FOUNDER);
    const toA = founder.transfer('A', 100n);
    const a = new Writer(mesh, 'A');
    const start = a.accept(toA);
    // B's entry rests on the living branch of A, and the dead branch of A names B's entry.
    const living = a.transfer('B', 10n);
    const b = new Writer(mesh, 'B');
    const booked = b.accept(living);
    const back = b.transfer('A', 1n);
    const dead = a.behind(start).accept(back);
    const deader = a.behind(dead).transfer('C', 5n);
    const { found, early } = await read([toA, start, living, booked, back, dead, deader], certify(mesh, deader));
    expect(early).toEqual([]);
    expect(found).toHaveLength(8);
  });

  it('ends with what rests on what is nowhere', async () => {
    const founder = new Writer(mesh, FOUNDER);
    const lost = founder.transfer('A', 1n);
    const behind = founder.transfer('B', 2n);
    const a = new Writer(mesh, 'A');
    const accepted = a.accept(lost);
    const { found } = await read([behind, accepted, a.transfer('B', 1n)], certify(mesh, lost));
    expect(found).toHaveLength(4);
    expect(found.at(-1)).toBe(`over ${lost.id}`);
  });
});
