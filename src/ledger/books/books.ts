/**
 * What every account has: the books that entries are counted into, one after the other (docs/ledger.md, "What it is worth").
 *
 * Each kind of entry is checked completely before anything changes, and what is then applied cannot fail. An entry that
 * breaks no rule of form is never an error here: it counts, or it is worth nothing, and `Outcome` says which. Credits only
 * move, so their sum is the genesis amount after every entry, and nothing is ever below 0.
 */

import type {
  Accept,
  AccountId,
  Claim,
  Entry,
  EntryId,
  EntryName,
  Hold,
  LedgerMesh,
  Release,
  Transfer,
} from '../entries/entry.ts';
import {
  type Account,
  decodeState,
  encodeState,
  legKey,
  type OpenLeg,
  type OpenTransfer,
  type State,
} from './state.ts';

/** The release alone that caps a leg, and at what. It follows from signatures, so it is known before anything is counted. */
export interface Cap {
  readonly by: EntryId;
  readonly hold: EntryName;
  readonly leg: number;
  readonly cumulative: bigint;
}

/** Caps by `legKey`. */
export type Caps = ReadonlyMap<string, Cap>;

/** What came of an entry. All but `counted` moved nothing. */
export interface Outcome {
  readonly result:
    | 'counted'
    /** Transfer, hold: more than was available. */
    | 'void'
    /** Accept, claim, release: what it names is not open: it was never counted, or is booked, or closed. */
    | 'not-open'
    /** Accept, claim: it is meant for another account. */
    | 'not-yours'
    /** Claim: no more than was paid already, or than the cap leaves. */
    | 'nothing-new'
    /** Release by name: the claim it names did not close the leg. */
    | 'not-closed'
    /** Release: of this leg something was given back, or another release alone came first. */
    | 'already-released'
    /** Release alone: without a certificate it does not count. */
    | 'not-certified';
  /** By how many microcredits the author's available changed. */
  readonly moved: bigint;
}

const nothing = (result: Exclude<Outcome['result'], 'counted'>): Outcome => ({ result, moved: 0n });
const VOID = nothing('void');
const NOT_OPEN = nothing('not-open');
const NOT_YOURS = nothing('not-yours');
const NOTHING_NEW = nothing('nothing-new');
const NOT_CLOSED = nothing('not-closed');
const ALREADY_RELEASED = nothing('already-released');
const NOT_CERTIFIED = nothing('not-certified');
const counted = (moved: bigint): Outcome => ({ result: 'counted', moved });

export const NO_CAPS: Caps = new Map();

/** Whether an entry is covered by a certificate: a release alone counts only then. */
interface Standing {
  readonly certified: boolean;
}

export class Books {
  readonly #mesh: LedgerMesh;
  /** Authors with a counted entry. Values are replaced, never changed, so that a clone copies the maps alone. */
  #accounts = new Map<AccountId, Account>();
  #transfers = new Map<EntryId, OpenTransfer>();
  /** By hold; undefined where a leg is not open. */
  #holds = new Map<EntryId, readonly (OpenLeg | undefined)[]>();
  /** Of legs whose hold is not counted yet. */
  #caps: Caps = NO_CAPS;

  /** The books of a mesh in which nobody has written anything: all is the founder's. */
  constructor(mesh: LedgerMesh) {
    this.#mesh = mesh;
  }

