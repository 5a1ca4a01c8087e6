/** What every store of the ledger must do, as one suite: the one on disk runs it, and the one of simulations. */

import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AccountId, EntryName } from '../../ledger/entries/entry.ts';
import type { AttestationName, LedgerStore, StoredAttestation, StoredEntry } from '../../ledger/ports.ts';
import { collected } from '../collected.ts';

export interface StoreSubject {
  /** An empty store. */
  open(): Promise<LedgerStore>;
  /** The same after the process has ended in order and begun again. */
  restart(): Promise<LedgerStore>;
  close(): Promise<void>;
}

/** 32 bytes that begin with this one. */
const key = (n: number) => n.toString(16).padStart(2, '0') + 'ab'.repeat(31);
const bytes = (text: string) => new TextEncoder().encode(text);
const entry = (author: number, sequence: number, id: number): StoredEntry => ({
  author: key(author),
  sequence,
  id: key(id),
  sealed: bytes(`entry ${author} ${sequence} ${id}`),
});
const attestation = (author: number, sequence: number, witness: number, id: number, late = false) => ({
  author: key(author),
  sequence,
  id: key(id),
  witness: key(witness),
  late,
  sealed: bytes(`attestation ${author} ${sequence} ${witness} ${id} ${late}`),
});

export function storeAcceptance(name: string, subject: StoreSubject): void {
  describe(name, () => {
    let store: LedgerStore;
    beforeEach(async () => {
      store = await subject.open();
    });
    afterEach(() => subject.close());

    it('is empty at first', async () => {
      expect(await collected(store.authors())).toEqual([]);
      expect(await collected(store.chain(key(1), 0))).toEqual([]);
      expect(await collected(store.attestations(key(1), 0))).toEqual([]);
      expect(await store.snapshot()).toBeUndefined();
      expect(await store.entry(entry(1, 0, 1))).toBeUndefined();
      expect(await store.idsAt(key(1), 0)).toEqual([]);
      expect(await store.notes.get('x')).toBeUndefined();
      expect(await collected(store.notes.list(''))).toEqual([]);
    });

    it('gives a chain in order from a place on, a forked place whole, and no more than was asked for', async () => {
      const chain = [0, 1, 2, 9, 10, 255, 256, 2 ** 32, Number.MAX_SAFE_INTEGER].map((n) => entry(1, n, 7));
      const fork = entry(1, 2, 3);
      await store.write({ entries: [...chain.toReversed(), entry(0, 2, 1), entry(2, 0, 1), fork] }, true);
      const ordered = [...chain.slice(0, 2), fork, ...chain.slice(2)];
      expect(await collected(store.chain(key(1), 0))).toEqual(ordered);
      expect(await collected(store.chain(key(1), 2))).toEqual(ordered.slice(2));
      expect(await collected(store.chain(key(1), 3))).toEqual(ordered.slice(4));
      expect(await collected(store.chain(key(1), 2, 3))).toEqual(ordered.slice(2, 5));
      expect(await collected(store.chain(key(1), 0, 0))).toEqual([]);
      expect(await store.idsAt(key(1), 2)).toEqual([key(3), key(7)]);
      expect(await store.idsAt(key(1), Number.MAX_SAFE_INTEGER)).toEqual([key(7)]);
      expect(await store.idsAt(key(1), 3)).toEqual([]);
      expect(await store.entry(fork)).toEqual(fork.sealed);
      expect(await store.entry({ ...fork, id: key(4) })).toBeUndefined();
    });

    it('names every author once, in the order of their bytes', async () => {
      const authors = [0, 255, 16, 15, 1, 128];
      const entries = authors.flatMap((author) => [0, 1, 2].map((n) => entry(author, n, 7)));
      // An author of whom only attestations are there has no entry.
      await store.write({ entries, attestations: [attestation(3, 0, 1, 1)] }, true);
      expect(await collected(store.authors())).toEqual([0, 1, 15, 16, 128, 255].map(key));
    });

    it('keeps every attestation, of one witness over two ids and late as well as not', async () => {
      const ordered = [
        attestation(1, 0, 9, 1),
        attestation(1, 5, 8, 1),
        attestation(1, 5, 9, 1, false),
        attestation(1, 5, 9, 1, true),
        attestation(1, 5, 9, 2),
        attestation(1, 6, 1, 1),
      ];
      const others = [attestation(0, 5, 9, 1), attestation(2, 5, 9, 1)];
      await store.write({ attestations: [...others, ...ordered.toReversed()] }, false);
      expect(await collected(store.attestations(key(1), 0))).toEqual(ordered);
      expect(await collected(store.attestations(key(1), 6))).toEqual(ordered.slice(5));
    });

    it('drops what is named and nothing else: attestations over an entry that is dropped stay', async () => {
      const [bad, good] = [entry(1, 0, 1), entry(1, 0, 2)];
      const [over, late] = [attestation(1, 0, 9, 1), attestation(1, 0, 9, 1, true)];
      await store.write({ entries: [bad, good], attestations: [over, late] }, true);
      await store.drop([bad, entry(5, 5, 5)]);
      expect(await collected(store.chain(key(1), 0))).toEqual([good]);
      expect(await collected(store.attestations(key(1), 0))).toEqual([over, late]);
      await store.drop([good], [late]);
      expect(await collected(store.authors())).toEqual([]);
      expect(await collected(store.attestations(key(1), 0))).toEqual([over]);
      await store.write({ entries: [bad] }, false);
      expect(await collected(store.chain(key(1), 0))).toEqual([bad]);
    });

    it('holds one snapshot, the last', async () => {
      await store.write({ snapshot: bytes('first') }, false);
      await store.write({ snapshot: bytes('second'), entries: [entry(1, 0, 1)] }, false);
      expect(await store.snapshot()).toEqual(bytes('second'));
      store = await subject.restart();
      expect(await store.snapshot()).toEqual(bytes('second'));
      expect(await collected(store.chain(key(1), 0))).toHaveLength(1);
    });

    it('keeps notes by name, lists them by prefix, changes several at once', async () => {
      const { notes } = store;
      await notes.put([
        ['b/2', bytes('b2')],
        ['b/10', bytes('b10')],
        ['a', bytes('a')],
        ['b', bytes('b')],
        ['c/1', new Uint8Array()],
      ]);
      expect(await collected(notes.list('b/'))).toEqual([
        ['b/10', bytes('b10')],
        ['b/2', bytes('b2')],
      ]);
      await notes.put([
        ['b/2', undefined],
        ['nothing', undefined],
        ['a', bytes('new')],
      ]);
      store = await subject.restart();
      expect((await collected(store.notes.list(''))).map(([name]) => name)).toEqual(['a', 'b', 'b/10', 'c/1']);
      expect(await store.notes.get('a')).toEqual(bytes('new'));
      expect(await store.notes.get('b/2')).toBeUndefined();
      expect(await store.notes.get('c/1')).toHaveLength(0);
    });

    it('writes in the order in which it was asked, whatever waits for the disk', async () => {
      const writes: Promise<void>[] = [];
      for (let n = 0; n < 50; n++) {
        writes.push(store.notes.put([['last', bytes(String(n))]]));
        writes.push(store.write({ entries: [entry(1, n, 1)], snapshot: bytes(String(n)) }, n % 3 === 0));
        if (n % 2 === 0) writes.push(store.drop([entry(1, n, 1)]));
      }
      await Promise.all(writes);
      expect(await store.notes.get('last')).toEqual(bytes('49'));
      expect(await store.snapshot()).toEqual(bytes('49'));
      const odd = Array.from({ length: 25 }, (_, n) => 2 * n + 1);
      expect((await collected(store.chain(key(1), 0))).map(({ sequence }) => sequence)).toEqual(odd);
    });

    it('can be read while it is written, and left in the middle', async () => {
      const entries = Array.from({ length: 300 }, (_, n) => entry(1, n, 1));
      await store.write({ entries }, false);
      const seen: number[] = [];
      for await (const { sequence } of store.chain(key(1), 0)) {
        seen.push(sequence);
        if (sequence % 50 === 0) await store.write({ entries: [entry(1, 1_000 + sequence, 1)] }, false);
      }
      expect(seen.slice(0, 300)).toEqual(entries.map(({ sequence }) => sequence));
      for await (const { sequence } of store.chain(key(1), 10)) {
        expect(sequence).toBe(10);
        break;
      }
      for await (const author of store.authors()) {
        expect(author).toBe(key(1));
        break;
      }
    });

    it('shows the disk as it was at one moment, whatever is written and dropped afterwards', async () => {
      const [first, second] = [entry(1, 0, 1), entry(1, 1, 1)];
      await store.write({ entries: [first], attestations: [attestation(1, 0, 9, 1)], snapshot: bytes('old') }, false);
      const view = await store.view();
      const later = [attestation(1, 1, 9, 1)];
      await store.write({ entries: [second, entry(2, 0, 1)], attestations: later, snapshot: bytes('new') }, false);
      await store.drop([first]);
      expect(await collected(view.authors())).toEqual([key(1)]);
      expect(await collected(view.chain(key(1), 0))).toEqual([first]);
      expect(await collected(view.attestations(key(1), 0))).toHaveLength(1);
      expect(await view.entry(first)).toEqual(first.sealed);
      expect(await view.entry(second)).toBeUndefined();
      expect(await view.idsAt(key(1), 1)).toEqual([]);
      expect(await view.snapshot()).toEqual(bytes('old'));
      await view.close();
      expect(await collected(store.chain(key(1), 0))).toEqual([second]);
      expect(await collected((await store.view()).authors())).toEqual([key(1), key(2)]);
    });

    it('holds whatever was written, and nothing else, also after a restart', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
          await subject.close();
          store = await subject.open();
          const model = new Model();
          for (const one of steps) {
            if (one.what === 'restart') store = await subject.restart();
            else if (one.what === 'drop') await store.drop(one.entries, one.attestations);
            else await store.write(one, one.durable);
            model.take(one);
          }
          expect(await contentOf(store)).toEqual(model.content());
          store = await subject.restart();
          expect(await contentOf(store)).toEqual(model.content());
        }),
        { numRuns: 20 },
      );
    });
  });
}

