/**
 * Who stands (docs/ledger.md): the tree of entries behind each author's newest final one, and the way through it that
 * signatures alone decide. Each change is followed where it happens, entry by entry: an entry falls once when its chain is cut
 * and rises once when a certificate picks its branch, so all of it together costs as much as there are entries.
 */

import { LEDGER } from '../../limits/ledger.ts';
import type { AccountId, Attestation, Entry, EntryId, EntryName } from '../entries/entry.ts';
import type { Outcome } from './books.ts';

/** A point of a tree: what entries follow on. */
export class Stem {
  readonly sequence: number;
  readonly id: EntryId;
  /** The entries that follow directly; most points have one. */
  first: Link | undefined = undefined;
  others: Link[] | undefined = undefined;
  /** The one of them that stands if this point does. */
  way: Link | undefined = undefined;
  stands: boolean;
  /** By a certificate of its own place, or of one behind it. */
  covered: boolean;

  constructor(sequence: number, id: EntryId, stands: boolean) {
    this.sequence = sequence;
    this.id = id;
    this.stands = stands;
    this.covered = stands;
  }

  get isFork(): boolean {
    return this.others !== undefined;
  }

  *followers(): Generator<Link> {
    if (this.first !== undefined) yield this.first;
    if (this.others !== undefined) yield* this.others;
  }

  follow(link: Link): void {
    if (this.first === undefined) this.first = link;
    else if (this.others === undefined) this.others = [link];
    else this.others.push(link);
  }

  /** Of those that follow, the one that is covered, or the only one; none where two are covered, or several and none of them. */
  choose(): Link | undefined {
    if (this.others === undefined) return this.first;
    let covered: Link | undefined;
    for (const link of this.followers()) {
      if (!link.covered) continue;
      if (covered !== undefined) return undefined;
      covered = link;
    }
    return covered;
  }
}

/** An entry in its tree. */
export class Link extends Stem {
  readonly chain: Chain;
  readonly entry: Entry;
  before: Stem;
  /** What witnesses say of it. */
  votes: Attestation[] | undefined = undefined;
  /** What came of it when it was last counted. */
  outcome: Outcome | undefined = undefined;

  constructor(chain: Chain, entry: Entry, before: Stem) {
    super(entry.sequence, entry.id, false);
    this.chain = chain;
    this.entry = entry;
    this.before = before;
  }
}

/** Two entries of one author at one place: he signed the proof against himself. */
export interface Fork {
  readonly author: AccountId;
  readonly sequence: number;
  /** The two lowest that are known. */
  readonly ids: readonly [EntryId, EntryId];
  /** The one that stands. */
  readonly resolved: EntryId | undefined;
}

/** What a change did to the entries that stand: nothing, one more at the tip, or others than before. */
export type Change = 'same' | 'grown' | 'moved';

/** One author's entries behind his newest final one. */
export class Chain {
  readonly author: AccountId;
  /** The newest final entry; before there is one, the networkId at place −1. */
  root: Stem;
  /** The newest entry that stands, or the root. */
  tip: Stem;
  /** The newest place that a certificate covers, on whatever branch. */
  certified: number;
  /** The newest place that a certificate covers and that stands. */
  coveredTip: number;
  /** Entries here, and those of them that stand. */
  size = 0;
  standing = 0;
  /** Where branches begin, above the root, that left the chain at or below it: they never stand. */
  strays: Link[] = [];
  /** Chains whose finality waits for what becomes of a place of this one, by its sequence. */
  waiting: Map<number, Set<Chain>> | undefined = undefined;
  /** Who of the witnesses vouched for an entry that a final one excludes. Honest ones never do. */
  excluded: Map<EntryId, Set<AccountId>> | undefined = undefined;
  /** The first fork at or below the root that is known. */
  oldFork: Fork | undefined = undefined;

  constructor(author: AccountId, sequence: number, id: EntryId) {
    this.author = author;
    this.root = new Stem(sequence, id, true);
    this.tip = this.root;
    this.certified = sequence;
    this.coveredTip = sequence;
  }

  /** Entries here that do not stand. */
  get fallen(): number {
    return this.size - this.standing;
  }

