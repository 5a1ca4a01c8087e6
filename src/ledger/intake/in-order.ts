/**
 * Reads all that a store holds so that each entry comes after everything it rests on: who takes it in, in this order, never
 * has to keep one waiting. Chains are read side by side, each as far as what it names has come.
 */

import { LEDGER } from '../../limits/ledger.ts';
import {
  type AccountId,
  type Attestation,
  type Entry,
  type EntryId,
  type EntryName,
  namesIn,
} from '../entries/entry.ts';
import type { LedgerReads, StoredAttestation, StoredEntry } from '../ports.ts';

export type Found =
  | { readonly kind: 'entry'; readonly entry: Entry }
  | { readonly kind: 'attestation'; readonly attestation: Attestation }
  /** What lies on the disk under this name cannot be read. */
  | { readonly kind: 'damaged'; readonly stored: StoredEntry; readonly why: string }
  | { readonly kind: 'damaged-attestation'; readonly stored: StoredAttestation; readonly why: string };

/** Opens what was read, or says why it is not what its name says. */
export interface Reading {
  readonly entry: (stored: StoredEntry) => Entry | string;
  readonly attestation: (stored: StoredAttestation) => Attestation | string;
}

/** What need not come before what rests on it. */
export interface There {
  /** The place from which on a chain is read. */
  readonly from: (author: AccountId) => number;
  /** An entry has come. */
  readonly add: (id: EntryId) => void;
  /** Whether it has come, or is not waited for. */
  readonly has: (name: EntryName) => boolean;
}

/**
 * @param networkId in hex
 * @param reading of what lies on the disk
 * @param there default: everything is read, and what has come is noted here
 */
export function inOrder(
  store: Pick<LedgerReads, 'authors' | 'chain' | 'attestations'>,
  networkId: string,
  reading: Reading,
  there: There = thereAt(new Set()),
): AsyncGenerator<Found> {
  return new Walk(store, networkId, reading, there).run(store.authors());
}

function thereAt(ids: Set<EntryId>): There {
  return { from: () => 0, add: (id) => void ids.add(id), has: ({ id }) => ids.has(id) };
}

/** An entry of which something is missing so far. */
interface Parked {
  readonly entry: Entry;
  /** Ids that have not come. */
  readonly missing: Set<EntryId>;
}

class Walk {
  readonly #store: Pick<LedgerReads, 'chain' | 'attestations'>;
  readonly #reading: Reading;
  readonly #networkId: string;
  readonly #there: There;
  /** Chains that can go on. */
  readonly #ready: Chain[] = [];
  /** Chains that stand still at an entry, by the ids that they wait for. */
  readonly #still = new Map<EntryId, Chain[]>();
  /** Entries set aside so that their chains could go on. */
  readonly #parked = new Map<EntryId, Parked>();
  readonly #waitingFor = new Map<EntryId, Parked[]>();
  /** Attestations whose entry has not come. */
  readonly #early: Attestation[] = [];

  constructor(store: Pick<LedgerReads, 'chain' | 'attestations'>, networkId: string, reading: Reading, there: There) {
    this.#store = store;
    this.#networkId = networkId;
    this.#reading = reading;
    this.#there = there;
  }

  async *run(authors: AsyncIterable<AccountId>): AsyncGenerator<Found> {
    for await (const author of authors) {
      const chain = new Chain(author, this.#store, this.#there.from(author));
      this.#ready.push(chain);
      yield* this.#advanceAll();
    }
    // Only a forked chain can stand in the way of what it waits for: its entry is set aside, and the rest goes on.
    while (this.#still.size > 0) {
      const [chain] = this.#still.values().next().value ?? [];
      if (chain === undefined) break;
      this.#setOff(chain);
      yield* this.#advanceAll();
    }
    yield* this.#attestEarly();
    yield* this.#orphans();
    yield* this.#attestEarly(true);
  }

  async *#advanceAll(): AsyncGenerator<Found> {
    for (let chain = this.#ready.pop(); chain !== undefined; chain = this.#ready.pop()) {
      yield* this.#advance(chain);
    }
  }

