/**
 * What an own entry is checked for before it is signed: that it has the effect that was asked for. Nobody else checks that; an
 * entry without effect is void, and its author has only made his log longer.
 */

import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import type { OpenLeg } from '../books/state.ts';
import { inWords } from '../entries/amounts.ts';
import type { Accept, AccountId, Claim, EntryName, Hold, HoldLeg, Release, Transfer } from '../entries/entry.ts';
import type { LedgerView } from '../views.ts';

const ACCOUNT = /^[0-9a-f]{64}$/;

/** @throws GoGridError `invalid_request`, `insufficient_credits` */
export function expectTransfer(
  { to, amount, memo }: Omit<Transfer, 'kind'>,
  self: AccountId,
  ledger: Pick<LedgerView, 'available'>,
): Transfer {
  expectOther(to, self, 'to');
  if (amount < 1n) throw invalid('amount', `amount is ${amount}`, 'send at least 1 microcredit');
  expectMemo(memo);
  expectCovered(amount, self, ledger, 'a transfer');
  return { kind: 'transfer', to, amount, memo };
}

/** @throws GoGridError `invalid_request` */
export function expectAccept(
  transfer: EntryName,
  self: AccountId,
  ledger: Pick<LedgerView, 'openTransfersTo'>,
): Accept {
  if (!ledger.openTransfersTo(self).some(({ name }) => name.id === transfer.id)) {
    const what = `transfer ${transfer.id} is not open, or not to this account`;
    throw invalid('transfer', what, '`gogrid credits history` shows what waits to be accepted');
  }
  return { kind: 'accept', transfer };
}

/** @throws GoGridError `invalid_request`, `insufficient_credits` */
export function expectHold(legs: readonly HoldLeg[], self: AccountId, ledger: Pick<LedgerView, 'available'>): Hold {
  if (legs.length < 1 || legs.length > LEDGER.maxLegs) {
    throw invalid('legs', `a hold has ${legs.length} legs`, `set aside for 1 to ${LEDGER.maxLegs} payees`);
  }
  for (const { payee, max } of legs) {
    expectOther(payee, self, 'payee');
    if (max < 1n) throw invalid('max', `max is ${max}`, 'set aside at least 1 microcredit');
  }
  if (new Set(legs.map(({ payee }) => payee)).size !== legs.length) {
    throw invalid('legs', 'two legs of a hold have one payee', 'give each payee one leg');
  }
  const sum = legs.reduce((total, { max }) => total + max, 0n);
  expectCovered(sum, self, ledger, 'a hold');
  return { kind: 'hold', legs };
}

/** @throws GoGridError `invalid_request` */
export function expectClaim(
  claim: Omit<Claim, 'kind'>,
  self: AccountId,
  ledger: Pick<LedgerView, 'openLegsTo'>,
): Claim {
  const leg = ledger.openLegsTo(self).find((open) => isLeg(open, claim));
  if (leg === undefined) throw invalid('leg', `leg ${claim.leg} is not open, or not for this account`);
  if (leg.closedBy !== undefined) throw invalid('leg', `leg ${claim.leg} is closed by a claim of this account`);
  const { cumulative, last } = claim;
  if (cumulative > leg.max) throw invalid('cumulative', `cumulative is ${cumulative}; the leg has ${leg.max}`);
  if (cumulative <= leg.paid && !last) {
    throw invalid('cumulative', `cumulative is ${cumulative}; ${leg.paid} are booked already`);
  }
  return { kind: 'claim', ...claim };
}

/** @throws GoGridError `invalid_request` */
export function expectRelease(
  release: Pick<Release, 'hold' | 'leg'> & { readonly rest: { readonly claim: EntryName } },
  self: AccountId,
  ledger: Pick<LedgerView, 'openLegsOf'>,
): Release {
  const leg = expectOwnLeg(release, self, ledger);
  if (leg.closedBy?.id !== release.rest.claim.id)
    throw invalid('claim', `leg ${release.leg} is not closed by this claim`);
  return { kind: 'release', ...release };
}

/** @throws GoGridError `invalid_request` */
export function expectReleaseAlone(
  release: Pick<Release, 'hold' | 'leg'> & { readonly rest: { readonly alone: bigint } },
  self: AccountId,
  ledger: Pick<LedgerView, 'openLegsOf'>,
): Release {
  const leg = expectOwnLeg(release, self, ledger);
  const { alone } = release.rest;
  if (alone < leg.paid || alone >= leg.max) {
    throw invalid(
      'cumulative',
      `cumulative is ${alone}; ${leg.paid} of ${leg.max} are booked, so nothing would come back`,
    );
  }
  return { kind: 'release', ...release };
}

function expectOwnLeg(
  release: Pick<Release, 'hold' | 'leg'>,
  self: AccountId,
  ledger: Pick<LedgerView, 'openLegsOf'>,
): OpenLeg {
  const leg = ledger.openLegsOf(self).find((open) => isLeg(open, release));
  if (leg === undefined) throw invalid('leg', `leg ${release.leg} is not open, or not of a hold of this account`);
  if (leg.givenBack > 0n) throw invalid('leg', `the rest of leg ${release.leg} was taken back before`);
  return leg;
}

function isLeg(open: OpenLeg, { hold, leg }: { readonly hold: EntryName; readonly leg: number }): boolean {
  return open.leg === leg && open.hold.id === hold.id;
}

function expectOther(account: AccountId, self: AccountId, field: string): void {
  if (!ACCOUNT.test(account)) {
    throw invalid(field, `${field} is no account: '${account.slice(0, 80)}'`, 'give its key as 64 small hex digits');
  }
  if (account === self) throw invalid(field, `${field} is this account itself`, 'name another account');
}

/** What the codec would refuse to write. */
function expectMemo(memo: string): void {
  const bytes = Buffer.byteLength(memo);
  if (bytes > LEDGER.maxMemoBytes) {
    throw invalid('memo', `memo has ${bytes} bytes`, `write at most ${LEDGER.maxMemoBytes} bytes of UTF-8`);
  }
  if (!memo.isWellFormed()) throw invalid('memo', 'memo is not well-formed Unicode', 'leave lone surrogates out');
  if (memo.startsWith('\uFEFF')) {
    throw invalid('memo', 'memo begins with a byte order mark (U+FEFF)', 'leave the mark out');
  }
}

function expectCovered(amount: bigint, self: AccountId, ledger: Pick<LedgerView, 'available'>, what: string): void {
  const { available } = ledger.available(self);
  if (amount <= available) return;
  throw new GoGridError({
    code: 'insufficient_credits',
    message: `${what} of ${inWords(amount)} is more than what is available, ${inWords(available)}`,
    hint: '`gogrid credits` shows what is there, and what of it is reserved and promised',
    data: { amountMicrocredits: String(amount), availableMicrocredits: String(available) },
  });
}

function invalid(field: string, message: string, hint?: string): GoGridError {
  return new GoGridError({ code: 'invalid_request', message, ...(hint !== undefined && { hint }), data: { field } });
}
