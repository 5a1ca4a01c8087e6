/**
 * The own log: the one place where entries are written. They are written one after the other, each on disk before anything
 * of it leaves the node, and none before it is known where the log ends (`own-head.ts`).
 *
 * An entry of this account that somebody else wrote means that its key is in use elsewhere: from then on nothing is signed.
 */

import type { Clock } from '../../clock.ts';
import { GoGridError, toGoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import type { NodeId } from '../../protocol/ids.ts';
import type { Signer } from '../../protocol/signature.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { AccountId, Claim, Entry, EntryBody, EntryName, HoldLeg, LedgerMesh } from '../entries/entry.ts';
import { sealEntry } from '../entries/entry-codec.ts';
import { hexOf } from '../entries/fields.ts';
import type { LedgerStore } from '../ports.ts';
import { type LedgerFlow, nameOnly, type Taken } from '../views.ts';
import {
  expectAccept,
  expectClaim,
  expectHold,
  expectRelease,
  expectReleaseAlone,
  expectTransfer,
} from './own-checks.ts';
import { askHead, type HeadDeps, Nudge } from './own-head.ts';
import { OwnNotes } from './own-notes.ts';

export interface AuthorOptions {
  readonly mesh: LedgerMesh;
  readonly self: AccountId;
  /** The key was made at this very start: nobody can have an entry of it. */
  readonly fresh: boolean;
}

export interface AuthorDeps {
  readonly signer: Signer;
  readonly ingest: LedgerFlow;
  readonly store: Pick<LedgerStore, 'chain' | 'idsAt' | 'notes'>;
  readonly link: { peers(): readonly NodeId[] };
  readonly heads: { head(peer: NodeId, author: AccountId, signal: AbortSignal): Promise<readonly Entry[]> };
  /** Sends an own entry once more that is in the ledger already. */
  readonly again: (entry: Entry) => void;
  readonly clock: Clock;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly log: Logger;
}

/** Whether the node signs entries. */
export interface AuthorState {
  /** `starting`: it asks where its log ends. `stopped`: its key is in use elsewhere. */
  readonly state: 'starting' | 'ready' | 'stopped';
  /** What it waits for, or why it stopped: a sentence of ours. */
  readonly reason?: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

export type NewTransfer = { readonly to: AccountId; readonly amount: bigint; readonly memo: string };

/** Called with the name of an entry that is signed and not written yet; a rejection takes it back. */
export type BeforeWrite = (name: EntryName) => Promise<void>;

const NO_PEER = 'no peer is connected that could say which entry of this account is the newest';
const NO_ANSWER = 'none of the peers has said yet which entry of this account is the newest';

export class Author {
  readonly #mesh: LedgerMesh;
  readonly #self: AccountId;
  readonly #fresh: boolean;
  readonly #deps: AuthorDeps;
  readonly #notes: OwnNotes;
  readonly #listeners = new Set<() => void>();
  readonly #ask: Nudge;
  #state: AuthorState;
  /** The newest own entry; undefined before the first. Known when the state is `ready`. */
  #head: EntryName | undefined;
  /** The newest own entry on disk at the start, also when its past is missing. */
  #onDisk: EntryName | undefined;
  /** Its write failed: it may be on disk or not, and no other entry may be signed for its place. */
  #unsure: Entry | undefined;
  /** Since it was ready. */
  #hasWritten = false;
  #queue: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #isClosed = false;
  #asking: Promise<void> = Promise.resolve();
  #unlisten = () => {};
  #settled = Promise.withResolvers<void>();

  constructor({ mesh, self, fresh }: AuthorOptions, deps: AuthorDeps) {
    this.#mesh = mesh;
    this.#self = self;
    this.#fresh = fresh;
    this.#deps = deps;
    this.#notes = new OwnNotes(self, deps.store.notes);
    this.#ask = new Nudge(deps.clock);
    this.#state = { state: 'starting', since: deps.clock.now() };
    this.#settled.promise.catch(() => undefined);
  }

  /* ---- life ---- */

  /** Reads what the disk has of the own log; the asking goes on in the background. @throws GoGridError `damaged`, `home_unusable` */
  async start(): Promise<void> {
    const { ingest } = this.#deps;
    this.#unlisten = ingest.onTaken((news) => this.#meet(news));
    const wasStopped = await this.#notes.wasStopped();
    this.#onDisk = await this.#newestOnDisk();
    if (this.#fresh && !wasStopped && this.#onDisk === undefined) this.#become('ready');
    else this.#asking = this.#findHead(wasStopped);
  }

  /** Takes no more entries, and resolves when those that were taken are written. */
  async stop(): Promise<void> {
    this.#isClosed = true;
    this.#ask.nudge();
    this.#unlisten();
    await this.#asking;
    await this.#queue;
  }

  /** Peers came or went. */
  peersChanged(): void {
    if (this.#state.state === 'starting') this.#ask.nudge();
  }

  state(): AuthorState {
    return this.#state;
  }

  /** Calls back after every change of the state; returns the way to stop that. */
  onState(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when it is known where the log ends, and entries may be signed; never, when they may not. */
  ready(): Promise<void> {
    return this.#settled.promise;
  }

  /** The newest entry of the own log; undefined before the first, and while it is not known. */
  head(): EntryName | undefined {
    return this.#state.state === 'ready' ? this.#head : undefined;
  }

  /* ---- entries; each resolves when it is on disk ---- */

  /** @throws GoGridError `insufficient_credits`, `invalid_request`, and those of every entry: `no_credits`, `ledger_not_ready`,
   * `ledger_stopped`, `overloaded`, `shutting_down`, `disk_full`, `home_unusable` */
  transfer(transfer: NewTransfer, beforeWrite?: BeforeWrite): Promise<Entry> {
    return this.#append(() => expectTransfer(transfer, this.#self, this.#deps.ingest.ledger), beforeWrite);
  }

  /** Books a transfer to this account. @throws GoGridError `invalid_request` when it is not open, and those of every entry */
  accept(transfer: EntryName): Promise<Entry> {
    return this.#append(() => expectAccept(nameOnly(transfer), this.#self, this.#deps.ingest.ledger));
  }

  /** Sets credits aside. @throws GoGridError `insufficient_credits`, `invalid_request`, and those of every entry */
  hold(legs: readonly HoldLeg[]): Promise<Entry> {
    return this.#append(() => expectHold(legs, this.#self, this.#deps.ingest.ledger));
  }

  /** Books what a voucher promises. @throws GoGridError `invalid_request` when it adds nothing, and those of every entry */
  claim(claim: Omit<Claim, 'kind'>): Promise<Entry> {
    return this.#append(() => expectClaim(claim, this.#self, this.#deps.ingest.ledger));
  }

  /** Takes the rest of a leg back that a claim has closed. @throws GoGridError `invalid_request`, and those of every entry */
  release(hold: EntryName, leg: number, claim: EntryName): Promise<Entry> {
    const rest = { claim: nameOnly(claim) };
    return this.#append(() => expectRelease({ hold: nameOnly(hold), leg, rest }, this.#self, this.#deps.ingest.ledger));
  }

  /**
   * Takes back what is above `cumulative`, without the payee. Its caller has asked the witnesses, and gives no voucher above.
   * @throws GoGridError `invalid_request`, and those of every entry
   */
  releaseAlone(hold: EntryName, leg: number, cumulative: bigint): Promise<Entry> {
    const rest = { alone: cumulative };
    return this.#append(() =>
      expectReleaseAlone({ hold: nameOnly(hold), leg, rest }, this.#self, this.#deps.ingest.ledger),
    );
  }

  #append(make: () => EntryBody, beforeWrite?: BeforeWrite): Promise<Entry> {
    if (this.#waiting >= LEDGER.maxOwnQueue) {
      const message = `${this.#waiting} entries wait to be written`;
      return Promise.reject(new GoGridError({ code: 'overloaded', message, retryAfterSecs: 1 }));
    }
    this.#waiting++;
    const written = this.#queue.then(() => this.#write(make, beforeWrite));
    this.#queue = written.then(
      () => this.#waiting--,
      () => this.#waiting--,
    );
    return written;
  }

  async #write(make: () => EntryBody, beforeWrite: BeforeWrite | undefined): Promise<Entry> {
    this.#expectReady();
    if (this.#unsure !== undefined) await this.#makeSure(this.#unsure);
    const { signer, clock } = this.#deps;
    const { networkId } = this.#mesh;
    const sequence = this.#head === undefined ? 0 : this.#head.sequence + 1;
    const previous = this.#head?.id ?? hexOf(networkId);
    const entry = sealEntry(this.#mesh, signer, { sequence, previous, timestamp: clock.now(), body: make() });
    if (beforeWrite !== undefined) {
      await beforeWrite(nameOnly(entry));
      // Meanwhile the ledger has gone on.
      this.#expectReady();
      make();
    }
    await this.#put(entry);
    return entry;
  }

  /**
   * An entry whose write failed may be on the disk all the same, and is seen there only after a write that went well
   * (`LedgerStore`). If it is, it is in the log; if it is not, its place is free.
   */
  async #makeSure(unsure: Entry): Promise<void> {
    const { store } = this.#deps;
    await this.#notes.unsure(unsure.sequence);
    const ids = await store.idsAt(this.#self, unsure.sequence);
    if (ids.includes(unsure.id)) await this.#put(unsure);
    else this.#unsure = undefined;
  }

  /** Puts an entry on disk, then into the ledger. When that fails nobody knows whether it is there. */
  async #put(entry: Entry): Promise<void> {
    this.#unsure = entry;
    this.#hasWritten = true;
    try {
      await this.#deps.ingest.own(entry);
    } catch (thrown) {
      const error = toGoGridError(thrown);
      throw new GoGridError({
        code: error.code,
        message: `the entry could not be written for sure: ${error.message}`,
        hint: `it may have been all the same: look at \`gogrid credits history\` before you ask for it again${error.hint === undefined ? '' : `; ${error.hint}`}`,
        cause: error,
      });
    }
    this.#unsure = undefined;
    this.#head = nameOnly(entry);
    const tip = this.#deps.ingest.ledger.tip(this.#self);
    if (tip?.id !== entry.id) this.#stopFor(entry, `entry ${entry.sequence} of its log does not stand`);
  }

  #expectReady(): void {
    if (this.#mesh.genesis === 0n) {
      throw new GoGridError({ code: 'no_credits', message: 'this mesh has no credits' });
    }
    if (this.#isClosed) {
      throw new GoGridError({ code: 'shutting_down', message: 'the node is stopping: it writes no more entries' });
    }
    const { state, reason = '' } = this.#state;
    if (state === 'stopped') {
      throw new GoGridError({
        code: 'ledger_stopped',
        message: `this node signs nothing more: ${reason}`,
        hint: 'end the other program that uses this key, a copied home as a rule, and start this one again',
      });
    }
    if (state === 'starting') {
      throw new GoGridError({
        code: 'ledger_not_ready',
        message: `this node signs nothing yet: ${reason}`,
        hint: 'wait until a peer is connected; `gogrid doctor` says what is missing',
        retryAfterSecs: LEDGER.notReadyRetrySecs,
      });
    }
  }

  /* ---- where the log ends ---- */

  /** The disk may have entries whose past is not there: they count, since they were signed. */
  async #newestOnDisk(): Promise<EntryName | undefined> {
    let newest = this.#deps.ingest.ledger.tip(this.#self);
    const from = newest === undefined ? 0 : newest.sequence + 1;
    for await (const stored of this.#deps.store.chain(this.#self, from)) newest = nameOnly(stored);
    return newest;
  }

  async #findHead(wasStopped: boolean): Promise<void> {
    const { link, heads, clock, random, log } = this.#deps;
    const deps: HeadDeps = {
      peers: () => link.peers(),
      head: (peer, author, signal) => heads.head(peer, author, signal),
      clock,
      random,
    };
    this.#become('starting', NO_PEER);
    while (!this.#isClosed && this.#state.state === 'starting') {
      if (link.peers().length === 0) {
        this.#become('starting', NO_PEER);
      } else {
        const { answers, heads: named } = await askHead(this.#mesh, this.#self, deps);
        if (this.#isClosed) return;
        const open = answers === 0 ? NO_ANSWER : this.#whatIsMissing(named);
        if (open === undefined) {
          await this.#decide(wasStopped).catch((error: unknown) => {
            log.error({ error: toGoGridError(error) }, 'the own log cannot go on');
            this.#become('starting', `the disk refuses: ${toGoGridError(error).message}`);
          });
          if (this.#state.state !== 'starting') return;
        } else {
          this.#become('starting', open);
        }
      }
      await this.#ask.wait(LEDGER.askHeadAgainMs);
    }
  }

  /** What of the own log somebody has, or the disk, and the ledger has not: it would be forked. */
  #whatIsMissing(named: readonly EntryName[]): string | undefined {
    const { ledger } = this.#deps.ingest;
    const all = this.#onDisk === undefined ? named : [...named, this.#onDisk];
    const final = ledger.finalTip(this.#self)?.sequence ?? -1;
    const missing = all.find((name) => name.sequence > final && ledger.status(name) === 'unknown');
    if (missing === undefined) return undefined;
    return `entry ${missing.sequence} of this account is known, and what stands before it is not here yet`;
  }

  /** Everything that anybody has is here. */
  async #decide(wasStopped: boolean): Promise<void> {
    const { ingest, log } = this.#deps;
    const fork = ingest.ledger.forks().find(({ author, resolved }) => author === this.#self && resolved === undefined);
    if (fork !== undefined) {
      this.#stopFor(
        undefined,
        `there are two entries ${fork.sequence} of this account, and no certificate says which counts`,
      );
      return;
    }
    const head = ingest.ledger.tip(this.#self);
    const before = this.#onDisk?.sequence ?? -1;
    if (head !== undefined && head.sequence > before) {
      // Vouchers of these holds may have been given that this disk does not know.
      await this.#notes.restored(head.sequence);
      log.warn(
        { had: before + 1, has: head.sequence + 1 },
        'this account has written entries that were not on this disk: it goes on behind them',
      );
    }
    if (wasStopped) {
      await this.#notes.goesOn();
      log.warn({}, 'this account signs again: when its key is in use elsewhere too, its log will fork');
    }
    this.#head = head;
    this.#become('ready');
    // It may never have left: the node may have ended between the disk and the mesh.
    const newest = head === undefined ? undefined : ingest.ledger.find(head.id);
    if (newest !== undefined) this.#deps.again(newest);
  }

  /* ---- its key is in use elsewhere ---- */

  #meet({ entries, forks, from }: Taken): void {
    if (from === undefined || this.#state.state !== 'ready') return;
    const foreign = entries.find(({ author }) => author === this.#self);
    const fork = forks.find(([{ author }]) => author === this.#self);
    if (fork !== undefined)
      this.#stopFor(foreign ?? fork[0], `there are two entries ${fork[0].sequence} of this account`);
    else if (foreign === undefined) return;
    else if (this.#mayAskAgain()) this.#goBack();
    else this.#stopFor(foreign, `entry ${foreign.sequence} of this account was written elsewhere`);
  }

  /** Peers come one after the other: what a later one has within the time of asking is part of the answer, unless it was not waited for. */
  #mayAskAgain(): boolean {
    const { state, since } = this.#state;
    return state === 'ready' && !this.#hasWritten && this.#deps.clock.now() - since < LEDGER.askHeadMs;
  }

  #goBack(): void {
    this.#become('starting', NO_ANSWER);
    this.#asking = this.#findHead(false);
  }

  #stopFor(foreign: EntryName | undefined, reason: string): void {
    const { clock, log } = this.#deps;
    this.#become('stopped', reason);
    log.error({ sequence: foreign?.sequence }, 'this account is in use elsewhere: this node signs nothing more');
    // Stopped it is in any case; the note only makes the next start ask, whatever its key.
    const noted = this.#notes.stopped(reason, clock.now()).catch((error: unknown) => {
      log.error({ error: toGoGridError(error) }, 'the reason could not be kept');
    });
    this.#queue = Promise.all([this.#queue, noted]);
  }

  #become(state: AuthorState['state'], reason?: string): void {
    const before = this.#state;
    if (before.state === state && before.reason === reason) return;
    const since = before.state === state ? before.since : this.#deps.clock.now();
    this.#state = reason === undefined ? { state, since } : { state, since, reason };
    if (state === 'ready') this.#settled.resolve();
    for (const listener of this.#listeners) listener();
  }
}
