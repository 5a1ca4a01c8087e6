/**
 * A node's ledger: a set of entries and attestations, and what follows from it (docs/ledger.md). What is final is counted into
 * books and leaves memory; what is not, the tail, is here entry by entry.
 */

import { LEDGER } from '../../limits/ledger.ts';
import type { LedgerLine } from '../../protocol/ledger.ts';
import {
  type AccountId,
  type Attestation,
  type Entry,
  type EntryId,
  type EntryName,
  type LedgerMesh,
  quorumOf,
} from '../entries/entry.ts';
import { hexOf } from '../entries/fields.ts';
import { Books, type Outcome } from './books.ts';
import { type Chain, Chains, type Fork, Link, type Stem } from './chains.ts';
import { Finality } from './finality.ts';
import { digestOf, Lines, lineOf } from './lines.ts';
import { NewestBooks } from './newest-books.ts';
import { pastOf } from './past.ts';
import type { Attested, Status, Taken } from './results.ts';
import type { OpenLeg, OpenTransfer } from './state.ts';
import { certificatesOf, countWitnesses, hasVote, newestVotesOf, Wanted } from './votes.ts';

export type { Fork } from './chains.ts';
export type { Attested, Status, Taken } from './results.ts';

export interface LedgerOptions {
  /** Books that are final already, as a snapshot or a checkpoint holds them; they go over to this ledger. */
  readonly final?: Books;
  /** False in a mesh whose witnesses contradict each other: then all is kept, and nothing is final. */
  readonly finalise?: boolean;
  /** Called once for each entry that becomes final, in an order in which they can be counted. */
  readonly onFinal?: (entry: Entry, moved: bigint) => void;
}

const TAKEN = { result: 'taken' } as const;
const KNOWN = { result: 'known' } as const;
const OLD = { result: 'old' } as const;
const IGNORED = { result: 'ignored' } as const;
const refused = (why: string) => ({ result: 'refused', why }) as const;

export class Ledger {
  readonly #mesh: LedgerMesh;
  readonly #quorum: number;
  readonly #witnesses: ReadonlySet<AccountId>;
  readonly #chains: Chains;
  readonly #final: Books;
  readonly #newest: NewestBooks;
  /** Undefined where witnesses contradict each other. */
  #finality: Finality | undefined;
  readonly #lines: Lines;
  readonly #wanted: Wanted;
  /** What was said of places that were final already: it may be over another entry, which comes later. */
  readonly #saidLate: Wanted;
  #generation = 0;
  #finalGeneration = 0;
  #digest: { readonly generation: number; readonly hex: string } | undefined;

  constructor(mesh: LedgerMesh, { final = new Books(mesh), finalise = true, onFinal }: LedgerOptions = {}) {
    this.#mesh = mesh;
    this.#quorum = quorumOf(mesh);
    this.#witnesses = new Set(mesh.witnesses);
    this.#final = final;
    this.#chains = new Chains(hexOf(mesh.networkId));
    this.#newest = new NewestBooks(this.#chains, final);
    this.#wanted = new Wanted(this.#quorum);
    this.#saidLate = new Wanted(this.#quorum);
    this.#lines = new Lines((author) => lineOf(this.#chains.chainOf(author)));
    for (const author of final.authors()) {
      const tip = final.tip(author);
      if (tip !== undefined) this.#chains.restore(tip);
      this.#lines.touch(author);
    }
    const options = {
      quorum: this.#quorum,
      caps: () => this.#newest.caps(),
      onFinal: (entry: Entry, outcome: Outcome) => onFinal?.(entry, outcome.moved),
    };
    this.#finality = finalise ? new Finality(options, { chains: this.#chains, books: final }) : undefined;
  }

  /* ---- what comes in ---- */

