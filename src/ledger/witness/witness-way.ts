/**
 * Along which entries of a chain a witness goes on (docs/ledger.md, "What a witness does"): in order, one id a place; at a
 * fork along the branch it attested, or along the one that a certificate picked, and not at all where it attested nothing.
 */

import type { AccountId, Entry, EntryId, EntryName } from '../entries/entry.ts';
import type { LedgerView } from '../views.ts';

type Tree = Pick<LedgerView, 'heads' | 'children' | 'find' | 'status'>;

/**
 * The entries that are next to be attested, the oldest first; a release alone may stop it at any of them.
 * @param attested the newest place of this chain that the witness has attested
 * @param start the networkId, in hex: what the first entry of a log follows on
 */
export function nextOnWay(
  author: AccountId,
  attested: EntryName | undefined,
  ledger: Tree,
  start: EntryId,
): readonly Entry[] {
  const heads = ledger.heads(author);
  const [only, ...others] = heads;
  if (only === undefined) return [];
  if (others.length === 0) {
    const way = wayBetween(attested?.id ?? start, only.id, ledger);
    if (way !== undefined) return way;
  }
  return nextInTree(author, attested, ledger);
}

/** What leads from an entry to one behind it; undefined when it does not, or is not in memory. */
function wayBetween(from: EntryId, to: EntryId, ledger: Tree): readonly Entry[] | undefined {
  const way: Entry[] = [];
  for (let id = to; id !== from; ) {
    const entry = ledger.find(id);
    if (entry === undefined) return undefined;
    way.push(entry);
    id = entry.previous;
  }
  return way.reverse();
}

/** From the newest final entry on, step by step. */
function nextInTree(author: AccountId, attested: EntryName | undefined, ledger: Tree): readonly Entry[] {
  const ownWay = idsUpTo(attested, ledger);
  const next: Entry[] = [];
  let step = choose(ledger.children(author), attested, ownWay, ledger);
  while (step !== undefined) {
    if (attested === undefined || step.sequence > attested.sequence) next.push(step);
    step = choose(ledger.children(author, step.id), attested, ownWay, ledger);
  }
  return next;
}

function choose(
  follow: readonly Entry[],
  attested: EntryName | undefined,
  ownWay: ReadonlySet<EntryId>,
  ledger: Tree,
): Entry | undefined {
  const certified = follow.filter((entry) => isCertified(entry, ledger));
  if (certified.length === 1) return certified[0];
  const own = follow.find(({ id }) => ownWay.has(id));
  if (own !== undefined) return own;
  const [only, ...others] = follow;
  // At a place that it has attested, and not this one: what comes behind would speak for this one too.
  const isFree = attested === undefined || (only !== undefined && only.sequence > attested.sequence);
  return others.length === 0 && isFree ? only : undefined;
}

function isCertified(entry: Entry, ledger: Tree): boolean {
  const status = ledger.status(entry);
  return status === 'certified' || status === 'final';
}

/** The entry it attested last and those before it: attesting one speaks for its chain. */
function idsUpTo(attested: EntryName | undefined, ledger: Tree): Set<EntryId> {
  const ids = new Set<EntryId>();
  for (let id = attested?.id; id !== undefined && !ids.has(id); id = ledger.find(id)?.previous) ids.add(id);
  return ids;
}
