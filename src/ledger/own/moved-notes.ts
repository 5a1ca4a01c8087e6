/**
 * How much each own entry moved, kept for when it is final and no longer in memory. Kept only where the entry itself does not say
 * it: of claims and releases, and of what moved nothing.
 */

import type { AccountId, Entry, EntryName } from '../entries/entry.ts';
import type { LedgerNotes } from '../ports.ts';

const PREFIX = 'moved/';

export class MovedNotes {
  readonly #self: AccountId;
  readonly #notes: Pick<LedgerNotes, 'get' | 'put'>;
  /** On their way to the disk. */
  readonly #fresh = new Map<number, bigint>();
  #writing: Promise<void> | undefined;

  constructor(self: AccountId, notes: Pick<LedgerNotes, 'get' | 'put'>) {
    this.#self = self;
    this.#notes = notes;
  }

  /** To be told of every entry that becomes final, with what it moved. Returns at once. */
  final(entry: Pick<Entry, 'body'> & EntryName, moved: bigint): void {
    const { kind } = entry.body;
    if (entry.author !== this.#self || (moved !== 0n && kind !== 'claim' && kind !== 'release')) return;
    this.#fresh.set(entry.sequence, moved);
    this.#writing ??= this.#write();
  }

  /** Undefined when nothing was kept of it. */
  async of(sequence: number): Promise<bigint | undefined> {
    const fresh = this.#fresh.get(sequence);
    if (fresh !== undefined) return fresh;
    const kept = await this.#notes.get(keyOf(sequence));
    return kept === undefined ? undefined : BigInt(Buffer.from(kept).toString('utf8'));
  }

  /** Resolves when all is on the disk. */
  async flushed(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    // What becomes final together is written together.
    await Promise.resolve();
    try {
      while (this.#fresh.size > 0) {
        const batch = [...this.#fresh];
        await this.#notes.put(batch.map(([sequence, moved]) => [keyOf(sequence), Buffer.from(String(moved))] as const));
        for (const [sequence] of batch) this.#fresh.delete(sequence);
      }
    } catch {
      // It is told again of what became final since the last snapshot when the node starts; until then memory has it.
    } finally {
      this.#writing = undefined;
    }
  }
}

/** In the order of sequences. */
function keyOf(sequence: number): string {
  return `${PREFIX}${String(sequence).padStart(16, '0')}`;
}
