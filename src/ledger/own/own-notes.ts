/** What must survive of an own log besides its entries. */

import { decode, encode } from '../../protocol/cbor.ts';
import type { AccountId } from '../entries/entry.ts';
import type { LedgerNotes } from '../ports.ts';

/** Every method that writes resolves when it is on disk, and rejects with GoGridError `disk_full` or `home_unusable`. */
export class OwnNotes {
  readonly #notes: Pick<LedgerNotes, 'get' | 'put'>;
  readonly #prefix: string;

  constructor(self: AccountId, notes: Pick<LedgerNotes, 'get' | 'put'>) {
    this.#notes = notes;
    this.#prefix = `author/${self}/`;
  }

  /** Its key was met in use elsewhere, and it has not gone on since. */
  async wasStopped(): Promise<boolean> {
    return (await this.#notes.get(`${this.#prefix}stopped`)) !== undefined;
  }

  /** @param at milliseconds since 1970 */
  stopped(reason: string, at: number): Promise<void> {
    return this.#notes.put([[`${this.#prefix}stopped`, encode([reason, at])]]);
  }

  goesOn(): Promise<void> {
    return this.#notes.put([[`${this.#prefix}stopped`, undefined]]);
  }

  /** The write of the entry of this place failed: a write that goes well shows what the disk has of it. */
  unsure(sequence: number): Promise<void> {
    return this.#notes.put([[`${this.#prefix}unsure`, encode(sequence)]]);
  }

  /** Entries up to this one were not on this disk: a backup was restored. */
  restored(sequence: number): Promise<void> {
    return this.#notes.put([[`${this.#prefix}restored`, encode(sequence)]]);
  }

  /**
   * For holds up to this sequence vouchers may have been given that this disk knows nothing of; undefined when no backup was
   * restored.
   */
  async restoredUpTo(): Promise<number | undefined> {
    const note = await this.#notes.get(`${this.#prefix}restored`);
    if (note === undefined) return undefined;
    const sequence = decode(note, 'a note');
    // Who cannot read it is careful: every hold may have such vouchers.
    return typeof sequence === 'number' ? sequence : Number.MAX_SAFE_INTEGER;
  }
}
