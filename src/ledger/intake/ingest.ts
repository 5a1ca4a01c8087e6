/**
 * The way of an entry into the ledger, from whatever side it comes: gossip, a sync, or this node itself. The checks run in one
 * fixed order, cheapest first, and each ends what it refuses:
 *
 *     size and form -> known already? -> of a final place, or with new keys, and may this peer bring such? -> signature -> rate
 *     of its author -> ledger (taken, waits, old, refused) -> what waited for it -> store -> listeners
 *
 * What a hint is worth to gossip follows from that: `accept` when all of it stands and some of it is new, `reject` when
 * something in it no honest node sends, else `ignore`. An entry whose past is missing never costs its sender anything.
 */

import type { Clock } from '../../clock.ts';
import { GoGridError, toGoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import type { NodeId } from '../../protocol/ids.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Attested, Ledger, Taken } from '../books/ledger.ts';
import type { AccountId, Attestation, Entry, EntryName, LedgerMesh } from '../entries/entry.ts';
import type { LedgerStore } from '../ports.ts';
import { Checked, CODEC, type Codec, type Unchecked } from './checked.ts';
import { Damage } from './damage.ts';
import { EntryChecks } from './entry-checks.ts';
import { costOf, readHint, type Verdict, verdictOn } from './hint.ts';
import { IngestRates } from './ingest-rates.ts';
import { type Forked, LateForks } from './late-forks.ts';
import { Listeners } from './listeners.ts';
import { CONTRADICTED, type Loaded, loadLedger, NEVER_FINAL } from './load.ts';
import { type Item, place } from './place.ts';
import { type News, type PageOutcome, Round } from './round.ts';
import { Settling } from './settling.ts';
import { inSlices } from './slices.ts';
import { Snapshots } from './snapshots.ts';
import { StoreWriter } from './store-writer.ts';
import { Waiting } from './waiting.ts';

export type { Codec } from './checked.ts';
export type { Verdict } from './hint.ts';
export type { News, PageOutcome } from './round.ts';

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

type Gap = readonly [missing: readonly EntryName[], from: NodeId | undefined];

export class Ingest {
  readonly #mesh: LedgerMesh;
  readonly #deps: IngestDeps;
  readonly #waiting: Waiting;
  readonly #checked: Checked;
  readonly #checks: EntryChecks;
  readonly #rates: IngestRates;
  readonly #writer: StoreWriter;
  readonly #forks: LateForks;
  readonly #news: Listeners<readonly [News]>;
  readonly #gaps: Listeners<Gap>;
  readonly #settling: Settling;
  readonly #damage: Damage;
  #ledger: Ledger;
  /** Set while the ledger is built anew. */
  #rebuilding: Promise<void> | undefined;
  readonly #snapshots: Snapshots;

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
    this.#news = new Listeners(deps.log);
    this.#gaps = new Listeners(deps.log);
    this.#waiting = new Waiting(undefined, () => deps.clock.elapsed());
    this.#ledger = ledger;
    const current = () => this.#ledger;
    this.#checks = new EntryChecks(mesh, {
      ledger: current,
      waiting: this.#waiting,
      checked: this.#checked,
      rates: this.#rates,
    });
    this.#damage = new Damage(mesh, deps.store, damaged);
    this.#writer = new StoreWriter(deps);
    this.#forks = new LateForks(mesh, deps.store);
    this.#settling = new Settling({
      ledger: current,
      waiting: this.#waiting,
      writer: this.#writer,
      forks: this.#forks,
      log: deps.log,
      place: (item, round) => this.#place(item, round),
      tell: (round) => this.#tell(round),
      onKept: (id) => this.#damage.onHealed(id),
    });
    this.#snapshots = new Snapshots(hasSnapshot, {
      ledger: current,
      forks: this.#forks,
      writer: this.#writer,
      log: deps.log,
    });
    this.#takeLoaded(waiting);
  }

  /** What the disk has, and what rests on something that it does not have. */
  #takeLoaded({ entries, attestations }: Loaded['waiting']): void {
    const round = new Round(undefined, false);
    for (const item of [...entries, ...attestations]) {
      round.onDisk.add(item);
      this.#place('body' in item ? { entry: item } : { attestation: item }, round);
    }
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
    return this.#news.add(listener);
  }

  /** Something waits for what is not here; `from` should have it. @returns what ends it */
  onGap(listener: (...gap: Gap) => void): () => void {
    return this.#gaps.add(listener);
  }

  /* ---- the ways in ---- */

  /** A message of gossip. Never throws. */
  takeHint(bytes: Uint8Array, from: NodeId): Verdict {
    const hint = readHint(bytes);
    if (hint === undefined) return 'reject';
    const [entries, attestations] = hint;
    if (this.#rebuilding !== undefined || this.#writer.isFull) return 'ignore';
    if (!this.#rates.mayHint(from, costOf(hint, this.#checked))) {
      this.#gaps.tell([], from);
      return 'ignore';
    }
    const round = new Round(from, true);
    for (const sealed of entries) if (round.bad === 0) this.#takeEntry(this.#checked.entry(sealed), round);
    for (const sealed of attestations) {
      if (round.bad === 0) this.#takeAttestation(this.#checked.attestation(sealed), round);
    }
    this.#tell(round);
    void this.#settling.settle(round);
    if (round.missing.length > 0 || round.limited.size > 0) this.#gaps.tell(round.missing, from);
    return verdictOn(round);
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

  /** Whether the signature of what `readAttestation` gave stands. */
  async isSigned(attestation: Attestation): Promise<boolean> {
    await this.#checked.attestationAhead(attestation);
    return this.#checked.isAttestationSigned(attestation);
  }

  /** What a peer has answered. Resolves when it is in the ledger, as far as it can be; never rejects. */
  async take({ entries = [], attestations = [] }: Page, from: NodeId): Promise<PageOutcome> {
    const round = new Round(from, false);
    await this.#slices(
      entries.map((item) => (item instanceof Uint8Array ? this.#checked.entry(item) : item)),
      round,
      (read) => this.#checks.ahead(read),
      (read) => this.#takeEntry(read, round),
    );
    await this.#slices(
      attestations.map((sealed) => this.#checked.attestation(sealed)),
      round,
      ({ value }) => (value && this.#isWitness(value) ? this.#checked.attestationAhead(value) : undefined),
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
    void this.#settling.run(async () => {
      const tip = this.#ledger.finalTip(author);
      // What is on its way to the disk is not lost.
      await this.#writer.flushed();
      this.#gaps.tell(await this.#damage.look(author, sequence, tip), undefined);
    });
  }

  /** Resolves when the store has all that was taken in. @throws GoGridError what the store rejects with */
  flushed(): Promise<void> {
    return this.#writer.flushed();
  }

  async stop(): Promise<void> {
    await this.#settling.idle();
    await this.#rebuilding;
    await this.#snapshots.save();
    await this.#writer.flushed().catch(() => {});
    this.#writer.stop();
  }

  /* ---- the checks, in their order ---- */

  #takeEntry(read: Unchecked<Entry>, round: Round): void {
    const fitting = this.#checks.check(read, round);
    const entry = read.value;
    if (entry === undefined || fitting === 'bad') round.bad++;
    else if (fitting === 'known') round.known++;
    else if (fitting === 'limited') round.limited.add(entry.author);
    else this.#place({ entry }, round);
  }

  #takeAttestation({ value: attestation }: Unchecked<Attestation>, round: Round): void {
    if (attestation === undefined) round.bad++;
    // A peer may live by a newer descriptor, with other witnesses: here it counts for nothing, and costs its sender nothing.
    else if (!this.#isWitness(attestation)) round.strange++;
    else if (!this.#checked.isAttestationSigned(attestation)) round.bad++;
    else this.#place({ attestation }, round);
  }

  #isWitness({ witness }: Attestation): boolean {
    return this.#mesh.witnesses.includes(witness);
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
    this.#deps.log.error({}, CONTRADICTED);
    this.#rebuilding = this.#rebuildNow()
      .catch((thrown: unknown) =>
        this.#deps.log.error({ error: toGoGridError(thrown) }, 'the ledger cannot be rebuilt'),
      )
      .finally(() => {
        this.#rebuilding = undefined;
      });
  }

  async #rebuildNow(): Promise<void> {
    // The note first: on a disk that has the certificates and not the note, the next start would find out only by luck.
    await this.#deps.store.notes.put([[NEVER_FINAL, Uint8Array.of(1)]]);
    await this.#writer.flushed();
    const { ledger, waiting } = await loadLedger(this.#mesh, this.#deps);
    this.#ledger = ledger;
    this.#takeLoaded(waiting);
  }

  /* ---- afterwards ---- */

  /** With a pause now and then; what was taken in is told before each pause, so that the order holds. */
  #slices<T>(
    items: readonly T[],
    round: Round,
    ahead: (item: T) => Promise<void> | undefined,
    each: (item: T) => void,
  ): Promise<void> {
    const { clock, pause } = this.#deps;
    const isFair = () => round.bad <= LEDGER.maxBadPerSync;
    const mayGoOn = () => (this.#rebuilding === undefined && !this.#writer.isFull ? isFair() : this.#isOpen(isFair));
    return inSlices(items, { clock, pause, ahead, mayGoOn, each, between: () => this.#tell(round) });
  }

  /** A disk that takes nothing ends it: what could not be kept is asked for again. */
  async #isOpen(isFair: () => boolean): Promise<boolean> {
    await this.#rebuilding;
    if (this.#writer.isFull) await this.#writer.flushed().catch(() => {});
    return !this.#writer.isFull && isFair();
  }

  #tell(round: Round): void {
    const news = round.news();
    if (news === undefined) return;
    this.#news.tell(news);
    if (this.#rebuilding === undefined) this.#snapshots.onTaken(news.entries.length + news.attestations.length);
  }
}
