/**
 * The waiting room: entries whose past is missing, and attestations whose entry is. What is here was checked as far as it can
 * be alone, and is worth nothing yet. The room is bounded, in all, for each author, for strangers together, and in time; the
 * oldest makes room for the newest.
 */

import { LEDGER } from '../../limits/ledger.ts';
import type { AccountId, Attestation, Entry, EntryId, EntryName } from '../entries/entry.ts';

export interface WaitingBounds {
  readonly entries: number;
  readonly perAuthor: number;
  readonly attestations: number;
  /** Of authors of whom nothing is in the ledger: who has no credits makes as many keys as he likes. */
  readonly strangers: number;
}

const BOUNDS: WaitingBounds = {
  entries: LEDGER.maxWaiting,
  perAuthor: LEDGER.maxWaitingPerAuthor,
  attestations: LEDGER.maxWaitingAttestations,
  strangers: LEDGER.maxWaitingStrangers,
};

/** Of what the disk holds already nothing may be dropped while it is read. */
export const UNBOUNDED: WaitingBounds = {
  entries: Number.POSITIVE_INFINITY,
  perAuthor: Number.POSITIVE_INFINITY,
  attestations: Number.POSITIVE_INFINITY,
  strangers: Number.POSITIVE_INFINITY,
};

interface WaitingEntry {
  readonly entry: Entry;
  readonly missing: readonly EntryName[];
  /** By the clock of the room. */
  readonly at: number;
}

/** An entry that has to come, and what waits for it. */
interface Behind {
  readonly name: EntryName;
  readonly ids: Set<EntryId>;
}

/** What waited for an entry that has come. */
export interface Released {
  readonly entries: readonly Entry[];
  readonly attestations: readonly Attestation[];
}

const NOTHING: Released = { entries: [], attestations: [] };

export class Waiting {
  readonly #bounds: WaitingBounds;
  /** Milliseconds. */
  readonly #now: () => number;
  /** By id, the oldest first. */
  readonly #entries = new Map<EntryId, WaitingEntry>();
  readonly #byAuthor = new Map<AccountId, Set<EntryId>>();
  /** Those of them that are of strangers, the oldest first. */
  readonly #strangers = new Set<EntryId>();
  /** Ids that something waits for, by their author. */
  readonly #awaitedOf = new Map<AccountId, Set<EntryId>>();
  /** None of them is of a place below this. */
  readonly #awaitedFrom = new Map<AccountId, number>();
  /** What waits for an id. */
  readonly #behind = new Map<EntryId, Behind>();
  /** By the id of the entry they are over, then by who signed what. */
  readonly #attestations = new Map<EntryId, Map<string, Attestation>>();
  readonly #attestedOf = new Map<AccountId, Set<EntryId>>();
  #attestationCount = 0;

  /** @param now milliseconds of some clock; without it nothing is let go because of its age */
  constructor(bounds: WaitingBounds = BOUNDS, now: () => number = () => 0) {
    this.#bounds = bounds;
    this.#now = now;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(id: EntryId): boolean {
    return this.#entries.has(id);
  }

  find(id: EntryId): Entry | undefined {
    return this.#entries.get(id)?.entry;
  }

  /** How many entries of an author wait. */
  countOf(author: AccountId): number {
    return this.#byAuthor.get(author)?.size ?? 0;
  }

  /** Whether something waits for this entry. */
  isWanted(id: EntryId): boolean {
    return this.#behind.has(id) || this.#attestations.has(id);
  }

  /**
   * @param missing what it waits for, at least one name
   * @param isStranger nothing of its author is in the ledger
   */
  add(entry: Entry, missing: readonly EntryName[], isStranger = false): void {
    this.#remove(entry.id);
    this.#makeRoom(entry.author, isStranger);
    this.#entries.set(entry.id, { entry, missing, at: this.#now() });
    if (isStranger) this.#strangers.add(entry.id);
    const ofAuthor = this.#byAuthor.get(entry.author) ?? new Set();
    this.#byAuthor.set(entry.author, ofAuthor.add(entry.id));
    for (const name of missing) {
      const behind = this.#behind.get(name.id) ?? { name, ids: new Set() };
      behind.ids.add(entry.id);
      this.#behind.set(name.id, behind);
      const awaited = this.#awaitedOf.get(name.author) ?? new Set();
      this.#awaitedOf.set(name.author, awaited.add(name.id));
      const lowest = this.#awaitedFrom.get(name.author) ?? name.sequence;
      this.#awaitedFrom.set(name.author, Math.min(lowest, name.sequence));
    }
  }

  #makeRoom(author: AccountId, forStranger: boolean): void {
    const { entries, perAuthor, strangers } = this.#bounds;
    const ofAuthor = this.#byAuthor.get(author);
    if (ofAuthor !== undefined && ofAuthor.size >= perAuthor) this.#removeFirst(ofAuthor);
    if (forStranger && this.#strangers.size >= strangers) this.#removeFirst(this.#strangers);
    if (this.#entries.size >= entries) this.#removeFirst(this.#entries.keys());
    const tooOld = this.#now() - LEDGER.waitingKeptMs;
    for (const [id, { at }] of this.#entries) {
      if (at >= tooOld) break;
      this.#remove(id);
    }
  }

  #removeFirst(ids: Iterable<EntryId>): void {
    for (const id of ids) {
      this.#remove(id);
      return;
    }
  }

