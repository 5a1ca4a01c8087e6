/** When an entry is taken in: its past must be here (docs/ledger.md, "What a ledger holds"). */

import { type AccountId, type Entry, type EntryBody, type EntryName, namesIn } from '../entries/entry.ts';
import type { Books } from './books.ts';
import { type Chain, type Chains, Stem } from './chains.ts';

export type Past =
  | { readonly before: Stem }
  /** What must come first: entries, or a certificate that covers their place. */
  | { readonly missing: readonly EntryName[] }
  /** It can never be taken in. */
  | { readonly refused: string };

export interface PastOptions {
  readonly founder: AccountId;
  readonly chains: Chains;
  /** What is final; entries in it are in memory no more. */
  readonly final: Books;
  /** Entries at final places that were found on the disk. */
  readonly named: readonly Entry[];
}

/** @param chain its author's; the entry is above what is final of it */
export function pastOf(entry: Entry, chain: Chain, options: PastOptions): Past {
  const before = beforeOf(entry, chain, options);
  if ('refused' in before) return before;
  const start = entry.sequence > 0 || entry.author === options.founder ? STARTED : startOf(entry, options);
  if ('refused' in start) return start;
  const missing = 'missing' in before ? [...before.missing] : [];
  if ('missing' in start) missing.push(...start.missing);
  else for (const name of namesIn(entry.body)) if (!isThere(name, options.chains)) missing.push(name);
  return missing.length > 0 || 'missing' in before ? { missing } : before;
}

function isThere(name: EntryName, chains: Chains): boolean {
  // At a covered place nothing that is missing can ever stand, so there is nothing to wait for.
  return chains.find(name) !== undefined || chains.isCovered(name);
}

function beforeOf(entry: Entry, chain: Chain, { chains, named }: PastOptions): Past {
  const { author, sequence, previous } = entry;
  const { root } = chain;
  const link = chains.links.get(previous);
  const at = link?.chain === chain ? link : previous === root.id ? root : undefined;
  if (at !== undefined) {
    return at.sequence === sequence - 1 ? { before: at } : { refused: 'the entry before it is not one below' };
  }
  if (link !== undefined) return { refused: 'the entry before it is of another author' };
  if (sequence === 0) return { refused: 'a first entry that does not name the mesh' };
  if (sequence - 1 <= root.sequence && named.some((entry) => isAt(entry, author, sequence - 1, previous))) {
    return { before: new Stem(sequence - 1, previous, false) };
  }
  return { missing: [{ author, sequence: sequence - 1, id: previous }] };
}

const isAt = (name: EntryName, author: AccountId, sequence: number, id: string) =>
  name.id === id && name.author === author && name.sequence === sequence;

const STARTED = {};
type Start = { readonly missing: readonly EntryName[] } | { readonly refused: string } | typeof STARTED;

/** A chain begins with credits that were meant for its author: keys that nobody paid must not fill every disk. */
function startOf({ author, body }: Entry, { chains, final, named }: PastOptions): Start {
  const name = body.kind === 'accept' ? body.transfer : body.kind === 'claim' ? body.hold : undefined;
  if (name === undefined) return { refused: 'a log that begins with neither accept nor claim' };
  const there = chains.find(name)?.entry ?? named.find((entry) => isAt(entry, name.author, name.sequence, name.id));
  const open =
    body.kind === 'accept' ? final.transfer(name)?.to : final.leg(name, body.kind === 'claim' ? body.leg : 0)?.payee;
  if (there === undefined && open === undefined) return { missing: [name] };
  const payee = there === undefined ? open : payeeOf(there.body, body);
  return payee === author ? STARTED : { refused: 'a log that begins with credits of another account' };
}

/** Whom the named entry pays, as far as it is what `by` takes it for. */
function payeeOf(named: EntryBody, by: EntryBody): AccountId | undefined {
  if (named.kind === 'transfer' && by.kind === 'accept') return named.to;
  if (named.kind === 'hold' && by.kind === 'claim') return named.legs[by.leg]?.payee;
  return undefined;
}
