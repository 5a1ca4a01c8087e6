/**
 * What a witness has attested, as far as it decides what it may attest next: the newest place of each chain, and of each leg the
 * time of its hold, the highest claim, and the release alone. It is on disk before an attestation leaves, together with
 * the attestations themselves, which are signed again to the same bytes if they were lost on the way.
 */

import { DESCRIPTOR } from '../../limits/mesh.ts';
import { decode, encode } from '../../protocol/cbor.ts';
import type { AccountId, Attestation, Entry, EntryName } from '../entries/entry.ts';
import { bytesOf, fromHex, hexOf, listOf, microcreditsOf, uintOf } from '../entries/fields.ts';
import { readNote } from '../notes.ts';
import type { LedgerNotes } from '../ports.ts';

/** One leg, as this witness knows it. */
export interface LegRecord {
  /** When it attested the hold, or first had to know; milliseconds since 1970. */
  readonly heldAt: number;
  /** The highest cumulative of the claims that it attested. */
  readonly claimed: bigint;
  /** The lowest cumulative of the releases alone that it attested. */
  readonly released: bigint | undefined;
}

export class WitnessRecord {
  readonly #prefix: string;
  readonly #notes: LedgerNotes;
  readonly #tips = new Map<AccountId, EntryName>();
  /** By the key of the note. */
  readonly #legs = new Map<string, LegRecord>();
  /** Keys of notes that are to be written. */
  readonly #changed = new Set<string>();

  private constructor(self: AccountId, notes: LedgerNotes) {
    this.#prefix = `witness/${self}/`;
    this.#notes = notes;
  }

