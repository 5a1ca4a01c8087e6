/** Entries that the disk has lost, and that are to be fetched again from whoever has them. */

import type { EntryId, EntryName, LedgerMesh } from '../entries/entry.ts';
import { openEntry } from '../entries/entry-codec.ts';
import type { LedgerStore, StoredEntry } from '../ports.ts';
import { nameOnly } from '../views.ts';

export class Damage {
  readonly #mesh: LedgerMesh;
  readonly #store: Pick<LedgerStore, 'chain' | 'drop'>;
  readonly #names: Map<EntryId, EntryName>;

  constructor(mesh: LedgerMesh, store: Pick<LedgerStore, 'chain' | 'drop'>, names: readonly EntryName[]) {
    this.#mesh = mesh;
    this.#store = store;
    this.#names = new Map(names.map((name) => [name.id, name]));
  }

  names(): readonly EntryName[] {
    return [...this.#names.values()];
  }

  /** It is here again. */
  onHealed(id: EntryId): void {
    this.#names.delete(id);
  }

  /**
   * Finds out what is missing at a place of a final chain, and drops what cannot be read.
   * @param tip the newest final entry of the author @returns the names of what is missing, of several places in a row the last
   */
  async look(author: string, sequence: number, tip?: EntryName): Promise<readonly EntryName[]> {
    const lost: EntryName[] = [];
    const here = new Set<EntryId>();
    for await (const { sealed, ...name } of this.#firstPlace(author, sequence)) {
      if (name.sequence > sequence) break;
      if (sealed.length === 0) lost.push(name);
      else here.add(name.id);
    }
    if (lost.length > 0) await this.#store.drop(lost);
    else lost.push(...(await this.#gone(author, sequence, tip)).filter(({ id }) => !here.has(id)));
    for (const name of lost) this.#names.set(name.id, name);
    return lost;
  }

  /** Its key may be gone too: what is behind it names it, and the newest is known. */
  async #gone(author: string, sequence: number, tip: EntryName | undefined): Promise<EntryName[]> {
    const before: EntryName[] = [];
    let isLast = true;
    for await (const stored of this.#firstPlace(author, sequence + 1)) {
      isLast = false;
      if (stored.sealed.length === 0) continue;
      const { previous } = openEntry(stored.sealed, this.#mesh, { trusted: true });
      before.push({ author, sequence: stored.sequence - 1, id: previous });
    }
    return isLast && tip !== undefined ? [nameOnly(tip)] : before;
  }

  /** All entries of the first place from a sequence on that has any. */
  async *#firstPlace(author: string, from: number): AsyncGenerator<StoredEntry> {
    let place: number | undefined;
    for await (const stored of this.#store.chain(author, from)) {
      place ??= stored.sequence;
      if (stored.sequence !== place) return;
      yield stored;
    }
  }
}
