/**
 * The own log: the one place where entries are written. They are written one after the other, each on disk before anything
 * of it leaves the node, and none before it is known where the log ends (`own-head.ts`).
 *
 * An entry of this account that somebody else wrote means that its key is in use elsewhere: from then on nothing is signed.
 */

import type { Clock, Timer } from '../../clock.ts';
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
import { findLogEnd, NO_ANSWER } from './log-end.ts';
import {
  expectAccept,
  expectClaim,
  expectHold,
  expectRelease,
  expectReleaseAlone,
  expectTransfer,
} from './own-checks.ts';
import { Nudge } from './own-head.ts';
import { OwnNotes } from './own-notes.ts';
import { type AuthorState, Signing } from './signing.ts';

export interface AuthorOptions {
  readonly mesh: LedgerMesh;
  readonly self: AccountId;
  /** Whether the key was made at this very start, or never used: nobody can have an entry of it. Asked for once. */
  readonly isFresh: () => Promise<boolean>;
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

export type NewTransfer = { readonly to: AccountId; readonly amount: bigint; readonly memo: string };

/** Called with the name of an entry that is signed and not written yet; a rejection takes it back. */
export type BeforeWrite = (name: EntryName) => Promise<void>;

export class Author {
  readonly #mesh: LedgerMesh;
  readonly #self: AccountId;
  readonly #isFresh: () => Promise<boolean>;
  readonly #deps: AuthorDeps;
  readonly #notes: OwnNotes;
  readonly #signing: Signing;
  readonly #ask: Nudge;
  /** The newest own entry; undefined before the first. Known when the state is `ready`. */
  #head: EntryName | undefined;
  /** The newest own entry on disk at the start, also when its past is missing. */
  #onDisk: EntryName | undefined;
  /** Its write failed: it may be on disk or not, and no other entry may be signed for its place. */
  #unsure: Entry | undefined;
  /** Nobody can have an entry of this account. */
  #isFirst = false;
  /** Since it was ready. */
  #hasWritten = false;
  #queue: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  readonly #end = new AbortController();
  /** When a write that failed is looked at again. */
  #again: Timer | undefined;
  #asking: Promise<void> = Promise.resolve();
  #unlisten = () => {};

  constructor({ mesh, self, isFresh }: AuthorOptions, deps: AuthorDeps) {
    this.#mesh = mesh;
    this.#self = self;
    this.#isFresh = isFresh;
    this.#deps = deps;
    this.#notes = new OwnNotes(self, deps.store.notes);
    this.#ask = new Nudge(deps.clock);
    this.#signing = new Signing(deps.clock);
  }

  /* ---- life ---- */

