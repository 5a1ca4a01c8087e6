/** A node that ends and begins again has the ledger that it would have had: on a disk, and in a store that crashes. */

import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { LEDGER } from '../../limits/ledger.ts';
import { LevelLedgerStore } from '../../storage/ledger-store.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import { type History, type Item, inOrder, play } from '../../testing/ledger/histories.ts';
import { MemoryLedgerStore } from '../../testing/ledger/memory-store.ts';
import { plans } from '../../testing/ledger/plans.ts';
import { randomOf } from '../../testing/sim/random.ts';
import { smallDatabase } from '../../testing/small-database.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import { readAttestation } from '../entries/attestation.ts';
import type { LedgerMesh } from '../entries/entry.ts';
import { readEntry } from '../entries/entry-codec.ts';
import type { LedgerStore } from '../ports.ts';
import { Ingest } from './ingest.ts';

vi.setConfig({ testTimeout: 60_000 });

/** What is signed is what the histories have signed; checking it again and again takes most of the time. */
const codec = { readEntry, readAttestation, isEntrySigned: () => true, isAttestationSigned: () => true };
const PEER = 'peer';

function load(mesh: LedgerMesh, store: LedgerStore): Promise<Ingest> {
  const clock = new VirtualClock();
  return Ingest.load({ mesh }, { store, clock, log: silentLogger, pause: async () => {}, codec });
}

async function give(ingest: Ingest, items: readonly Item[]): Promise<void> {
  for (const item of items) {
    if (item.type === 'entry') await ingest.take({ entries: [item.entry.sealed] }, PEER);
    else await ingest.take({ attestations: [item.attestation.sealed] }, PEER);
  }
  await ingest.flushed();
}

/** As `give`, and again, as a sync would: what nobody needed when it came is asked for when somebody does. */
async function giveUntilSettled(ingest: Ingest, items: readonly Item[]): Promise<void> {
  const now = () => JSON.stringify([stateOf(ingest), ingest.waiting.size]);
  for (let before = ''; before !== now(); ) {
    before = now();
    await give(ingest, items);
  }
}

/** All in which two nodes with the same entries must agree. */
function stateOf({ ledger }: Ingest) {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  return {
    digest: ledger.digest(),
    books: text(ledger.books().encode()),
    final: text(ledger.finalBooks().encode()),
    lines: allLines(ledger),
    counts: ledger.counts(),
  };
}

function allLines(ledger: Ingest['ledger']) {
  return Array.from({ length: LEDGER.buckets }, (_, bucket) => ledger.lines(bucket)).flat();
}

async function neverRestarted({ mesh }: History, items: readonly Item[]): Promise<Ingest> {
  const ingest = await load(mesh, new MemoryLedgerStore());
  await giveUntilSettled(ingest, items);
  return ingest;
}

const history = plans({ lying: ['none', 'some'] }).map((plan) => ({ plan, ...play(plan) }));
const cuts = fc.array(fc.nat({ max: 200 }), { maxLength: 3 });

/** The items in pieces, with a restart between each two. */
function pieces(items: readonly Item[], at: readonly number[]): Item[][] {
  const ends = at.map((n) => n % (items.length + 1)).toSorted((one, other) => one - other);
  return [...ends, items.length].map((end, index) => items.slice(index === 0 ? 0 : ends[index - 1], end));
}

