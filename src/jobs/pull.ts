/**
 * Pull: an idle worker gets itself jobs that wait at other nodes. A coordinator is known to have some when its job was turned
 * away here, when it has just placed a record in the DHT that this node keeps, or when it gave some lately: those are asked
 * as soon as a slot is free. Beyond them a walk through the DHT finds more, seldom, since a walk that finds nothing costs as
 * much as the rest of an idle node's minute.
 *
 * What is pulled comes by an ordinary job stream, so that push and pull end in the same provider flow.
 */

import type { Clock, Timer } from '../clock.ts';
import { toGoGridError } from '../errors.ts';
import { JOB, PULL } from '../limits/jobs.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { Logger } from '../telemetry/logger.ts';
import { RecentMap } from './recent-map.ts';

export interface PullDeps {
  readonly clock: Clock;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly log: Logger;
  /** Canonical names of the models that run here. */
  readonly models: () => readonly string[];
  /** Jobs that could start at once; 0 while one waits here, and while this node takes none. */
  readonly freeSlots: () => number;
  /** Nodes that stand in the DHT for jobs of a model that wait. */
  readonly findWork: (
    model: string,
    signal: AbortSignal,
    skip: (node: NodeId) => boolean,
  ) => Promise<readonly NodeId[]>;
  /** How many jobs come from a coordinator now; rejects when it cannot be asked. */
  readonly askWork: (node: NodeId, models: readonly string[], slots: number, signal: AbortSignal) => Promise<number>;
  /** The counter of a requester whose jobs begin to wait now: the service that it has had here, lifted to that of others. */
  readonly counterOf: (node: NodeId) => number;
  /** The same of one whose jobs wait already: no lift. */
  readonly servedTo: (node: NodeId) => number;
}

/** Jobs that a coordinator has promised and that are not here yet: below zero when they came before its answer. */
interface Promised {
  jobs: number;
  /** Ends the waiting for them; undefined until the answer is here. */
  readonly timeUp: Timer | undefined;
}

export class Pull {
  readonly #deps: PullDeps;
  readonly #stop = new AbortController();
  /** Coordinators that should have work, and `Clock.elapsed()` when that was last seen; the latest stands last. */
  readonly #known = new RecentMap<NodeId, number>(PULL.maxKnown);
  /** Their counters when their jobs began to wait, as far as this node knows: as in a queue here, that is the one lift. */
  readonly #counters = new RecentMap<NodeId, number>(PULL.maxKnown);
  /** Those that had none, and when they said so. */
  readonly #quiet = new RecentMap<NodeId, number>(PULL.maxKnown);
  /** Those that did not answer, or whose promised jobs did not come, and when that was seen. */
  readonly #unkept = new RecentMap<NodeId, number>(PULL.maxKnown);
  readonly #promised = new Map<NodeId, Promised>();
  #look: { readonly at: number; readonly timer: Timer } | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #walk: Timer | undefined;
  #walkedAt = Number.NEGATIVE_INFINITY;
  /** The pause before the next walk, without its jitter. */
  #pauseMs: number = PULL.walkMs;
  /** One question at a time: the answer says how many slots are left for the next. */
  #asking = false;
  /** A look came due meanwhile. */
  #again = false;
  #freeBefore = Number.POSITIVE_INFINITY;

  constructor(deps: PullDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#walkIn(PULL.firstWalkMs);
  }

