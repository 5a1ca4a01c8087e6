/** The ledger on disk: entries, attestations, the snapshot of the final state, notes (their form: `ledger-records.ts`). */

import type { EntryName } from '../ledger/entries/entry.ts';
import type { AttestationName, LedgerBatch, LedgerNotes, LedgerStore, StoreView } from '../ledger/ports.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Change, Database } from './database.ts';
import { LevelLedgerNotes } from './ledger-notes.ts';
import { LevelLedgerReads } from './ledger-reads.ts';
import { LedgerRecords, sealedValue } from './ledger-records.ts';

export class LevelLedgerStore extends LevelLedgerReads implements LedgerStore {
  readonly #database: Database;
  readonly #records: LedgerRecords;
  readonly #log: Logger;
  readonly notes: LedgerNotes;

  /** @param networkId 32 bytes: the ledger of one mesh is nothing in another */
  constructor(database: Database, networkId: Uint8Array, log: Logger) {
    const records = new LedgerRecords(networkId);
    super(database, records, log);
    this.#database = database;
    this.#records = records;
    this.#log = log;
    this.notes = new LevelLedgerNotes(database, records, log);
  }

  write({ entries = [], attestations = [], snapshot }: LedgerBatch, durable: boolean): Promise<void> {
    const changes: Change[] = [];
    const put = (key: Uint8Array, bytes: Uint8Array) =>
      changes.push({ type: 'put', key, value: sealedValue(key, bytes) });
    for (const entry of entries) put(this.#records.entryKey(entry), entry.sealed);
    for (const attestation of attestations) put(this.#records.attestationKey(attestation), attestation.sealed);
    if (snapshot !== undefined) put(this.#records.snapshotKey, snapshot);
    return this.#database.batch(changes, { sync: durable });
  }

  drop(entries: readonly EntryName[], attestations: readonly AttestationName[] = []): Promise<void> {
    const keys = [
      ...entries.map((name) => this.#records.entryKey(name)),
      ...attestations.map((name) => this.#records.attestationKey(name)),
    ];
    return this.#database.batch(keys.map((key) => ({ type: 'del', key })));
  }

  async view(): Promise<StoreView> {
    const moment = this.#database.moment();
    const reads = new LevelLedgerReads(this.#database, this.#records, this.#log, moment);
    return Object.assign(reads, { close: () => moment.close() });
  }
}
