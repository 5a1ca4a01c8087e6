/** Gives a real ledger what a node would give it: one item after the other, and again what had to wait. */

import {
  type Attestation,
  type Entry,
  type EntryId,
  type EntryName,
  type LedgerMesh,
  namesIn,
} from '../../ledger/entries/entry.ts';
import { decode } from '../../protocol/cbor.ts';
import { hex } from './authors.ts';
import { attestationsOf, entriesOf, type Item } from './histories.ts';
import { foldNaively, type NaiveLedger } from './naive.ts';

/** What the tests need of the real ledger. */
export interface TestedLedger {
  add(entry: Entry, named?: readonly Entry[]): { readonly result: string };
  attest(attestation: Attestation): { readonly result: string };
  noteFork(stands: Entry, other: Entry): boolean;
  tip(author: string): EntryName | undefined;
  status(name: EntryName): string;
  moved(id: EntryId): bigint | undefined;
  available(author: string): { readonly available: bigint; readonly final: bigint };
  books(): { encode(): Uint8Array };
  finalBooks(): { encode(): Uint8Array };
  digest(): string;
}

export interface TestedOptions {
  /** The final state to go on from, in canonical form. */
  readonly final?: Uint8Array;
  readonly finalise?: boolean;
  readonly onFinal?: (entry: Entry, moved: bigint) => void;
}

export type MakeLedger = (mesh: LedgerMesh, options?: TestedOptions) => TestedLedger;

/** A ledger with the flow around it: what waits, what is on disk, and the rebuilding after a contradiction. */
export class Driver {
  readonly mesh: LedgerMesh;
  readonly #make: MakeLedger;
  readonly #seen: Item[] = [];
  readonly #onDisk = new Map<EntryId, Entry>();
  #waiting: Item[] = [];
  #ledger: TestedLedger;
  /** Whether more witnesses were seen lying than may be: nothing is final any more. */
  contradicted = false;
  /** What every entry was worth when it became final. */
  readonly movedFinally = new Map<EntryId, bigint>();

  constructor(make: MakeLedger, mesh: LedgerMesh, { finalise = true }: { finalise?: boolean } = {}) {
    this.#make = make;
    this.mesh = mesh;
    this.#ledger = make(mesh, { finalise, onFinal: this.#onFinal });
  }

  get ledger(): TestedLedger {
    return this.#ledger;
  }

  /** Everything that was given, in this order. */
  get seen(): readonly Item[] {
    return this.#seen;
  }

  /** Given and not waiting. */
  isIn(id: EntryId): boolean {
    return this.#onDisk.has(id);
  }

  give(item: Item): void {
    this.#seen.push(item);
    this.#take(item);
  }

  giveAll(items: readonly Item[]): void {
    for (const item of items) this.give(item);
  }

  /** As after a start: from the final state, and everything again that is on disk or still comes. */
  restart(): void {
    const final = this.#ledger.finalBooks().encode();
    this.#ledger = this.#make(this.mesh, this.contradicted ? { finalise: false } : { final, onFinal: this.#onFinal });
    this.#waiting = [];
    for (const item of [...this.#seen]) this.#take(item);
  }

  /** What the naive fold makes of all that was given. */
  naive(): NaiveLedger {
    return foldNaively(this.mesh, entriesOf(this.#seen), attestationsOf(this.#seen));
  }

  #take(item: Item): void {
    let grew = this.#offer(item);
    while (grew) {
      grew = false;
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const other of waiting) grew = this.#offer(other) || grew;
    }
  }

  /** Whether the ledger has it now; else it waits, or never will be taken. */
  #offer(item: Item): boolean {
    const result = item.type === 'entry' ? this.#offerEntry(item.entry) : this.#offerAttestation(item.attestation);
    if (result === 'waits') this.#waiting.push(item);
    if (result === 'contradiction') this.#rebuild();
    if (result === 'ignored') throw new Error('the ledger ignored an entry of a small history');
    return result === 'taken' || result === 'known' || result === 'old' || result === 'contradiction';
  }

  #offerEntry(entry: Entry): string {
    const ids = [entry.previous, ...namesIn(entry.body).map(({ id }) => id)];
    const named = ids.flatMap((id) => this.#onDisk.get(id) ?? []);
    const { result } = this.#ledger.add(entry, named);
    // An old entry is not in before its past is: else who names it would be taken here and would wait elsewhere.
    if (result === 'old' && !this.naive().taken.has(entry.id)) return 'waits';
    if (result !== 'taken' && result !== 'known' && result !== 'old') return result;
    this.#onDisk.set(entry.id, entry);
    if (result === 'old') this.#noteFork(entry);
    return result;
  }

  /** What is said of a place that is final is kept: should its entry turn up as a fork, the ledger has to hear it. */
  #offerAttestation(attestation: Attestation): string {
    const { result } = this.#ledger.attest(attestation);
    return result === 'old' && !this.movedFinally.has(attestation.id) ? 'waits' : result;
  }

