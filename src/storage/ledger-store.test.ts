import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { StoredAttestation, StoredEntry } from '../ledger/ports.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { collected } from '../testing/collected.ts';
import { errorOf } from '../testing/failure.ts';
import { storeAcceptance } from '../testing/ledger/store-acceptance.ts';
import { smallDatabase } from '../testing/small-database.ts';
import { type Database, openDatabase } from './database.ts';
import { LevelLedgerStore } from './ledger-store.ts';

const mesh = (n: number) => new Uint8Array(32).fill(n);
const storeOn = (database: Database, of = mesh(1)) => new LevelLedgerStore(database, of, silentLogger);

let folder: string;
let acceptanceDatabase: Database;
storeAcceptance('the store on disk', {
  async open() {
    folder = await mkdtemp(path.join(tmpdir(), 'gogrid-ledger-'));
    acceptanceDatabase = await openDatabase(folder);
    return storeOn(acceptanceDatabase);
  },
  async restart() {
    await acceptanceDatabase.close();
    acceptanceDatabase = await openDatabase(folder);
    return storeOn(acceptanceDatabase);
  },
  async close() {
    await acceptanceDatabase.close();
    await rm(folder, { recursive: true, force: true });
  },
});

const key = (n: number) => n.toString(16).padStart(2, '0').repeat(32);
const entry = (sequence: number, author = 1): StoredEntry => ({
  author: key(author),
  sequence,
  id: key((100 + sequence) % 256),
  sealed: new Uint8Array(200).fill(sequence),
});
const attestation = (sequence: number): StoredAttestation => ({ ...entry(sequence), witness: key(9), late: false });
const binary = { keyEncoding: 'view', valueEncoding: 'view' } as const;

describe('the ledger on disk', () => {
  const small = smallDatabase();

  it('of one mesh is nothing in another, and stands apart from what else is in the database', async () => {
    await small.database.batch(
      ['job/1', 'ledgers/x', 'network/port', 'ledger'].map((at) => ({ type: 'put', key: at, value: 'other' })),
    );
    const [one, two] = [storeOn(small.database, mesh(1)), storeOn(small.database, mesh(2))];
    await one.write({ entries: [entry(0)], attestations: [attestation(0)], snapshot: Uint8Array.of(1) }, true);
    await one.notes.put([['x', Uint8Array.of(1)]]);
    await two.write({ entries: [entry(0, 2)] }, true);
    expect(await collected(one.authors())).toEqual([key(1)]);
    expect(await collected(two.authors())).toEqual([key(2)]);
    expect(await two.snapshot()).toBeUndefined();
    expect(await collected(two.notes.list(''))).toEqual([]);
    expect(await collected(two.attestations(key(1), 0))).toEqual([]);
  });

  it('waits for the disk itself when it is to be durable and for a note, together with whatever else there is', async () => {
    const store = storeOn(small.database);
    const batch = vi.spyOn(small.database.level, 'batch');
    const written = () =>
      batch.mock.calls.map((call) => {
        const [changes, options] = call as unknown as [unknown[], { sync: boolean }];
        return [changes.length, options.sync];
      });
    await store.write({ entries: [entry(0)] }, false);
    await store.write({ entries: [entry(1)] }, true);
    await store.notes.put([['x', Uint8Array.of(1)]]);
    expect(written()).toEqual([
      [1, false],
      [1, true],
      [1, true],
    ]);
    batch.mockClear();
    await Promise.all(Array.from({ length: 100 }, (_, n) => store.write({ entries: [entry(n)] }, n % 2 === 1)));
    expect(written()).toEqual([
      [1, false],
      [99, true],
    ]);
  });

  it('finds the authors without reading their chains', async () => {
    const store = storeOn(small.database);
    const entries = [1, 2, 3].flatMap((author) => Array.from({ length: 500 }, (_, n) => entry(n, author)));
    await store.write({ entries }, false);
    const keys = vi.spyOn(small.database.level, 'keys');
    const found = store.authors();
    await found.next();
    const next = vi.spyOn(keys.mock.results[0]?.value, 'next');
    expect(await collected(found)).toEqual([key(2), key(3)]);
    expect(next).toHaveBeenCalledTimes(3);
  });

  it('says in our own words what is wrong with the disk', async () => {
    const store = storeOn(small.database);
    await small.database.close();
    const unusable = { code: 'home_unusable', message: expect.stringContaining(small.folder) };
    expect(await errorOf(store.write({ entries: [entry(0)] }, true))).toMatchObject(unusable);
    expect(await errorOf(store.snapshot())).toMatchObject(unusable);
    expect(await errorOf(store.entry(entry(0)))).toMatchObject(unusable);
    expect(await errorOf(collected(store.chain(key(1), 0)))).toMatchObject(unusable);
    expect(await errorOf(collected(store.authors()))).toMatchObject(unusable);
    expect(await errorOf(store.notes.get('x'))).toMatchObject(unusable);
    expect(await errorOf(store.notes.put([]))).toMatchObject(unusable);
  });
});

