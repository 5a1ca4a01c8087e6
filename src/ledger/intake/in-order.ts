/**
 * Reads all that a store holds so that each entry comes after everything it rests on: who takes it in, in this order, never
 * has to keep one waiting. Chains are read side by side, each as far as what it names has come.
 */

import { LEDGER } from '../../limits/ledger.ts';
import { type AccountId, type Attestation, type Entry, type EntryId, namesIn } from '../entries/entry.ts';
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

/**
 * @param networkId in hex
 * @param reading of what lies on the disk
 */
export function inOrder(
  store: Pick<LedgerReads, 'authors' | 'chain' | 'attestations'>,
  networkId: string,
  reading: Reading,
): AsyncGenerator<Found> {
  return new Walk(store, networkId, reading).run(store.authors());
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
  /** Ids of all that came. */
  readonly #placed = new Set<EntryId>();
  /** Chains that can go on. */
  readonly #ready: Chain[] = [];
  /** Chains that stand still at an entry, by the ids that they wait for. */
  readonly #still = new Map<EntryId, Chain[]>();
  /** Entries set aside so that their chains could go on. */
  readonly #parked = new Map<EntryId, Parked>();
  readonly #waitingFor = new Map<EntryId, Parked[]>();
  /** Attestations whose entry has not come. */
  readonly #early: Attestation[] = [];

  constructor(store: Pick<LedgerReads, 'chain' | 'attestations'>, networkId: string, reading: Reading) {
    this.#store = store;
    this.#networkId = networkId;
    this.#reading = reading;
  }

  async *run(authors: AsyncIterable<AccountId>): AsyncGenerator<Found> {
    for await (const author of authors) {
      const chain = new Chain(author, this.#store);
      this.#ready.push(chain);
      yield* this.#advanceAll();
    }
    // Only a forked chain can stand in the way of what it waits for: its entry is set aside, and the rest goes on.
    while (this.#still.size > 0) {
      const [chain] = this.#still.values().next().value ?? [];
      if (chain === undefined) break;
      this.#setAside(chain);
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

  /** As far as what is named is there; then the attestations over what came. */
  async *#advance(chain: Chain): AsyncGenerator<Found> {
    let reached = -1;
    for (;;) {
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
        break;
      }
      chain.take();
      reached = entry.sequence;
      yield* this.#place(entry);
    }
    yield* this.#attest(chain, chain.done ? Number.POSITIVE_INFINITY : reached);
  }

  async *#attest(chain: Chain, upTo: number): AsyncGenerator<Found> {
    for (;;) {
      const stored = await chain.peekAttestation();
      if (stored === undefined || stored.sequence > upTo) return;
      chain.takeAttestation();
      const attestation = this.#reading.attestation(stored);
      if (typeof attestation === 'string') yield { kind: 'damaged-attestation', stored, why: attestation };
      else if (this.#placed.has(attestation.id)) yield { kind: 'attestation', attestation };
      else this.#early.push(attestation);
    }
  }

  *#attestEarly(all = false): Generator<Found> {
    for (const attestation of this.#early.splice(0)) {
      if (all || this.#placed.has(attestation.id)) yield { kind: 'attestation', attestation };
      else this.#early.push(attestation);
    }
  }

  /** The entry comes, and with it what was set aside for it alone. */
  *#place(first: Entry): Generator<Found> {
    const work = [first];
    for (let entry = work.pop(); entry !== undefined; entry = work.pop()) {
      const { id } = entry;
      if (this.#placed.has(id)) continue;
      this.#placed.add(id);
      this.#parked.delete(id);
      yield { kind: 'entry', entry };
      for (const chain of this.#still.get(id) ?? []) this.#ready.push(chain);
      this.#still.delete(id);
      for (const parked of this.#waitingFor.get(id) ?? []) {
        parked.missing.delete(id);
        if (parked.missing.size === 0) work.push(parked.entry);
      }
      this.#waitingFor.delete(id);
    }
  }

  #missingOf(entry: Entry): EntryId[] {
    const ids = namesIn(entry.body).map(({ id }) => id);
    if (entry.previous !== this.#networkId) ids.push(entry.previous);
    return ids.filter((id) => !this.#placed.has(id));
  }

  /** One of what it waits for wakes it; it looks again then. */
  #stand(chain: Chain, [first]: readonly EntryId[]): void {
    if (first === undefined) return;
    this.#still.set(first, [...(this.#still.get(first) ?? []), chain]);
  }

  #setAside(chain: Chain): void {
    for (const [id, chains] of this.#still) {
      const left = chains.filter((each) => each !== chain);
      if (left.length === 0) this.#still.delete(id);
      else this.#still.set(id, left);
    }
    const entry = chain.opened;
    chain.take();
    if (entry !== undefined) this.#park(entry);
    this.#ready.push(chain);
  }

  #park(entry: Entry): void {
    const parked = { entry, missing: new Set(this.#missingOf(entry)) };
    this.#parked.set(entry.id, parked);
    for (const id of parked.missing) this.#waitingFor.set(id, [...(this.#waitingFor.get(id) ?? []), parked]);
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
  readonly #entries: Pages<StoredEntry>;
  readonly #attestations: Pages<StoredAttestation>;

  constructor(author: AccountId, store: Pick<LedgerReads, 'chain' | 'attestations'>) {
    this.#entries = new Pages((from) => store.chain(author, from));
    this.#attestations = new Pages((from) => store.attestations(author, from));
  }

  /** Nothing is left of the entries. */
  get done(): boolean {
    return this.#entries.done;
  }

  peek(): Promise<StoredEntry | undefined> {
    return this.#entries.peek();
  }

  take(): void {
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

/** What lies at places from 0 on, in pages that never part what lies at one place. */
class Pages<T extends { readonly sequence: number }> {
  readonly #read: (from: number) => AsyncIterable<T>;
  #page: T[] = [];
  #at = 0;
  #next = 0;
  #more = true;

  constructor(read: (from: number) => AsyncIterable<T>) {
    this.#read = read;
  }

  get done(): boolean {
    return !this.#more && this.#at >= this.#page.length;
  }

  async peek(): Promise<T | undefined> {
    if (this.#at >= this.#page.length && this.#more) await this.#turn();
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
