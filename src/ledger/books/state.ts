/** The state of books as bytes: the canonical form of docs/ledger.md, on the disk as a snapshot and under a checkpoint. */

import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { decode, encode } from '../../protocol/cbor.ts';
import type { AccountId, EntryId, EntryName, LedgerMesh } from '../entries/entry.ts';
import { fromHex, hex32, hexOf, listOf, microcreditsOf, uintOf, violation } from '../entries/fields.ts';

/** A transfer that was paid and not booked yet. */
export interface OpenTransfer {
  readonly name: EntryName;
  readonly to: AccountId;
  /** Microcredits. */
  readonly amount: bigint;
}

/** A leg of a hold with something left in it: max − paid − given back is above 0. Amounts are microcredits. */
export interface OpenLeg {
  readonly hold: EntryName;
  readonly leg: number;
  readonly payee: AccountId;
  readonly max: bigint;
  /** To the payee. */
  readonly paid: bigint;
  /** To the payer, by a release alone. */
  readonly givenBack: bigint;
  /** The claim that closed it: nothing more is paid. */
  readonly closedBy: EntryName | undefined;
  /** Nothing above it is paid. */
  readonly cap: bigint | undefined;
  /** The release alone that the cap is from; undefined when there is none, and for one that is long final. */
  readonly cappedBy: EntryId | undefined;
}

/** A leg, by all of its hold's name: who names the right id at a wrong place names nothing. */
export function legKey({ author, sequence, id }: EntryName, leg: number): string {
  return `${author}/${sequence}/${id}/${leg}`;
}

/** An account whose author has written. */
export interface Account {
  /** Of the newest entry that was counted. */
  readonly sequence: number;
  readonly id: EntryId;
  /** Microcredits. */
  readonly available: bigint;
}

export interface State {
  readonly accounts: readonly (Account & { readonly author: AccountId })[];
  readonly transfers: readonly OpenTransfer[];
  readonly legs: readonly OpenLeg[];
}

/** The order of `state`'s lists does not matter: the bytes are the same. */
export function encodeState({ accounts, transfers, legs }: State): Uint8Array {
  const inOrder = <T>(
    items: readonly T[],
    name: (item: T) => Pick<EntryName, 'author' | 'sequence'>,
    leg: (item: T) => number,
  ) =>
    items.toSorted((a, b) => {
      const x = name(a);
      const y = name(b);
      if (x.author !== y.author) return x.author < y.author ? -1 : 1;
      return x.sequence - y.sequence || leg(a) - leg(b);
    });
  return encode([
    inOrder(
      accounts,
      (account) => account,
      () => 0,
    ).map(({ author, sequence, id, available }) => [fromHex(author), sequence, fromHex(id), available]),
    inOrder(
      transfers,
      ({ name }) => name,
      () => 0,
    ).map(({ name, to, amount }) => [...wireName(name), fromHex(to), amount]),
    inOrder(
      legs,
      ({ hold }) => hold,
      ({ leg }) => leg,
    ).map((leg) => [
      ...wireName(leg.hold),
      leg.leg,
      fromHex(leg.payee),
      leg.max,
      leg.paid,
      leg.givenBack,
      leg.closedBy === undefined ? [] : [leg.closedBy.sequence, fromHex(leg.closedBy.id)],
      leg.cap === undefined ? [] : [leg.cap],
    ]),
  ]);
}

/**
 * Reads and checks a state: its form, each amount, that what is open belongs to a chain that reaches so far, that no place
 * holds two entries, and that no credits were made or lost.
 * @throws GoGridError `damaged`
 */
export function decodeState(bytes: Uint8Array, mesh: LedgerMesh): State {
  try {
    const state = readState(bytes, mesh);
    expectSum(state, mesh);
    if (Buffer.compare(encodeState(state), bytes) !== 0) throw violation('the state is not in canonical form');
    return state;
  } catch (cause) {
    throw new GoGridError({
      code: 'damaged',
      message: `the ledger's snapshot is damaged: ${cause instanceof Error ? cause.message : 'unreadable'}`,
      hint: 'the node counts its entries anew',
      cause,
    });
  }
}

