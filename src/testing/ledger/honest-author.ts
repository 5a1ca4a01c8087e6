/** An author that does what docs/ledger.md says, over the naive fold of what its node has heard. */

import type { AccountId, Entry, LedgerMesh } from '../../ledger/entries/entry.ts';
import { account, FOUNDER, Writer } from './authors.ts';
import type { NaiveLedger, OpenLeg } from './naive.ts';
import { ACCOUNTS, type WriteStep } from './plans.ts';

/** Days after which a payer may take back what nobody claimed. */
const LONE_RELEASE_DAYS = 7;

export interface Occasion {
  readonly step: WriteStep;
  readonly view: NaiveLedger;
  /** What the author wrote so far. */
  readonly log: readonly Entry[];
  /** The honest ones, by name: they sign vouchers within what they set aside. */
  readonly payers: ReadonlyMap<string, HonestAuthor>;
  readonly day: number;
}

export class HonestAuthor {
  readonly name: string;
  readonly id: AccountId;
  readonly #mesh: LedgerMesh;
  /** The highest voucher given of a leg of an own hold. */
  readonly #promised = new Map<string, bigint>();
  /** Legs of own holds that were released, and vouch for nothing more. */
  readonly #released = new Set<string>();
  readonly #heldOn = new Map<string, number>();

  constructor(mesh: LedgerMesh, name: string) {
    this.#mesh = mesh;
    this.name = name;
    this.id = account(name).id;
  }

  /** Nothing when there is no honest way to do it. */
  write({ step, view, log, payers, day }: Occasion): Entry | undefined {
    const tip = log.at(-1);
    if (tip !== undefined && view.tips.get(this.id)?.id !== tip.id) return undefined;
    const writer = new Writer(this.#mesh, this.name, { behind: tip, signed: false });
    const mayBegin = tip !== undefined || this.name === FOUNDER;
    const due = () => this.#claim(writer, view, step, payers) ?? this.#accept(writer, view, step);
    switch (step.what) {
      case 'transfer':
        return (mayBegin ? this.#transfer(writer, view, step) : undefined) ?? due();
      case 'hold':
        return (mayBegin ? this.#hold(writer, view, step, day) : undefined) ?? due();
      case 'release':
        return this.#release(writer, view) ?? due();
      case 'alone':
        return this.#releaseAlone(writer, view, day) ?? due();
      case 'claim':
      case 'accept':
        return due();
    }
  }

  /** The payer's answer to the payee who asks for a voucher up to `cumulative`; what it answers it never takes back. */
  promise(open: OpenLeg, cumulative: bigint): bigint {
    const key = keyOf(open);
    const before = this.#promised.get(key) ?? 0n;
    const wanted = cumulative < open.max ? cumulative : open.max;
    if (this.#released.has(key) || wanted < before) return before;
    this.#promised.set(key, wanted);
    return wanted;
  }

  /** Whether this entry spends nothing but what is final. */
  spendsFinal(view: NaiveLedger, log: readonly Entry[], { body }: Entry): boolean {
    let left = this.name === FOUNDER ? this.#mesh.genesis : 0n;
    for (const { id } of log) {
      const effect = view.effects.get(id) ?? 0n;
      if (effect < 0n || view.final.has(id)) left += effect;
    }
    if (body.kind === 'transfer') return body.amount <= left;
    return body.kind === 'hold' && body.legs.reduce((sum, { max }) => sum + max, 0n) <= left;
  }

  #transfer(writer: Writer, view: NaiveLedger, { to, amount }: WriteStep): Entry | undefined {
    const part = this.#part(view, amount);
    return part === 0n ? undefined : writer.transfer(this.#other(to), part);
  }

  #hold(writer: Writer, view: NaiveLedger, { to, amount, leg }: WriteStep, day: number): Entry | undefined {
    const each = this.#part(view, amount) / BigInt(1 + leg);
    if (each === 0n) return undefined;
    const payees = Array.from({ length: 1 + leg }, (_, index) => this.#other(to + index));
    const hold = writer.hold(...payees.map((payee) => [payee, each] as const));
    this.#heldOn.set(hold.id, day);
    return hold;
  }

  #accept(writer: Writer, view: NaiveLedger, { about }: WriteStep): Entry | undefined {
    const mine = view.transfers.filter(({ to }) => to === this.id);
    const transfer = mine[about % Math.max(1, mine.length)];
    return transfer && writer.accept(transfer.name);
  }

  /** Asks the payer for a voucher, or has one of a payer who signs anything, and books it. */
  #claim(writer: Writer, view: NaiveLedger, { about, amount, last }: WriteStep, payers: Occasion['payers']) {
    const mine = view.legs.filter(({ payee, closedBy }) => payee === this.id && closedBy === undefined);
    const open = mine[about % Math.max(1, mine.length)];
    if (open === undefined) return undefined;
    const wanted = (open.max * BigInt(1 + amount)) / 7n;
    const payer = [...payers.values()].find(({ id }) => id === open.hold.author);
    const cumulative = payer === undefined ? wanted : payer.promise(open, wanted);
    return cumulative <= open.paid && !last ? undefined : writer.claim(open.hold, cumulative, { leg: open.leg, last });
  }

  #release(writer: Writer, view: NaiveLedger): Entry | undefined {
    for (const { hold, leg, closedBy, givenBack } of view.legs) {
      if (hold.author !== this.id || closedBy === undefined || givenBack > 0n) continue;
      return writer.release(hold, closedBy, leg);
    }
    return undefined;
  }

  #releaseAlone(writer: Writer, view: NaiveLedger, day: number): Entry | undefined {
    for (const open of view.legs) {
      const age = day - (this.#heldOn.get(open.hold.id) ?? day);
      if (open.hold.author !== this.id || age < LONE_RELEASE_DAYS || this.#released.has(keyOf(open))) continue;
      this.#released.add(keyOf(open));
      return writer.releaseAlone(open.hold, this.#promised.get(keyOf(open)) ?? 0n, open.leg);
    }
    return undefined;
  }

  /** A seventh to seven sevenths of what is available. */
  #part({ available }: NaiveLedger, amount: number): bigint {
    const all = available.get(this.id) ?? (this.name === FOUNDER ? this.#mesh.genesis : 0n);
    return (all * BigInt(1 + amount)) / 7n;
  }

  #other(index: number): string {
    const others = ACCOUNTS.filter((name) => name !== this.name);
    return others[index % others.length] ?? FOUNDER;
  }
}

function keyOf({ hold, leg }: OpenLeg): string {
  return `${hold.id}/${leg}`;
}
