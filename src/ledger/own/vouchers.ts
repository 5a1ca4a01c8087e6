/**
 * The journal of vouchers. Given: the highest cumulative that may have been signed for each leg, on disk before it is signed,
 * so that no release takes back what was promised. Received: the newest voucher of each leg, until it is booked.
 */

import type { Clock } from '../../clock.ts';
import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import type { Signer } from '../../protocol/signature.ts';
import type { OpenLeg } from '../books/state.ts';
import type { AccountId, EntryName, LedgerMesh } from '../entries/entry.ts';
import { signVoucher, type Voucher, verifyVoucher } from '../entries/voucher.ts';
import type { LedgerNotes } from '../ports.ts';
import type { BooksView } from '../views.ts';
import { nameOnly } from '../views.ts';
import { encodeGiven, encodeReceived, type Given, type Received, readGiven, readReceived } from './voucher-notes.ts';

export type { Received } from './voucher-notes.ts';

export interface VouchersOptions {
  readonly mesh: LedgerMesh;
  readonly self: AccountId;
}

export interface VouchersDeps {
  readonly signer: Signer;
  readonly ingest: { readonly ledger: { books(): BooksView } };
  readonly notes: LedgerNotes;
  readonly clock: Pick<Clock, 'now'>;
}

/** A leg of an own hold, in memory. */
interface GivenLeg extends Given {
  /** The highest that was asked for; above `may` it is on its way to the disk. */
  asked: bigint;
  /** One write after the other: a later one must not put less on the disk than an earlier one. */
  writing: Promise<void> | undefined;
  /** The highest that was signed; after a restart what may have been. */
  signed: bigint;
}

/** A leg of another's hold, in memory. */
interface ReceivedLeg {
  newest: Received;
  /** The highest cumulative on the disk. */
  onDisk: bigint;
  writing: Promise<void> | undefined;
}

export class Vouchers {
  readonly #options: VouchersOptions;
  readonly #deps: VouchersDeps;
  /** By the key of the note, as the next. */
  readonly #given = new Map<string, GivenLeg>();
  readonly #received = new Map<string, ReceivedLeg>();

  private constructor(options: VouchersOptions, deps: VouchersDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** @throws GoGridError `damaged`: who cannot read what was promised must not take anything back */
  static async load(options: VouchersOptions, deps: VouchersDeps): Promise<Vouchers> {
    const vouchers = new Vouchers(options, deps);
    for await (const [key, value] of deps.notes.list(vouchers.#prefix('given'))) {
      const given = readGiven(key, value);
      const { may } = given;
      vouchers.#given.set(key, { ...given, asked: may, signed: may, writing: undefined });
    }
    for await (const [key, value] of deps.notes.list(vouchers.#prefix('received'))) {
      const newest = readReceived(key, value);
      vouchers.#received.set(key, { newest, onDisk: newest.cumulative, writing: undefined });
    }
    return vouchers;
  }

  /* ---- given ---- */

  /**
   * Allows vouchers of a leg of an own hold up to `cumulative`; on disk when it resolves. A job asks once, for its budget.
   * @throws GoGridError `invalid_request` when the leg does not cover it, or is closed; `overloaded`, `disk_full`
   */
  async mayPromise(hold: EntryName, leg: number, cumulative: bigint): Promise<void> {
    const key = this.#key('given', hold, leg);
    this.#expectPromising(hold, leg, cumulative, this.#given.get(key));
    let known = this.#given.get(key);
    if (known === undefined) {
      if (this.#given.size >= LEDGER.maxVoucherLegs) {
        throw new GoGridError({ code: 'overloaded', message: `vouchers of ${this.#given.size} legs are open` });
      }
      const at = this.#deps.clock.now();
      const none = { may: 0n, asked: 0n, signed: 0n, closed: false, at, writing: undefined };
      known = { hold: nameOnly(hold), leg, ...none };
      this.#given.set(key, known);
    }
    const record = known;
    while (record.may < cumulative) {
      if (cumulative > record.asked) {
        record.asked = cumulative;
        record.at = this.#deps.clock.now();
      }
      record.writing ??= this.#raise(key, record).finally(() => {
        record.writing = undefined;
      });
      await record.writing;
    }
    if (record.closed) throw closed();
  }

  /** Writes all that was asked for; those that ask meanwhile go with the next write. */
  async #raise(key: string, record: GivenLeg): Promise<void> {
    const { asked } = record;
    try {
      await this.#deps.notes.put([[key, encodeGiven({ ...record, may: asked })]]);
      record.may = asked;
    } catch (thrown) {
      // Everybody who waits is refused, so nothing above what is on disk is signed.
      record.asked = record.may;
      throw thrown;
    }
  }