  /** Reads what the disk has of the own log; the asking goes on in the background. @throws GoGridError `damaged`, `home_unusable` */
  async start(): Promise<void> {
    const { ingest } = this.#deps;
    this.#unlisten = ingest.onTaken((news) => this.#meet(news));
    const wasStopped = await this.#notes.wasStopped();
    this.#onDisk = await this.#newestOnDisk();
    this.#isFirst = (await this.#isFresh()) && !wasStopped && this.#onDisk === undefined;
    if (this.#isFirst) this.#signing.become('ready');
    else this.#asking = this.#findHead(wasStopped);
  }

  /** Takes no more entries, and resolves when those that were taken are written. */
  async stop(): Promise<void> {
    this.#end.abort(new GoGridError({ code: 'shutting_down', message: 'the node stops' }));
    this.#ask.nudge();
    this.#unlisten();
    this.#again?.cancel();
    await this.#asking;
    await this.#queue;
  }

  /** Peers came or went. */
  peersChanged(): void {
    if (this.#signing.state.state === 'starting') this.#ask.nudge();
  }

  state(): AuthorState {
    return this.#signing.state;
  }

  /**
   * Whether what nobody asked for may be written: a peer that comes a little later may know a newer entry, and what was written by
   * then has forked the log.
   */
  isFirm(): boolean {
    return this.#signing.isReady && (this.#isFirst || !this.#mayAskAgain());
  }

  /** Calls back after every change of the state; returns the way to stop that. */
  onState(listener: () => void): () => void {
    return this.#signing.onState(listener);
  }

  /** The newest entry of the own log; undefined before the first, and while it is not known. */
  head(): EntryName | undefined {
    return this.#signing.isReady ? this.#head : undefined;
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
    await this.#makeSure();
    for (;;) {
      this.#expectReady();
      const behind = this.#head;
      const entry = this.#seal(make(), behind);
      await beforeWrite?.(nameOnly(entry));
      this.#expectReady();
      // Meanwhile the ledger has gone on, and the end of the log may be another one: then this would fork it.
      make();
      if (this.#head?.id !== behind?.id) continue;
      await this.#put(entry);
      return entry;
    }
  }

  #seal(body: EntryBody, behind: EntryName | undefined): Entry {
    const { signer, clock } = this.#deps;
    const sequence = behind === undefined ? 0 : behind.sequence + 1;
    const previous = behind?.id ?? hexOf(this.#mesh.networkId);
    return sealEntry(this.#mesh, signer, { sequence, previous, timestamp: clock.now(), body });
  }

  /**
   * Resolves when nothing is in doubt of what was written before: every entry is in the log, or never will be.
   * @throws GoGridError `disk_full`, `home_unusable` while the disk refuses
   */
  settled(): Promise<void> {
    const sure = this.#queue.then(() => this.#makeSure());
    this.#queue = sure.catch(() => undefined);
    return sure;
  }

  /**
   * An entry whose write failed may be on the disk all the same, and is seen there only after a write that went well
   * (`LedgerStore`). If it is, it is in the log; if it is not, its place is free.
   */
  async #makeSure(): Promise<void> {
    const unsure = this.#unsure;
    if (unsure === undefined) return;
    await this.#notes.unsure(unsure.sequence);
    const ids = await this.#deps.store.idsAt(this.#self, unsure.sequence);
    if (ids.includes(unsure.id)) await this.#put(unsure);
    else this.#unsure = undefined;
  }

  /** Nobody may ask for another entry for long, and what is on the disk should not wait for that. */
  #lookAgain(): void {
    if (this.#end.signal.aborted) return;
    this.#again?.cancel();
    this.#again = this.#deps.clock.after(LEDGER.writeAgainMs, () => {
      void this.settled().catch(() => this.#lookAgain());
    });
  }

  /** Puts an entry on disk, then into the ledger. When that fails nobody knows whether it is there. */
  async #put(entry: Entry): Promise<void> {
    this.#unsure = entry;
    this.#hasWritten = true;
    try {
      await this.#deps.ingest.own(entry);
    } catch (thrown) {
      const error = toGoGridError(thrown);
      this.#lookAgain();
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
    if (this.#end.signal.aborted) {
      throw new GoGridError({ code: 'shutting_down', message: 'the node is stopping: it writes no more entries' });
    }
    this.#signing.expectReady();
  }

  /* ---- where the log ends ---- */

  /** The disk may have entries whose past is not there: they count, since they were signed. */
  async #newestOnDisk(): Promise<EntryName | undefined> {
    let newest = this.#deps.ingest.ledger.tip(this.#self);
    const from = newest === undefined ? 0 : newest.sequence + 1;
    for await (const stored of this.#deps.store.chain(this.#self, from)) newest = nameOnly(stored);
    return newest;
  }

  #findHead(wasStopped: boolean): Promise<void> {
    const { ingest, link, heads, clock, random, log } = this.#deps;
    const onWait = (reason: string) => this.#signing.become('starting', reason);
    const decide = async () => {
      await this.#decide(wasStopped).catch((thrown: unknown) => {
        log.error({ error: toGoGridError(thrown) }, 'the own log cannot go on');
        onWait(`the disk refuses: ${toGoGridError(thrown).message}`);
      });
      return this.#signing.state.state !== 'starting';
    };
    return findLogEnd(
      { mesh: this.#mesh, self: this.#self, onDisk: this.#onDisk },
      {
        ledger: () => ingest.ledger,
        peers: () => link.peers(),
        head: (peer, author, signal) => heads.head(peer, author, signal),
        clock,
        random,
        nudge: this.#ask,
        onWait,
        decide,
      },
      this.#end.signal,
    );
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
    this.#signing.become('ready');
    // It may never have left: the node may have ended between the disk and the mesh.
    const newest = head === undefined ? undefined : ingest.ledger.find(head.id);
    if (newest !== undefined) this.#deps.again(newest);
  }

  /* ---- its key is in use elsewhere ---- */

  #meet({ entries, forks, from }: Taken): void {
    if (from === undefined || !this.#signing.isReady) return;
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
    const { state, since } = this.#signing.state;
    return state === 'ready' && !this.#hasWritten && this.#deps.clock.now() - since < LEDGER.askHeadMs;
  }

  #goBack(): void {
    this.#signing.become('starting', NO_ANSWER);
    this.#asking = this.#findHead(false);
  }

  #stopFor(foreign: EntryName | undefined, reason: string): void {
    const { clock, log } = this.#deps;
    this.#signing.become('stopped', reason);
    log.error({ sequence: foreign?.sequence }, 'this account is in use elsewhere: this node signs nothing more');
    // Stopped it is in any case; the note only makes the next start ask, whatever its key.
    const noted = this.#notes.stopped(reason, clock.now()).catch((error: unknown) => {
      log.error({ error: toGoGridError(error) }, 'the reason could not be kept');
    });
    this.#queue = Promise.all([this.#queue, noted]);
  }
}
