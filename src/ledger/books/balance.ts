/**
 * What an account has, as its owner is shown it. Of the whole mesh the ledger knows the open legs; how they split into what is
 * reserved and what is promised only the payer knows, who gave the vouchers. Pure.
 *
 * available + reserved + promised, over all accounts, is the genesis amount.
 */

import type { AccountId, EntryName } from '../entries/entry.ts';
import type { LedgerView } from '../views.ts';
import type { OpenLeg, OpenTransfer } from './state.ts';

/** Microcredits. */
export interface Balance {
  /** What can be spent. */
  readonly available: bigint;
  /** The part of `available` that nobody can take back. */
  readonly final: bigint;
  /** Held, and nothing promised of it. */
  readonly reserved: bigint;
  /** Vouchers given and transfers sent that are not booked. */
  readonly promised: bigint;
  /** Transfers and vouchers for this account that are not booked. */
  readonly pending: bigint;
}

export interface BalanceView {
  readonly available: { readonly available: bigint; readonly final: bigint };
  readonly transfersOf: readonly OpenTransfer[];
  readonly transfersTo: readonly OpenTransfer[];
  readonly legsOf: readonly OpenLeg[];
  readonly legsTo: readonly OpenLeg[];
  /** The cumulative that was promised of a leg of an own hold. */
  readonly given: (hold: EntryName, leg: number) => bigint;
  /** The cumulative that was promised to this account, of a leg of another's hold. */
  readonly received: (hold: EntryName, leg: number) => bigint;
}

/** What `vouchers.ts` knows. */
export interface KnownVouchers {
  given(hold: EntryName, leg: number): bigint;
  received(): readonly { readonly hold: EntryName; readonly leg: number; readonly cumulative: bigint }[];
}

export function viewOf(
  self: AccountId,
  ledger: Pick<LedgerView, 'available' | 'openTransfersOf' | 'openTransfersTo' | 'openLegsOf' | 'openLegsTo'>,
  vouchers: KnownVouchers,
): BalanceView {
  const received = new Map(vouchers.received().map(({ hold, leg, cumulative }) => [`${hold.id}/${leg}`, cumulative]));
  return {
    available: ledger.available(self),
    transfersOf: ledger.openTransfersOf(self),
    transfersTo: ledger.openTransfersTo(self),
    legsOf: ledger.openLegsOf(self),
    legsTo: ledger.openLegsTo(self),
    given: (hold, leg) => vouchers.given(hold, leg),
    received: ({ id }, leg) => received.get(`${id}/${leg}`) ?? 0n,
  };
}

export function balanceOf(view: BalanceView): Balance {
  const { available, transfersOf, transfersTo, legsOf, legsTo, given, received } = view;
  const sum = (amounts: readonly bigint[]) => amounts.reduce((total, amount) => total + amount, 0n);
  const promisedOf = (leg: OpenLeg) => promisedIn(leg, given(leg.hold, leg.leg));
  const promised = sum(legsOf.map(promisedOf));
  return {
    ...available,
    reserved: sum(legsOf.map(restOf)) - promised,
    promised: promised + sum(transfersOf.map(({ amount }) => amount)),
    pending:
      sum(legsTo.map((leg) => promisedIn(leg, received(leg.hold, leg.leg)))) +
      sum(transfersTo.map(({ amount }) => amount)),
  };
}

/** What of a leg is neither booked nor given back. */
function restOf({ max, paid, givenBack }: OpenLeg): bigint {
  return max - paid - givenBack;
}

/** What of a leg's rest its payee can book by vouchers; nothing once it has written its last claim. */
function promisedIn(leg: OpenLeg, cumulative: bigint): bigint {
  if (leg.closedBy !== undefined || cumulative <= leg.paid) return 0n;
  const promised = cumulative - leg.paid;
  const rest = restOf(leg);
  return promised < rest ? promised : rest;
}