  /**
   * Signs a voucher: what a payee can book.
   * @throws GoGridError `internal` for more than `mayPromise` has on disk, or less than was signed; `invalid_request` when closed
   */
  sign(voucher: Voucher): Uint8Array {
    const { hold, leg, cumulative } = voucher;
    const known = this.#given.get(this.#key('given', hold, leg));
    if (known?.closed) throw closed();
    if (known === undefined || cumulative > known.may) {
      throw new GoGridError({ code: 'internal', message: 'a voucher for more than is on disk' });
    }
    if (cumulative > known.signed) known.signed = cumulative;
    return signVoucher(this.#options.mesh.networkId, this.#deps.signer, voucher);
  }

  /** The highest cumulative that was signed for a leg; after a restart the highest that may have been. */
  given(hold: EntryName, leg: number): bigint {
    return this.#given.get(this.#key('given', hold, leg))?.signed ?? 0n;
  }

  /** The highest cumulative that may have been signed for a leg, as far as the disk knows. */
  mayHavePromised(hold: EntryName, leg: number): bigint {
    const known = this.#given.get(this.#key('given', hold, leg));
    if (known === undefined) return 0n;
    return known.asked > known.may ? known.asked : known.may;
  }

  /** When vouchers of a leg were asked for last, in milliseconds since 1970; undefined for never. */
  lastPromised(hold: EntryName, leg: number): number | undefined {
    return this.#given.get(this.#key('given', hold, leg))?.at;
  }

  /**
   * No voucher of this leg is given any more; on disk when it resolves.
   * @returns the highest cumulative that may have been signed: nothing below it may be taken back
   * @throws GoGridError `disk_full`, `home_unusable`
   */
  async close(hold: EntryName, leg: number): Promise<bigint> {
    const key = this.#key('given', hold, leg);
    const known = this.#given.get(key);
    const at = this.#deps.clock.now();
    const record: GivenLeg = known ?? {
      ...{ hold: nameOnly(hold), leg, may: 0n, asked: 0n, signed: 0n, closed: true, at },
      writing: undefined,
    };
    // From here on nothing is signed; what was asked for may still come to the disk, and counts.
    record.closed = true;
    this.#given.set(key, record);
    while (record.writing !== undefined) await record.writing.catch(() => undefined);
    const may = record.asked > record.may ? record.asked : record.may;
    await this.#deps.notes.put([[key, encodeGiven({ ...record, may })]]);
    record.may = may;
    return may;
  }

  #expectPromising(hold: EntryName, leg: number, cumulative: bigint, known: GivenLeg | undefined): void {
    if (known?.closed) throw closed();
    const open = this.#deps.ingest.ledger.books().leg(hold, leg);
    if (open === undefined || hold.author !== this.#options.self) {
      throw new GoGridError({
        code: 'invalid_request',
        message: 'the leg is not open, or not of a hold of this account',
      });
    }
    if (isClosing(open)) throw closed();
    if (cumulative > open.max) {
      const message = `a promise of ${cumulative} microcredits; the leg has ${open.max}`;
      throw new GoGridError({ code: 'invalid_request', message });
    }
  }

  /* ---- received ---- */

