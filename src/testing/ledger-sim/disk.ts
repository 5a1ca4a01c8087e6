/** The disk of a simulated node: it outlives its programs, loses what was not durable when the power goes, and can be copied. */

import { MemoryLedgerStore } from '../ledger/memory-store.ts';
import { OrderedMap } from '../ledger/ordered-map.ts';
import type { Process } from '../sim/process.ts';
import type { Random } from '../sim/random.ts';

type Data = ConstructorParameters<typeof MemoryLedgerStore>[1];

const ALL = ['', '\u{10ffff}'] as const;

export class Disk {
  #data: NonNullable<Data>;
  #store: MemoryLedgerStore;
  #process: Process | undefined;
  readonly #diskMs: number;
  readonly #random: Random;

  constructor(diskMs: number, random: Random, data: NonNullable<Data> = new OrderedMap()) {
    this.#diskMs = diskMs;
    this.#random = random;
    this.#data = data;
    this.#store = this.#open();
  }

  /** As the program reads it that runs now. */
  get store(): MemoryLedgerStore {
    return this.#store;
  }

  /** A program starts. */
  startedBy(process: Process): MemoryLedgerStore {
    this.#process = process;
    return this.#store;
  }

  /** The program is gone. @param power whether the machine stays on, so that all it wrote gets to the disk */
  crash(power: boolean): void {
    const { unsaved } = this.#store;
    this.#store = this.#store.crash(power ? unsaved : this.#random.int(0, unsaved));
  }

  /** All that is on it now. */
  copy(): NonNullable<Data> {
    const copied: NonNullable<Data> = new OrderedMap();
    for (const key of this.#data.keys(...ALL)) copied.set(key, this.#data.get(key));
    return copied;
  }

  /** The disk becomes that copy; no program runs meanwhile. */
  restore(data: NonNullable<Data>): void {
    this.#data = data;
    this.#store = this.#open();
  }

  #open(): MemoryLedgerStore {
    return new MemoryLedgerStore(
      {
        delay: (durable) => {
          const ms = (durable ? this.#diskMs : 0.05) * this.#random.between(0.5, 1.5);
          return new Promise((resolve) => this.#process?.clock.after(ms, resolve));
        },
      },
      this.#data,
    );
  }
}
