/**
 * The ledger from the disk: the final state, then every entry and attestation behind it, each behind what it rests on. So what
 * is final leaves the memory as the reading goes, and only what rests on something that the disk does not have waits. Nothing may
 * be dropped on the way, so that is not bounded: the disk has it all, and so had the memory before.
 */

import { LEDGER } from '../../limits/ledger.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { Books } from '../books/books.ts';
import { Ledger } from '../books/ledger.ts';
import { readAttestation } from '../entries/attestation.ts';
import type { AccountId, Attestation, Entry, EntryId, EntryName, LedgerMesh } from '../entries/entry.ts';
import { openEntry } from '../entries/entry-codec.ts';
import { hexOf } from '../entries/fields.ts';
import type { AttestationName, LedgerStore, StoredEntry } from '../ports.ts';
import { nameOnly } from '../views.ts';
import { type Found, inOrder, type Reading, type There } from './in-order.ts';
import { LateForks } from './late-forks.ts';
import { type Item, place } from './place.ts';
import { UNBOUNDED, Waiting } from './waiting.ts';

/** The note that witnesses have lied: since then nothing counts as final here. */
export const NEVER_FINAL = 'ledger-never-final';
export const CONTRADICTED = 'two certificates contradict each other: witnesses have lied, and nothing counts as final';

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
  await loading.read();
  await loading.buried(forks);
  await loading.old(forks);
  if (loading.isContradicted) {
    log.error({}, CONTRADICTED);
    await store.notes.put([[NEVER_FINAL, Uint8Array.of(1)]]);
    return loadLedger(mesh, deps);
  }
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
  /** Set when a certificate says that what is final is wrong. */
  isContradicted = false;
  readonly #mesh: LedgerMesh;
  readonly #ledger: Ledger;
  readonly #deps: LoadDeps;
  readonly #waiting = new Waiting(UNBOUNDED);
  /** Entries of places that were final before they came. */
  readonly #old: Entry[] = [];
  /** Entries that the ledger does not take. */
  readonly #dropped = new Set<EntryId>();
  #count = 0;

  constructor(mesh: LedgerMesh, ledger: Ledger, deps: LoadDeps) {
    this.#mesh = mesh;
    this.#ledger = ledger;
    this.#deps = deps;
  }

  async read(): Promise<void> {
    const { store, pause } = this.#deps;
    for await (const found of inOrder(store, hexOf(this.#mesh.networkId), readingOf(this.#mesh), this.#there())) {
      this.#take(found);
      if (++this.#count % LEDGER.loadSlice === 0) await pause();
    }
  }

  #there(): There {
    return {
      from: (author) => this.#finalSequence(author) + 1,
      add: () => {},
      has: (name) =>
        this.#ledger.find(name.id) !== undefined ||
        this.#isBelowFinal(name) ||
        this.#waiting.has(name.id) ||
        this.#dropped.has(name.id),
    };
  }

  #take(found: Found): void {
    switch (found.kind) {
      case 'entry':
        this.#place({ entry: found.entry });
        break;
      case 'attestation':
        this.#place({ attestation: found.attestation });
        break;
      case 'damaged':
        this.damaged.push(nameOnly(found.stored));
        break;
      case 'damaged-attestation':
        this.damagedAttestations.push(found.stored);
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

  /** They change nothing, but may prove that their author signed twice. */
  async old(forks: LateForks): Promise<void> {
    for (const entry of this.#old) await forks.judge(this.#ledger, entry, false, () => {});
  }

  rest(): Loaded['waiting'] {
    return this.#waiting.drain();
  }

  #place(item: Item): void {
    place(item, {
      ledger: this.#ledger,
      waiting: this.#waiting,
      keepsAll: true,
      onAdded: (entry, { result }) => {
        if (result === 'old') this.#old.push(entry);
        if (result === 'refused') this.#dropped.add(entry.id);
      },
      onAttested: (_attestation, { result }) => {
        if (result === 'contradiction') this.isContradicted = true;
      },
    });
  }

  #isBelowFinal({ author, sequence }: EntryName): boolean {
    return sequence <= this.#finalSequence(author);
  }

  #finalSequence(author: AccountId): number {
    return this.#ledger.finalTip(author)?.sequence ?? -1;
  }
}

const DAMAGED = 'it is damaged on the disk';

/** What lies on the disk was checked when it came. */
function readingOf(mesh: LedgerMesh): Reading {
  return {
    entry: (stored) => read(stored, () => openEntry(stored.sealed, mesh, { trusted: true })),
    attestation: (stored) => read(stored, () => readAttestation(stored.sealed, mesh)),
  };
}

/** What was read under a name, if it is what the name says; else it is damaged. */
function read<T extends EntryName>(stored: StoredEntry, open: () => T): T | string {
  if (stored.sealed.length === 0) return DAMAGED;
  try {
    const opened = open();
    const isIt = opened.id === stored.id && opened.author === stored.author && opened.sequence === stored.sequence;
    return isIt ? opened : DAMAGED;
  } catch {
    return DAMAGED;
  }
}