function readState(bytes: Uint8Array, mesh: LedgerMesh): State {
  const [accountRows, transferRows, legRows] = listOf(decode(bytes, 'the state'), 3, 'the state');
  const accounts = rowsOf(accountRows, 'accounts').map((row) => readAccount(row, mesh));
  const tips = new Map(accounts.map(({ author, sequence }) => [author, sequence]));
  if (tips.size !== accounts.length) throw violation('an account is there twice');
  const idsAt = new Map(accounts.map(({ author, sequence, id }) => [`${author}/${sequence}`, id]));
  const open = new Set<string>();
  const expectReached = ({ author, sequence, id }: EntryName): void => {
    const place = `${author}/${sequence}`;
    if (sequence > (tips.get(author) ?? -1)) throw violation('something is above the tip of its author');
    if ((idsAt.get(place) ?? id) !== id) throw violation('two entries are at one place');
    idsAt.set(place, id);
  };
  const expectOpen = (name: EntryName, part: number): void => {
    expectReached(name);
    if (open.has(legKey(name, part))) throw violation('something is open twice');
    open.add(legKey(name, part));
  };
  const transfers = rowsOf(transferRows, 'transfers').map((row) => readTransfer(row, mesh));
  const legs = rowsOf(legRows, 'legs').map((row) => readLeg(row, mesh));
  for (const { name } of transfers) expectOpen(name, 0);
  for (const { hold, leg, closedBy } of legs) {
    expectOpen(hold, leg);
    if (closedBy !== undefined) expectReached(closedBy);
  }
  return { accounts, transfers, legs };
}

function readAccount(row: unknown, mesh: LedgerMesh): State['accounts'][number] {
  const [author, sequence, id, available] = listOf(row, 4, 'an account');
  return {
    author: hex32(author, 'an account'),
    sequence: uintOf(sequence, Number.MAX_SAFE_INTEGER, 'a sequence'),
    id: hex32(id, 'an id'),
    available: microcreditsOf(available, 0n, mesh.genesis, 'available'),
  };
}

function readTransfer(row: unknown, mesh: LedgerMesh): OpenTransfer {
  const [author, sequence, id, to, amount] = listOf(row, 5, 'a transfer');
  return {
    name: readName(author, sequence, id),
    to: otherThan(hex32(to, 'a payee'), author),
    amount: microcreditsOf(amount, 1n, mesh.genesis, 'an amount'),
  };
}

function readLeg(row: unknown, mesh: LedgerMesh): OpenLeg {
  const [author, sequence, id, leg, payee, max, paid, givenBack, closedBy, cap] = listOf(row, 10, 'a leg');
  const amounts = {
    max: microcreditsOf(max, 1n, mesh.genesis, 'max'),
    paid: microcreditsOf(paid, 0n, mesh.genesis, 'paid'),
    givenBack: microcreditsOf(givenBack, 0n, mesh.genesis, 'given back'),
    cap: readCap(cap, mesh),
  };
  if (amounts.max - amounts.paid - amounts.givenBack <= 0n) throw violation('a leg with nothing left is not open');
  // Only a release alone leaves a leg open that gave something back: what is above the cap that it sets.
  const aboveCap = amounts.cap === undefined || amounts.cap >= amounts.max ? 0n : amounts.max - amounts.cap;
  if (amounts.paid > amounts.max - aboveCap) throw violation('a leg was paid above its cap');
  if (amounts.givenBack !== aboveCap) throw violation('a leg gave back another amount than is above its cap');
  return {
    hold: readName(author, sequence, id),
    leg: uintOf(leg, LEDGER.maxLegs - 1, 'a leg'),
    payee: otherThan(hex32(payee, 'a payee'), author),
    ...amounts,
    closedBy: readClosedBy(closedBy, payee),
    cappedBy: undefined,
  };
}

/** The claim that closed a leg is its payee's, so its author is not written a second time. */
function readClosedBy(value: unknown, payee: unknown): EntryName | undefined {
  if (Array.isArray(value) && value.length === 0) return undefined;
  const [sequence, id] = listOf(value, 2, 'closed by');
  return readName(payee, sequence, id);
}

function readCap(value: unknown, mesh: LedgerMesh): bigint | undefined {
  if (Array.isArray(value) && value.length === 0) return undefined;
  return microcreditsOf(listOf(value, 1, 'a cap')[0], 0n, mesh.genesis, 'a cap');
}

function expectSum({ accounts, transfers, legs }: State, mesh: LedgerMesh): void {
  // The founder has the genesis amount until an entry of his is counted.
  let sum = accounts.some(({ author }) => author === mesh.founder) ? 0n : mesh.genesis;
  for (const { available } of accounts) sum += available;
  for (const { amount } of transfers) sum += amount;
  for (const { max, paid, givenBack } of legs) sum += max - paid - givenBack;
  if (sum !== mesh.genesis) throw violation(`the credits sum up to ${sum}, not to ${mesh.genesis}`);
}

function rowsOf(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw violation(`${what} are not an array`);
  return value as readonly unknown[];
}

function wireName({ author, sequence, id }: EntryName): readonly [Uint8Array, number, Uint8Array] {
  return [fromHex(author), sequence, fromHex(id)];
}

function readName(author: unknown, sequence: unknown, id: unknown): EntryName {
  return {
    author: hex32(author, 'an author'),
    sequence: uintOf(sequence, Number.MAX_SAFE_INTEGER, 'a sequence'),
    id: hex32(id, 'an id'),
  };
}

function otherThan(payee: AccountId, author: unknown): AccountId {
  if (author instanceof Uint8Array && hexOf(author) === payee) throw violation('an account pays itself');
  return payee;
}