  /** As far as what is named is there, and after each page the attestations over what came. */
  async *#advance(chain: Chain): AsyncGenerator<Found> {
    for (;;) {
      // Of a place all comes before the attestations do: who makes one entry final by them has seen the others.
      if (chain.isBetweenPages) yield* this.#attest(chain, chain.reached);
      const stored = await chain.peek();
      if (stored === undefined) break;
      const entry = chain.opened ?? this.#reading.entry(stored);
      if (typeof entry === 'string') {
        chain.take();
        yield { kind: 'damaged', stored, why: entry };
        continue;
      }
      chain.opened = entry;
      const missing = this.#missingOf(entry);
      if (missing.length > 0) {
        this.#stand(chain, missing);
        yield* this.#attest(chain, stored.sequence - 1);
        return;
      }
      chain.take();
      yield* this.#place(entry);
    }
    yield* this.#attest(chain, Number.POSITIVE_INFINITY);
  }

  async *#attest(chain: Chain, upTo: number): AsyncGenerator<Found> {
    for (;;) {
      const stored = await chain.peekAttestation();
      if (stored === undefined || stored.sequence > upTo) return;
      chain.takeAttestation();
      const attestation = this.#reading.attestation(stored);
      if (typeof attestation === 'string') yield { kind: 'damaged-attestation', stored, why: attestation };
      else if (this.#there.has(attestation)) yield { kind: 'attestation', attestation };
      else this.#early.push(attestation);
    }
  }

  *#attestEarly(all = false): Generator<Found> {
    for (const attestation of this.#early.splice(0)) {
      if (all || this.#there.has(attestation)) yield { kind: 'attestation', attestation };
      else this.#early.push(attestation);
    }
  }

  /** The entry comes, and with it what was set aside for it alone. */
  *#place(first: Entry): Generator<Found> {
    const work = [first];
    for (let entry = work.pop(); entry !== undefined; entry = work.pop()) {
      const { id } = entry;
      this.#parked.delete(id);
      this.#there.add(id);
      yield { kind: 'entry', entry };
      for (const chain of this.#still.get(id) ?? []) this.#ready.push(chain);
      this.#still.delete(id);
      for (const parked of this.#waitingFor.get(id) ?? []) {
        parked.missing.delete(id);
        if (parked.missing.size === 0 && this.#parked.has(parked.entry.id)) work.push(parked.entry);
      }
      this.#waitingFor.delete(id);
    }
  }

  #missingOf({ author, sequence, previous, body }: Entry): EntryId[] {
    const names = [...namesIn(body)];
    if (previous !== this.#networkId) names.push({ author, sequence: sequence - 1, id: previous });
    return names.filter((name) => !this.#there.has(name)).map(({ id }) => id);
  }

  /** One of what it waits for wakes it; it looks again then. */
  #stand(chain: Chain, [first]: readonly EntryId[]): void {
    if (first === undefined) return;
    chain.standsFor = first;
    const others = this.#still.get(first);
    if (others === undefined) this.#still.set(first, [chain]);
    else others.push(chain);
  }

  /** What a chain stands still for does not come by itself. */
  #setOff(chain: Chain): void {
    const others = this.#still.get(chain.standsFor)?.filter((each) => each !== chain) ?? [];
    if (others.length === 0) this.#still.delete(chain.standsFor);
    else this.#still.set(chain.standsFor, others);
    this.#ready.push(chain);
    const entry = chain.opened;
    const missing = entry === undefined ? [] : this.#missingOf(entry);
    // It may be that nothing has to come there any more.
    if (entry === undefined || missing.length === 0) return;
    chain.take();
    this.#park({ entry, missing: new Set(missing) });
  }

  #park(parked: Parked): void {
    this.#parked.set(parked.entry.id, parked);
    for (const id of parked.missing) {
      const others = this.#waitingFor.get(id);
      if (others === undefined) this.#waitingFor.set(id, [parked]);
      else others.push(parked);
    }
  }

  /** Entries that name what is nowhere: worth something only where a certificate covers that place. */
  *#orphans(): Generator<Found> {
    while (this.#parked.size > 0) {
      const before = this.#parked.size;
      for (const { entry, missing } of [...this.#parked.values()]) {
        if (this.#parked.has(entry.id) && ![...missing].some((id) => this.#parked.has(id))) yield* this.#place(entry);
      }
      // Ids are hashes of what they name, so there is no circle to be caught in.
      if (this.#parked.size === before) return;
    }
  }
}

/** One author's chain and its attestations, read page by page: so many iterators would be open at once else. */
class Chain {
  /** The entry in front, once it was opened. */
  opened: Entry | undefined;
  /** What it stands still for, while it does. */
  standsFor: EntryId = '';
  /** The newest place that was taken. */
  reached = -1;
  readonly #entries: Pages<StoredEntry>;
  readonly #attestations: Pages<StoredAttestation>;

  /** @param from a sequence: what lies in front of it is not read */
  constructor(author: AccountId, store: Pick<LedgerReads, 'chain' | 'attestations'>, from: number) {
    this.#entries = new Pages((at) => store.chain(author, at), from);
    this.#attestations = new Pages((at) => store.attestations(author, at), from);
  }

  /** What comes next is read in one piece with no entry that was taken. */
  get isBetweenPages(): boolean {
    return this.#entries.isAtEnd;
  }

  peek(): Promise<StoredEntry | undefined> {
    return this.#entries.peek();
  }

  take(): void {
    this.reached = this.opened?.sequence ?? this.reached;
    this.#entries.take();
    this.opened = undefined;
  }

  peekAttestation(): Promise<StoredAttestation | undefined> {
    return this.#attestations.peek();
  }

  takeAttestation(): void {
    this.#attestations.take();
  }
}

/** What lies at places from one on, in pages that never part what lies at one place. */
class Pages<T extends { readonly sequence: number }> {
  readonly #read: (from: number) => AsyncIterable<T>;
  #page: T[] = [];
  #at = 0;
  #next: number;
  #more = true;

  constructor(read: (from: number) => AsyncIterable<T>, from: number) {
    this.#read = read;
    this.#next = from;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#page.length;
  }

  async peek(): Promise<T | undefined> {
    if (this.isAtEnd && this.#more) await this.#turn();
    return this.#page[this.#at];
  }

  take(): void {
    this.#at++;
  }

  async #turn(): Promise<void> {
    this.#page = [];
    this.#at = 0;
    this.#more = false;
    for await (const item of this.#read(this.#next)) {
      const last = this.#page.at(-1);
      if (last !== undefined && this.#page.length >= LEDGER.readPage && item.sequence !== last.sequence) {
        this.#more = true;
        break;
      }
      this.#page.push(item);
    }
    this.#next = (this.#page.at(-1)?.sequence ?? this.#next) + 1;
  }
}
