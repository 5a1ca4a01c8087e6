/**
 * The one writer of the ledger's store. What others sent is gathered for a moment and written in groups, without waiting for
 * the disk to say that it is safe: it can be fetched again. What this node signed is written at once and waited for, and takes
 * along whatever was gathered, so that nothing on the disk names what is not there.
 */

import type { Clock, Timer } from '../../clock.ts';
import { type GoGridError, toGoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { LedgerBatch, LedgerStore, StoredAttestation, StoredEntry } from '../ports.ts';

export interface StoreWriterDeps {
  readonly store: Pick<LedgerStore, 'write'>;
  readonly clock: Pick<Clock, 'after'>;
  readonly log: Logger;
}

interface Waiter {
  readonly batch: LedgerBatch;
  readonly durable: boolean;
  readonly done: PromiseWithResolvers<void>;
}

export class StoreWriter {
  readonly #deps: StoreWriterDeps;
  #entries: StoredEntry[] = [];
  #attestations: StoredAttestation[] = [];
  #waiters: Waiter[] = [];
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #failed = false;

  constructor(deps: StoreWriterDeps) {
    this.#deps = deps;
  }

  /** Whether so much waits for the disk that nothing more should be taken in. */
  get isFull(): boolean {
    return this.#entries.length + this.#attestations.length >= LEDGER.maxUnwritten;
  }

  addEntry(entry: StoredEntry): void {
    this.#entries.push(entry);
    this.#soon(LEDGER.storeGatherMs);
  }

  addAttestation(attestation: StoredAttestation): void {
    this.#attestations.push(attestation);
    this.#soon(LEDGER.storeGatherMs);
  }

  /**
   * Writes a batch together with all that was gathered.
   * @param durable see `LedgerStore.write`
   * @throws GoGridError what the store rejects with; then nothing of `batch` is written later
   */
  write(batch: LedgerBatch, durable: boolean): Promise<void> {
    const done = Promise.withResolvers<void>();
    this.#waiters.push({ batch, durable, done });
    this.#start();
    return done.promise;
  }

  /** Resolves when all that was gathered is with the store. @throws GoGridError what the store rejects with */
  async flushed(): Promise<void> {
    if (this.#entries.length + this.#attestations.length + this.#waiters.length > 0) await this.write({}, false);
    else await this.#running;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #soon(ms: number): void {
    this.#timer ??= this.#deps.clock.after(ms, () => {
      this.#timer = undefined;
      this.#start();
    });
  }

  #start(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#waiters.length > 0) this.#start();
    });
  }

  /** One write after the other, until nothing is left or the disk refuses. */
  async #run(): Promise<void> {
    // Whatever is asked for in this turn goes into one write.
    await Promise.resolve();
    while (this.#entries.length + this.#attestations.length + this.#waiters.length > 0) {
      const entries = this.#entries;
      const attestations = this.#attestations;
      const waiters = this.#waiters;
      this.#entries = [];
      this.#attestations = [];
      this.#waiters = [];
      try {
        await this.#deps.store.write(
          joined(entries, attestations, waiters),
          waiters.some(({ durable }) => durable),
        );
        for (const { done } of waiters) done.resolve();
        this.#failed = false;
      } catch (thrown) {
        // What others sent waits for the next try; who waits for its own is told, and writes it again or not.
        this.#entries = [...entries, ...this.#entries];
        this.#attestations = [...attestations, ...this.#attestations];
        this.#onFailure(toGoGridError(thrown), waiters);
        return;
      }
    }
  }

  #onFailure(error: GoGridError, waiters: readonly Waiter[]): void {
    if (!this.#failed) this.#deps.log.error({ code: error.code }, 'the ledger cannot be written to the disk');
    this.#failed = true;
    for (const { done } of waiters) done.reject(error);
    this.#soon(LEDGER.storeRetryMs);
  }
}

function joined(
  entries: readonly StoredEntry[],
  attestations: readonly StoredAttestation[],
  waiters: readonly Waiter[],
): LedgerBatch {
  const snapshot = waiters.findLast(({ batch }) => batch.snapshot !== undefined)?.batch.snapshot;
  return {
    entries: [...entries, ...waiters.flatMap(({ batch }) => batch.entries ?? [])],
    attestations: [...attestations, ...waiters.flatMap(({ batch }) => batch.attestations ?? [])],
    ...(snapshot === undefined ? {} : { snapshot }),
  };
}
