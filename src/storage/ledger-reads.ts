/** Reads the ledger on disk, as it is now or as it was at one moment. */

import type { AccountId, EntryId, EntryName } from '../ledger/entries/entry.ts';
import type { LedgerReads, StoredAttestation, StoredEntry } from '../ledger/ports.ts';
import type { Logger } from '../telemetry/logger.ts';
import { type Database, databaseError, type Moment } from './database.ts';
import { type KeyRange, type LedgerRecords, openedValue } from './ledger-records.ts';
import { readRange } from './read-range.ts';

/** Stands for bytes that are not what was written: no entry and no attestation is empty. */
const NOTHING = new Uint8Array();

export class LevelLedgerReads implements LedgerReads {
  readonly #database: Database;
  readonly #records: LedgerRecords;
  readonly #log: Logger;
  readonly #moment: Moment | undefined;

  /** @param moment as the disk was then; without it each read sees what there is when it begins */
  constructor(database: Database, records: LedgerRecords, log: Logger, moment?: Moment) {
    this.#database = database;
    this.#records = records;
    this.#log = log;
    this.#moment = moment;
  }

  async snapshot(): Promise<Uint8Array | undefined> {
    const key = this.#records.snapshotKey;
    const value = await this.#read(key);
    const snapshot = value && openedValue(key, value);
    if (value !== undefined && snapshot === undefined) {
      this.#log.warn({}, 'the snapshot of the ledger is damaged: its state is counted again from its entries');
    }
    return snapshot;
  }

  async *authors(): AsyncGenerator<AccountId> {
    const { level } = this.#database;
    let last = '';
    let keys: ReturnType<typeof level.keys<Uint8Array>> | undefined;
    try {
      keys = level.keys<Uint8Array>({ ...this.#records.allEntries(), ...this.#at(), keyEncoding: 'view' });
      for (let key = await keys.next(); key !== undefined; key = await keys.next()) {
        const name = this.#records.entryName(key);
        // Where a file is damaged, keys may lie in any order, and a leap ahead may end behind where it began.
        if (name === undefined || name.author <= last) continue;
        last = name.author;
        yield name.author;
        keys.seek(this.#records.behind(name.author), { keyEncoding: 'view' });
      }
    } catch (thrown) {
      const error = databaseError(level.location, thrown);
      if (error.code !== 'damaged') throw error;
      // Keys are read one by one here, so those behind what cannot be read have been named.
      this.#log.warn({ error }, 'a part of the ledger cannot be read from the disk: what is missing is fetched again');
    } finally {
      await keys?.close();
    }
  }

  async *chain(author: AccountId, from: number, limit = Number.POSITIVE_INFINITY): AsyncGenerator<StoredEntry> {
    let left = limit;
    if (left <= 0) return;
    for await (const [key, value] of this.#rows(this.#records.from('e', author, from))) {
      const name = this.#records.entryName(key);
      if (name === undefined) continue;
      yield { ...name, sealed: openedValue(key, value) ?? NOTHING };
      if (--left <= 0) return;
    }
  }

  async entry(name: EntryName): Promise<Uint8Array | undefined> {
    const key = this.#records.entryKey(name);
    const value = await this.#read(key);
    return value && openedValue(key, value);
  }

  async idsAt(author: AccountId, sequence: number): Promise<readonly EntryId[]> {
    const ids: EntryId[] = [];
    for await (const [key] of this.#rows(this.#records.place(author, sequence))) {
      const name = this.#records.entryName(key);
      if (name !== undefined) ids.push(name.id);
    }
    return ids;
  }

  async *attestations(author: AccountId, from: number): AsyncGenerator<StoredAttestation> {
    for await (const [key, value] of this.#rows(this.#records.from('a', author, from))) {
      const name = this.#records.attestationName(key);
      if (name !== undefined) yield { ...name, sealed: openedValue(key, value) ?? NOTHING };
    }
  }

  #rows(range: KeyRange) {
    return readRange(this.#database, range, this.#log, { moment: this.#moment });
  }

  #at(): { snapshot?: Moment } {
    return this.#moment === undefined ? {} : { snapshot: this.#moment };
  }

  /** What lies where the disk cannot be read is as good as not there. */
  async #read(key: Uint8Array): Promise<Uint8Array | undefined> {
    const { level } = this.#database;
    try {
      return await level.get<Uint8Array, Uint8Array>(key, {
        keyEncoding: 'view',
        valueEncoding: 'view',
        ...this.#at(),
      });
    } catch (thrown) {
      const error = databaseError(level.location, thrown);
      if (error.code !== 'damaged') throw error;
      this.#log.warn({ error }, 'a part of the ledger cannot be read from the disk: what is missing is fetched again');
      return undefined;
    }
  }
}
