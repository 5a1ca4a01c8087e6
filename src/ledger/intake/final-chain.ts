/**
 * The final part of a chain, read from the disk. Where an author signed several entries for one place the disk may have more
 * than one: the one that is final is the one that the chain goes on behind.
 */

import { LEDGER } from '../../limits/ledger.ts';
import type { Entry, EntryName, LedgerMesh } from '../entries/entry.ts';
import { openEntry } from '../entries/entry-codec.ts';
import type { LedgerStore, StoredEntry } from '../ports.ts';

type Store = Pick<LedgerStore, 'chain'>;

/**
 * Final entries of one author from a sequence on, in order, up to the newest. Ends early where one is damaged or missing, and
 * where the author has forked too many places in a row to look for the one from which it is clear.
 * @param tip the author's newest final entry
 */
export async function* finalChain(
  store: Store,
  mesh: LedgerMesh,
  tip: EntryName,
  from: number,
): AsyncGenerator<StoredEntry> {
  /** Places, up to this one, of which it is not clear yet which entry is final. */
  let unclear: StoredEntry[][] = [];
  for await (const place of places(store, tip, from)) {
    const last = place.length === 1 ? place[0] : place.find(({ id }) => id === tip.id);
    if (last === undefined) {
      if (unclear.push(place) > LEDGER.maxUnclearPlaces) return;
      continue;
    }
    const way = [last];
    for (const before of unclear.toReversed()) {
      const previous = previousOf(way.at(-1), mesh);
      const found = before.find(({ id }) => id === previous);
      if (found === undefined) return;
      way.push(found);
    }
    unclear = [];
    for (const stored of way.toReversed()) {
      if (stored.sealed.length === 0) return;
      yield stored;
    }
  }
}

/** The final entry at a place. */
export async function finalAt(
  store: Store,
  mesh: LedgerMesh,
  tip: EntryName,
  sequence: number,
): Promise<Entry | undefined> {
  for await (const { sealed } of finalChain(store, mesh, tip, sequence))
    return openEntry(sealed, mesh, { trusted: true });
  return undefined;
}

/** All entries of each place, place after place without a gap. */
async function* places(store: Store, tip: EntryName, from: number): AsyncGenerator<StoredEntry[]> {
  let place: StoredEntry[] = [];
  let sequence = from;
  for await (const stored of store.chain(tip.author, from)) {
    if (stored.sequence > tip.sequence) break;
    if (stored.sequence !== sequence) {
      if (place.length > 0) yield place;
      if (stored.sequence !== ++sequence || place.length === 0) return;
      place = [];
    }
    place.push(stored);
  }
  if (place.length > 0) yield place;
}

function previousOf(stored: StoredEntry | undefined, mesh: LedgerMesh): string | undefined {
  if (stored === undefined || stored.sealed.length === 0) return undefined;
  return openEntry(stored.sealed, mesh, { trusted: true }).previous;
}