describe('a restart', { timeout: 60_000 }, () => {
  it('in order is no difference', async () => {
    await fc.assert(
      fc.asyncProperty(history, cuts, async ({ plan: _, ...played }, at) => {
        let store = new MemoryLedgerStore();
        let ingest = await load(played.mesh, store);
        for (const piece of pieces(played.items, at)) {
          await ingest.stop();
          store = store.crash(store.unsaved);
          ingest = await load(played.mesh, store);
          await give(ingest, piece);
        }
        await giveUntilSettled(ingest, played.items);
        expect(stateOf(ingest)).toEqual(stateOf(await neverRestarted(played, played.items)));
      }),
      { numRuns: 60 },
    );
  });

  it('after a crash is none either, once what was lost is sent again', async () => {
    await fc.assert(
      fc.asyncProperty(history, cuts, fc.nat(), async ({ plan: _, ...played }, at, seed) => {
        const random = randomOf(seed, 'crashes');
        let store = new MemoryLedgerStore();
        let ingest = await load(played.mesh, store);
        for (const piece of pieces(played.items, at)) {
          await give(ingest, piece);
          if (random.chance(0.5)) await ingest.stop();
          store = store.crash(random.int(0, store.unsaved));
          ingest = await load(played.mesh, store);
        }
        await giveUntilSettled(ingest, inOrder(played.items, { by: 'shuffled', seed, again: 0 }));
        expect(stateOf(ingest)).toEqual(stateOf(await neverRestarted(played, played.items)));
      }),
      { numRuns: 60 },
    );
  });

  it('with a damaged snapshot, or none, counts everything again from its entries', async () => {
    await fc.assert(
      fc.asyncProperty(history, fc.nat(), async ({ plan: _, ...played }, seed) => {
        const store = new MemoryLedgerStore();
        const before = await load(played.mesh, store);
        await giveUntilSettled(before, played.items);
        await before.stop();
        const random = randomOf(seed, 'snapshot');
        const snapshot = await store.snapshot();
        if (snapshot !== undefined)
          await store.write({ snapshot: snapshot.subarray(0, random.int(0, snapshot.length - 1)) }, true);
        expect(stateOf(await load(played.mesh, store))).toEqual(stateOf(before));
      }),
      { numRuns: 60 },
    );
  });

  it('on a disk that has damaged entries names them, drops them, and has all again when they are sent again', async () => {
    await fc.assert(
      fc.asyncProperty(history, fc.nat(), async ({ plan: _, ...played }, seed) => {
        const store = new MemoryLedgerStore();
        const before = await load(played.mesh, store);
        await giveUntilSettled(before, played.items);
        await before.flushed();
        const random = randomOf(seed, 'damage');
        const bad = random.some(played.items, 3);
        const there: string[] = [];
        for (const item of bad) {
          if (item.type === 'attestation') store.damage(item.attestation);
          else if ((await store.entry(item.entry)) !== undefined) {
            store.damage(item.entry);
            there.push(item.entry.id);
          }
        }
        const ingest = await load(played.mesh, store);
        expect(ingest.damaged.map(({ id }) => id).toSorted()).toEqual([...new Set(there)].toSorted());
        await giveUntilSettled(ingest, played.items);
        expect(stateOf(ingest)).toEqual(stateOf(before));
        await ingest.stop();
        expect((await load(played.mesh, store)).damaged).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});

describe('a restart from the disk', { timeout: 60_000 }, () => {
  const small = smallDatabase();

  it('is no difference, with its snapshot and without', async () => {
    const finalOf = ({ items }: History) => items.filter(({ type }) => type === 'attestation').length;
    const [played] = fc
      .sample(history, { numRuns: 20, seed: 6 })
      .toSorted((one, other) => finalOf(other) - finalOf(one));
    if (played === undefined) throw new Error('no history');
    const { mesh, items } = played;
    const storeNow = () => new LevelLedgerStore(small.database, mesh.networkId, silentLogger);
    const expected = stateOf(await neverRestarted(played, items));
    let ingest = await load(mesh, storeNow());
    for (const piece of pieces(items, [5, 30, 60])) {
      await give(ingest, piece);
      await ingest.stop();
      await small.reopen();
      ingest = await load(mesh, storeNow());
    }
    await giveUntilSettled(ingest, items);
    await ingest.stop();
    expect(stateOf(ingest)).toEqual(expected);
    expect(stateOf(await load(mesh, storeNow()))).toEqual(expected);
    expect(await storeNow().snapshot()).toBeDefined();
    await storeNow().write({ snapshot: new Uint8Array() }, true);
    expect(stateOf(await load(mesh, storeNow()))).toEqual(expected);
  });
});
