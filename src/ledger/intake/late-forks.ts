/**
 * Entries at places that are final already. They change nothing, but two things need them. Another entry at such a place proves
 * that its author signed twice: of each author the fork at the lowest place is noted, so that all nodes come to know one of the
 * same place. And entries of honest authors may name one, in good faith: it is stored, once its own past is.
 */

import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { decode, encode } from '../../protocol/cbor.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Ledger } from '../books/ledger.ts';
import { type AccountId, type Entry, type EntryName, type LedgerMesh, namesIn } from '../entries/entry.ts';
import { openEntry } from '../entries/entry-codec.ts';
import { fromHex, hex32, listOf, uintOf } from '../entries/fields.ts';
import type { LedgerStore } from '../ports.ts';
import { finalAt } from './final-chain.ts';

/** Two entries of one author at one place. */
export type Forked = readonly [Entry, Entry];

export type Judged =
  /** It is the final one, and here. */
  | { readonly result: 'known' }
  /** It is to be stored. */
  | { readonly result: 'keep' }
  /** Nobody needs it. */
  | { readonly result: 'drop' }
  /** It is needed, and these come first. */
  | { readonly result: 'waits'; readonly missing: readonly EntryName[] };

interface ForkNote {
  readonly stands: EntryName;
  readonly other: Entry;
}

const NOTE = 'ledger-fork/';
const WHAT = 'a note of a fork';

export class LateForks {
  readonly #mesh: LedgerMesh;
  readonly #store: LedgerStore;
  /** The place of the fork that a note keeps of each author. */
  readonly #noted = new Map<AccountId, number>();

  constructor(mesh: LedgerMesh, store: LedgerStore) {
    this.#mesh = mesh;
    this.#store = store;
  }

  /** The fork that an entry has just made with one that is in memory. */
  inMemory(ledger: Ledger, entry: Entry): Forked[] {
    const siblings = ledger.children(entry.author, entry.sequence === 0 ? undefined : entry.previous);
    const other = siblings.find(({ id }) => id !== entry.id);
    // Two prove it; who signs a third has proven no more.
    return siblings.length === 2 && other !== undefined ? [[other, entry]] : [];
  }

