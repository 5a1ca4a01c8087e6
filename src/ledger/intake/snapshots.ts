/** The final state on the disk, so that the next start need not count everything again. */

import { toGoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Ledger } from '../books/ledger.ts';
import type { LateForks } from './late-forks.ts';
import type { StoreWriter } from './store-writer.ts';

export interface SnapshotsDeps {
  readonly ledger: () => Ledger;
  readonly forks: Pick<LateForks, 'persist'>;
  readonly writer: Pick<StoreWriter, 'write' | 'flushed'>;
  readonly log: Logger;
}

export class Snapshots {
  readonly #deps: SnapshotsDeps;
  #takenSince = 0;
  /** Of the ledger, when it was saved last. */
  #generation: number;

  /** @param isSaved whether the ledger began with a saved state; what became final behind it is not in that one */
  constructor(isSaved: boolean, deps: SnapshotsDeps) {
    this.#deps = deps;
    this.#generation = isSaved ? 0 : -1;
  }

  /** So many entries and attestations were taken in. */
  onTaken(count: number): void {
    this.#takenSince += count;
    if (this.#takenSince >= LEDGER.snapshotEvery) void this.save();
  }

  /** Writes the final state, with what it rests on in one write, if it has changed. Never rejects. */
  async save(): Promise<void> {
    const { ledger, forks, writer, log } = this.#deps;
    const { finalGeneration } = ledger();
    if (finalGeneration === 0 || finalGeneration === this.#generation) return;
    const before = this.#generation;
    this.#takenSince = 0;
    this.#generation = finalGeneration;
    const snapshot = ledger().finalBooks().encode();
    try {
      // Forks of places that the next start does not read are noted by what the disk has of them.
      await writer.flushed();
      await forks.persist(ledger());
      await writer.write({ snapshot }, false);
    } catch (thrown) {
      // So that the next time, or the end, tries it again.
      if (this.#generation === finalGeneration) this.#generation = before;
      log.warn({ code: toGoGridError(thrown).code }, 'the state of the ledger could not be saved');
    }
  }
}
