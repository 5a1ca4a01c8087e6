/**
 * The answers to what other nodes ask of this node's ledger (`protocol/ledger.ts`). Every answer is bounded in bytes, and what it
 * reads from the disk in number; who needs more asks again. Final entries are read from the disk, the others are in memory.
 */

import { LEDGER } from '../../limits/ledger.ts';
import type { LedgerAnswer, LedgerAsk, WireName } from '../../protocol/ledger.ts';
import type { Ledger } from '../books/ledger.ts';
import { type AccountId, type Attestation, type EntryName, type LedgerMesh, quorumOf } from '../entries/entry.ts';
import { openEntry } from '../entries/entry-codec.ts';
import { hexOf } from '../entries/fields.ts';
import { finalChain } from '../intake/final-chain.ts';
import type { Forked } from '../intake/late-forks.ts';
import type { LedgerStore, StoredAttestation } from '../ports.ts';

export interface ServeOptions {
  readonly mesh: LedgerMesh;
}

export interface ServeDeps {
  readonly ingest: {
    readonly ledger: Ledger;
    flushed(): Promise<void>;
    proof(author: AccountId): Promise<Forked | undefined>;
    onDamage(name: EntryName): void;
  };
  readonly store: Pick<LedgerStore, 'chain' | 'entry' | 'attestations'>;
  /** Gives the event loop its turn: others on this node must not wait for a long answer. */
  readonly pause: () => Promise<void>;
}

type Ask<Type extends LedgerAsk['type']> = Extract<LedgerAsk, { type: Type }>;
type Answer<Type extends LedgerAnswer['type']> = Extract<LedgerAnswer, { type: Type }>;
type From = Ask<'chains'>['from'];

export class Serve {
  readonly #mesh: LedgerMesh;
  readonly #deps: ServeDeps;

  constructor({ mesh }: ServeOptions, deps: ServeDeps) {
    this.#mesh = mesh;
    this.#deps = deps;
  }

  /** @throws GoGridError what the store rejects with */
  async answer(ask: LedgerAsk): Promise<LedgerAnswer> {
    const { ledger } = this.#deps.ingest;
    switch (ask.type) {
      case 'root': {
        const { authors, entries } = ledger.counts();
        return { type: 'root', root: ledger.root(), accounts: authors, entries };
      }
      case 'buckets':
        return { type: 'buckets', hashes: [...ledger.bucketHashes()] };
      case 'lines':
        return this.#lines(ask);
      case 'chains':
        return this.#chains(ask);
      case 'entries':
        return this.#entries(ask.names.map(nameOf));
      case 'certificates':
        return this.#certificates(ask.from);
      case 'votes':
        return this.#votes(ask);
      case 'proofs':
        return this.#proofs(ask.authors.map(hexOf));
      case 'head':
        return this.#entries(ledger.heads(hexOf(ask.author)));
    }
  }

