/**
 * What is final (docs/ledger.md): an entry whose place witnesses have fixed, with all that it rests on. Final entries are counted
 * into books of their own, which nothing changes any more, and leave memory.
 */

import { type Attestation, type Claim, type Entry, namesIn } from '../entries/entry.ts';
import type { Books, Caps, Outcome } from './books.ts';
import type { Chain, Chains, Link } from './chains.ts';
import { legKey } from './state.ts';
import { countTimely } from './votes.ts';

export interface FinalityOptions {
  readonly quorum: number;
  /** Of releases alone that are certified and not final. */
  readonly caps: () => Caps;
  readonly onFinal: (entry: Entry, outcome: Outcome) => void;
}

export class Finality {
  readonly #options: FinalityOptions;
  readonly #chains: Chains;
  readonly #books: Books;
  /** Chains with a claim that is not timely, by the leg that must be capped or closed first. */
  readonly #waitingForLeg = new Map<string, Set<Chain>>();
  /** To be tried. A list, since one chain's progress may free the next, as far as history is long. */
  readonly #ready = new Set<Chain>();

  constructor(options: FinalityOptions, deps: { readonly chains: Chains; readonly books: Books }) {
    this.#options = options;
    this.#chains = deps.chains;
    this.#books = deps.books;
  }

  /** These entries are covered now: their chain may go on, and so may those that wait for what becomes of their places. */
  covered(links: readonly Link[]): void {
    for (const { chain, sequence } of links) {
      this.#ready.add(chain);
      this.#wake(chain, sequence);
    }
  }

  /** What stands of a chain has changed behind its first certificate, or a claim became timely. */
  retry(chain: Chain): void {
    this.#ready.add(chain);
  }

  /** A chain was cut below a certificate: what rested on it may be certified away now. */
  retryBehind(chain: Chain): void {
    for (const sequence of [...(chain.waiting?.keys() ?? [])]) this.#wake(chain, sequence);
  }

  /** Makes final what can be. @returns the chains that went on */
  advance(): ReadonlySet<Chain> {
    const moved = new Set<Chain>();
    for (const chain of this.#ready) {
      this.#ready.delete(chain);
      if (this.#advanceChain(chain)) moved.add(chain);
    }
    return moved;
  }

  #advanceChain(chain: Chain): boolean {
    const { root } = chain;
    for (let next = root.way; next?.covered && this.#rests(next); next = chain.root.way) {
      const outcome = this.#books.apply(next.entry, { certified: true });
      this.#chains.advance(chain);
      this.#options.onFinal(next.entry, outcome);
      this.#wake(chain, next.sequence);
      this.#wakeLeg(next.entry);
    }
    return chain.root !== root;
  }

  /** Whether all that the entry rests on is final, or certified away; if not, its chain waits for it. */
  #rests({ chain, entry, votes }: Link): boolean {
    for (const name of namesIn(entry.body)) {
      const link = this.#chains.find(name);
      // What is not here is final, or was missing at a covered place when this entry was taken in, and can never stand.
      if (link === undefined || (!link.stands && this.#chains.isCovered(name))) continue;
      link.chain.waiting ??= new Map();
      wait(link.chain.waiting, name.sequence, chain);
      return false;
    }
    return entry.body.kind !== 'claim' || this.#isSafe(entry.body, votes ?? [], chain);
  }

  /** Whether no release alone that is not final can take from a claim what it booked. */
  #isSafe({ hold, leg: index, cumulative }: Claim, votes: readonly Attestation[], chain: Chain): boolean {
    const leg = this.#books.leg(hold, index);
    // A leg that is capped for ever, or closed for ever, is safe also from claims that are late.
    if (leg === undefined || leg.cap !== undefined) return true;
    const key = legKey(hold, index);
    const cap = this.#options.caps().get(key);
    const isTimely = countTimely(votes) >= this.#options.quorum;
    if (isTimely && (cap === undefined || cumulative <= cap.cumulative)) return true;
    wait(this.#waitingForLeg, key, chain);
    return false;
  }

  #wake(chain: Chain, sequence: number): void {
    const waiting = chain.waiting?.get(sequence);
    if (waiting === undefined) return;
    chain.waiting?.delete(sequence);
    for (const other of waiting) this.#ready.add(other);
  }

  #wakeLeg({ body }: Entry): void {
    if (this.#waitingForLeg.size === 0 || (body.kind !== 'claim' && body.kind !== 'release')) return;
    const leg = this.#books.leg(body.hold, body.leg);
    if (leg !== undefined && leg.cap === undefined) return;
    const key = legKey(body.hold, body.leg);
    for (const chain of this.#waitingForLeg.get(key) ?? []) this.#ready.add(chain);
    this.#waitingForLeg.delete(key);
  }
}

function wait<K>(waiting: Map<K, Set<Chain>>, key: K, chain: Chain): void {
  const others = waiting.get(key);
  if (others === undefined) waiting.set(key, new Set([chain]));
  else others.add(chain);
}
