/**
 * The ledger from the disk: the final state, then every entry and attestation behind it. Nothing may be dropped on the way
 * because its past comes later, so what waits here is not bounded: the disk has it all, and so had the memory before.
 */

import { LEDGER } from '../../limits/ledger.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { Books } from '../books/books.ts';
import { Ledger } from '../books/ledger.ts';
import { openAttestation } from '../entries/attestation.ts';
import type { Attestation, Entry, EntryName, LedgerMesh } from '../entries/entry.ts';
import { openEntry } from '../entries/entry-codec.ts';
import type { AttestationName, LedgerStore } from '../ports.ts';
import { LateForks } from './late-forks.ts';
import { type Item, place } from './place.ts';
import { UNBOUNDED, Waiting } from './waiting.ts';

/** The note that witnesses have lied: since then nothing counts as final here. */
export const NEVER_FINAL = 'ledger-never-final';

export interface LoadDeps {
  readonly store: LedgerStore;
  readonly log: Logger;
  readonly pause: () => Promise<void>;
  /** Called once for each entry that becomes final, with what it moved in its author's account. */
  readonly onFinal?: (entry: Entry, moved: bigint) => void;
}

export interface Loaded {
  readonly ledger: Ledger;
  /** Whether it begins with a saved state. */
  readonly hasSnapshot: boolean;
  /** Entries that lay damaged on the disk; they are dropped. */
  readonly damaged: readonly EntryName[];
  /** What waits for something that is not on the disk. */
  readonly waiting: { readonly entries: readonly Entry[]; readonly attestations: readonly Attestation[] };
}

/** @throws GoGridError what the store rejects with */
export async function loadLedger(mesh: LedgerMesh, deps: LoadDeps): Promise<Loaded> {
  const { store, log } = deps;
  const neverFinal = (await store.notes.get(NEVER_FINAL)) !== undefined;
  const final = neverFinal ? undefined : await readFinal(mesh, deps);
  const { onFinal } = deps;
  const ledger = new Ledger(mesh, {
    finalise: !neverFinal,
    ...(final !== undefined && { final }),
    ...(onFinal !== undefined && { onFinal }),
  });
  const loading = new Loading(mesh, ledger, deps);
  const forks = new LateForks(mesh, store);
  for await (const author of store.authors()) {
    const from = (final?.tip(author)?.sequence ?? -1) + 1;
    await loading.entries(author, from);
    // At once: what becomes final by them leaves the memory before the next author is read.
    await loading.attestations(author, from);
  }
  await loading.buried(forks);
  await forks.restore(ledger, log);
  const { damaged, damagedAttestations } = loading;
  if (damaged.length + damagedAttestations.length > 0) {
    log.warn({ entries: damaged.length, attestations: damagedAttestations.length }, 'parts of the ledger are damaged');
    await store.drop(damaged, damagedAttestations);
  }
  return { ledger, hasSnapshot: final !== undefined, damaged, waiting: loading.rest() };
}

async function readFinal(mesh: LedgerMesh, { store, log }: LoadDeps): Promise<Books | undefined> {
  const snapshot = await store.snapshot();
  try {
    return snapshot && Books.decode(snapshot, mesh);
  } catch {
    log.warn({}, "the ledger's saved state is damaged: its entries are counted anew");
    return undefined;
  }
}

class Loading {
  readonly damaged: EntryName[] = [];
  readonly damagedAttestations: AttestationName[] = [];
  readonly #mesh: LedgerMesh;
  readonly #ledger: Ledger;
  readonly #deps: LoadDeps;
  readonly #waiting = new Waiting(UNBOUNDED);
  #count = 0;

  constructor(mesh: LedgerMesh, ledger: Ledger, deps: LoadDeps) {
    this.#mesh = mesh;
    this.#ledger = ledger;
    this.#deps = deps;
  }

  async entries(author: string, from: number): Promise<void> {
    for await (const { sealed, ...name } of this.#deps.store.chain(author, from)) {
      const entry = read(sealed, name, () => openEntry(sealed, this.#mesh, { trusted: true }));
      if (entry === undefined) this.damaged.push(name);
      else this.#place({ entry });
      await this.#breathe();
    }
  }

  async attestations(author: string, from: number): Promise<void> {
    for await (const { sealed, ...name } of this.#deps.store.attestations(author, from)) {
      const attestation = read(sealed, name, () => openAttestation(sealed, this.#mesh, { trusted: true }));
      if (attestation === undefined) this.damagedAttestations.push(name);
      else this.#place({ attestation });
      await this.#breathe();
    }
  }

  /** Entries that name what lies at or below a final place. */
  async buried(forks: LateForks): Promise<void> {
    for (let before = -1; before !== this.#waiting.size; ) {
      before = this.#waiting.size;
      for (const entry of this.#waiting.buried((name) => this.#isBelowFinal(name))) {
        this.#place({ entry, dead: await forks.find(this.#waiting.missingFor(entry.id)) });
      }
    }
  }

  rest(): Loaded['waiting'] {
    return this.#waiting.drain();
  }

  #place(item: Item): void {
    const ignore = () => {};
    place(item, { ledger: this.#ledger, waiting: this.#waiting, onAdded: ignore, onAttested: ignore });
  }

  #isBelowFinal({ author, sequence }: EntryName): boolean {
    return sequence <= (this.#ledger.finalTip(author)?.sequence ?? -1);
  }

  async #breathe(): Promise<void> {
    if (++this.#count % LEDGER.loadSlice === 0) await this.#deps.pause();
  }
}

/** What was read under a name, if it is what the name says; else it is damaged. */
function read<T extends EntryName>(sealed: Uint8Array, name: EntryName, open: () => T): T | undefined {
  if (sealed.length === 0) return undefined;
  try {
    const opened = open();
    const isIt = opened.id === name.id && opened.author === name.author && opened.sequence === name.sequence;
    return isIt ? opened : undefined;
  } catch {
    return undefined;
  }
}
