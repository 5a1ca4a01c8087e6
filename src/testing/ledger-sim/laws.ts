/** What holds after every event, at every node: nothing is made or lost, nobody has less than nothing, final stays. */

import type { Ledger } from '../../ledger/books/ledger.ts';
import type { AccountId, Entry, EntryId, EntryName } from '../../ledger/entries/entry.ts';
import type { World } from '../sim/world.ts';
import { GENESIS } from './accounts.ts';
import type { Spends } from './spends.ts';

type Fork = ReturnType<Ledger['forks']>[number];

/** A node's ledger, as it was looked at last. */
interface Looked {
  ledger: Ledger;
  generation: number;
  finalGeneration: number;
  forks: number;
}

export class Laws {
  readonly #world: World;
  readonly #founder: AccountId;
  readonly #spends: Spends;
  /** Whether an account never signs twice for one place. */
  readonly #isHonest: (author: AccountId, sequence: number) => boolean;
  readonly #looked = new Map<number, Looked>();
  /** Every entry that a node has taken in, to follow chains backwards. */
  readonly #entries = new Map<EntryId, Pick<Entry, 'author' | 'sequence' | 'previous'>>();
  /** What is final at somebody's, by place. */
  readonly #final = new Map<string, EntryId>();

  constructor(parts: {
    readonly world: World;
    readonly founder: AccountId;
    readonly spends: Spends;
    readonly isHonest: (author: AccountId, sequence: number) => boolean;
  }) {
    this.#world = parts.world;
    this.#founder = parts.founder;
    this.#spends = parts.spends;
    this.#isHonest = parts.isHonest;
  }

  /** A node has taken entries in, or written them itself. */
  taken(place: number, entries: readonly Entry[]): void {
    for (const entry of entries) {
      const { author, sequence, id, previous } = entry;
      this.#entries.set(id, { author, sequence, previous });
      const { known } = this.#spends.held(entry);
      if (known.size > 1 && this.#isHonest(author, sequence)) {
        this.#world.violate('no-self-fork', `${author}, who is honest, signed twice for ${sequence}`, place);
      }
    }
  }

  /** Holds after every event, of every node that did something in it. */
  check(place: number, ledger: Ledger): void {
    const before = this.#looked.get(place);
    const { generation, finalGeneration } = ledger;
    const same = before?.ledger === ledger;
    if (same && before.generation === generation && before.finalGeneration === finalGeneration) return;
    const forks = ledger.forks();
    if (!same || before.forks !== forks.length) this.#checkForks(place, forks);
    this.#checkBooks(place, ledger);
    if (!same || before.finalGeneration !== finalGeneration) this.#checkFinal(place, ledger);
    // The books may have been counted anew for the first time in this look.
    const { generation: g, finalGeneration: f } = ledger;
    this.#looked.set(place, { ledger, generation: g, finalGeneration: f, forks: forks.length });
  }

  /** An id that is final at somebody's, at this place. */
  finalAt(author: AccountId, sequence: number): EntryId | undefined {
    return this.#final.get(`${author} ${sequence}`);
  }

  #checkForks(place: number, forks: readonly Fork[]): void {
    for (const { author, sequence, ids } of forks) {
      this.#spends.found(place, ids);
      if (this.#isHonest(author, sequence)) {
        this.#world.violate('no-self-fork', `a fork of ${author}, who is honest, at ${sequence}`, place);
      }
    }
  }

  #checkBooks(place: number, ledger: Ledger): void {
    const books = ledger.books();
    let sum = 0n;
    let founderSeen = false;
    for (const author of books.authors()) {
      const available = books.available(author);
      founderSeen ||= author === this.#founder;
      if (available < 0n) this.#world.violate('never-below-0', `${author} has ${available}`, place);
      sum += available;
    }
    if (!founderSeen) sum += books.available(this.#founder);
    for (const { amount } of books.openTransfers()) sum += amount;
    for (const { max, paid, givenBack, hold, leg } of books.openLegs()) {
      const rest = max - paid - givenBack;
      if (rest < 0n)
        this.#world.violate('never-below-0', `leg ${leg} of ${hold.author}/${hold.sequence} has ${rest}`, place);
      sum += rest;
    }
    if (sum !== GENESIS) this.#world.violate('conservation', `${sum} instead of ${GENESIS}`, place);
  }

  #checkFinal(place: number, ledger: Ledger): void {
    const books = ledger.finalBooks();
    for (const author of books.authors()) {
      const tip = books.tip(author);
      if (tip !== undefined) this.#checkFinalChain(place, tip);
    }
  }

  /** From the newest final entry back to what is known to be final. */
  #checkFinalChain(place: number, tip: EntryName): void {
    const { author } = tip;
    let { id, sequence } = tip;
    for (;;) {
      const key = `${author} ${sequence}`;
      const known = this.#final.get(key);
      if (known === id) return;
      if (known !== undefined) {
        const text = `${author}/${sequence} is ${id.slice(0, 8)} here and ${known.slice(0, 8)} elsewhere, both final`;
        this.#world.violate('final-stays', text, place);
        return;
      }
      this.#final.set(key, id);
      const entry = this.#entries.get(id);
      if (entry === undefined || sequence === 0) return;
      id = entry.previous;
      sequence--;
    }
  }
}
