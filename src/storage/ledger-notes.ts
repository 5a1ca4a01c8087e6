/** The ledger's journals: small things that must survive, by name. */

import { GoGridError } from '../errors.ts';
import type { LedgerNotes } from '../ledger/ports.ts';
import type { Logger } from '../telemetry/logger.ts';
import { type Change, type Database, databaseError } from './database.ts';
import { type LedgerRecords, openedValue, sealedValue } from './ledger-records.ts';
import { readRange } from './read-range.ts';

export class LevelLedgerNotes implements LedgerNotes {
  readonly #database: Database;
  readonly #records: LedgerRecords;
  readonly #log: Logger;

  constructor(database: Database, records: LedgerRecords, log: Logger) {
    this.#database = database;
    this.#records = records;
    this.#log = log;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const { level } = this.#database;
    const at = this.#records.noteKey(key);
    const encodings = { keyEncoding: 'view', valueEncoding: 'view' } as const;
    const value = await level.get<Uint8Array, Uint8Array>(at, encodings).catch((thrown) => {
      throw databaseError(level.location, thrown);
    });
    return value && this.#opened(at, value);
  }

  async *list(prefix: string): AsyncGenerator<readonly [key: string, value: Uint8Array]> {
    const range = this.#records.notes(prefix);
    for await (const [key, value] of readRange(this.#database, range, this.#log, { whole: true })) {
      yield [this.#records.noteName(key), this.#opened(key, value)];
    }
  }

  put(changes: readonly (readonly [key: string, value: Uint8Array | undefined])[]): Promise<void> {
    const asChange = ([name, bytes]: (typeof changes)[number]): Change => {
      const key = this.#records.noteKey(name);
      return bytes === undefined ? { type: 'del', key } : { type: 'put', key, value: sealedValue(key, bytes) };
    };
    return this.#database.batch(changes.map(asChange), { sync: true });
  }

  #opened(key: Uint8Array, value: Uint8Array): Uint8Array {
    const bytes = openedValue(key, value);
    if (bytes !== undefined) return bytes;
    const name = this.#records.noteName(key);
    throw new GoGridError({
      code: 'damaged',
      message: `the note ${JSON.stringify(name)} of the ledger, in ${this.#database.level.location}, is damaged`,
      hint:
        'put back a backup of the data folder, or move the folder away and start again: ' +
        'what others have of the ledger comes again from them',
      data: { note: name },
    });
  }
}