  /**
   * Keeps a voucher for this account if it is the newest of its leg; the newest is on disk when it resolves, also with 'older'.
   * @throws GoGridError `invalid_request` when its signature does not stand, or the leg is not open for this account or covers
   * less; `overloaded`, `disk_full`
   */
  async receive(voucher: Voucher & { readonly signature: Uint8Array }): Promise<'kept' | 'older'> {
    const { hold, leg, cumulative, receiptHash, signature } = voucher;
    const { mesh, self } = this.#options;
    const key = this.#key('received', hold, leg);
    const known = this.#received.get(key);
    if (known !== undefined && cumulative <= known.newest.cumulative) {
      await this.#keep(key, known);
      return 'older';
    }
    const open = this.#deps.ingest.ledger.books().leg(hold, leg);
    if (open === undefined || open.payee !== self || isClosing(open) || cumulative > open.max) {
      throw new GoGridError({
        code: 'invalid_request',
        message: 'the leg is not open for this account, or covers less',
      });
    }
    if (!verifyVoucher(mesh.networkId, voucher, signature)) {
      throw new GoGridError({ code: 'invalid_request', message: "the voucher's signature does not stand" });
    }
    if (known === undefined && this.#received.size >= LEDGER.maxVoucherLegs) {
      throw new GoGridError({
        code: 'overloaded',
        message: `vouchers of ${this.#received.size} legs wait to be booked`,
      });
    }
    // The time counts from the first voucher that is not booked: by it the payee knows when it has to claim.
    const isBooked = known === undefined || known.newest.cumulative <= open.paid;
    const since = isBooked ? this.#deps.clock.now() : known.newest.since;
    const newest: Received = { hold: nameOnly(hold), leg, cumulative, receiptHash, signature, since };
    const record = known ?? { newest, onDisk: 0n, writing: undefined };
    record.newest = newest;
    this.#received.set(key, record);
    await this.#keep(key, record);
    return 'kept';
  }

  /** Puts the newest on disk; those that come meanwhile go with the next write. */
  async #keep(key: string, record: ReceivedLeg): Promise<void> {
    const { cumulative } = record.newest;
    while (record.onDisk < cumulative) {
      record.writing ??= this.#writeNewest(key, record).finally(() => {
        record.writing = undefined;
      });
      await record.writing;
    }
  }

  async #writeNewest(key: string, record: ReceivedLeg): Promise<void> {
    const { newest } = record;
    await this.#deps.notes.put([[key, encodeReceived(newest)]]);
    record.onDisk = newest.cumulative;
  }

  /** The newest voucher of each leg, booked or not. */
  received(): readonly Received[] {
    return [...this.#received.values()].map(({ newest }) => newest);
  }

  /* ---- both ---- */

  /**
   * Forgets legs of which nothing is open any more, for good.
   * @throws GoGridError `disk_full`, `home_unusable`
   */
  async sweep(isOver: (hold: EntryName, leg: number) => boolean): Promise<void> {
    const over: string[] = [];
    for (const [key, { hold, leg }] of this.#given) if (isOver(hold, leg)) over.push(key);
    for (const [key, { newest }] of this.#received) if (isOver(newest.hold, newest.leg)) over.push(key);
    if (over.length === 0) return;
    await this.#deps.notes.put(over.map((key) => [key, undefined]));
    for (const key of over) {
      this.#given.delete(key);
      this.#received.delete(key);
    }
  }

  #prefix(side: 'given' | 'received'): string {
    return `voucher/${this.#options.self}/${side}/`;
  }

  #key(side: 'given' | 'received', { author, sequence, id }: EntryName, leg: number): string {
    return `${this.#prefix(side)}${author}/${sequence}/${id}/${leg}`;
  }
}

/** Nothing is promised of it any more: the payee has closed it, or the payer has taken its rest back. */
function isClosing({ closedBy, givenBack, cap }: OpenLeg): boolean {
  return closedBy !== undefined || givenBack > 0n || cap !== undefined;
}

function closed(): GoGridError {
  return new GoGridError({ code: 'invalid_request', message: 'the leg is closed: it takes no more vouchers' });
}