  /** @throws GoGridError `damaged` when something of it cannot be read: it would sign a place twice */
  static async load(self: AccountId, notes: LedgerNotes): Promise<WitnessRecord> {
    const record = new WitnessRecord(self, notes);
    for await (const [key, value] of notes.list(`${record.#prefix}tip/`)) {
      const author = key.slice(record.#prefix.length + 'tip/'.length);
      record.#tips.set(author, readTip(author, key, value));
    }
    for await (const [key, value] of notes.list(`${record.#prefix}leg/`)) record.#legs.set(key, readLeg(key, value));
    return record;
  }

  /** The newest place of a chain that it attested, and which entry there. */
  tip(author: AccountId): EntryName | undefined {
    return this.#tips.get(author);
  }

  leg(hold: EntryName, leg: number): LegRecord | undefined {
    return this.#legs.get(this.#legKey(hold, leg));
  }

  /** Whether a claim is above what a release alone, attested before, left of its leg. */
  isLate({ body }: Entry): boolean {
    if (body.kind !== 'claim') return false;
    const released = this.leg(body.hold, body.leg)?.released;
    return released !== undefined && body.cumulative > released;
  }

  /** Notes that an entry is attested, or will be as soon as `save` has resolved. @param now milliseconds since 1970 */
  attested(entry: Entry, now: number): void {
    const tip = this.#tips.get(entry.author);
    if (tip === undefined || entry.sequence > tip.sequence) this.#setTip(entry);
    const { body } = entry;
    if (body.kind === 'hold') for (const leg of body.legs.keys()) this.heldBy(entry, leg, now);
    if (body.kind !== 'claim' && body.kind !== 'release') return;
    const known = this.heldBy(body.hold, body.leg, now);
    if (body.kind === 'claim' && body.cumulative > known.claimed) {
      this.#setLeg(body.hold, body.leg, { ...known, claimed: body.cumulative });
    }
    if (body.kind === 'release' && 'alone' in body.rest) {
      const { alone } = body.rest;
      const released = known.released === undefined || alone < known.released ? alone : known.released;
      this.#setLeg(body.hold, body.leg, { ...known, released });
    }
  }

  /** Notes that this key attested a place, by another process or before a backup was taken; its entry may not be here. */
  adopt(name: EntryName): void {
    const tip = this.#tips.get(name.author);
    if (tip === undefined || name.sequence > tip.sequence) this.#setTip(name);
  }

  /** What is known of a leg; from now on, when nothing was. */
  heldBy(hold: EntryName, leg: number, now: number): LegRecord {
    const known = this.leg(hold, leg);
    if (known !== undefined) return known;
    const made: LegRecord = { heldAt: now, claimed: 0n, released: undefined };
    this.#setLeg(hold, leg, made);
    return made;
  }

  /** Forgets legs of which nothing is open any more, for good. @param isOver by the hold's author, place and id, and the leg */
  forget(isOver: (hold: EntryName, leg: number) => boolean): void {
    for (const key of [...this.#legs.keys()]) {
      const [author = '', sequence = '', id = '', leg = ''] = key.slice(`${this.#prefix}leg/`.length).split('/');
      if (!isOver({ author, sequence: Number(sequence), id }, Number(leg))) continue;
      this.#legs.delete(key);
      this.#changed.add(key);
    }
  }

  /**
   * Writes what has changed, with the attestations that are about to leave, in one step. What fails is written with the next.
   * @throws GoGridError `disk_full`, `home_unusable`
   */
  async save(leaving: readonly Attestation[]): Promise<void> {
    const keys = [...this.#changed];
    if (keys.length === 0 && leaving.length === 0) return;
    const changes: [string, Uint8Array | undefined][] = keys.map((key) => [key, this.#valueOf(key)]);
    if (leaving.length > 0) changes.push([`${this.#prefix}leaving`, encode(leaving.map(({ sealed }) => sealed))]);
    this.#changed.clear();
    try {
      await this.#notes.put(changes);
    } catch (thrown) {
      for (const key of keys) this.#changed.add(key);
      throw thrown;
    }
  }

  /** The attestations that were about to leave when something was saved last: the process may have ended before they did. */
  async leaving(): Promise<Uint8Array[]> {
    const note = await this.#notes.get(`${this.#prefix}leaving`);
    if (note === undefined) return [];
    const list = decode(note, 'the attestations about to leave');
    return Array.isArray(list) ? list.filter((sealed) => sealed instanceof Uint8Array) : [];
  }

  #setTip({ author, sequence, id }: EntryName): void {
    this.#tips.set(author, { author, sequence, id });
    this.#changed.add(`${this.#prefix}tip/${author}`);
  }

  #setLeg(hold: EntryName, leg: number, record: LegRecord): void {
    const key = this.#legKey(hold, leg);
    this.#legs.set(key, record);
    this.#changed.add(key);
  }

  #legKey({ author, sequence, id }: EntryName, leg: number): string {
    return `${this.#prefix}leg/${author}/${sequence}/${id}/${leg}`;
  }

  #valueOf(key: string): Uint8Array | undefined {
    const leg = this.#legs.get(key);
    if (leg !== undefined) return encode([leg.heldAt, leg.claimed, leg.released === undefined ? [] : [leg.released]]);
    const tip = this.#tips.get(key.slice(`${this.#prefix}tip/`.length));
    return tip === undefined ? undefined : encode([tip.sequence, fromHex(tip.id)]);
  }
}

function readTip(author: AccountId, key: string, value: Uint8Array): EntryName {
  return readNote(key, () => {
    const [sequence, id] = listOf(decode(value, key), 2, key);
    return { author, sequence: uintOf(sequence, Number.MAX_SAFE_INTEGER, key), id: hexOf(bytesOf(id, 32, key)) };
  });
}

function readLeg(key: string, value: Uint8Array): LegRecord {
  return readNote(key, () => {
    const [heldAt, claimed, released] = listOf(decode(value, key), 3, key);
    const amount = (item: unknown) => microcreditsOf(item, 0n, DESCRIPTOR.maxGenesisMicrocredits, key);
    return {
      heldAt: uintOf(heldAt, Number.MAX_SAFE_INTEGER, key),
      claimed: amount(claimed),
      released: Array.isArray(released) && released.length === 1 ? amount(released[0]) : undefined,
    };
  });
}
