/**
 * A node that the mesh names as a witness: it attests every place of every chain in the background, one id a place, ever.
 * What it attests is on disk before it leaves (`witness-record.ts`). After a start it first takes over from its peers what its
 * key has attested: a restored backup does not know. When it meets an attestation of its key that it did not make, another
 * process uses its key, and it attests nothing more.
 */

import { type Clock, every, type Timer } from '../../clock.ts';
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
import { agrees, learn } from './own-votes.ts';
import { type TakeOverSync, takeOver } from './take-over.ts';
import { WitnessRecord } from './witness-record.ts';
import { nextOnWay } from './witness-way.ts';

export interface WitnessOptions {
  readonly mesh: LedgerMesh;
  readonly self: AccountId;
  /** Whether the key was made at this very start, or never used: it has attested nothing. Asked for once. */
  readonly isFresh: () => Promise<boolean>;
  /** `credits.lone_release_secs`. */
  readonly loneReleaseMs: number;
}

export interface WitnessDeps {
  readonly signer: Signer;
  readonly ingest: LedgerFlow & {
    ownAttestations(list: readonly Attestation[]): Promise<void>;
    isSigned(attestation: Attestation): Promise<boolean>;
  };
  readonly store: Pick<LedgerStore, 'authors' | 'attestations' | 'notes'>;
  readonly link: { peers(): readonly NodeId[] };
  readonly sync: TakeOverSync;
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
  #forgetting: Timer | undefined;
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
    this.#end.abort(new GoGridError({ code: 'shutting_down', message: 'the node stops' }));
    this.#unlisten();
    this.#gather?.cancel();
    this.#due?.cancel();
    this.#forgetting?.cancel();
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
    const { store, ingest, clock, log } = this.#deps;
    try {
      // They may have left already, so they are made good first.
      const leaving = (await record.leaving()).map((sealed) => openAttestation(sealed, this.#options.mesh));
      if (leaving.length > 0) await ingest.ownAttestations(leaving);
      // What came before this witness listened.
      for (const vote of ingest.ledger.newestVotesOf(this.#options.self)) {
        if (!agrees(vote, record, ingest.ledger)) learn(vote, record, ingest.ledger, clock.now());
      }
      if (!(await this.#options.isFresh())) await this.#takeOver(record);
      if (this.#isClosed || this.#state.state !== 'starting') return;
      await this.#forget(record);
      this.#forgetting = every(clock, LEDGER.witnessForgetEveryMs, () => {
        // What could not be written now is written with what is attested next.
        this.#saving = this.#forget(record).catch(() => undefined);
      });
      this.#become('running');
      for await (const author of store.authors()) this.#dirty.add(author);
      this.#wake();
    } catch (thrown) {
      log.error({ error: toGoGridError(thrown) }, 'this witness cannot start');
      this.#become('stopped', `its record cannot be read or written: ${toGoGridError(thrown).message}`);
    }
  }

  #takeOver(record: WitnessRecord): Promise<void> {
    const { link, sync, clock, ingest } = this.#deps;
    const onVotes = async (votes: readonly Attestation[]) => {
      for (const vote of votes) {
        if (agrees(vote, record, ingest.ledger) || !(await ingest.isSigned(vote))) continue;
        learn(vote, record, ingest.ledger, clock.now());
      }
    };
    const onWait = (reason: string) => this.#become('starting', reason);
    const deps = { link, sync, clock, nudge: this.#nudge, onVotes, onWait };
    return takeOver(this.#options, deps, this.#end.signal);
  }

  /** Legs of which nothing is open any more, for good. */
  async #forget(record: WitnessRecord): Promise<void> {
    record.forget((hold, leg) => this.#isOver(hold, leg));
    await record.save([]);
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
    const { ingest, clock, log } = this.#deps;
    if (record === undefined || agrees(attestation, record, ingest.ledger)) return;
    learn(attestation, record, ingest.ledger, clock.now());
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
      // Nothing leaves that is not on record.
      if (!(await this.#untilWritten(() => record.save(batch)))) return;
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

  /** A disk that refuses is tried again: what is decided stays decided. @returns false when the node ends before it is written */
  async #untilWritten(write: () => Promise<void>): Promise<boolean> {
    for (;;) {
      try {
        await write();
        return true;
      } catch (thrown) {
        if (this.#isClosed) return false;
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