  addAttestation(attestation: Attestation): void {
    const { id, witness, late } = attestation;
    const over = this.#attestations.get(id) ?? new Map<string, Attestation>();
    const signed = `${witness} ${late}`;
    if (over.has(signed)) return;
    if (this.#attestationCount >= this.#bounds.attestations) {
      const oldest = this.#attestations.keys().next().value;
      if (oldest !== undefined) this.#dropAttestations(oldest);
    }
    this.#attestations.set(id, over.set(signed, attestation));
    this.#attestationCount++;
    const ofAuthor = this.#attestedOf.get(attestation.author) ?? new Set();
    this.#attestedOf.set(attestation.author, ofAuthor.add(id));
  }

  /** Takes out what waited for this entry; it may be that some of it waits for others too. */
  release(id: EntryId): Released {
    const ids = this.#behind.get(id)?.ids;
    const attested = this.#attestations.get(id);
    if (ids === undefined && attested === undefined) return NOTHING;
    const entries = [...(ids ?? [])].flatMap((waiting) => this.#remove(waiting) ?? []);
    this.#dropAttestations(id);
    return { entries, attestations: [...(attested?.values() ?? [])] };
  }

  /** Takes out what waits for places of this author up to a sequence. */
  releaseAt(author: AccountId, upTo: number): readonly Entry[] {
    const released: Entry[] = [];
    if ((this.#awaitedFrom.get(author) ?? Number.POSITIVE_INFINITY) > upTo) return released;
    let lowest = Number.POSITIVE_INFINITY;
    for (const id of this.#awaitedOf.get(author) ?? []) {
      const behind = this.#behind.get(id);
      if (behind === undefined) continue;
      const { name, ids } = behind;
      if (name.sequence > upTo) {
        lowest = Math.min(lowest, name.sequence);
        continue;
      }
      for (const waiting of [...ids]) {
        const entry = this.#remove(waiting);
        if (entry !== undefined) released.push(entry);
      }
    }
    if (this.#awaitedOf.has(author)) this.#awaitedFrom.set(author, lowest);
    return released;
  }

  /** Everything that waits, taken out. */
  drain(): Released {
    const entries = [...this.#entries.keys()].flatMap((id) => this.#remove(id) ?? []);
    const attestations = [...this.#attestations.values()].flatMap((over) => [...over.values()]);
    this.#attestations.clear();
    this.#attestedOf.clear();
    this.#attestationCount = 0;
    return { entries, attestations };
  }

  /** Entries that wait for a place of this kind. */
  buried(isBuried: (name: EntryName) => boolean): Entry[] {
    return [...this.#entries.values()].filter(({ missing }) => missing.some(isBuried)).map(({ entry }) => entry);
  }

  /**
   * Names of entries that others wait for and that do not wait here themselves: what has to be fetched, at most `most`. What it
   * gave comes last the next time, so that names that nobody knows do not stand in front of the others for ever.
   */
  missing(most: number): EntryName[] {
    const names: EntryName[] = [];
    const given: [EntryId, Behind][] = [];
    for (const [id, behind] of this.#behind) {
      if (names.length >= most) break;
      if (this.#entries.has(id)) continue;
      names.push(behind.name);
      given.push([id, behind]);
    }
    for (const [id, behind] of given) {
      this.#behind.delete(id);
      this.#behind.set(id, behind);
    }
    for (const [id, over] of this.#attestations) {
      if (names.length >= most) break;
      const [first] = over.values();
      if (first !== undefined && !this.#entries.has(id) && !this.#behind.has(id)) names.push(first);
    }
    return names;
  }

  /** What this entry waits for. */
  missingFor(id: EntryId): readonly EntryName[] {
    return this.#entries.get(id)?.missing ?? [];
  }

  /** What an author's waiting entries wait for, those that wait themselves left out. */
  missingOf(author: AccountId): EntryName[] {
    const ids = [...(this.#byAuthor.get(author) ?? [])];
    return ids.flatMap((id) => this.#entries.get(id)?.missing ?? []).filter(({ id }) => !this.#entries.has(id));
  }

  /** The newest place of an author over which a quorum of attestations waits; -1 for none. */
  certifiedOf(author: AccountId, quorum: number): number {
    let newest = -1;
    for (const id of this.#attestedOf.get(author) ?? []) {
      const over = this.#attestations.get(id) ?? new Map<string, Attestation>();
      const [first] = over.values();
      if (first === undefined || first.sequence <= newest) continue;
      if (new Set([...over.values()].map(({ witness }) => witness)).size >= quorum) newest = first.sequence;
    }
    return newest;
  }

  #remove(id: EntryId): Entry | undefined {
    const waiting = this.#entries.get(id);
    if (waiting === undefined) return undefined;
    this.#entries.delete(id);
    this.#strangers.delete(id);
    const { author } = waiting.entry;
    const ofAuthor = this.#byAuthor.get(author);
    ofAuthor?.delete(id);
    if (ofAuthor?.size === 0) this.#byAuthor.delete(author);
    for (const name of waiting.missing) {
      const behind = this.#behind.get(name.id);
      behind?.ids.delete(id);
      if (behind?.ids.size !== 0) continue;
      this.#behind.delete(name.id);
      const awaited = this.#awaitedOf.get(name.author);
      awaited?.delete(name.id);
      if (awaited?.size !== 0) continue;
      this.#awaitedOf.delete(name.author);
      this.#awaitedFrom.delete(name.author);
    }
    return waiting.entry;
  }

  #dropAttestations(id: EntryId): void {
    const over = this.#attestations.get(id);
    const [first] = over?.values() ?? [];
    if (over === undefined || first === undefined) return;
    this.#attestationCount -= over.size;
    this.#attestations.delete(id);
    const ofAuthor = this.#attestedOf.get(first.author);
    ofAuthor?.delete(id);
    if (ofAuthor?.size === 0) this.#attestedOf.delete(first.author);
  }
}
