/**
 * What this account's money rests on and no certificate has settled yet: its own log, what others sent and promised to it,
 * and whatever those entries name in turn; and the forks that no certificate has decided.
 */

import { LEDGER } from '../../limits/ledger.ts';
import type { AccountId, Entry, EntryName } from '../entries/entry.ts';
import type { LedgerView } from '../views.ts';
import { openPast } from './open-past.ts';

/** Places that witnesses are asked for; the own ones come first. */
export interface Unsettled {
  /** Of every chain its newest entry that money rests on: one certificate covers all before it; and claims, which need one each. */
  readonly rests: readonly EntryName[];
  /** The entries that stand side by side at forks. */
  readonly forks: readonly EntryName[];
}

/** @param quorum witnesses that make a certificate */
export function unsettled(self: AccountId, quorum: number, ledger: LedgerView): Unsettled {
  return { rests: restsOf(self, quorum, ledger), forks: forkedIn(ledger) };
}

function restsOf(self: AccountId, quorum: number, ledger: LedgerView): EntryName[] {
  const newest = new Map<AccountId, Entry>();
  const claims: Entry[] = [];
  for (const entry of openPast(startOf(self, ledger), ledger)) {
    const status = ledger.status(entry);
    if (status === 'fallen') continue;
    if (entry.body.kind === 'claim') claims.push(entry);
    if (status === 'stands' && entry.sequence > (newest.get(entry.author)?.sequence ?? -1)) {
      newest.set(entry.author, entry);
    }
  }
  const open = untimely(claims, quorum, ledger).filter((claim) => newest.get(claim.author) !== claim);
  return [...newest.values(), ...open];
}

/** The own newest entry, and what others sent and promised, the largest amount first. */
function startOf(self: AccountId, ledger: LedgerView): EntryName[] {
  const tip = ledger.tip(self);
  const inOrder = [
    ...ledger.openTransfersTo(self).map(({ name, amount }) => ({ name, amount })),
    ...ledger.openLegsTo(self).map(({ hold, max, paid }) => ({ name: hold, amount: max - paid })),
    ...ledger
      .openLegsOf(self)
      .flatMap(({ closedBy, max, paid }) => (closedBy === undefined ? [] : [{ name: closedBy, amount: max - paid }])),
  ].toSorted((a, b) => (a.amount === b.amount ? 0 : a.amount < b.amount ? 1 : -1));
  return [...(tip === undefined ? [] : [tip]), ...inOrder.map(({ name }) => name)];
}

/** Those without a quorum of witnesses who call them timely: the certificate of a later place is not enough for them. */
function untimely(claims: readonly Entry[], quorum: number, ledger: LedgerView): Entry[] {
  const timely = new Map<string, number>();
  for (const author of new Set(claims.map((claim) => claim.author))) {
    for (const { id, late } of ledger.attestationsOf(author, 0)) {
      if (!late) timely.set(id, (timely.get(id) ?? 0) + 1);
    }
  }
  return claims.filter(({ id }) => (timely.get(id) ?? 0) < quorum);
}

function forkedIn(ledger: LedgerView): EntryName[] {
  const sides: EntryName[] = [];
  for (const { author, ids, resolved } of ledger.forks()) {
    if (sides.length >= LEDGER.maxUnsettledSeen) break;
    const one = resolved === undefined ? ledger.find(ids[0]) : undefined;
    if (one !== undefined) sides.push(...ledger.children(author, one.previous));
  }
  return sides;
}