  /**
   * Takes an entry in if its past is here. Entries may come in any order and more than once.
   * @param named entries at final places that it names, or follows on, from the disk: they are in memory no more
   * @param needed whether another entry or a certificate waits for it: then it is taken even if its author has too many that
   * do not stand
   */
  add(entry: Entry, named: readonly Entry[] = [], needed = false): Taken {
    if (this.#chains.links.has(entry.id)) return KNOWN;
    const chain = this.#chains.chainOf(entry.author);
    if (entry.sequence <= chain.root.sequence) return this.#addOld(entry, chain);
    const options = { founder: this.#mesh.founder, chains: this.#chains, final: this.#final, named };
    const past = pastOf(entry, chain, options);
    if ('refused' in past) return { result: 'refused', why: past.refused };
    if ('missing' in past) return { result: 'waits', missing: past.missing };
    const isTooMany = chain.fallen >= LEDGER.maxFallenPerAuthor && chain.wouldFall(past.before);
    if (isTooMany && !needed && !this.#wanted.has(entry.id)) return IGNORED;
    this.#take(entry, chain, past.before);
    return TAKEN;
  }

  #addOld({ id, sequence }: Entry, chain: Chain): Taken {
    if (sequence === chain.root.sequence && id !== chain.root.id) chain.exclude(id, this.#witnessesOf(id));
    return OLD;
  }

  #take(entry: Entry, chain: Chain, before: Stem): void {
    const { link, change } = this.#chains.attach(chain, entry, before);
    this.#wanted.drop(entry.id);
    this.#lines.touch(entry.author);
    this.#newest.add(link, change === 'grown');
    if (change === 'moved') this.#newest.outdate();
    if (change !== 'same') this.#generation++;
  }

  /** Counts what a witness says of an entry that is here. */
  attest(attestation: Attestation): Attested {
    const { author, sequence, id, witness } = attestation;
    if (!this.#witnesses.has(witness)) return refused('it is not by a witness of this mesh');
    const chain = this.#chains.get(author);
    if (chain !== undefined && sequence <= chain.root.sequence) return this.#attestOld(chain, attestation);
    const link = this.#chains.links.get(id);
    if (link === undefined) {
      this.#wanted.hear(attestation);
      return { result: 'waits', missing: { author, sequence, id } };
    }
    if (link.chain !== chain || link.sequence !== sequence) return refused('this entry has another place');
    link.votes ??= [];
    if (hasVote(link.votes, attestation)) return KNOWN;
    link.votes.push(attestation);
    if (!link.covered && countWitnesses(link.votes) >= this.#quorum) return this.#certify(link);
    // Behind a certificate only this is open: whether a claim is timely.
    if (link.covered && link.entry.body.kind === 'claim') {
      this.#finality?.retry(link.chain);
      this.#settle();
    }
    return TAKEN;
  }

  #certify(link: Link): Attested {
    const { chain, entry } = link;
    const done = chain.cover(link);
    if (done === undefined) return this.#contradiction(entry, 'a certificate for a branch that a final entry excludes');
    if (done.change === 'moved' || this.#newest.hasCap(done.covered)) {
      this.#generation++;
      this.#newest.outdate();
      const release = this.#newest.capBelowPaid();
      if (release !== undefined)
        return this.#contradiction(entry, `it caps a leg below what is finally paid: ${release}`);
    }
    this.#finality?.covered(done.covered);
    if (done.change === 'moved') this.#finality?.retryBehind(chain);
    this.#lines.touch(entry.author);
    this.#settle();
    return TAKEN;
  }

  #settle(): void {
    const moved = this.#finality?.advance();
    if (moved === undefined || moved.size === 0) return;
    this.#finalGeneration++;
    this.#newest.forget(moved);
    for (const chain of moved) this.#lines.touch(chain.author);
  }

  #attestOld(chain: Chain, attestation: Attestation): Attested {
    const { id, witness } = attestation;
    const witnesses = chain.excluded?.get(id);
    if (witnesses === undefined) {
      if (id !== chain.root.id) this.#saidLate.hear(attestation);
      return OLD;
    }
    witnesses.add(witness);
    if (witnesses.size < this.#quorum) return OLD;
    return this.#contradiction(attestation, 'a certificate for an entry that a final one excludes');
  }

  /** Who spoke of an entry before it came. */
  #witnessesOf(id: EntryId): ReadonlySet<AccountId> {
    return new Set([...(this.#wanted.witnessesOf(id) ?? []), ...(this.#saidLate.witnessesOf(id) ?? [])]);
  }

  /** From here on nothing more is final; what is right is known when all is counted anew, with all certificates. */
  #contradiction({ author, sequence, id }: EntryName, why: string): Attested {
    this.#finality = undefined;
    return { result: 'contradiction', name: { author, sequence, id }, why };
  }

  /**
   * Two entries of one author at a place that is final: found late, they change nothing, and prove what he did.
   * @param stands the one that is final @returns whether it was not known that this author forks so early
   */
  noteFork(stands: Entry, other: Entry): boolean {
    const chain = this.#chains.get(stands.author);
    const isFork = stands.author === other.author && stands.sequence === other.sequence && stands.id !== other.id;
    if (chain === undefined || !isFork || stands.sequence > chain.root.sequence) return false;
    chain.exclude(other.id, this.#witnessesOf(other.id));
    const isNew = chain.noteFork(stands.sequence, [stands.id, other.id], stands.id);
    if (isNew) this.#lines.touch(stands.author);
    return isNew;
  }

  /* ---- what there is ---- */

  /** The newest entry of this author that stands. */
  tip(author: AccountId): EntryName | undefined {
    return nameOf(author, this.#chains.get(author)?.tip);
  }

  /** The newest entry of this author that is final. */
  finalTip(author: AccountId): EntryName | undefined {
    return nameOf(author, this.#chains.get(author)?.root);
  }

  /** The newest entries of this author, standing or not: one, or all ends of a fork. */
  heads(author: AccountId): EntryName[] {
    const chain = this.#chains.get(author);
    if (chain === undefined) return [];
    const ends: Stem[] = chain.root.first === undefined ? [chain.root] : [];
    for (const link of chain.links()) if (link.first === undefined) ends.push(link);
    return ends.map((end) => nameOf(author, end)).filter((name) => name !== undefined);
  }

  /** An entry of the tail. */
  find(id: EntryId): Entry | undefined {
    return this.#chains.links.get(id)?.entry;
  }

  /** Entries of the tail that follow directly on one, standing or not; on the newest final one if there is no `id`. */
  children(author: AccountId, id?: EntryId): Entry[] {
    const root = this.#chains.get(author)?.root;
    const at = id === undefined || id === root?.id ? root : this.#chains.links.get(id);
    if (at === undefined || (at instanceof Link && at.chain.author !== author)) return [];
    return [...at.followers()].map(({ entry }) => entry);
  }

  /** Entries of the tail that stand, from a sequence on, in order. */
  *standing(author: AccountId, from = 0): Generator<Entry> {
    for (let link = this.#chains.get(author)?.root.way; link !== undefined; link = link.way) {
      if (link.sequence >= from) yield link.entry;
    }
  }

  /** All entries of the tail, in an order in which each comes after its past. */
  *tail(): Generator<Entry> {
    for (const { entry } of this.#chains.links.values()) yield entry;
  }

  /** Of what left memory it knows only what is open; the rest is on the disk, and final if it is its author's at that place. */
  status(name: EntryName): Status {
    const link = this.#chains.find(name);
    if (link !== undefined) return !link.stands ? 'fallen' : link.covered ? 'certified' : 'stands';
    const chain = this.#chains.get(name.author);
    if (chain === undefined || name.sequence > chain.root.sequence) return 'unknown';
    if (name.sequence === chain.root.sequence) return name.id === chain.root.id ? 'final' : 'fallen';
    if (chain.excluded?.has(name.id)) return 'fallen';
    return this.#final.isOpen(name) ? 'final' : 'unknown';
  }

  /** Whether a certificate covers this place of its author's chain: what is not there then is worth nothing for ever. */
  isCovered(name: EntryName): boolean {
    return this.#chains.isCovered(name);
  }

  /** By how many microcredits an entry of the tail changed its author's available: 0 when it is worth nothing. */
  moved(id: EntryId): bigint | undefined {
    this.books();
    const link = this.#chains.links.get(id);
    return link?.stands ? link.outcome?.moved : undefined;
  }

  /** Entries that stand, and authors who have one. */
  counts(): { readonly entries: number; readonly authors: number } {
    let entries = 0;
    let authors = 0;
    for (const { tip } of this.#chains.all()) {
      entries += tip.sequence + 1;
      if (tip.sequence >= 0) authors++;
    }
    return { entries, authors };
  }

  /** Grows whenever what stands, or what it is worth, changes. */
  get generation(): number {
    return this.#generation;
  }

  /** Grows whenever more is final. */
  get finalGeneration(): number {
    return this.#finalGeneration;
  }

  /* ---- what it is worth ---- */

  /** The books of all that stands. They change with the ledger: who keeps them clones them. */
  books(): Books {
    return this.#newest.read();
  }

  /** The books of all that is final. */
  finalBooks(): Books {
    return this.#final;
  }

  /** Microcredits that an account can spend; `final` is the part of them that nobody can take back. */
  available(author: AccountId): { readonly available: bigint; readonly final: bigint } {
    const available = this.books().available(author);
    let final = this.#final.available(author);
    for (let link = this.#chains.get(author)?.root.way; link !== undefined; link = link.way) {
      // What came in since is not final, and may be what was spent: it is counted as if the final part was spent first.
      const moved = link.outcome?.moved ?? 0n;
      if (moved < 0n) final += moved;
    }
    return { available, final: final > 0n ? final : 0n };
  }

  /** Transfers to an account that wait to be accepted. Looks through all open ones; so do the next three. */
  openTransfersTo(account: AccountId): OpenTransfer[] {
    return [...this.books().openTransfers()].filter(({ to }) => to === account);
  }

  openTransfersOf(author: AccountId): OpenTransfer[] {
    return [...this.books().openTransfers()].filter(({ name }) => name.author === author);
  }

  openLegsTo(payee: AccountId): OpenLeg[] {
    return [...this.books().openLegs()].filter((leg) => leg.payee === payee);
  }

  openLegsOf(author: AccountId): OpenLeg[] {
    return [...this.books().openLegs()].filter(({ hold }) => hold.author === author);
  }

  /* ---- what nodes compare ---- */

  /** Hex; equal at two nodes when the same entries stand. */
  digest(): string {
    if (this.#digest?.generation !== this.#generation) {
      this.#digest = { generation: this.#generation, hex: digestOf(this.#chains.all()) };
    }
    return this.#digest.hex;
  }

  /** 32 bytes over all lines. */
  root(): Uint8Array {
    return this.#lines.root();
  }

  bucketHashes(): readonly Uint8Array[] {
    return this.#lines.hashes();
  }

  /** By author. */
  lines(bucket: number): readonly LedgerLine[] {
    return this.#lines.lines(bucket);
  }

  /** Forks behind entries that stand; of an author's final part the first one that is known. */
  forks(): Fork[] {
    return [...this.#chains.all()].flatMap((chain) => chain.forks());
  }

  forksOf(author: AccountId): Fork[] {
    return this.#chains.get(author)?.forks() ?? [];
  }

  /** Entries of an author that are in memory, standing or not. */
  tailSize(author: AccountId): number {
    return this.#chains.get(author)?.size ?? 0;
  }

  /** What makes the certificates of this author's tail, by place. */
  attestationsOf(author: AccountId, from: number): Attestation[] {
    const chain = this.#chains.get(author);
    return chain === undefined ? [] : certificatesOf(chain, from, this.#quorum);
  }

  newestVotesOf(witness: AccountId, after?: AccountId): Iterable<Attestation> {
    return newestVotesOf(witness, this.#chains.all(), after);
  }

  /** Entries that have a certificate and are not here. */
  wantedNames(): EntryName[] {
    return this.#wanted.names().filter((name) => !this.#chains.isSettled(name));
  }
}

function nameOf(author: AccountId, at: Stem | undefined): EntryName | undefined {
  return at === undefined || at.sequence < 0 ? undefined : { author, sequence: at.sequence, id: at.id };
}