describe('a flipped bit', () => {
  const small = smallDatabase();

  /** Flips one bit of what is stored under the one key in whose name `letter` stands. */
  async function flip(letter: string, at: number): Promise<void> {
    for await (const [stored, value] of small.database.level.iterator<Uint8Array, Uint8Array>(binary)) {
      if (stored[15] !== letter.charCodeAt(0)) continue;
      const copy = Uint8Array.from(value);
      const byte = at < 0 ? copy.length + at : at;
      copy[byte] = (copy[byte] ?? 0) ^ (1 << (byte % 8));
      await small.database.put(stored, copy);
    }
  }

  it.each([0, 3, 4, 50, -1])('of an entry or attestation is found, at byte %i, and it is fetched again', async (at) => {
    const store = storeOn(small.database);
    await store.write({ entries: [entry(0)], attestations: [attestation(0)] }, true);
    await flip('e', at);
    await flip('a', at);
    const nothing = new Uint8Array();
    expect(await collected(store.chain(key(1), 0))).toEqual([{ ...entry(0), sealed: nothing }]);
    expect(await collected(store.attestations(key(1), 0))).toEqual([{ ...attestation(0), sealed: nothing }]);
    expect(await store.entry(entry(0))).toBeUndefined();
    await store.drop([entry(0)], [attestation(0)]);
    await store.write({ entries: [entry(0)], attestations: [attestation(0)] }, true);
    expect(await store.entry(entry(0))).toEqual(entry(0).sealed);
  });

  it('in a key does not make an entry of another place', async () => {
    const store = storeOn(small.database);
    await store.write({ entries: [entry(0)] }, true);
    const [stored] = (await collected(small.database.level.iterator<Uint8Array, Uint8Array>(binary)))[0]!;
    const value = await small.database.level.get<Uint8Array, Uint8Array>(stored, binary);
    const other = Uint8Array.from(stored);
    other[16 + 32 + 7] = 5;
    await small.database.put(other, value!);
    await small.database.put(stored.subarray(0, 60), value!);
    expect(await collected(store.chain(key(1), 0))).toEqual([
      entry(0),
      { ...entry(0), sequence: 5, sealed: new Uint8Array() },
    ]);
  });

  it('of the snapshot makes it none, and the log says so', async () => {
    const warnings: string[] = [];
    const log = { ...silentLogger, warn: (_fields: object, message: string) => void warnings.push(message) };
    const store = new LevelLedgerStore(small.database, mesh(1), log);
    await store.write({ snapshot: new Uint8Array(100) }, true);
    await flip('s', 20);
    expect(await store.snapshot()).toBeUndefined();
    expect(warnings).toEqual([expect.stringContaining('snapshot')]);
    await store.write({ snapshot: Uint8Array.of(2) }, true);
    expect(await store.snapshot()).toEqual(Uint8Array.of(2));
  });

  it('of a note is no missing note: whoever keeps a journal must not forget what it says', async () => {
    const store = storeOn(small.database);
    await store.notes.put([['own/tip', Uint8Array.of(1, 2, 3)]]);
    await flip('n', 5);
    const damaged = { code: 'damaged', message: expect.stringContaining('own/tip') };
    expect(await errorOf(store.notes.get('own/tip'))).toMatchObject(damaged);
    expect(await errorOf(collected(store.notes.list('own/')))).toMatchObject(damaged);
  });
});

describe('a block of the file that cannot be read', () => {
  const small = smallDatabase();
  const EACH = 300;
  const AUTHORS = [1, 2, 3];

  /** Writes a table with three authors, and makes a piece in its middle unreadable. */
  async function withHole(): Promise<LevelLedgerStore> {
    const entries = AUTHORS.flatMap((author) => Array.from({ length: EACH }, (_, n) => entry(n, author)));
    const noise = (n: number) => new Uint8Array(200).map((_, at) => Math.imul(n * 200 + at + 1, 2_654_435_761) >>> 13);
    const store = storeOn(small.database);
    await store.write({ entries: entries.map((one, n) => ({ ...one, sealed: noise(n) })) }, true);
    await store.notes.put([['own/tip', Uint8Array.of(1)]]);
    // Whoever opens it writes the log into a table.
    await small.reopen();
    await small.database.close();
    const [table] = (await readdir(small.folder)).filter((file) => file.endsWith('.ldb'));
    const file = path.join(small.folder, table!);
    const bytes = await readFile(file);
    const middle = Math.floor(bytes.length / 2);
    await writeFile(file, bytes.fill(0xff, middle, middle + 10_000));
    return storeOn(await small.reopen());
  }

  it('hides what is in it, and nothing in front of it or behind', async () => {
    const store = await withHole();
    expect(await collected(store.authors())).toEqual(AUTHORS.map(key));
    const found = [];
    for (const author of AUTHORS)
      found.push((await collected(store.chain(key(author), 0))).map(({ sequence }) => sequence));
    const [first, second = [], third] = found;
    const whole = Array.from({ length: EACH }, (_, n) => n);
    expect([first, third]).toEqual([whole, whole]);
    expect(second.length).toBeLessThan(EACH);
    expect(second.length).toBeGreaterThan(EACH / 2);
    expect([second[0], second.at(-1)]).toEqual([0, EACH - 1]);
    const missing = whole.filter((sequence) => !second.includes(sequence)).map((n) => entry(n, 2));
    for (const one of missing) expect(await store.entry(one)).toBeUndefined();
    await store.write({ entries: missing }, true);
    expect(await collected(store.chain(key(2), 0))).toHaveLength(EACH);
  });
});
