/** Entries that the disk has lost, and that are to be fetched again from whoever has them. */

import type { EntryId, EntryName, LedgerMesh } from '../entries/entry.ts';
import { openEntry } from '../entries/entry-codec.ts';
import type { LedgerStore } from '../ports.ts';

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

  /** Finds out what is missing at a place of a final chain, and drops what cannot be read. @returns its names */
  async look(author: string, sequence: number): Promise<readonly EntryName[]> {
    const lost: EntryName[] = [];
    for await (const { sealed, ...name } of this.#store.chain(author, sequence, 1)) {
      if (name.sequence === sequence && sealed.length === 0) lost.push(name);
    }
    if (lost.length > 0) await this.#store.drop(lost);
    else {
      // Its key is gone too: the entry behind it names it.
      for await (const { sealed } of this.#store.chain(author, sequence + 1, 1)) {
        if (sealed.length === 0) continue;
        const { previous } = openEntry(sealed, this.#mesh, { trusted: true });
        lost.push({ author, sequence, id: previous });
      }
    }
    for (const name of lost) this.#names.set(name.id, name);
    return lost;
  }
}
