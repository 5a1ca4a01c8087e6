/**
 * The books of all that stands: the final ones and, counted behind them, the tail. What extends the tail is counted at once.
 * Whatever else changes, a cut, a certificate that picks a branch, a cap, only marks them as outdated: the next one who reads
 * counts the tail anew, once, however much has happened.
 */

import type { EntryId } from '../entries/entry.ts';
import { type Books, type Cap, type Caps, NO_CAPS } from './books.ts';
import type { Chain, Chains, Link } from './chains.ts';
import { legKey } from './state.ts';

export class NewestBooks {
  readonly #chains: Chains;
  readonly #final: Books;
  /** Releases alone in the tail: they may cap legs. */
  readonly #lone = new Map<Chain, Set<Link>>();
  /** What they come to, until a change. */
  #caps: Caps | undefined = undefined;
  #books: Books;
  #isOutdated = false;

  constructor(chains: Chains, final: Books) {
    this.#chains = chains;
    this.#final = final;
    this.#books = final.clone();
  }

  /** An entry is in the tail now. @param grown it stands, and nothing else has changed */
  add(link: Link, grown: boolean): void {
    if (loneReleaseOf(link) !== undefined) {
      const others = this.#lone.get(link.chain);
      if (others === undefined) this.#lone.set(link.chain, new Set([link]));
      else others.add(link);
    }
    if (grown && !this.#isOutdated) link.outcome = this.#books.apply(link.entry, { certified: link.covered });
  }

  /** Something that was counted stands no more, or has another worth. */
  outdate(): void {
    this.#isOutdated = true;
    this.#caps = undefined;
  }

  /** Entries of these chains have left the tail. */
  forget(moved: Iterable<Chain>): void {
    if (this.#lone.size === 0) return;
    for (const chain of moved) {
      const links = this.#lone.get(chain);
      for (const link of links ?? []) {
        if (this.#chains.links.has(link.id)) continue;
        links?.delete(link);
        this.#caps = undefined;
      }
      if (links?.size === 0) this.#lone.delete(chain);
    }
  }

  /** They change with the ledger: who keeps them clones them. Every link that stands has its outcome then. */
  read(): Books {
    if (!this.#isOutdated) return this.#books;
    this.#books = this.#final.clone(this.caps());
    for (const link of this.#chains.links.values()) {
      if (link.stands) link.outcome = this.#books.apply(link.entry, { certified: link.covered });
    }
    this.#isOutdated = false;
    return this.#books;
  }

  /** Whether one of these entries is a release alone, so that its certificate caps a leg. */
  hasCap(links: readonly Link[]): boolean {
    return this.#lone.size > 0 && links.some((link) => this.#lone.get(link.chain)?.has(link));
  }

  /** Of each leg the first release alone that stands and is certified; the caps of final ones are in the final books. */
  caps(): Caps {
    this.#caps ??= this.#lone.size === 0 ? NO_CAPS : this.#findCaps();
    return this.#caps;
  }

  #findCaps(): Caps {
    const caps = new Map<string, Cap>();
    for (const link of [...this.#lone.values()].flatMap((links) => [...links])) {
      const release = loneReleaseOf(link);
      if (release === undefined || !link.stands || !link.covered) continue;
      const key = legKey(release.hold, release.leg);
      if (!caps.has(key)) caps.set(key, { by: link.id, ...release });
    }
    return caps;
  }

  /** A release alone that caps a leg below what is finally paid of it: no honest witness signs both. */
  capBelowPaid(): EntryId | undefined {
    for (const { by, hold, leg: index, cumulative } of this.caps().values()) {
      const leg = this.#final.leg(hold, index);
      if (leg !== undefined && leg.cap === undefined && leg.paid > cumulative) return by;
    }
    return undefined;
  }
}

function loneReleaseOf({ entry: { body } }: Link): Omit<Cap, 'by'> | undefined {
  if (body.kind !== 'release' || !('alone' in body.rest)) return undefined;
  return { hold: body.hold, leg: body.leg, cumulative: body.rest.alone };
}
