/** What holds when every fault is over and everybody has had the time to hear of everything: all know and count the same. */

import type { Ledger } from '../../ledger/books/ledger.ts';
import { openAttestation } from '../../ledger/entries/attestation.ts';
import type { Attestation, Entry, EntryId, EntryName, LedgerMesh } from '../../ledger/entries/entry.ts';
import { openEntry } from '../../ledger/entries/entry-codec.ts';
import type { LedgerStore } from '../../ledger/ports.ts';
import { foldNaively } from '../ledger/naive.ts';
import type { World } from '../sim/world.ts';
import type { Laws } from './laws.ts';
import type { Spends } from './spends.ts';

/** A node whose program runs at the end. */
export interface Standing {
  readonly place: number;
  readonly ledger: Ledger;
  readonly store: LedgerStore;
}

/** The second program goes over all of them again and again. */
const MOST_NAIVELY = 250;

export interface HealedParts {
  readonly mesh: LedgerMesh;
  readonly world: World;
  readonly nodes: readonly Standing[];
  readonly spends: Spends;
  readonly laws: Laws;
  /** By author: what its user was told is written. */
  readonly acknowledged: Iterable<readonly EntryName[]>;
}

export async function checkHealed(parts: HealedParts): Promise<void> {
  checkEqual(parts);
  await checkNothingLost(parts);
  await checkFound(parts);
  await checkNaively(parts);
}

function checkEqual({ world, nodes }: HealedParts): void {
  const [first, ...others] = nodes;
  if (first === undefined) return;
  const state = first.ledger.books().encode();
  for (const { place, ledger } of others) {
    const unlike = (what: string) =>
      world.violate(
        'healed-equal',
        `${what} is not that of n${first.place}: ${difference(first.ledger, ledger)}`,
        place,
      );
    if (ledger.digest() !== first.ledger.digest()) unlike('its digest');
    else if (Buffer.compare(ledger.books().encode(), state) !== 0) unlike('its state');
    else if (Buffer.compare(ledger.root(), first.ledger.root()) !== 0) unlike('its root');
  }
}

/** The accounts on which two ledgers do not agree. */
function difference(a: Ledger, b: Ledger): string {
  const lines = (ledger: Ledger, bucket: number) =>
    new Map(
      ledger
        .lines(bucket)
        .map((line) => [hex(line[0]), line.map((part) => (part instanceof Uint8Array ? hex(part) : part)).slice(1)]),
    );
  const found: string[] = [];
  a.bucketHashes().forEach((hash, bucket) => {
    if (Buffer.compare(hash, b.bucketHashes()[bucket] ?? new Uint8Array(0)) === 0) return;
    const [here, there] = [lines(a, bucket), lines(b, bucket)];
    for (const author of new Set([...here.keys(), ...there.keys()])) {
      const [x, y] = [here.get(author), there.get(author)];
      if (`${x}` !== `${y}`) found.push(`${author}: ${short(x)} there, ${short(y)} here`);
    }
  });
  return found.length === 0 ? 'their lines are equal' : found.slice(0, 3).join('; ');
}

function short(line: readonly (string | number | bigint)[] | undefined): string {
  return line === undefined ? 'nothing' : line.map((part) => `${part}`.slice(0, 6)).join(' ');
}

/** Of whoever signed once for each place. */
async function checkNothingLost({ world, nodes, acknowledged, spends, laws }: HealedParts): Promise<void> {
  for (const own of acknowledged) {
    for (const entry of own) {
      const { author, sequence, id } = entry;
      if (spends.proofsAgainst(author).size > 0) continue;
      for (const { place, ledger, store } of nodes) {
        const what = `${author}/${sequence} ${id.slice(0, 6)}`;
        if (!(await store.idsAt(author, sequence)).includes(id)) {
          world.violate('nothing-lost', `${what} is not on the disk`, place);
        }
        const status = ledger.status(entry);
        // What left memory long ago is known by its author's final tip alone.
        const isLongFinal =
          sequence <= (ledger.finalTip(author)?.sequence ?? -1) && laws.finalAt(author, sequence) === id;
        if (!isLongFinal && (status === 'fallen' || status === 'unknown')) {
          world.violate('nothing-lost', `${what} is ${status}`, place);
        }
        if (world.violation !== undefined) return;
      }
    }
  }
}

/** Whoever signed twice, so that two nodes could know of it, is known by all. */
async function checkFound({ world, nodes, spends }: HealedParts): Promise<void> {
  for (const { author, sequence, shown } of spends.tried()) {
    const held = new Set<EntryId>();
    for (const { store } of nodes) for (const id of await store.idsAt(author, sequence)) held.add(id);
    if ([...shown].filter((id) => held.has(id)).length < 2) {
      world.count('double spends of which no two nodes could know');
      continue;
    }
    const isProven = ({ ledger }: Standing) => ledger.forks().some((fork) => fork.author === author);
    const without = nodes.filter((node) => !isProven(node)).map(({ place }) => `n${place}`);
    if (without.length > 0) {
      world.violate(
        'found-everywhere',
        `${author} signed twice for ${sequence}, and ${without.join(' ')} has no proof`,
      );
      return;
    }
    world.count('double spends found everywhere');
  }
}

/** A second program, written from the specification alone, counts the same from what lies on a disk. */
async function checkNaively({ world, nodes: [node], mesh }: HealedParts): Promise<void> {
  if (node === undefined || world.violation !== undefined) return;
  const { ledger, store, place } = node;
  const entries: Entry[] = [];
  const attestations: Attestation[] = [];
  for await (const author of store.authors()) {
    for await (const { sealed } of store.chain(author, 0)) entries.push(openEntry(sealed, mesh, { trusted: true }));
    for await (const { sealed } of store.attestations(author, 0)) {
      attestations.push(openAttestation(sealed, mesh, { trusted: true }));
    }
    if (entries.length > MOST_NAIVELY) return;
  }
  const naive = foldNaively(mesh, entries, attestations);
  world.count('histories counted a second time');
  if (naive.digest !== ledger.digest()) world.violate('as-specified', 'the digest is not as specified', place);
  else if (Buffer.compare(naive.state, ledger.books().encode()) !== 0) {
    world.violate('as-specified', 'the state is not as specified', place);
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