  attach(link: Link): Change {
    const { before } = link;
    before.follow(link);
    this.size++;
    const was = before.way;
    before.way = before.choose();
    if (!before.stands || before.way === was) return 'same';
    if (was !== undefined) this.#fall(was, before);
    if (before.way !== undefined) this.#rise(before.way);
    return was === undefined ? 'grown' : 'moved';
  }

  /** Whether an entry that follows here would neither stand nor change what stands. */
  wouldFall(before: Stem): boolean {
    return !before.stands || before.isFork || before.first?.covered === true;
  }

  /**
   * A certificate covers this entry and those before it.
   * @returns the entries that it is the first to cover, the newest first; `undefined` when they are of a branch that a final
   * entry excludes: more than f witnesses lied
   */
  cover(link: Link): { readonly change: Change; readonly covered: readonly Link[] } | undefined {
    const covered: Link[] = [];
    let at: Stem = link;
    for (; at instanceof Link && !at.covered; at = at.before) covered.push(at);
    if (!at.covered) return undefined;
    for (const one of covered) one.covered = true;
    this.certified = Math.max(this.certified, link.sequence);
    let turn: { readonly before: Stem; readonly was: Link | undefined } | undefined;
    for (const { before } of covered.toReversed()) {
      const was = before.way;
      before.way = before.choose();
      // At most one of them stands and turns: behind it nothing of this branch stood.
      if (before.stands && before.way !== was) turn = { before, was };
    }
    if (turn?.was !== undefined) this.#fall(turn.was, turn.before);
    if (turn?.before.way !== undefined) this.#rise(turn.before.way);
    if (link.stands) this.coveredTip = Math.max(this.coveredTip, link.sequence);
    return { change: turn === undefined ? 'same' : 'moved', covered };
  }

  #fall(from: Link, before: Stem): void {
    for (let link: Link | undefined = from; link !== undefined; link = link.way) {
      link.stands = false;
      this.standing--;
    }
    this.tip = before;
    this.coveredTip = Math.min(this.coveredTip, before.sequence);
  }

  #rise(from: Link): void {
    for (let link: Link | undefined = from; link !== undefined; link = link.way) {
      link.stands = true;
      this.standing++;
      this.tip = link;
    }
  }

  /** Makes the entry that stands behind the root the root. @returns what leaves with it: all at its place, standing or not */
  advance(): readonly Link[] {
    const next = this.root.way;
    if (next === undefined) return [];
    const left: Link[] = [next];
    this.size--;
    this.standing--;
    if (this.root.isFork) this.#leaveFork(this.root, next);
    const root = new Stem(next.sequence, next.id, true);
    root.first = next.first;
    root.others = next.others;
    root.way = next.way;
    // They no longer hold on to what leaves, and turn the new root when a certificate comes.
    for (const link of root.followers()) link.before = root;
    if (this.tip === next) this.tip = root;
    this.root = root;
    if (this.strays.length > 0) this.#sweep(left);
    return left;
  }

  #leaveFork(at: Stem, next: Link): void {
    const ids = [...at.followers()].map(({ id }) => id);
    for (const link of at.followers()) if (link !== next) this.strays.push(link);
    this.noteFork(next.sequence, ids, next.id);
  }

  /** Of the fallen branches, what is at or below the root goes; what is above may still be named by honest entries. */
  #sweep(left: Link[]): void {
    const branches = this.strays;
    this.strays = [];
    for (let link = branches.pop(); link !== undefined; link = branches.pop()) {
      if (link.sequence > this.root.sequence) {
        if (link.before instanceof Link) link.before = new Stem(link.before.sequence, link.before.id, false);
        this.strays.push(link);
        continue;
      }
      left.push(link);
      this.size--;
      this.exclude(link.id, new Set(link.votes?.map(({ witness }) => witness)));
      branches.push(...link.followers());
    }
  }

  /** Keeps the first fork that is known at or below the root. @returns whether there was none, or a later one */
  noteFork(sequence: number, ids: readonly EntryId[], resolved: EntryId): boolean {
    const known = this.oldFork;
    if (known !== undefined && known.sequence < sequence) return false;
    const all = known?.sequence === sequence ? [...known.ids, ...ids] : ids;
    this.oldFork = { author: this.author, sequence, ids: twoLowest(all), resolved };
    return known?.sequence !== sequence;
  }

  /** The forks that are known of this author, as far as what is in front of them stands. */
  forks(): Fork[] {
    const forks = this.oldFork === undefined ? [] : [this.oldFork];
    if (this.fallen === 0) return forks;
    for (let at: Stem | undefined = this.root; at !== undefined; at = at.way) {
      if (!at.isFork) continue;
      const ids = twoLowest([...at.followers()].map(({ id }) => id));
      forks.push({ author: this.author, sequence: at.sequence + 1, ids, resolved: at.way?.id });
    }
    return forks;
  }

  /** From here on witnesses who vouch for this entry are counted. @param witnesses who did already */
  exclude(id: EntryId, witnesses: ReadonlySet<AccountId> = new Set()): void {
    this.excluded ??= new Map();
    if (this.excluded.has(id) || this.excluded.size >= LEDGER.maxFallenPerAuthor) return;
    this.excluded.set(id, new Set(witnesses));
  }

  /** All entries here, standing or not, each after the one before it. */
  *links(): Generator<Link> {
    const ahead: Link[] = [...this.strays, ...this.root.followers()];
    for (let link = ahead.pop(); link !== undefined; link = ahead.pop()) {
      yield link;
      ahead.push(...link.followers());
    }
  }
}