  #lines({ buckets, after }: Ask<'lines'>): Answer<'lines'> {
    const { ledger } = this.#deps.ingest;
    const page = new PageOf<Answer<'lines'>['lines'][number]>();
    const behind = after === undefined ? '' : hexOf(after);
    for (const [index, bucket] of buckets.entries()) {
      for (const line of ledger.lines(bucket)) {
        if (index === 0 && hexOf(line[0]) <= behind) continue;
        if (!page.add(line, LINE_BYTES)) return { type: 'lines', lines: page.items, more: true };
      }
    }
    return { type: 'lines', lines: page.items, more: false };
  }

  async #chains({ from, most = Number.POSITIVE_INFINITY }: Ask<'chains'>): Promise<Answer<'entries'>> {
    await this.#deps.ingest.flushed();
    const page = new PageOf<Uint8Array>();
    for (const [author, first] of onceEach(from)) {
      let left = most;
      for await (const sealed of this.#standing(author, first)) {
        if (left-- === 0) break;
        if (!page.add(sealed)) return { type: 'entries', entries: page.items, more: true };
      }
    }
    return { type: 'entries', entries: page.items, more: false };
  }

  async *#standing(author: AccountId, from: number): AsyncGenerator<Uint8Array> {
    const { ingest, store } = this.#deps;
    let next = from;
    let final = ingest.ledger.finalTip(author);
    while (final !== undefined && next <= final.sequence) {
      // What became final a moment ago may be on its way to the disk.
      await ingest.flushed();
      for await (const { sequence, sealed } of finalChain(store, this.#mesh, final, next)) {
        yield sealed;
        next = sequence + 1;
      }
      if (next <= final.sequence) return ingest.onDamage({ ...final, sequence: next });
      // While the disk was read, more may have become final and left memory.
      final = ingest.ledger.finalTip(author);
    }
    const tail = [...ingest.ledger.standing(author, next)];
    for (const { sealed } of tail) yield sealed;
  }

  async #entries(names: readonly EntryName[]): Promise<Answer<'entries'>> {
    const { ingest, store } = this.#deps;
    await ingest.flushed();
    const page = new PageOf<Uint8Array>();
    for (const name of names) {
      const sealed = ingest.ledger.find(name.id)?.sealed ?? (await store.entry(name));
      if (sealed !== undefined && !page.add(sealed)) return { type: 'entries', entries: page.items, more: true };
    }
    return { type: 'entries', entries: page.items, more: false };
  }

  /** Of each fork the two entries, as `Ledger.forks` knows them, or as a note kept them. */
  async #proofs(authors: readonly AccountId[]): Promise<Answer<'entries'>> {
    const { ingest } = this.#deps;
    const page = new PageOf<Uint8Array>();
    const asked = new Set(authors);
    const forks = [...asked].flatMap((author) => ingest.ledger.forksOf(author));
    for (const author of asked) {
      const noted = await ingest.proof(author);
      for (const { sealed } of noted ?? []) if (!page.add(sealed)) return full(page);
    }
    for (const { author, sequence, ids } of forks) {
      const { entries } = await this.#entries(ids.map((id) => ({ author, sequence, id })));
      for (const sealed of entries) if (!page.add(sealed)) return full(page);
    }
    return { type: 'entries', entries: page.items, more: false };
  }

  /** What a witness signed last of each account, behind what is final; on the disk before it leaves. */
  async #votes({ witness, after }: Ask<'votes'>): Promise<Answer<'attestations'>> {
    const { ingest } = this.#deps;
    await ingest.flushed();
    const page = new PageOf<Uint8Array>();
    for (const { sealed } of ingest.ledger.newestVotesOf(hexOf(witness), after && hexOf(after))) {
      if (!page.add(sealed)) return { type: 'attestations', attestations: page.items, more: true };
    }
    return { type: 'attestations', attestations: page.items, more: false };
  }

  async #certificates(from: From): Promise<Answer<'attestations'>> {
    await this.#deps.ingest.flushed();
    const page = new PageOf<Uint8Array>();
    const scan = { left: LEDGER.maxScanned };
    let pauseAt = scan.left - LEDGER.loadSlice;
    for (const [author, first] of onceEach(from)) {
      for await (const place of this.#certified(author, first, scan)) {
        // A place is handed out whole, so that who asks again goes on behind it.
        if (!page.addAll(place)) return { type: 'attestations', attestations: page.items, more: true };
      }
      if (scan.left <= 0) return { type: 'attestations', attestations: page.items, more: true };
      if (--scan.left > pauseAt) continue;
      pauseAt = scan.left - LEDGER.loadSlice;
      await this.#deps.pause();
    }
    return { type: 'attestations', attestations: page.items, more: false };
  }

  /**
   * Attestations, place by place: of claims each, of the others the first and the newest certified place. The newest covers all
   * before it; the first is for who waits for a certificate before the entries that the newest one is over can come.
   */
  async *#certified(author: AccountId, from: number, scan: { left: number }): AsyncGenerator<Uint8Array[]> {
    const { ledger } = this.#deps.ingest;
    const first = await this.#first(author, from, scan);
    if (first.length > 0) yield first.map(({ sealed }) => sealed);
    const final = ledger.finalTip(author);
    let newest: readonly StoredAttestation[] = [];
    if (final !== undefined && from <= final.sequence) {
      for await (const place of this.#finalPlaces(final, from, scan)) {
        if (place.isClaim) yield place.attestations.map(({ sealed }) => sealed);
        newest = place.isClaim ? [] : place.attestations;
      }
    }
    // What the tail has certified covers the final part; what was not looked at yet comes before it.
    const tail = scan.left > 0 ? ledger.attestationsOf(author, Math.max(from, (final?.sequence ?? -1) + 1)) : [];
    scan.left -= ledger.tailSize(author);
    if (tail.length === 0) yield newest.map(({ sealed }) => sealed);
    for (const place of byPlace(tail)) yield place.map(({ sealed }) => sealed);
  }

  /** The first certificate from a place on. */
  async #first(author: AccountId, from: number, scan: { left: number }): Promise<readonly StoredAttestation[]> {
    let over: StoredAttestation[] = [];
    for await (const attestation of this.#deps.store.attestations(author, from)) {
      if (attestation.id !== over[0]?.id) over = [];
      if (attestation.sealed.length > 0) over.push(attestation);
      if (new Set(over.map(({ witness }) => witness)).size >= quorumOf(this.#mesh)) return over;
      if (--scan.left <= 0) break;
    }
    return [];
  }

  /** Final places with a certificate of their own, those of claims marked. */
  async *#finalPlaces(final: EntryName, from: number, scan: { left: number }) {
    const { store } = this.#deps;
    const attestations = store.attestations(final.author, from)[Symbol.asyncIterator]();
    let next = await attestations.next();
    for await (const stored of finalChain(store, this.#mesh, final, from)) {
      const over: StoredAttestation[] = [];
      while (next.done !== true && next.value.sequence <= stored.sequence) {
        if (next.value.id === stored.id && next.value.sealed.length > 0) over.push(next.value);
        scan.left--;
        next = await attestations.next();
      }
      const isCertified = new Set(over.map(({ witness }) => witness)).size >= quorumOf(this.#mesh);
      if (isCertified) {
        const { body } = openEntry(stored.sealed, this.#mesh, { trusted: true });
        yield { attestations: over, isClaim: body.kind === 'claim' };
      }
      if (--scan.left <= 0 || next.done === true) break;
    }
    await attestations.return?.();
  }
}

/** An answer that fills: its parts stay below `LEDGER.maxAnswerBytes` together. */
class PageOf<T> {
  readonly items: T[] = [];
  #bytes = ANSWER_OVERHEAD;

  /** @returns false when it does not fit any more */
  add(item: T, bytes = item instanceof Uint8Array ? item.length : 0): boolean {
    const size = bytes + PART_OVERHEAD;
    if (this.#bytes + size > LEDGER.maxAnswerBytes) return false;
    this.#bytes += size;
    this.items.push(item);
    return true;
  }

  /** All or none of them. */
  addAll(items: readonly (T & Uint8Array)[]): boolean {
    const size = items.reduce((sum, { length }) => sum + length + PART_OVERHEAD, 0);
    if (this.#bytes + size > LEDGER.maxAnswerBytes) return false;
    for (const item of items) this.add(item);
    return true;
  }
}

const ANSWER_OVERHEAD = 64;
const PART_OVERHEAD = 4;
const LINE_BYTES = 32 + 9 + 32 + 9 + 9 + 32 + 12;

function full(page: PageOf<Uint8Array>): Answer<'entries'> {
  return { type: 'entries', entries: page.items, more: true };
}

function* byPlace(attestations: readonly Attestation[]): Generator<Attestation[]> {
  yield* Map.groupBy(attestations, ({ sequence }) => sequence).values();
}

/** A question names each account once; who repeats one, to make this node look again and again, gets its first part. */
function* onceEach(from: From): Generator<readonly [AccountId, number]> {
  const seen = new Set<AccountId>();
  for (const [key, first] of from) {
    const author = hexOf(key);
    if (seen.has(author)) continue;
    seen.add(author);
    yield [author, first];
  }
}

function nameOf([author, sequence, id]: WireName): EntryName {
  return { author: hexOf(author), sequence, id: hexOf(id) };
}