  /** Books of their own that begin as these; `caps` are those that are known of entries to come. */
  clone(caps: Caps = NO_CAPS): Books {
    const books = new Books(this.#mesh);
    books.#accounts = new Map(this.#accounts);
    books.#transfers = new Map(this.#transfers);
    books.#holds = new Map(this.#holds);
    books.#caps = caps;
    for (const { hold, leg } of caps.values()) books.#cap(books.leg(hold, leg));
    return books;
  }

  /** Microcredits that the account can spend. */
  available(author: AccountId): bigint {
    return this.#accounts.get(author)?.available ?? (author === this.#mesh.founder ? this.#mesh.genesis : 0n);
  }

  /** The newest entry of this author that was counted. */
  tip(author: AccountId): EntryName | undefined {
    const account = this.#accounts.get(author);
    return account && { author, sequence: account.sequence, id: account.id };
  }

  /** Everybody of whom an entry was counted. */
  authors(): IterableIterator<AccountId> {
    return this.#accounts.keys();
  }

  /** Takes as long as there are open ones; so do the next two. */
  openTransfers(): IterableIterator<OpenTransfer> {
    return this.#transfers.values();
  }

  *openLegs(): Generator<OpenLeg> {
    for (const legs of this.#holds.values()) for (const leg of legs) if (leg !== undefined) yield leg;
  }

  transfer({ author, sequence, id }: EntryName): OpenTransfer | undefined {
    const open = this.#transfers.get(id);
    return open?.name.author === author && open.name.sequence === sequence ? open : undefined;
  }

  leg({ author, sequence, id }: EntryName, leg: number): OpenLeg | undefined {
    const open = this.#holds.get(id)?.[leg];
    return open?.hold.author === author && open.hold.sequence === sequence ? open : undefined;
  }

  /** Whether this is a transfer, or a hold with a leg, that is open. */
  isOpen(name: EntryName): boolean {
    const ofHold = this.#holds.get(name.id)?.find((leg) => leg !== undefined)?.hold;
    const found = ofHold ?? this.#transfers.get(name.id)?.name;
    return found?.author === name.author && found.sequence === name.sequence;
  }

  /** Counts an entry, after everything it names and after the entry before it. */
  apply(entry: Entry, standing: Standing): Outcome {
    const available = this.available(entry.author);
    const outcome = this.#count(entry, available, standing);
    this.#accounts.set(entry.author, {
      sequence: entry.sequence,
      id: entry.id,
      available: outcome.moved === 0n ? available : available + outcome.moved,
    });
    return outcome;
  }

