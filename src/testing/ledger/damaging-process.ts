/**
 * Writes a ledger, flips bits in its files, and looks what a reader makes of it, seed after seed: a process of its own, since
 * LevelDB does not check what it reads, and may end the process over it. Says how each seed ended.
 */

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { StoredAttestation, StoredEntry } from '../../ledger/ports.ts';
import { openDatabase } from '../../storage/database.ts';
import { LevelLedgerStore } from '../../storage/ledger-store.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import { type Random, randomOf } from '../sim/random.ts';

/** `whole`: nothing of the ledger was hit. `wrong`: what was not written was read, or the ledger could not be made whole. */
export type DamageEnd = 'whole' | 'mended' | 'refused' | 'wrong';
export interface DamageLine {
  readonly seed: number;
  readonly end: DamageEnd;
  readonly why?: string;
}

const AUTHORS = 4;
const EACH = 300;
const networkId = new Uint8Array(32).fill(7);
const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const authorOf = (n: number) => hexOf(new Uint8Array(32).fill(n));

interface Written {
  readonly entries: readonly StoredEntry[];
  readonly attestations: readonly StoredAttestation[];
}

class Wrong extends Error {}

async function open(folder: string) {
  const database = await openDatabase(folder);
  return { database, store: new LevelLedgerStore(database, networkId, silentLogger) };
}

function written(random: Random): Written {
  const entries: StoredEntry[] = [];
  const attestations: StoredAttestation[] = [];
  for (let author = 0; author < AUTHORS; author++) {
    for (let sequence = 0; sequence < EACH; sequence++) {
      const name = { author: authorOf(author), sequence, id: hexOf(random.bytes(32)) };
      entries.push({ ...name, sealed: random.bytes(random.int(150, 400)) });
      attestations.push({ ...name, witness: authorOf(200), late: false, sealed: random.bytes(190) });
    }
  }
  return { entries, attestations };
}

/** What is there and sound, and what is there and not. @throws Wrong when anything is sound that was not written */
async function read(store: LevelLedgerStore, all: Written) {
  const sound = new Set<string>();
  const broken: StoredEntry[] = [];
  const known = new Map(all.entries.map((entry) => [entry.id, entry]));
  for await (const author of store.authors()) {
    let last = -1;
    for await (const entry of store.chain(author, 0)) {
      if (entry.sealed.length === 0) broken.push(entry);
      else {
        expectSame(entry, known.get(entry.id));
        if (entry.sequence <= last) throw new Wrong('an entry came twice, or out of order');
        last = entry.sequence;
        sound.add(entry.id);
      }
    }
  }
  const signed = new Map(all.attestations.map((attestation) => [attestation.id, attestation]));
  for (let author = 0; author < AUTHORS; author++) {
    for await (const found of store.attestations(authorOf(author), 0)) {
      if (found.sealed.length > 0) expectSame(found, signed.get(found.id));
    }
  }
  return { sound, broken };
}

function expectSame(found: StoredEntry, expected: StoredEntry | undefined): void {
  const same =
    found.author === expected?.author &&
    found.sequence === expected.sequence &&
    Buffer.compare(found.sealed, expected.sealed) === 0;
  if (!same) throw new Wrong('what was not written was read');
}

async function flipBits(folder: string, random: Random): Promise<void> {
  const files = (await readdir(folder)).filter((file) => /\.(ldb|log)$/.test(file)).toSorted();
  const file = path.join(folder, random.pick(files));
  const bytes = await readFile(file);
  const count = bytes.length === 0 ? 0 : random.pick([1, 3, 30]);
  for (let n = 0; n < count; n++) {
    const at = random.int(0, bytes.length - 1);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random.int(0, 7));
  }
  await writeFile(file, bytes);
}

async function endOf(folder: string, random: Random): Promise<DamageEnd> {
  const all = written(random);
  const before = await open(folder);
  await before.store.write(all, true);
  await before.database.close();
  // Whoever opens it writes the log into a table.
  if (random.chance(0.8)) await (await open(folder)).database.close();
  await flipBits(folder, random);
  const { database, store } = await open(folder);
  try {
    const isWhole = ({ sound, broken }: Awaited<ReturnType<typeof read>>) =>
      sound.size === all.entries.length && broken.length === 0;
    let found = await read(store, all);
    if (isWhole(found)) return 'whole';
    // Damage may hide other damage: a record whose internal number has grown covers what is written behind it.
    for (let mends = 0; mends < 3 && !isWhole(found); mends++) {
      const { sound, broken } = found;
      await store.drop(broken);
      await store.write({ entries: all.entries.filter(({ id }) => !sound.has(id)) }, true);
      found = await read(store, all);
    }
    // A record of no entry whose internal number has grown cannot be dropped, and is named at every start: no harm.
    if (found.sound.size < all.entries.length)
      throw new Wrong(`${found.sound.size} sound, ${found.broken.length} broken`);
    return 'mended';
  } finally {
    await database.close();
  }
}

const {
  folder: under,
  first,
  seeds,
} = JSON.parse(process.argv[2] ?? '') as {
  folder: string;
  first: number;
  seeds: number;
};
for (let seed = first; seed < first + seeds; seed++) {
  const folder = await mkdtemp(path.join(under, 'damaged-'));
  const say = (line: Omit<DamageLine, 'seed'>) => process.stdout.write(`${JSON.stringify({ seed, ...line })}\n`);
  try {
    say({ end: await endOf(folder, randomOf(seed, 'damage')) });
  } catch (thrown) {
    const isRefused = (thrown as { code?: unknown }).code === 'damaged';
    say(isRefused ? { end: 'refused' } : { end: 'wrong', why: String(thrown) });
  }
  await rm(folder, { recursive: true, force: true });
}
