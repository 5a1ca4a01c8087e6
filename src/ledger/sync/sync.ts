/**
 * When this node compares its ledger with whom: with a peer that comes, with one whose hint names what is not here, and with one
 * drawn at random now and then. One at a time as a rule; a peer that is slow or lies holds nobody up, for then the next one
 * begins beside it.
 */

import { type Clock, every, type Timer } from '../../clock.ts';
import { GoGridError, reasonOf, toGoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import type { NodeId } from '../../protocol/ids.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { AccountId, Attestation, Entry, LedgerMesh } from '../entries/entry.ts';
import { fromHex } from '../entries/fields.ts';
import { Buckets } from '../intake/buckets.ts';
import type { Ingest } from '../intake/ingest.ts';
import type { LedgerLink, LedgerStore } from '../ports.ts';
import { Reconcile } from './reconcile.ts';
import { EndOfTurn, PeerSession } from './session.ts';

export interface SyncOptions {
  readonly mesh: LedgerMesh;
}

export interface SyncDeps {
  readonly ingest: Ingest;
  readonly store: Pick<LedgerStore, 'idsAt'>;
  readonly link: LedgerLink;
  readonly clock: Clock;
  /** 0 ≤ x < 1; draws the peer, and spreads the rounds of many nodes. */
  readonly random: () => number;
  readonly log: Logger;
}

/** What came of one sync. */
export interface SyncResult {
  /** Entries and attestations that it brought. */
  readonly taken: number;
  /** The ledgers agreed before anything was asked for. */
  readonly isEqual: boolean;
  /** It used up its turn: there may be more. */
  readonly isCut: boolean;
  readonly failed: GoGridError | undefined;
}

interface Failures {
  readonly count: number;
  /** By `clock.elapsed()`: only a sync at random asks it before. */
  readonly until: number;
}

interface Running {
  readonly result: Promise<SyncResult>;
  /** By `clock.elapsed()`. */
  readonly since: number;
  readonly peer: PeerSession | undefined;
}

export class Sync {
  readonly #options: SyncOptions;
  readonly #deps: SyncDeps;
  readonly #running = new Map<NodeId, Running>();
  readonly #pace: Buckets<NodeId>;
  readonly #queue = new Set<NodeId>();
  readonly #failures = new Map<NodeId, Failures>();
  readonly #stopped = new AbortController();
  #timers: Timer[] = [];
  #gap: Timer | undefined;
  /** Who sent what waits for something that is not here, since the last look; they should have it. */
  readonly #gapFrom = new Set<NodeId>();
  #stall: Timer | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(options: SyncOptions, deps: SyncDeps) {
    this.#options = options;
    this.#deps = deps;
    const { asksPerSecond: perSecond, asksAtOnce: atOnce } = LEDGER;
    this.#pace = new Buckets({ perSecond, atOnce, maxKeys: LEDGER.maxBuckets }, deps.clock);
  }

  start(): void {
    const { clock, ingest, random } = this.#deps;
    this.#unsubscribe = ingest.onGap((_missing, from) => this.#onGap(from));
    // Nodes that started together do not ask together.
    const first = clock.after(LEDGER.syncEveryMs * random(), () => {
      this.#atRandom();
      this.#timers.push(every(clock, LEDGER.syncEveryMs, () => this.#atRandom()));
    });
    this.#timers.push(first);
    for (const peer of this.#deps.link.peers()) this.#want(peer);
  }

  /** Ends what is running; what it took in stays. */
  async stop(): Promise<void> {
    this.#unsubscribe?.();
    for (const timer of [...this.#timers, this.#gap, this.#stall]) timer?.cancel();
    this.#queue.clear();
    this.#stopped.abort(new GoGridError({ code: 'shutting_down', message: 'the node stops' }));
    await Promise.all([...this.#running.values()].map(({ result }) => result));
  }

  /** A peer was admitted. */
  onPeer(peer: NodeId): void {
    this.#want(peer);
  }

  /** One whole sync with a peer, now; one that is running already is that one. Never rejects. */
  with(peer: NodeId, signal: AbortSignal = this.#stopped.signal): Promise<SyncResult> {
    const running = this.#running.get(peer);
    if (running !== undefined) return running.result;
    const since = this.#deps.clock.elapsed();
    const entry = { result: Promise.resolve({} as SyncResult), since, peer: undefined as PeerSession | undefined };
    this.#running.set(peer, entry);
    entry.result = this.#session(peer, signal, (session) => {
      entry.peer = session;
      return new Reconcile(this.#options.mesh, session, this.#deps).run();
    }).finally(() => this.#running.delete(peer));
    return entry.result;
  }

  /**
   * The newest entries of an author that a peer has, checked; their chain is in the ledger when it resolves, as far as it can be.
   * @returns none when the peer has none @throws GoGridError `peer_unreachable`, `provider_lost`, `protocol_violation`, or what
   * `signal` was aborted with
   */
  async head(peer: NodeId, author: AccountId, signal: AbortSignal): Promise<Entry[]> {
    const heads: Entry[] = [];
    const { failed } = await this.#session(peer, signal, async (session) => {
      const { entries } = await session.ask({ type: 'head', author: fromHex(author) });
      heads.push(
        ...entries.flatMap((sealed) => this.#deps.ingest.open(sealed) ?? []).filter((entry) => entry.author === author),
      );
      if (heads.length < entries.length) session.fail('a newest entry that does not stand');
      await session.take({ entries });
      const count = Math.max(0, ...heads.map(({ sequence }) => sequence + 1));
      await new Reconcile(this.#options.mesh, session, this.#deps).chain(author, count);
      return false;
    });
    if (failed !== undefined) throw failed;
    return heads;
  }

  /**
   * What a peer has of a witness: of each author what it attested last, behind what is final. Signatures are not checked.
   * Never rejects. @param each gets them page by page
   */
  votes(
    peer: NodeId,
    witness: AccountId,
    each: (votes: readonly Attestation[]) => Promise<void>,
    signal: AbortSignal,
  ): Promise<SyncResult> {
    return this.#session(peer, signal, async (session) => {
      let after = '';
      for (let left = LEDGER.maxLinesPerSync; ; ) {
        const from = after === '' ? {} : { after: fromHex(after) };
        const { attestations, more } = await session.ask({ type: 'votes', witness: fromHex(witness), ...from });
        const votes = attestations.flatMap((sealed) => this.#deps.ingest.readAttestation(sealed) ?? []);
        left -= votes.length;
        for (const vote of votes) {
          if (vote.witness !== witness || vote.author <= after) session.fail('attestations that were not asked for');
          after = vote.author;
        }
        if (votes.length < attestations.length || left < 0) session.fail('attestations that do not stand');
        await each(votes);
        if (!more) return false;
        if (votes.length === 0) session.fail('an answer that says there is more, and has nothing');
      }
    });
  }

  /* ---- when ---- */

  #atRandom(): void {
    const peers = this.#deps.link.peers();
    const rested = peers.filter((peer) => !this.#isResting(peer));
    const drawn = (rested.length > 0 ? rested : peers)[
      Math.floor(this.#deps.random() * (rested.length || peers.length))
    ];
    if (drawn !== undefined) this.#want(drawn);
  }

  /** Hints overtake each other: a moment later most gaps are closed. */
  #onGap(from: NodeId | undefined): void {
    if (from !== undefined && this.#isResting(from)) return;
    if (from !== undefined && this.#gapFrom.size < LEDGER.maxSyncQueue) this.#gapFrom.add(from);
    this.#gap ??= this.#deps.clock.after(LEDGER.gapSettleMs, () => {
      this.#gap = undefined;
      const there = new Set(this.#deps.link.peers());
      const asked = [...this.#gapFrom].filter((peer) => there.has(peer));
      this.#gapFrom.clear();
      for (const peer of asked) this.#want(peer);
      if (asked.length === 0) this.#atRandom();
    });
  }

  #isResting(peer: NodeId): boolean {
    return (this.#failures.get(peer)?.until ?? 0) > this.#deps.clock.elapsed();
  }

  #want(peer: NodeId): void {
    if (this.#stopped.signal.aborted || this.#running.has(peer) || this.#queue.size >= LEDGER.maxSyncQueue) return;
    this.#queue.add(peer);
    this.#next();
  }

  /** Begins the next sync when none is running, or all that are bring nothing, or take very long. */
  #next(): void {
    const [peer] = this.#queue;
    if (peer === undefined || this.#running.size >= LEDGER.maxSyncsAtOnce) return;
    const { clock } = this.#deps;
    const now = clock.elapsed();
    const moving = [...this.#running.values()].some(
      ({ peer, since }) => now - (peer?.progressAt ?? since) < LEDGER.syncStallMs && now - since < LEDGER.syncAloneMs,
    );
    if (moving) {
      this.#stall ??= clock.after(LEDGER.syncStallMs, () => {
        this.#stall = undefined;
        this.#next();
      });
      return;
    }
    this.#queue.delete(peer);
    void this.with(peer).then((result) => {
      this.#judge(peer, result);
      this.#next();
    });
    this.#next();
  }

  /** Who fails, or differs and brings nothing, is asked less and less often. */
  #judge(peer: NodeId, { taken, isEqual, isCut, failed }: SyncResult): void {
    // Who brought something before the way broke off has more; who sent what does not stand is not asked at once again.
    const didWrong = failed?.code === 'protocol_violation';
    if ((taken > 0 && !didWrong) || (isEqual && failed === undefined)) {
      this.#failures.delete(peer);
      if (isCut || failed !== undefined) this.#want(peer);
      return;
    }
    const count = (this.#failures.get(peer)?.count ?? 0) + 1;
    const rest = Math.min(LEDGER.syncRetryMs * 2 ** Math.min(count - 1, 10), LEDGER.maxSyncRetryMs);
    this.#failures.delete(peer);
    this.#failures.set(peer, { count, until: this.#deps.clock.elapsed() + rest });
    const oldest = this.#failures.size > LEDGER.maxBuckets ? this.#failures.keys().next().value : undefined;
    if (oldest !== undefined) this.#failures.delete(oldest);
  }

  /* ---- one session ---- */

  async #session(
    peer: NodeId,
    signal: AbortSignal,
    work: (session: PeerSession) => Promise<boolean>,
  ): Promise<SyncResult> {
    const ended = AbortSignal.any([signal, this.#stopped.signal]);
    let session: PeerSession | undefined;
    let isEqual = false;
    let isCut = false;
    let failed: GoGridError | undefined;
    try {
      session = await PeerSession.open(peer, ended, { ...this.#deps, pace: this.#pace });
      isEqual = await work(session);
    } catch (thrown) {
      if (thrown instanceof EndOfTurn) isCut = true;
      else failed = ended.aborted ? reasonOf(ended, 'the sync') : toGoGridError(thrown);
    } finally {
      session?.close();
    }
    if (failed?.code === 'internal') this.#deps.log.error({ error: failed }, 'a sync of the ledger broke');
    const { taken = 0, bad = 0 } = session ?? {};
    this.#deps.log.debug({ peer, taken, bad, isEqual, isCut, code: failed?.code }, 'a sync of the ledger ended');
    return { taken, isEqual, isCut, failed };
  }
}