const few = fc.integer({ min: 0, max: 3 });
const sequence = fc.constantFrom(0, 1, 2, 255, 256, 2 ** 40);
const anEntry = fc.tuple(few, sequence, few).map((of) => entry(...of));
const anAttestation = fc.tuple(few, sequence, few, few, fc.boolean()).map((of) => attestation(...of));
const someEntries = fc.array(anEntry, { maxLength: 8 });
const someAttestations = fc.array(anAttestation, { maxLength: 8 });
const step = fc.oneof(
  { weight: 8, arbitrary: write('write') },
  { weight: 4, arbitrary: write('drop') },
  { weight: 1, arbitrary: write('restart') },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function write(what: 'write' | 'drop' | 'restart') {
  return fc.record({
    what: fc.constant(what),
    entries: someEntries,
    attestations: someAttestations,
    durable: fc.boolean(),
  });
}

/** The simplest store that there could be. */
class Model {
  readonly #entries = new Map<string, StoredEntry>();
  readonly #attestations = new Map<string, StoredAttestation>();

  take({ what, entries, attestations }: Step): void {
    if (what === 'restart') return;
    for (const one of entries) change(this.#entries, textOf(one), what === 'write' ? one : undefined);
    for (const one of attestations) change(this.#attestations, textOf(one), what === 'write' ? one : undefined);
  }

  content() {
    const sorted = <T>(map: Map<string, T>) => [...map].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, of]) => of);
    return { entries: sorted(this.#entries), attestations: sorted(this.#attestations) };
  }
}

async function contentOf(store: LedgerStore) {
  const authors: AccountId[] = await collected(store.authors());
  const entries: StoredEntry[] = [];
  for (const author of authors) entries.push(...(await collected(store.chain(author, 0))));
  const attestations: StoredAttestation[] = [];
  for (const n of [0, 1, 2, 3]) attestations.push(...(await collected(store.attestations(key(n), 0))));
  return { entries, attestations };
}

function change<T>(map: Map<string, T>, at: string, value: T | undefined): void {
  if (value === undefined) map.delete(at);
  else map.set(at, value);
}

function textOf(name: EntryName | AttestationName): string {
  const place = `${name.author} ${String(name.sequence).padStart(16, '0')}`;
  return 'witness' in name ? `${place} ${name.witness} ${name.id} ${name.late ? 1 : 0}` : `${place} ${name.id}`;
}
