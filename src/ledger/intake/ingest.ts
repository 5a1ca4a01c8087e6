/**
 * The way of an entry into the ledger, from whatever side it comes: gossip, a sync, or this node itself. The checks run in one
 * fixed order, cheapest first, and each ends what it refuses:
 *
 *     size and form -> known already? -> is its key new, and may this peer show new keys? -> signature -> rate of its author
 *     -> ledger (taken, waits, old, refused) -> what waited for it -> store -> listeners
 *
 * What a hint is worth to gossip follows from that: `accept` when all of it stands and some of it is new, `reject` when
 * something in it no honest node sends, else `ignore`. An entry whose past is missing never costs its sender anything.
 */

import type { Clock } from '../../clock.ts';
import { GoGridError, toGoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { decode } from '../../protocol/cbor.ts';
import type { NodeId } from '../../protocol/ids.ts';
import { type LedgerHint, ledgerHint } from '../../protocol/ledger.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Attested, Ledger, Taken } from '../books/ledger.ts';
import {
  type AccountId,
  type Attestation,
  type Entry,
  type EntryName,
  type LedgerMesh,
  quorumOf,
} from '../entries/entry.ts';
import type { LedgerStore } from '../ports.ts';
import { Checked, CODEC, type Codec, type Unchecked } from './checked.ts';
import { Damage } from './damage.ts';
import { IngestRates } from './ingest-rates.ts';
import { type Forked, LateForks } from './late-forks.ts';
import { type Loaded, loadLedger, NEVER_FINAL } from './load.ts';
import { type Item, place } from './place.ts';
import { type News, type Outcome, Round } from './round.ts';
import { Settling } from './settling.ts';
import { StoreWriter } from './store-writer.ts';
import { Waiting } from './waiting.ts';

export type { Codec } from './checked.ts';
export type { News, Outcome } from './round.ts';

/** `accept`: new and true, pass it on. `ignore`: nothing new, or not sure. `reject`: its sender should not have sent it. */
export type Verdict = 'accept' | 'ignore' | 'reject';

export interface IngestOptions {
  readonly mesh: LedgerMesh;
}

export interface IngestDeps {
  readonly store: LedgerStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** Gives the event loop its turn: others on this node must not wait for a long check. */
  readonly pause: () => Promise<void>;
  /** Default: the ledger's own. */
  readonly codec?: Codec;
  /** Given to every ledger that is built: called for each entry that becomes final, with what it moved. */
  readonly onFinal?: (entry: Entry, moved: bigint) => void;
}

/** What a peer sent: bytes as they were signed. */
export interface Page {
  readonly entries?: readonly (Uint8Array | Unchecked<Entry>)[];
  readonly attestations?: readonly Uint8Array[];
}

type GapListener = (missing: readonly EntryName[], from: NodeId | undefined) => void;

export class Ingest {
  readonly #mesh: LedgerMesh;
  readonly #deps: IngestDeps;
  readonly #waiting = new Waiting();
  readonly #checked: Checked;
  readonly #rates: IngestRates;
  readonly #writer: StoreWriter;
  readonly #forks: LateForks;
  readonly #newsListeners = new Set<(news: News) => void>();
  readonly #gapListeners = new Set<GapListener>();
  readonly #settling: Settling;
  readonly #damage: Damage;
  #ledger: Ledger;
  /** Set while the ledger is built anew. */
  #rebuilding: Promise<void> | undefined;
  #takenSinceSnapshot = 0;
  #snapshotGeneration: number;

  /** Reads what the disk holds. @throws GoGridError `disk_full`, `home_unusable`, `damaged` */
  static async load(options: IngestOptions, deps: IngestDeps): Promise<Ingest> {
    const loaded = await loadLedger(options.mesh, deps);
    const ingest = new Ingest(options, deps, loaded);
    await ingest.#settling.idle();
    return ingest;
  }

  private constructor({ mesh }: IngestOptions, deps: IngestDeps, { ledger, hasSnapshot, damaged, waiting }: Loaded) {
    this.#mesh = mesh;
    this.#deps = deps;
    this.#checked = new Checked(mesh, deps.codec ?? CODEC);
    this.#rates = new IngestRates(deps.clock);
    this.#ledger = ledger;
    this.#damage = new Damage(mesh, deps.store, damaged);
    this.#writer = new StoreWriter(deps);
    this.#forks = new LateForks(mesh, deps.store);
    this.#settling = new Settling({
      ledger: () => this.#ledger,
      waiting: this.#waiting,
      writer: this.#writer,
      forks: this.#forks,
      log: deps.log,
      place: (item, round) => this.#place(item, round),
      tell: (round) => this.#tell(round),
      onKept: (id) => this.#damage.onHealed(id),
    });
    // Even with a saved state more may be final by what was read behind it: the first snapshot is for the next start.
    this.#snapshotGeneration = hasSnapshot ? 0 : -1;
    const round = new Round(undefined, false);
    for (const entry of waiting.entries) this.#place({ entry }, round);
    for (const attestation of waiting.attestations) this.#place({ attestation }, round);
    void this.#settling.settle(round);
  }

  /** Read it anew each time: it is replaced when it has to be built again. */
  get ledger(): Ledger {
    return this.#ledger;
  }

  /** Entries that lay damaged on the disk and were dropped: to be fetched again. */
  get damaged(): readonly EntryName[] {
    return this.#damage.names();
  }

  /** What waits for its past. */
  get waiting(): Pick<Waiting, 'size' | 'countOf' | 'missing' | 'missingOf' | 'has'> {
    return this.#waiting;
  }

  /** Called in the order in which things were taken in. @returns what ends it */
  onTaken(listener: (news: News) => void): () => void {
    this.#newsListeners.add(listener);
    return () => this.#newsListeners.delete(listener);
  }

  /** Something waits for what is not here; `from` should have it. @returns what ends it */
  onGap(listener: GapListener): () => void {
    this.#gapListeners.add(listener);
    return () => this.#gapListeners.delete(listener);
  }

  /* ---- the ways in ---- */

  /** A message of gossip. Never throws. */
  takeHint(bytes: Uint8Array, from: NodeId): Verdict {
    const hint = readHint(bytes);
    if (hint === undefined) return 'reject';
    const [entries, attestations] = hint;
    if (this.#rebuilding !== undefined || this.#writer.isFull) return 'ignore';
    const round = new Round(from, true);
    if (!this.#rates.mayHint(from, entries.length + attestations.length)) {
      this.#tellGap(round.missing, from);
      return 'ignore';
    }
    for (const sealed of entries) if (round.bad === 0) this.#takeEntry(this.#checked.entry(sealed), round);
    for (const sealed of attestations) {
      if (round.bad === 0) this.#takeAttestation(this.#checked.attestation(sealed), round);
    }
    this.#tell(round);
    void this.#settling.settle(round);
    if (round.missing.length > 0 || round.limited.size > 0) this.#tellGap(round.missing, from);
    if (round.bad > 0) return 'reject';
    // What was not checked may not be passed on: who passes on what does not stand pays for it.
    return round.taken > 0 && round.limited.size === 0 ? 'accept' : 'ignore';
  }

  /** Reads an entry for `take`, so that it is known who wrote it before its signature is checked. */
  read(sealed: Uint8Array): Unchecked<Entry> {
    return this.#checked.entry(sealed);
  }

  /** An entry whose signature stands, wherever it belongs; undefined for anything else. */
  open(sealed: Uint8Array): Entry | undefined {
    const { value } = this.#checked.entry(sealed);
    return value !== undefined && this.#checked.isEntrySigned(value) ? value : undefined;
  }

  /** An attestation, not checked; undefined when its form does not stand. */
  readAttestation(sealed: Uint8Array | undefined): Attestation | undefined {
    return sealed && this.#checked.attestation(sealed).value;
  }

  /** What a peer has answered. Resolves when it is in the ledger, as far as it can be; never rejects. */
  async take({ entries = [], attestations = [] }: Page, from: NodeId): Promise<Outcome> {
    const round = new Round(from, false);
    await this.#slices(
      entries.map((item) => (item instanceof Uint8Array ? this.#checked.entry(item) : item)),
      round,
      (read) => this.#entryAhead(read),
      (read) => this.#takeEntry(read, round),
    );
    await this.#slices(
      attestations.map((sealed) => this.#checked.attestation(sealed)),
      round,
      ({ value }) => value && this.#checked.attestationAhead(value),
      (read) => this.#takeAttestation(read, round),
    );
    await this.#settling.settle(round);
    return round.outcome();
  }

  /**
   * An entry that this node has signed: on disk before it is anywhere else.
   * @throws GoGridError what the store rejects with; `internal` when the ledger does not take it
   */
  async own(entry: Entry): Promise<void> {
    await this.#rebuilding;
    await this.#writer.write({ entries: [entry] }, true);
    const round = new Round(undefined, false);
    round.onDisk.add(entry);
    this.#place({ entry }, round);
    this.#tell(round);
    if (!round.entries.includes(entry) && this.#ledger.find(entry.id) === undefined) {
      throw new GoGridError({ code: 'internal', message: 'the ledger does not take an own entry' });
    }
  }

  /** Attestations that this node has signed: on disk before they are anywhere else. @throws GoGridError as `own` */
  async ownAttestations(attestations: readonly Attestation[]): Promise<void> {
    await this.#rebuilding;
    await this.#writer.write({ attestations }, true);
    const round = new Round(undefined, false);
    for (const attestation of attestations) {
      round.onDisk.add(attestation);
      this.#place({ attestation }, round);
    }
    this.#tell(round);
  }

  /** Two entries that prove what an author did at a final place, when such are noted. */
  proof(author: AccountId): Promise<Forked | undefined> {
    return this.#forks.proof(author);
  }

  /** An entry that should be on the disk cannot be read: it is dropped there, and fetched again from whoever has it. */
  onDamage({ author, sequence }: EntryName): void {
    void this.#settling.run(async () => this.#tellGap(await this.#damage.look(author, sequence), undefined));
  }

  /** Resolves when the store has all that was taken in. @throws GoGridError what the store rejects with */
  flushed(): Promise<void> {
    return this.#writer.flushed();
  }

  async stop(): Promise<void> {
    await this.#settling.idle();
    await this.#rebuilding;
    if (this.#hasNewFinal()) await this.#snapshot();
    await this.#writer.flushed().catch(() => {});
    this.#writer.stop();
  }

  /* ---- the checks, in their order ---- */

  #takeEntry({ sealed, value: entry }: Unchecked<Entry>, round: Round): void {
    if (entry === undefined) round.bad++;
    else if (this.#isKnown(entry)) round.known++;
    else if (!this.#checked.has(sealed) && !this.#mayShowKey(entry, round)) round.limited.add(entry.author);
    else if (!this.#checked.isEntrySigned(entry)) round.bad++;
    else if (!this.#mayWrite(entry)) round.limited.add(entry.author);
    else this.#place({ entry }, round);
  }

  #takeAttestation({ value: attestation }: Unchecked<Attestation>, round: Round): void {
    if (attestation === undefined) round.bad++;
    else if (!this.#checked.isAttestationSigned(attestation)) round.bad++;
    else this.#place({ attestation }, round);
  }

  /** On another thread, what will have to be checked; a new key is left for its turn, when it is known who showed it. */
  #entryAhead({ value: entry }: Unchecked<Entry>): Promise<void> | undefined {
    return entry === undefined || this.#isKnown(entry) || this.#isNewAuthor(entry)
      ? undefined
      : this.#checked.entryAhead(entry);
  }

  /** The same id with other bytes is another signature, which nobody has checked. */
  #isKnown({ id, sealed }: Entry): boolean {
    const here = this.#ledger.find(id) ?? this.#waiting.find(id);
    return here !== undefined && Buffer.compare(here.sealed, sealed) === 0;
  }

  #mayShowKey(entry: Entry, round: Round): boolean {
    const { from, hinted } = round;
    if (from === undefined || !this.#isNewAuthor(entry) || this.#waiting.countOf(entry.author) > 0) return true;
    if (hinted && ++round.newKeys > LEDGER.maxNewKeysPerHint) return false;
    return this.#rates.mayShowKey(from);
  }

  #isNewAuthor({ author }: EntryName): boolean {
    const { founder } = this.#mesh;
    const ledger = this.#ledger;
    return author !== founder && ledger.finalTip(author) === undefined && ledger.children(author).length === 0;
  }

  #mayWrite(entry: Entry): boolean {
    const { author, sequence } = entry;
    if (sequence === 0 && this.#isNewAuthor(entry) && !this.#rates.mayBegin()) return false;
    // What witnesses have certified went through their rates: a node that was away for months need not wait for it.
    return this.#rates.mayWrite(author) || sequence <= this.#waiting.certifiedOf(author, quorumOf(this.#mesh));
  }

  /** Puts an entry or attestation into the ledger, then what waited for it. */
  #place(item: Item, round: Round): void {
    place(item, {
      ledger: this.#ledger,
      waiting: this.#waiting,
      onAdded: (entry, taken) => this.#onAdded(entry, taken, round),
      onAttested: (attestation, attested) => this.#onAttested(attestation, attested, round),
    });
  }

  #onAdded(entry: Entry, taken: Taken, round: Round): void {
    round.count(taken.result, entry);
    if (taken.result === 'taken') this.#onEntry(entry, round);
    else if (taken.result === 'old') round.old.push(entry);
    else if (taken.result === 'waits') {
      round.missing.push(...taken.missing);
      if (taken.missing.some((name) => this.#isBelowFinal(name))) round.buried.push(entry);
    }
  }

  #isBelowFinal({ author, sequence }: EntryName): boolean {
    return sequence <= (this.#ledger.finalTip(author)?.sequence ?? -1);
  }

  #onEntry(entry: Entry, round: Round): void {
    if (entry.sequence === 0) this.#rates.onBegun();
    this.#damage.onHealed(entry.id);
    if (!round.onDisk.has(entry)) this.#writer.addEntry(entry);
    round.forks.push(...this.#forks.inMemory(this.#ledger, entry));
  }

  #onAttested(attestation: Attestation, attested: Attested, round: Round): void {
    if (attested.result === 'known') round.known++;
    if (attested.result === 'waits') round.missing.push(attested.missing);
    if (attested.result !== 'taken' && attested.result !== 'contradiction') return;
    round.attestations.push(attestation);
    round.taken++;
    if (!round.onDisk.has(attestation)) this.#writer.addAttestation(attestation);
    if (attested.result === 'contradiction') this.#rebuild();
  }

  /* ---- when witnesses have lied ---- */

  /** A certificate says that the final part was wrong: more than f witnesses have lied. Nothing is final here any more. */
  #rebuild(): void {
    if (this.#rebuilding !== undefined) return;
    this.#deps.log.error(
      {},
      'two certificates contradict each other: witnesses have lied, and nothing counts as final',
    );
    this.#rebuilding = this.#rebuildNow()
      .catch((thrown: unknown) =>
        this.#deps.log.error({ error: toGoGridError(thrown) }, 'the ledger cannot be rebuilt'),
      )
      .finally(() => {
        this.#rebuilding = undefined;
      });
  }

  async #rebuildNow(): Promise<void> {
    await this.#writer.flushed();
    await this.#deps.store.notes.put([[NEVER_FINAL, Uint8Array.of(1)]]);
    const { ledger, waiting } = await loadLedger(this.#mesh, this.#deps);
    this.#ledger = ledger;
    this.#snapshotGeneration = ledger.finalGeneration;
    const round = new Round(undefined, false);
    for (const entry of waiting.entries) this.#place({ entry }, round);
  }

  /* ---- afterwards ---- */

  /**
   * Does many things with a pause now and then; what was taken in is told before each pause, so that the order holds.
   * @param ahead begins on other threads what `each` will need
   */
  async #slices<T>(
    items: readonly T[],
    round: Round,
    ahead: (item: T) => Promise<void> | undefined,
    each: (item: T) => void,
  ): Promise<void> {
    const { clock, pause } = this.#deps;
    let until = clock.elapsed() + LEDGER.sliceMs;
    for (const [index, item] of items.entries()) {
      if (index % LEDGER.aheadGroup === 0) {
        this.#tell(round);
        await Promise.all(items.slice(index, index + LEDGER.aheadGroup).map(ahead));
        until = clock.elapsed() + LEDGER.sliceMs;
      } else if (clock.elapsed() >= until) {
        this.#tell(round);
        await pause();
        until = clock.elapsed() + LEDGER.sliceMs;
      }
      if (this.#rebuilding !== undefined) await this.#rebuilding;
      if (this.#writer.isFull) await this.#writer.flushed().catch(() => {});
      // A disk that takes nothing ends it here: what could not be kept is asked for again.
      if (this.#writer.isFull || round.bad > LEDGER.maxBadPerSync) break;
      each(item);
    }
    this.#tell(round);
  }

  #tell(round: Round): void {
    const news = round.news();
    if (news === undefined) return;
    for (const listener of this.#newsListeners) this.#guarded(() => listener(news));
    this.#takenSinceSnapshot += news.entries.length + news.attestations.length;
    if (this.#takenSinceSnapshot >= LEDGER.snapshotEvery && this.#hasNewFinal()) void this.#snapshot();
  }

  #tellGap(missing: readonly EntryName[], from: NodeId | undefined): void {
    for (const listener of this.#gapListeners) this.#guarded(() => listener(missing, from));
  }

  #guarded(call: () => void): void {
    try {
      call();
    } catch (thrown) {
      this.#deps.log.error({ error: toGoGridError(thrown) }, 'a listener of the ledger broke');
    }
  }

  #hasNewFinal(): boolean {
    const { finalGeneration } = this.#ledger;
    return finalGeneration > 0 && finalGeneration !== this.#snapshotGeneration && this.#rebuilding === undefined;
  }

  /** The final state, so that the next start need not fold everything; with what it rests on in one write. */
  async #snapshot(): Promise<void> {
    this.#takenSinceSnapshot = 0;
    this.#snapshotGeneration = this.#ledger.finalGeneration;
    try {
      await this.#forks.persist(this.#ledger);
      await this.#writer.write({ snapshot: this.#ledger.finalBooks().encode() }, false);
    } catch (thrown) {
      this.#deps.log.warn({ code: toGoGridError(thrown).code }, 'the state of the ledger could not be saved');
    }
  }
}

/** @returns undefined for what is too long or no hint */
function readHint(bytes: Uint8Array): LedgerHint | undefined {
  if (bytes.length > LEDGER.maxHintBytes) return undefined;
  try {
    return ledgerHint.safeParse(decode(bytes, 'a hint of the ledger')).data;
  } catch {
    return undefined;
  }
}