  /**
   * What to do with an entry whose signature stands and whose place is final.
   * @param wanted whether another entry waits for it
   * @param onFork it proves a fork that was not known
   */
  async judge(ledger: Ledger, entry: Entry, wanted: boolean, onFork: (fork: Forked) => void): Promise<Judged> {
    const { author, sequence, id } = entry;
    const ids = await this.#store.idsAt(author, sequence);
    const tip = ledger.finalTip(author);
    if (ids.length === 1 && ids[0] === id) return { result: 'known' };
    if (ids.length === 0 && (tip?.id === id || (await this.#fillsHole(entry)))) return { result: 'keep' };
    const stands = tip && (await finalAt(this.#store, this.#mesh, tip, sequence));
    if (stands !== undefined && stands.id !== id && ledger.noteFork(stands, entry)) {
      await this.#note(stands, entry);
      onFork([stands, entry]);
    }
    if (ids.includes(id)) return { result: 'known' };
    // What goes on behind it is kept too: the first entry of somebody's log may rest on it, and come later.
    if (!wanted && ids.length >= LEDGER.maxLatePerPlace) return { result: 'drop' };
    const missing = await this.#missing(ledger, entry);
    if (missing === undefined) return { result: 'drop' };
    return missing.length === 0 ? { result: 'keep' } : { result: 'waits', missing };
  }

  /**
   * What must be here before it is, as for any other entry (docs/ledger.md, "What a ledger holds"); undefined when it breaks a
   * rule for ever.
   */
  async #missing(ledger: Ledger, { author, sequence, previous, body }: Entry): Promise<EntryName[] | undefined> {
    const missing: EntryName[] = [];
    const find = async (name: EntryName) => ledger.find(name.id) ?? (await this.find([name]))[0];
    if (sequence > 0) {
      const before = { author, sequence: sequence - 1, id: previous };
      if ((await find(before)) === undefined) missing.push(before);
    }
    const isStart = sequence === 0 && author !== this.#mesh.founder;
    if (isStart && body.kind !== 'accept' && body.kind !== 'claim') return undefined;
    for (const name of namesIn(body)) {
      const named = await find(name);
      if (named === undefined && (isStart || !ledger.isCovered(name))) missing.push(name);
      if (named !== undefined && isStart && !paysTo(named, author, body)) return undefined;
    }
    return missing;
  }

  /** Entries of these names that lie on the disk. */
  async find(names: readonly EntryName[]): Promise<Entry[]> {
    const found: Entry[] = [];
    for (const name of names) {
      const sealed = await this.#store.entry(name);
      const entry = sealed && openEntry(sealed, this.#mesh, { trusted: true });
      if (entry?.id === name.id) found.push(entry);
    }
    return found;
  }

  /** The entry beside the final one that proves what an author did at a final place. */
  async proof(author: AccountId): Promise<Forked | undefined> {
    const value = await this.#store.notes.get(NOTE + author);
    const note = value && this.#readNote(author, value);
    return note && this.#forkOf(author, note);
  }

  /** Notes the forks at final places: what they are of leaves the memory, and a start does not read it. */
  async persist(ledger: Ledger): Promise<void> {
    for (const { author, sequence, ids, resolved } of ledger.forks()) {
      const isFinal = sequence <= (ledger.finalTip(author)?.sequence ?? -1);
      if (!isFinal || sequence >= (this.#noted.get(author) ?? Number.POSITIVE_INFINITY)) continue;
      const names = [resolved, ids.find((id) => id !== resolved)].flatMap((id) => id ?? []);
      const [stands, other] = await this.find(names.map((id) => ({ author, sequence, id })));
      if (stands !== undefined && other !== undefined) await this.#note(stands, other);
    }
  }

  /** Tells the ledger of the forks that notes keep. One that is damaged goes: other nodes have it. */
  async restore(ledger: Ledger, log: Logger): Promise<void> {
    for (let damaged = ['']; damaged.length > 0; ) {
      damaged = await this.#restore(ledger).catch(noteIn);
      if (damaged.length === 0) continue;
      log.warn({}, 'proofs of forks are damaged, and dropped');
      await this.#store.notes.put(damaged.map((note) => [note, undefined]));
    }
  }

  /** @returns notes that say nothing */
  async #restore(ledger: Ledger): Promise<string[]> {
    const damaged: string[] = [];
    for await (const [key, value] of this.#store.notes.list(NOTE)) {
      const author = key.slice(NOTE.length);
      const note = this.#readNote(author, value);
      const fork = note && (await this.#forkOf(author, note));
      if (note === undefined) damaged.push(key);
      if (fork !== undefined) ledger.noteFork(...fork);
    }
    return damaged;
  }

  /** The other one lies in the note: in the store is only what has its past there. */
  async #note(stands: Entry, other: Entry): Promise<void> {
    const { author, sequence } = stands;
    this.#noted.set(author, sequence);
    await this.#store.notes.put([[NOTE + author, encode([sequence, fromHex(stands.id), other.sealed])]]);
  }

  /** @returns undefined for what is no note of a fork of this author */
  #readNote(author: AccountId, value: Uint8Array): ForkNote | undefined {
    try {
      const [place, id, sealed] = listOf(decode(value, WHAT), 3, WHAT);
      if (!(sealed instanceof Uint8Array)) return undefined;
      const other = openEntry(sealed, this.#mesh, { trusted: true });
      const sequence = uintOf(place, Number.MAX_SAFE_INTEGER, WHAT);
      const stands = { author, sequence, id: hex32(id, WHAT) };
      return other.author === author && other.sequence === sequence ? { stands, other } : undefined;
    } catch {
      return undefined;
    }
  }

  /** @returns undefined while the disk does not have the entry that stands there */
  async #forkOf(author: AccountId, { stands, other }: ForkNote): Promise<Forked | undefined> {
    this.#noted.set(author, stands.sequence);
    const [found] = await this.find([stands]);
    return found && [found, other];
  }

  /** Whether it is the final entry of its place, which the disk has lost. */
  async #fillsHole({ author, sequence, id }: Entry): Promise<boolean> {
    const behind = await this.#store.idsAt(author, sequence + 1);
    const next = await this.find(behind.map((known) => ({ author, sequence: sequence + 1, id: known })));
    return next.some(({ previous }) => previous === id);
  }
}

/** The note that the store says is damaged. @throws anything else that it threw */
function noteIn(thrown: unknown): string[] {
  const note = thrown instanceof GoGridError && thrown.code === 'damaged' ? thrown.data.note : undefined;
  if (typeof note !== 'string' || !note.startsWith(NOTE)) throw thrown;
  return [note];
}

/** Whether the named entry has credits for the author of one that books them. */
function paysTo({ body: named }: Entry, author: AccountId, body: Entry['body']): boolean {
  if (named.kind === 'transfer') return body.kind === 'accept' && named.to === author;
  return named.kind === 'hold' && body.kind === 'claim' && named.legs[body.leg]?.payee === author;
}
