/** Double spends: which were tried, who could know of them, and when each was found. */

import type { AccountId, Entry, EntryId } from '../../ledger/entries/entry.ts';
import type { World } from '../sim/world.ts';

/** Entries that one author signed to follow one entry: more than one of them is a double spend. */
export interface Spend {
  readonly author: AccountId;
  readonly sequence: number;
  /** Ids that were shown to somebody, or written. */
  readonly shown: Set<EntryId>;
  /** Virtual milliseconds when the second of them was; undefined while there is one. */
  triedAt: number | undefined;
  /** Ids that nodes have taken in. */
  readonly known: Set<EntryId>;
  /** Nobody had a proof against its author before it was tried. */
  isFirst: boolean;
}

type Followed = Pick<Entry, 'author' | 'sequence' | 'id' | 'previous'>;

export class Spends {
  readonly #world: World;
  readonly #spends = new Map<string, Spend>();
  readonly #byId = new Map<EntryId, Spend>();
  readonly #newest = new Map<AccountId, number>();
  /** When a node had its first proof against an author, by author and place of the node. */
  readonly #proofs = new Map<AccountId, Map<number, number>>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Every one that was tried. */
  *tried(): Generator<Spend> {
    for (const spend of this.#spends.values()) if (spend.triedAt !== undefined) yield spend;
  }

  /** The highest place for which an author has signed, as far as anybody knows; −1 for none. */
  newestOf(author: AccountId): number {
    return this.#newest.get(author) ?? -1;
  }

  /** An author has signed this, and lets it out. */
  shown(entry: Followed): Spend {
    const key = `${entry.author} ${entry.sequence} ${entry.previous}`;
    const spend = this.#spends.get(key) ?? {
      author: entry.author,
      sequence: entry.sequence,
      shown: new Set(),
      triedAt: undefined,
      known: new Set(),
      isFirst: false,
    };
    this.#spends.set(key, spend);
    this.#byId.set(entry.id, spend);
    spend.shown.add(entry.id);
    this.#newest.set(entry.author, Math.max(this.newestOf(entry.author), entry.sequence));
    if (spend.shown.size === 2 && spend.triedAt === undefined) {
      spend.triedAt = this.#world.now;
      spend.isFirst = !this.#proofs.has(entry.author);
      this.#world.count('double spends tried');
    }
    return spend;
  }

  /** A node has taken it in. */
  held(entry: Followed): Spend {
    const spend = this.shown(entry);
    spend.known.add(entry.id);
    return spend;
  }

  /** When nodes had their first proof against an author, by place of the node. */
  proofsAgainst(author: AccountId): ReadonlyMap<number, number> {
    return this.#proofs.get(author) ?? new Map();
  }

  /** A node has a proof: an author signed both of these for one place. */
  found(place: number, [one = '', other = '']: readonly EntryId[]): void {
    const [a, b] = [this.#byId.get(one), this.#byId.get(other)];
    if (a === undefined || b === undefined || one === other || a.author !== b.author || a.sequence !== b.sequence) {
      this.#world.violate('forks-true', `${one} and ${other} are no fork of anybody`, place);
      return;
    }
    a.known.add(one);
    b.known.add(other);
    const proofs = this.#proofs.get(a.author) ?? new Map<number, number>();
    this.#proofs.set(a.author, proofs);
    if (!proofs.has(place)) proofs.set(place, this.#world.now);
  }
}
