/**
 * A node that the mesh names as a witness: it attests every place of every chain in the background, one id a place, ever.
 * What it attests is on disk before it leaves (`witness-record.ts`). After a start it first takes over from its peers what its
 * key has attested: a restored backup does not know. When it meets an attestation of its key that it did not make, another
 * process uses its key, and it attests nothing more.
 */

import type { Clock, Timer } from '../../clock.ts';
import { GoGridError, toGoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import type { NodeId } from '../../protocol/ids.ts';
import type { WitnessAnswer, WitnessAsk } from '../../protocol/ledger.ts';
import type { Signer } from '../../protocol/signature.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { openAttestation, sealAttestation } from '../entries/attestation.ts';
import type { AccountId, Attestation, Entry, EntryName, LedgerMesh } from '../entries/entry.ts';
import { hexOf } from '../entries/fields.ts';
import { Nudge } from '../own/own-head.ts';
import type { LedgerStore } from '../ports.ts';
import type { LedgerFlow, Taken } from '../views.ts';
import { WitnessRecord } from './witness-record.ts';
import { nextOnWay } from './witness-way.ts';

export interface WitnessOptions {
  readonly mesh: LedgerMesh;
  readonly self: AccountId;
  /** The key was made at this very start: it has attested nothing. */
  readonly fresh: boolean;
  /** `credits.lone_release_secs`. */
  readonly loneReleaseMs: number;
}

export interface WitnessDeps {
  readonly signer: Signer;
  readonly ingest: LedgerFlow & { ownAttestations(list: readonly Attestation[]): Promise<void> };
  readonly store: Pick<LedgerStore, 'authors' | 'attestations' | 'notes'>;
  readonly link: { peers(): readonly NodeId[] };
  /** A sync with a peer; whole when it neither failed nor was cut. Never rejects. */
  readonly sync: {
    with(peer: NodeId, signal?: AbortSignal): Promise<{ readonly failed: unknown; readonly isCut: boolean }>;
  };
  readonly clock: Clock;
  readonly log: Logger;
}

export interface WitnessState {
  /** `starting`: it takes over what its key has attested. `stopped`: its key is in use elsewhere. */
  readonly state: 'starting' | 'running' | 'stopped';
  readonly reason?: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

/** What a release alone waits for. */
type LoneRelease = { readonly hold: EntryName; readonly leg: number; readonly cumulative: bigint };

export class Witness {
  readonly #options: WitnessOptions;
  readonly #deps: WitnessDeps;
  readonly #start: string;
  readonly #listeners = new Set<() => void>();
  readonly #nudge: Nudge;
  /** Chains in which something may be next. */
  readonly #dirty = new Set<AccountId>();
  #record: WitnessRecord | undefined;
  #state: WitnessState;
  /** `Clock.elapsed()` of the start. */
  #startedAt = 0;
  #gather: Timer | undefined;
  /** The next release alone may be due then. */
  #due: Timer | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #working: Promise<void> | undefined;
  #saving: Promise<void> = Promise.resolve();
  /** Chains that stand at a release alone. */
  readonly #blocked = new Set<AccountId>();
  #starting: Promise<void> = Promise.resolve();
  #isClosed = false;
  readonly #end = new AbortController();
  #unlisten = () => {};

  constructor(options: WitnessOptions, deps: WitnessDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#start = hexOf(options.mesh.networkId);
    this.#nudge = new Nudge(deps.clock);
    this.#state = { state: 'starting', since: deps.clock.now() };
  }

  /* ---- life ---- */

  /** Reads what it has attested; the rest goes on in the background. @throws GoGridError `damaged`, `home_unusable` */
  async start(): Promise<void> {
    const { store, ingest, clock } = this.#deps;
    this.#startedAt = clock.elapsed();
    this.#record = await WitnessRecord.load(this.#options.self, store.notes);
    this.#unlisten = ingest.onTaken((news) => this.#hear(news));
    this.#starting = this.#begin(this.#record);
  }

  /** Attests nothing more, and resolves when what it was about to attest is on disk. */
  async stop(): Promise<void> {
    this.#isClosed = true;
    this.#end.abort();
    this.#unlisten();
    this.#gather?.cancel();
    this.#due?.cancel();
    this.#nudge.nudge();
    await this.#starting;
    await this.#working;
    await this.#saving;
  }

  /** Peers came or went. */
  peersChanged(): void {
    if (this.#state.state === 'starting') this.#nudge.nudge();
  }

  state(): WitnessState {
    return this.#state;
  }

  /** Calls back after every change of the state; returns the way to stop that. */
  onState(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #begin(record: WitnessRecord): Promise<void> {
    const { store, ingest, log } = this.#deps;
    try {
      // They may have left already, so they are made good first.
      const leaving = (await record.leaving()).map((sealed) => openAttestation(sealed, this.#options.mesh));
      if (leaving.length > 0) await ingest.ownAttestations(leaving);
      if (!this.#options.fresh) await this.#takeOver();
      if (this.#isClosed || this.#state.state !== 'starting') return;
      record.forget((hold, leg) => this.#isOver(hold, leg));
      await record.save([]);
      this.#become('running');
      for await (const author of store.authors()) this.#dirty.add(author);
      this.#wake();
    } catch (thrown) {
      log.error({ error: toGoGridError(thrown) }, 'this witness cannot start');
      this.#become('stopped', `its record cannot be read or written: ${toGoGridError(thrown).message}`);
    }
  }

  /**
   * Syncs with peers until one sync at least is whole: `#hear` takes over what its key has signed. Without a peer it waits. There
   * is nobody then who could write anything, but this node, which signs nothing either.
   */
  async #takeOver(): Promise<void> {
    const { link, sync } = this.#deps;
    while (!this.#isClosed) {
      const peers = link.peers().slice(0, LEDGER.witnessSyncsWith);
      const done = await Promise.all(peers.map((peer) => sync.with(peer, this.#end.signal)));
      if (done.some(({ failed, isCut }) => failed === undefined && !isCut)) return;
      this.#become('starting', peers.length === 0 ? 'no peer is connected' : 'no sync with a peer has ended yet');
      await this.#nudge.wait(LEDGER.askHeadAgainMs);
    }
  }

  #become(state: WitnessState['state'], reason?: string): void {
    const before = this.#state;
    if (before.state === state && before.reason === reason) return;
    const since = before.state === state ? before.since : this.#deps.clock.now();
    this.#state = reason === undefined ? { state, since } : { state, since, reason };
    for (const listener of this.#listeners) listener();
  }

  /* ---- what comes in ---- */

  #hear({ entries, attestations, from }: Taken): void {
    for (const { author } of entries) this.#dirty.add(author);
    for (const attestation of attestations) {
      this.#dirty.add(attestation.author);
      if (from !== undefined && attestation.witness === this.#options.self) this.#hearOwn(attestation);
    }
    if (this.#dirty.size > 0) this.#wake();
  }

  /** An attestation of this key came from outside. */
  #hearOwn(attestation: Attestation): void {
    const record = this.#record;
    if (record === undefined || this.#agrees(attestation, record)) return;
    const { clock, ingest, log } = this.#deps;
    const entry = ingest.ledger.find(attestation.id);
    if (entry === undefined) record.adopt(attestation);
    else for (const one of this.#unattested(entry, record)) record.attested(one, clock.now());
    if (this.#state.state === 'starting') return;
    this.#become('stopped', 'another process attests with its key');
    log.error(
      { sequence: attestation.sequence },
      'this witness met an attestation of its key that it did not make: it attests nothing more',
    );
    this.#saving = record.save([]).catch((error: unknown) => {
      log.error({ error: toGoGridError(error) }, 'what the key of this witness attested could not be kept');
    });
  }

  /** Whether it is one that this witness has made, as far as that can be told. */
  #agrees({ author, sequence, id }: Attestation, record: WitnessRecord): boolean {
    const { ledger } = this.#deps.ingest;
    const tip = record.tip(author);
    if (tip === undefined || sequence > tip.sequence) return false;
    if (sequence === tip.sequence) return id === tip.id;
    let next = ledger.find(tip.id);
    while (next !== undefined && next.sequence > sequence + 1) next = ledger.find(next.previous);
    // Final entries are no longer in memory. And it may have attested a branch that a certificate then took it away from.
    if (next === undefined || next.previous === id) return true;
    const status = ledger.status({ author, sequence, id: next.previous });
    return status === 'certified' || status === 'final';
  }

  /** An entry, and those before it that are not attested: who attested it has attested them. */
  #unattested(entry: Entry, record: WitnessRecord): Entry[] {
    const { ledger } = this.#deps.ingest;
    const known = record.tip(entry.author)?.sequence ?? -1;
    const all: Entry[] = [];
    let at: Entry | undefined = entry;
    while (at !== undefined && at.sequence > known) {
      all.push(at);
      at = ledger.find(at.previous);
    }
    // At a place that it attested another way already it only learns what it says of the leg.
    return all.length === 0 ? [entry] : all.reverse();
  }

  /* ---- attesting ---- */

  #wake(): void {
    if (this.#gather !== undefined || this.#isClosed || this.#state.state !== 'running') return;
    this.#gather = this.#deps.clock.after(LEDGER.attestGatherMs, () => {
      this.#gather = undefined;
      void this.#work();
    });
  }

  /** One batch after the other until nothing is next; resolves then. */
  #work(): Promise<void> {
    this.#working ??= this.#batches()
      .catch((error: unknown) => {
        this.#deps.log.error({ error: toGoGridError(error) }, 'this witness broke off');
        this.#become('stopped', toGoGridError(error).message);
      })
      .finally(() => {
        this.#working = undefined;
      });
    return this.#working;
  }

  async #batches(): Promise<void> {
    const { ingest } = this.#deps;
    const record = this.#record;
    while (record !== undefined && this.#state.state === 'running' && !this.#isClosed) {
      const batch = this.#nextBatch(record);
      if (batch.length === 0) break;
      await this.#untilWritten(() => record.save(batch));
      await this.#untilWritten(() => ingest.ownAttestations(batch));
    }
  }

  #nextBatch(record: WitnessRecord): Attestation[] {
    const { mesh } = this.#options;
    const { ingest, signer, clock } = this.#deps;
    const batch: Attestation[] = [];
    for (const author of this.#dirty) {
      this.#dirty.delete(author);
      for (const entry of nextOnWay(author, record.tip(author), ingest.ledger, this.#start)) {
        if (batch.length === LEDGER.maxAttestBatch) {
          this.#dirty.add(author);
          return batch;
        }
        if (!this.#mayAttest(entry, record)) break;
        batch.push(sealAttestation(mesh, signer, entry, record.isLate(entry)));
        record.attested(entry, clock.now());
      }
    }
    return batch;
  }

  /** A disk that refuses is tried again: what is decided stays decided. */
  async #untilWritten(write: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await write();
      } catch (thrown) {
        if (this.#isClosed) return;
        this.#deps.log.error(
          { error: toGoGridError(thrown) },
          'attestations could not be written; they are tried again',
        );
        await this.#nudge.wait(LEDGER.writeAgainMs);
      }
    }
  }

  #mayAttest({ author, body }: Entry, record: WitnessRecord): boolean {
    if (body.kind !== 'release' || !('alone' in body.rest)) return true;
    const { hold, leg } = body;
    const waitMs = this.#waitFor({ hold, leg, cumulative: body.rest.alone }, record);
    if (waitMs === 0) return true;
    if (waitMs !== undefined) this.#comeBack(author, waitMs);
    return false;
  }

  /** How long it would not attest a release alone, in milliseconds; undefined for never. */
  #waitFor({ hold, leg, cumulative }: LoneRelease, record: WitnessRecord): number | undefined {
    const { clock, ingest } = this.#deps;
    const { loneReleaseMs } = this.#options;
    const known = record.heldBy(hold, leg, clock.now());
    // What is paid was claimed, and attested by somebody, also when this witness came later.
    const paid = ingest.ledger.books().leg(hold, leg)?.paid ?? 0n;
    if (known.claimed > cumulative || paid > cumulative) return undefined;
    const sinceHold = clock.now() - known.heldAt;
    const running = clock.elapsed() - this.#startedAt;
    return Math.max(0, loneReleaseMs - sinceHold, loneReleaseMs / LEDGER.loneReleasePart - running);
  }

  /** Looks at a chain again when its release alone may be due. */
  #comeBack(author: AccountId, waitMs: number): void {
    const { clock } = this.#deps;
    // A timer of the system holds 24 days at most.
    const inMs = Math.min(Math.ceil(waitMs), LEDGER.loneReleaseEveryMs);
    this.#blocked.add(author);
    if (clock.elapsed() + inMs >= this.#dueAt) return;
    this.#due?.cancel();
    this.#dueAt = clock.elapsed() + inMs;
    this.#due = clock.after(inMs, () => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      for (const blocked of this.#blocked) this.#dirty.add(blocked);
      this.#blocked.clear();
      this.#wake();
    });
  }

  /* ---- what it is asked ---- */

  /**
   * Answers `/gogrid/witness/1`.
   * @throws GoGridError `ledger_not_ready` before it attests, `ledger_stopped` when its key is in use elsewhere
   */
  async answer(ask: WitnessAsk): Promise<WitnessAnswer> {
    const record = this.#record;
    const { state, reason = '' } = this.#state;
    if (record === undefined || state !== 'running') {
      const code = state === 'stopped' ? 'ledger_stopped' : 'ledger_not_ready';
      throw new GoGridError({ code, message: `this witness attests nothing now: ${reason}` });
    }
    if (ask.type === 'attest')
      return this.#answerAttest(
        ask.names.map(([author, sequence, id]) => ({ author: hexOf(author), sequence, id: hexOf(id) })),
      );
    const [author, sequence, id] = ask.hold;
    const hold = { author: hexOf(author), sequence, id: hexOf(id) };
    return this.#answerMayRelease({ hold, leg: ask.leg, cumulative: ask.cumulative }, record);
  }

  async #answerAttest(names: readonly EntryName[]): Promise<WitnessAnswer> {
    for (const { author } of names) this.#dirty.add(author);
    await this.#work();
    const attestations: Uint8Array<ArrayBuffer>[] = [];
    for (const name of names.slice(0, LEDGER.maxAttestBatch)) {
      const sealed = await this.#ownOver(name);
      if (sealed !== undefined) attestations.push(Uint8Array.from(sealed));
    }
    return { type: 'attestations', attestations };
  }

  /** The attestation of this witness over an entry, as it went out. */
  async #ownOver({ author, sequence, id }: EntryName): Promise<Uint8Array | undefined> {
    for await (const stored of this.#deps.store.attestations(author, sequence)) {
      if (stored.sequence > sequence) return undefined;
      if (stored.id === id && stored.witness === this.#options.self && stored.sealed.length > 0) return stored.sealed;
    }
    return undefined;
  }

  async #answerMayRelease(release: LoneRelease, record: WitnessRecord): Promise<WitnessAnswer> {
    const { hold, leg } = release;
    if (this.#deps.ingest.ledger.books().leg(hold, leg) === undefined) return { type: 'may-release' };
    const waitMs = this.#waitFor(release, record);
    // When nothing was known of the leg its time begins now, and has to be remembered.
    await record.save([]);
    return waitMs === undefined ? { type: 'may-release' } : { type: 'may-release', inSecs: Math.ceil(waitMs / 1000) };
  }

  /** Of whose legs nothing is open any more in what is final. */
  #isOver(hold: EntryName, leg: number): boolean {
    const { ledger } = this.#deps.ingest;
    const isFinal = hold.sequence <= (ledger.finalTip(hold.author)?.sequence ?? -1);
    return isFinal && ledger.finalBooks().leg(hold, leg) === undefined;
  }
}