  #noteFork(late: Entry): void {
    for (const entry of this.#onDisk.values()) {
      const isPlace = entry.author === late.author && entry.sequence === late.sequence;
      if (isPlace && entry.id !== late.id && this.movedFinally.has(entry.id)) this.#ledger.noteFork(entry, late);
    }
  }

  readonly #onFinal = ({ id }: Entry, moved: bigint): void => {
    if (this.movedFinally.has(id)) throw new Error(`${id.slice(0, 8)} became final twice`);
    this.movedFinally.set(id, moved);
  };

  #rebuild(): void {
    if (this.contradicted) throw new Error('a ledger that never finalises met a contradiction');
    this.contradicted = true;
    this.#ledger = this.#make(this.mesh, { finalise: false });
    this.#waiting = [];
    for (const item of [...this.#seen]) this.#take(item);
  }
}

/** The canonical state, read again. */
export interface ReadState {
  readonly available: ReadonlyMap<string, bigint>;
  readonly tips: ReadonlyMap<string, string>;
  readonly sequences: ReadonlyMap<string, number>;
  readonly transfers: readonly { readonly id: string; readonly amount: bigint }[];
  readonly legs: readonly {
    readonly id: string;
    readonly max: bigint;
    readonly paid: bigint;
    readonly givenBack: bigint;
  }[];
}

export function readState(state: Uint8Array): ReadState {
  type Row = readonly (Uint8Array | number | bigint)[];
  const [accounts, transfers, legs] = decode(state, 'a state') as [Row[], Row[], Row[]];
  const bytesAt = (row: Row, index: number) => hex(row[index] as Uint8Array);
  const amountAt = (row: Row, index: number) => BigInt(row[index] as number);
  return {
    available: new Map(accounts.map((row) => [bytesAt(row, 0), amountAt(row, 3)])),
    tips: new Map(accounts.map((row) => [bytesAt(row, 0), bytesAt(row, 2)])),
    sequences: new Map(accounts.map((row) => [bytesAt(row, 0), Number(row[1])])),
    transfers: transfers.map((row) => ({ id: bytesAt(row, 2), amount: amountAt(row, 4) })),
    legs: legs.map((row) => ({
      id: bytesAt(row, 2),
      max: amountAt(row, 5),
      paid: amountAt(row, 6),
      givenBack: amountAt(row, 7),
    })),
  };
}

/** All credits in a state; the founder's own before he wrote anything are in no account yet. */
export function totalOf(mesh: LedgerMesh, { available, transfers, legs }: ReadState): bigint {
  let total = available.has(mesh.founder) ? 0n : mesh.genesis;
  for (const amount of available.values()) total += amount;
  for (const { amount } of transfers) total += amount;
  for (const { max, paid, givenBack } of legs) total += max - paid - givenBack;
  return total;
}