  stop(): void {
    this.#stop.abort();
    this.#look?.timer.cancel();
    this.#walk?.cancel();
    for (const { timeUp } of this.#promised.values()) timeUp?.cancel();
  }

  /* ---- what happens around it ---- */

  /** Jobs wait at a node: it has just placed a record, or its job was turned away here. */
  heardOf(node: NodeId): void {
    this.#know(node);
    if (this.#free() > 0) this.#lookIn(this.#deps.random() * PULL.spreadMs);
  }

  /** The load of this node may have changed. */
  loadChanged(): void {
    const free = this.#deps.freeSlots();
    const ended = free > this.#freeBefore;
    this.#freeBefore = free;
    if (!ended) return;
    if (this.#known.size > 0) this.#lookIn(0);
    // A node that works is worth a walk sooner than one that has stood idle for an hour.
    this.#pauseMs = PULL.walkMs;
    if (this.#walk !== undefined) this.#walkIn(this.#walkedAt + this.#pauseMs - this.#deps.clock.elapsed());
  }

  /** A node has opened a job stream to this one. */
  jobArrived(from: NodeId): void {
    const promised = this.#promised.get(from);
    if (promised === undefined) return;
    promised.jobs--;
    if (promised.jobs === 0 && promised.timeUp !== undefined) this.#settle(from);
  }

  /* ---- two ways to look ---- */

  /** Asks those who are known to have work, one by one, until the slots are filled. */
  async #lookNow(): Promise<void> {
    const { clock } = this.#deps;
    this.#look = undefined;
    if (this.#asking) {
      this.#again = true;
      return;
    }
    this.#asking = true;
    this.#again = false;
    this.#lookedAt = clock.elapsed();
    const order = this.#inOrder([...this.#known.keys()].filter((node) => this.#isKnown(node)));
    for (const node of order.slice(0, PULL.maxAsks)) {
      const slots = Math.min(this.#free(), JOB.maxOpenAtPeer);
      if (slots <= 0 || this.#stop.signal.aborted) break;
      await this.#ask(node, slots);
    }
    this.#asking = false;
    if ((this.#again || order.length > PULL.maxAsks) && this.#free() > 0) this.#lookIn(0);
  }

  /** Who had least here goes first; but who did not answer or broke its word lately goes last, since that keeps slots empty. */
  #inOrder(nodes: readonly NodeId[]): NodeId[] {
    const { servedTo, random } = this.#deps;
    return nodes
      .map((node) => ({
        node,
        unkept: this.#isSince(this.#unkept, node, PULL.knownMs) ? 1 : 0,
        counter: Math.max(this.#counters.get(node) ?? 0, servedTo(node)),
        die: random(),
      }))
      .sort((a, b) => a.unkept - b.unkept || a.counter - b.counter || a.die - b.die)
      .map(({ node }) => node);
  }

  /** Asks the DHT for more of them; for one model, since each has a key of its own. Whatever goes wrong, the next walk comes. */
  async #walkNow(): Promise<void> {
    const { clock, random, models, findWork, log } = this.#deps;
    try {
      const names = models();
      const model = names[Math.floor(random() * names.length)];
      if (model === undefined || this.#free() <= 0) return;
      this.#walkedAt = clock.elapsed();
      const found = await findWork(model, this.#stop.signal, (node) => this.#isKnown(node) || this.#isQuiet(node));
      for (const node of found) this.#know(node);
      if (found.length > 0) this.#lookIn(0);
      else this.#pauseMs = Math.min(2 * this.#pauseMs, PULL.maxWalkMs);
    } catch (thrown) {
      log.debug({ code: toGoGridError(thrown).code }, 'a walk for work broke off');
    } finally {
      this.#walkIn(this.#pauseMs * (1 + PULL.walkJitter * (2 * random() - 1)));
    }
  }

  #lookIn(ms: number): void {
    const { clock } = this.#deps;
    const at = Math.max(clock.elapsed() + ms, this.#lookedAt + PULL.gapMs);
    if (this.#stop.signal.aborted || (this.#look !== undefined && this.#look.at <= at)) return;
    this.#look?.timer.cancel();
    const timer = clock.after(Math.max(0, at - clock.elapsed()), () => void this.#lookNow());
    this.#look = { at, timer };
  }

  #walkIn(ms: number): void {
    this.#walk?.cancel();
    if (this.#stop.signal.aborted) return;
    this.#walk = this.#deps.clock.after(Math.max(0, ms), () => void this.#walkNow());
  }

  /* ---- asking ---- */

  /** Offers slots to one coordinator. */
  async #ask(node: NodeId, slots: number): Promise<void> {
    const { askWork, models, log } = this.#deps;
    // Jobs may come before the answer that promises them.
    this.#settle(node);
    const promised: Promised = { jobs: 0, timeUp: undefined };
    this.#promised.set(node, promised);
    let jobs = 0;
    try {
      jobs = await askWork(node, models(), slots, this.#stop.signal);
    } catch (thrown) {
      log.debug({ node, code: toGoGridError(thrown).code }, 'a coordinator did not say whether it has work');
      this.#unkept.set(node, this.#deps.clock.elapsed());
    }
    this.#promised.delete(node);
    // Who fills all slots may have more; who does not has no more.
    if (jobs < slots) this.#forget(node);
    else this.#know(node);
    if (jobs <= 0) return;
    log.debug({ node, jobs }, 'pulled work');
    this.#pauseMs = PULL.walkMs;
    this.#await(node, promised.jobs + jobs);
  }

  #await(node: NodeId, jobs: number): void {
    if (jobs <= 0 || this.#stop.signal.aborted) return;
    const timeUp = this.#deps.clock.after(PULL.promiseMs, () => {
      this.#settle(node);
      this.#forget(node);
      this.#unkept.set(node, this.#deps.clock.elapsed());
      if (this.#known.size > 0) this.#lookIn(0);
    });
    this.#promised.set(node, { jobs, timeUp });
  }

  #settle(node: NodeId): void {
    this.#promised.get(node)?.timeUp?.cancel();
    this.#promised.delete(node);
  }

  #know(node: NodeId): void {
    if (!this.#isKnown(node) || !this.#counters.has(node)) this.#counters.set(node, this.#deps.counterOf(node));
    this.#known.set(node, this.#deps.clock.elapsed());
  }

  #forget(node: NodeId): void {
    this.#known.delete(node);
    this.#quiet.set(node, this.#deps.clock.elapsed());
  }

  #isKnown(node: NodeId): boolean {
    return this.#isSince(this.#known, node, PULL.knownMs);
  }

  #isQuiet(node: NodeId): boolean {
    return this.#isSince(this.#quiet, node, PULL.quietMs);
  }

  /** Whether a node was put there within the last `ms` milliseconds. */
  #isSince(nodes: Pick<RecentMap<NodeId, number>, 'get'>, node: NodeId, ms: number): boolean {
    const at = nodes.get(node);
    return at !== undefined && this.#deps.clock.elapsed() - at < ms;
  }

  /** Slots for which no job is here and none is on its way. */
  #free(): number {
    if (this.#deps.models().length === 0) return 0;
    let free = this.#deps.freeSlots();
    for (const { jobs } of this.#promised.values()) free -= Math.max(0, jobs);
    return free;
  }
}