  #count(entry: Entry, available: bigint, standing: Standing): Outcome {
    const { body } = entry;
    switch (body.kind) {
      case 'transfer':
        return this.#transfer(entry, body, available);
      case 'accept':
        return this.#accept(entry, body);
      case 'hold':
        return this.#hold(entry, body, available);
      case 'claim':
        return this.#claim(entry, body);
      case 'release':
        return 'claim' in body.rest
          ? this.#releaseByName(body, body.rest.claim)
          : this.#releaseAlone(entry, body, body.rest.alone, standing);
    }
  }

  #transfer(entry: Entry, { to, amount }: Transfer, available: bigint): Outcome {
    if (available < amount) return VOID;
    this.#transfers.set(entry.id, { name: nameOf(entry), to, amount });
    return counted(-amount);
  }

  #accept(entry: Entry, { transfer }: Accept): Outcome {
    const open = this.transfer(transfer);
    if (open === undefined) return NOT_OPEN;
    if (open.to !== entry.author) return NOT_YOURS;
    this.#transfers.delete(transfer.id);
    return counted(open.amount);
  }

  #hold(entry: Entry, { legs }: Hold, available: bigint): Outcome {
    let sum = 0n;
    for (const { max } of legs) sum += max;
    if (available < sum) return VOID;
    const hold = nameOf(entry);
    const none = { paid: 0n, givenBack: 0n, closedBy: undefined, cap: undefined, cappedBy: undefined };
    const open = legs.map(({ payee, max }, leg): OpenLeg => ({ hold, leg, payee, max, ...none }));
    this.#holds.set(entry.id, open);
    if (this.#caps.size > 0) for (const leg of open) this.#cap(leg);
    return counted(-sum);
  }

  #claim(entry: Entry, { hold, leg: index, cumulative, last }: Claim): Outcome {
    const leg = this.leg(hold, index);
    if (leg === undefined || leg.closedBy !== undefined) return NOT_OPEN;
    if (leg.payee !== entry.author) return NOT_YOURS;
    const ceiling = leg.cap === undefined ? leg.max : least(leg.cap, leg.max);
    const paid = greatest(leg.paid, least(cumulative, ceiling));
    if (paid === leg.paid && !last) return NOTHING_NEW;
    this.#put({ ...leg, paid, closedBy: last ? nameOf(entry) : undefined });
    return counted(paid - leg.paid);
  }

  #releaseByName({ hold, leg: index }: Release, claim: EntryName): Outcome {
    const leg = this.leg(hold, index);
    if (leg === undefined) return NOT_OPEN;
    if (leg.givenBack > 0n) return ALREADY_RELEASED;
    if (leg.closedBy === undefined || !isSameName(leg.closedBy, claim)) return NOT_CLOSED;
    const rest = leg.max - leg.paid;
    this.#put({ ...leg, givenBack: rest });
    return counted(rest);
  }

  #releaseAlone({ id }: Entry, { hold, leg: index }: Release, cumulative: bigint, { certified }: Standing): Outcome {
    if (!certified) return NOT_CERTIFIED;
    const leg = this.leg(hold, index);
    if (leg === undefined) return NOT_OPEN;
    // Only the one that caps gives back: what it leaves in the leg is what claims may still take.
    if (leg.cap !== undefined && leg.cappedBy !== id) return ALREADY_RELEASED;
    // More than the cap is paid only where more than f witnesses lied; nothing is given back twice even then.
    const kept = greatest(cumulative, leg.paid);
    const rest = kept < leg.max ? leg.max - kept : 0n;
    this.#put({ ...leg, givenBack: rest, cap: cumulative, cappedBy: id });
    return counted(rest);
  }

  #cap(leg: OpenLeg | undefined): void {
    if (leg === undefined || leg.cap !== undefined) return;
    const cap = this.#caps.get(legKey(leg.hold, leg.leg));
    if (cap !== undefined) this.#put({ ...leg, cap: cap.cumulative, cappedBy: cap.by });
  }

  #put(leg: OpenLeg): void {
    const open = leg.max - leg.paid - leg.givenBack > 0n;
    const legs = (this.#holds.get(leg.hold.id) ?? []).with(leg.leg, open ? leg : undefined);
    if (legs.some((other) => other !== undefined)) this.#holds.set(leg.hold.id, legs);
    else this.#holds.delete(leg.hold.id);
  }

  /** The state in canonical form (docs/ledger.md): equal books are equal bytes. Its SHA-256 is what a checkpoint signs. */
  encode(): Uint8Array {
    const accounts = [...this.#accounts].map(([author, account]) => ({ author, ...account }));
    return encodeState({ accounts, transfers: [...this.#transfers.values()], legs: [...this.openLegs()] });
  }

  /**
   * The books that `encode` wrote, checked: they come from a disk.
   * @throws GoGridError `damaged`
   */
  static decode(bytes: Uint8Array, mesh: LedgerMesh): Books {
    return Books.#from(decodeState(bytes, mesh), mesh);
  }

  static #from({ accounts, transfers, legs }: State, mesh: LedgerMesh): Books {
    const books = new Books(mesh);
    for (const { author, sequence, id, available } of accounts) {
      books.#accounts.set(author, { sequence, id, available });
    }
    for (const transfer of transfers) books.#transfers.set(transfer.name.id, transfer);
    for (const leg of legs) {
      const others = books.#holds.get(leg.hold.id) ?? [];
      books.#holds.set(
        leg.hold.id,
        Array.from({ length: Math.max(others.length, leg.leg + 1) }, (_, i) => (i === leg.leg ? leg : others[i])),
      );
    }
    return books;
  }
}

/** A name of its own: books outlive the entries that were counted into them. */
function nameOf({ author, sequence, id }: Entry): EntryName {
  return { author, sequence, id };
}

const isSameName = (a: EntryName, b: EntryName) => a.id === b.id && a.author === b.author && a.sequence === b.sequence;
const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const greatest = (a: bigint, b: bigint): bigint => (a > b ? a : b);
