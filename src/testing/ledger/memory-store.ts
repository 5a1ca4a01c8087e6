/** The ledger's store in memory, for simulations: a crash loses what was not on the disk, and time is theirs. */

import type { AccountId, EntryId, EntryName } from '../../ledger/entries/entry.ts';
import type {
  AttestationName,
  LedgerBatch,
  LedgerNotes,
  LedgerStore,
  StoredAttestation,
  StoredEntry,
  StoreView,
} from '../../ledger/ports.ts';
import { GroupCommit } from '../../storage/group-commit.ts';
import { OrderedMap } from './ordered-map.ts';

export interface MemoryStoreOptions {
  /**
   * How long a write takes, an fsync when it is durable; at once when there is none. A write fails with what this rejects
   * with: a full disk is `() => Promise.reject(new GoGridError({ code: 'disk_full', … }))`.
   */
  readonly delay?: (durable: boolean) => Promise<void>;
}

type Stored = StoredEntry | StoredAttestation | Uint8Array;
type Change = readonly [key: string, value: Stored | undefined];
/** What lay under the keys of a write before it. */
type Before = readonly Change[];

const SNAPSHOT = 's';
/** Behind every character of a key. */
const END = '~';

export class MemoryLedgerStore implements LedgerStore {
  readonly #options: MemoryStoreOptions;
  /** What is read: all that was written, durable or not. */
  readonly #data: OrderedMap<Stored>;
  /** Writes that only the operating system has, the oldest first. */
  readonly #unsaved: Before[] = [];
  readonly #commits = new GroupCommit<Change>((changes, durable) => this.#write(changes, durable));
  #crashed = false;
  readonly notes: LedgerNotes;

  constructor(options: MemoryStoreOptions = {}, data = new OrderedMap<Stored>()) {
    this.#options = options;
    this.#data = data;
    this.notes = this.#makeNotes();
  }

  /** Writes that a crash could lose. */
  get unsaved(): number {
    return this.#unsaved.length;
  }

  /**
   * The machine dies: nothing that this store was asked for ends any more.
   * @param kept how many of the unsaved writes, the oldest first, had come to the disk by themselves
   * @returns the store as the next start finds it
   */
  crash(kept = 0): MemoryLedgerStore {
    this.#crashed = true;
    for (const before of this.#unsaved.splice(kept).reverse()) {
      for (const change of before.toReversed()) this.#data.set(...change);
    }
    return new MemoryLedgerStore(this.#options, this.#data);
  }

  /** Damages what lies under a name, as a disk would: it is listed without its bytes. */
  damage(name: EntryName | AttestationName): void {
    const key = 'witness' in name ? attestationKey(name) : entryKey(name);
    const stored = this.#data.get(key);
    if (stored !== undefined) this.#data.set(key, { ...(stored as StoredEntry), sealed: new Uint8Array() });
  }

  write({ entries = [], attestations = [], snapshot }: LedgerBatch, durable: boolean): Promise<void> {
    const changes: Change[] = [
      ...entries.map(({ author, sequence, id, sealed }): Change => {
        const entry = { author, sequence, id, sealed };
        return [entryKey(entry), entry];
      }),
      ...attestations.map(({ author, sequence, id, witness, late, sealed }): Change => {
        const attestation = { author, sequence, id, witness, late, sealed };
        return [attestationKey(attestation), attestation];
      }),
    ];
    if (snapshot !== undefined) changes.push([SNAPSHOT, snapshot]);
    return this.#commits.commit(changes, durable);
  }

  async snapshot(): Promise<Uint8Array | undefined> {
    await this.#alive();
    return this.#data.get(SNAPSHOT) as Uint8Array | undefined;
  }

  async *authors(): AsyncGenerator<AccountId> {
    await this.#alive();
    let key = this.#data.firstFrom('e/');
    while (key?.startsWith('e/')) {
      const { author } = this.#data.get(key) as StoredEntry;
      yield author;
      await this.#alive();
      key = this.#data.firstFrom(`e/${author}/${END}`);
    }
  }

  async *chain(author: AccountId, from: number, limit = Number.POSITIVE_INFINITY): AsyncGenerator<StoredEntry> {
    let left = limit;
    for (const entry of this.#data.range(`e/${author}/${digits(from)}`, `e/${author}/${END}`)) {
      await this.#alive();
      if (left-- <= 0) return;
      yield entry as StoredEntry;
    }
  }

  async entry(name: EntryName): Promise<Uint8Array | undefined> {
    await this.#alive();
    const stored = this.#data.get(entryKey(name)) as StoredEntry | undefined;
    return stored?.sealed.length === 0 ? undefined : stored?.sealed;
  }

  async idsAt(author: AccountId, sequence: number): Promise<readonly EntryId[]> {
    await this.#alive();
    const place = `e/${author}/${digits(sequence)}/`;
    return this.#data.range(place, place + END).map((entry) => (entry as StoredEntry).id);
  }

  async *attestations(author: AccountId, from: number): AsyncGenerator<StoredAttestation> {
    for (const attestation of this.#data.range(`a/${author}/${digits(from)}`, `a/${author}/${END}`)) {
      await this.#alive();
      yield attestation as StoredAttestation;
    }
  }

  drop(entries: readonly EntryName[], attestations: readonly AttestationName[] = []): Promise<void> {
    const keys = [...entries.map(entryKey), ...attestations.map(attestationKey)];
    return this.#commits.commit(
      keys.map((key) => [key, undefined]),
      false,
    );
  }

  async view(): Promise<StoreView> {
    await this.#alive();
    const reads = new MemoryLedgerStore({}, this.#data.copy());
    return Object.assign(reads, { close: async () => {} });
  }

  #makeNotes(): LedgerNotes {
    const data = this.#data;
    const alive = () => this.#alive();
    return {
      async get(key) {
        await alive();
        return data.get(noteKey(key)) as Uint8Array | undefined;
      },
      async *list(prefix) {
        const begin = noteKey(prefix);
        for (const key of data.keys(begin, `${begin}\u{10ffff}`)) {
          await alive();
          const value = data.get(key) as Uint8Array | undefined;
          if (value !== undefined) yield [key.slice(2), value];
        }
      },
      put: (changes) =>
        this.#commits.commit(
          changes.map(([key, value]) => [noteKey(key), value]),
          true,
        ),
    };
  }

  async #write(changes: readonly Change[], durable: boolean): Promise<void> {
    await this.#options.delay?.(durable);
    await this.#alive();
    const before: Change[] = [];
    for (const [key, value] of changes) {
      before.push([key, this.#data.get(key)]);
      this.#data.set(key, value);
    }
    this.#unsaved.push(before);
    // An fsync takes along what was written before it.
    if (durable) this.#unsaved.length = 0;
  }

  /** Whoever asks a machine that has died gets no answer. */
  #alive(): Promise<void> {
    return this.#crashed ? new Promise(() => {}) : Promise.resolve();
  }
}

function entryKey({ author, sequence, id }: EntryName): string {
  return `e/${author}/${digits(sequence)}/${id}`;
}

function attestationKey({ author, sequence, witness, id, late }: AttestationName): string {
  return `a/${author}/${digits(sequence)}/${witness}/${id}/${late ? 1 : 0}`;
}

function noteKey(key: string): string {
  return `n/${key}`;
}

/** Sequences have at most 16 digits, and sort as text then. */
function digits(sequence: number): string {
  return String(sequence).padStart(16, '0');
}
