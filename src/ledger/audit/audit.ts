/**
 * Goes over a whole ledger again: entries and attestations are put, one by one, into a ledger that begins with nothing, and
 * what comes out is compared with what is claimed. The signatures are checked by whoever opens the bytes.
 */

import { LEDGER } from '../../limits/ledger.ts';
import { type Fork, Ledger } from '../books/ledger.ts';
import type { AccountId, Attestation, Entry, EntryId, EntryName, LedgerMesh } from '../entries/entry.ts';
import { accountText } from '../entries/readable.ts';

/** What does not hold, and of which entry as far as that is known. Accounts are PeerIds. */
export interface Problem {
  readonly what: string;
  /** Of an export, from 1. */
  readonly line?: number;
  readonly author?: string;
  readonly sequence?: number;
  readonly id?: EntryId;
  /** Of an attestation. */
  readonly witness?: string;
}

export interface AuditResult {
  readonly valid: boolean;
  /** The first `LEDGER.maxProblems`. */
  readonly problems: readonly Problem[];
  /** Standing ones. */
  readonly entries: number;
  readonly attestations: number;
  readonly authors: number;
  /** Entries that are final. */
  readonly final: number;
  readonly digest: string;
  readonly forks: readonly Fork[];
}

/** An entry that rests on a dead one of which a ledger keeps nothing is judged with it; where it lies, if anywhere. */
export type Lookup = (name: EntryName) => Promise<Entry | undefined>;

export class Audit {
  readonly problems: Problem[] = [];
  /** Two certificates exclude each other: what is final cannot be said, and it has to be gone over again without. */
  contradiction: string | undefined;
  readonly #mesh: LedgerMesh;
  readonly #lookup: Lookup;
  readonly #seen = new Set<EntryId>();
  /** Accounts of which an entry is missing, and with it all that comes after. */
  readonly #broken = new Set<AccountId>();
  readonly #ledger: Ledger;
  #attestations = 0;
  #problemCount = 0;

  /** @param finalise false once a `contradiction` was found */
  constructor(mesh: LedgerMesh, lookup: Lookup, finalise: boolean) {
    this.#mesh = mesh;
    this.#lookup = lookup;
    this.#ledger = new Ledger(mesh, { finalise });
  }

  get ledger(): Ledger {
    return this.#ledger;
  }

  problem(problem: Problem): void {
    this.#problemCount++;
    if (this.problems.length < LEDGER.maxProblems) this.problems.push(problem);
  }

  /** Takes in the next entry. @returns why it does not hold; undefined when it does */
  async entry(entry: Entry): Promise<string | undefined> {
    if (this.#seen.has(entry.id)) return 'it was there before';
    const taken = await this.#add(entry);
    switch (taken.result) {
      case 'known':
        return 'it was there before';
      case 'waits':
        return this.#gap(entry, taken.missing);
      case 'refused':
        return taken.why;
      // Dead entries count for nothing; of those below what is final, and past a bound, a ledger keeps nothing at all.
      case 'old':
      case 'ignored':
      case 'taken':
        this.#seen.add(entry.id);
        return undefined;
    }
  }

  async #add(entry: Entry) {
    const taken = this.#ledger.add(entry);
    if (taken.result !== 'waits') return taken;
    // Of places that are final a ledger keeps nothing in memory.
    const gone = taken.missing.filter(({ author, sequence }) => {
      const final = this.#ledger.finalTip(author);
      return final !== undefined && sequence <= final.sequence;
    });
    if (gone.length === 0) return taken;
    const named = await Promise.all(gone.map((name) => this.#lookup(name)));
    return this.#ledger.add(
      entry,
      named.filter((each) => each !== undefined),
    );
  }

  /** What hangs on an entry that is missing is said once for an account. */
  #gap(entry: Entry, missing: readonly EntryName[]): string | undefined {
    const [first] = missing;
    const isFirst = !this.#broken.has(entry.author);
    this.#broken.add(entry.author);
    if (!isFirst || first === undefined || (this.#broken.has(first.author) && first.author !== entry.author)) {
      this.#problemCount++;
      return undefined;
    }
    const where = first.author === entry.author ? 'of the same account' : `of ${accountText(first.author)}`;
    return `it rests on entry ${first.sequence} ${where} (${first.id}), which is not in front of it`;
  }

  /** Takes in the next attestation. @returns why it does not hold; undefined when it does */
  attestation(attestation: Attestation): string | undefined {
    const attested = this.#ledger.attest(attestation);
    switch (attested.result) {
      case 'waits':
        return this.#broken.has(attestation.author) || this.#seen.has(attestation.id)
          ? undefined
          : 'the entry that it is over is not in front of it';
      case 'refused':
        return 'its witness is none of this mesh';
      case 'contradiction':
        this.contradiction ??= `${attested.why}: more witnesses have lied than this mesh can bear`;
        return undefined;
      default:
        this.#attestations++;
        return undefined;
    }
  }

  /** @param claimed the digest that all of it should have, hex */
  finish(claimed: string | undefined): AuditResult {
    const ledger = this.#ledger;
    const digest = ledger.digest();
    if (claimed !== undefined && claimed !== digest) {
      this.problem({ what: `all of it together has the digest ${digest}, and it should be ${claimed}` });
    }
    this.#conserve();
    const { entries, authors } = ledger.counts();
    return {
      valid: this.#problemCount === 0,
      problems: this.problems,
      entries,
      attestations: this.#attestations,
      authors,
      final: finalOf(ledger),
      digest,
      forks: ledger
        .forks()
        .toSorted((a, b) => (a.author < b.author ? -1 : a.author > b.author ? 1 : a.sequence - b.sequence)),
    };
  }

  /** No credits but those of the beginning, and no account below nothing. */
  #conserve(): void {
    const books = this.#ledger.books();
    const { genesis, founder } = this.#mesh;
    let total = 0n;
    for (const author of new Set([...books.authors(), founder])) {
      const available = books.available(author);
      total += available;
      if (available >= 0n) continue;
      this.problem({ what: `the account has less than nothing: ${available}`, author: accountText(author) });
    }
    for (const { amount } of books.openTransfers()) total += amount;
    for (const { max, paid, givenBack } of books.openLegs()) total += max - paid - givenBack;
    if (total !== genesis) {
      this.problem({
        what: `all accounts and all that is open come to ${total} microcredits, and there are ${genesis}`,
      });
    }
  }
}

/** Entries that are final. */
function finalOf(ledger: Ledger): number {
  let count = 0;
  for (const author of ledger.finalBooks().authors()) count += (ledger.finalTip(author)?.sequence ?? -1) + 1;
  return count;
}