function twoLowest(ids: readonly EntryId[]): readonly [EntryId, EntryId] {
  const [low = '', high = ''] = [...new Set(ids)].toSorted();
  return [low, high];
}

/** Every author's chain, and every entry in them by its id. */
export class Chains {
  readonly #networkId: EntryId;
  readonly #chains = new Map<AccountId, Chain>();
  /**
   * In the order in which they were taken in. Each came after its past, so this is an order in which they can be counted, and
   * nothing has to be sorted, and nothing recurses, however long the history is.
   */
  readonly links = new Map<EntryId, Link>();

  constructor(networkId: EntryId) {
    this.#networkId = networkId;
  }

  get(author: AccountId): Chain | undefined {
    return this.#chains.get(author);
  }

  all(): IterableIterator<Chain> {
    return this.#chains.values();
  }

  /** The author's chain, or an empty one that is not among these yet. */
  chainOf(author: AccountId): Chain {
    return this.#chains.get(author) ?? new Chain(author, -1, this.#networkId);
  }

  /** A chain of which nothing but its newest final entry is here. */
  restore({ author, sequence, id }: EntryName): void {
    this.#chains.set(author, new Chain(author, sequence, id));
  }

  keep(chain: Chain): void {
    this.#chains.set(chain.author, chain);
  }

  /** An entry by all of its name. */
  find({ author, sequence, id }: EntryName): Link | undefined {
    const link = this.links.get(id);
    return link !== undefined && link.sequence === sequence && link.chain.author === author ? link : undefined;
  }

  /** Whether a certificate covers this place of its author's chain, on whatever branch. */
  isCovered({ author, sequence }: EntryName): boolean {
    const chain = this.#chains.get(author);
    return chain !== undefined && sequence <= chain.certified;
  }

  /** Whether it is settled what is at this place: the final entry, and nothing else ever. */
  isSettled({ author, sequence }: EntryName): boolean {
    const chain = this.#chains.get(author);
    return chain !== undefined && sequence <= chain.root.sequence;
  }

  attach(chain: Chain, entry: Entry, before: Stem): { readonly link: Link; readonly change: Change } {
    this.#chains.set(chain.author, chain);
    const link = new Link(chain, entry, before);
    // Where a fallen branch goes on below the root, its past is on the disk alone.
    if (!(before instanceof Link) && before !== chain.root) chain.strays.push(link);
    this.links.set(entry.id, link);
    return { link, change: chain.attach(link) };
  }

  /** Makes the next entry of a chain its root, and lets go of all at its place. */
  advance(chain: Chain): void {
    for (const link of chain.advance()) this.links.delete(link.id);
  }
}
