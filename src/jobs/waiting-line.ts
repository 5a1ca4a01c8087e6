/**
 * Where a job waits at its requester while every provider that could run it is full: one line for all that wait for the
 * same. Only the head of a line asks the providers again, so that a place that comes free is not rushed at by everybody;
 * when it is taken by one, the next one asks. An idle worker that pulls calls as many as it has room for, and they ask it alone.
 */

import type { Clock, Timer } from '../clock.ts';
import { JOB } from '../limits/jobs.ts';
import type { NodeId } from '../protocol/ids.ts';
import { overloaded } from './failure.ts';
import { mean } from './mean.ts';
import type { JobWait } from './record.ts';
import type { Needs } from './routing/decision.ts';

export interface WaitingOptions {
  /** Jobs that wait at most, all lines together. */
  readonly maxWaiting: number;
  /** Longest time a job waits before its answer goes on, milliseconds. */
  readonly maxWaitMs: number;
}

/** What a job waits for. Jobs that ask for the same stand in one line. */
export interface Wanted {
  /** Canonical name. */
  readonly model: string;
  /** What else makes a line of its own: the pinned digest, the privacy tier. */
  readonly apart: string;
  /** Whether strangers may be told that such a job waits here, and come for it. */
  readonly open: boolean;
  /** What it asks of a node: the same of all that stand in one line. */
  readonly needs: Needs;
}

export interface WaitingDeps {
  readonly clock: Clock;
  /** Whether a peer may and can run such a job. */
  readonly suits: (needs: Needs, node: NodeId) => boolean;
}

/** `turn`: ask the providers now. `moved`: others left the line, or came in before it. */
export type Call = 'turn' | 'moved';

export class WaitingLines {
  readonly #options: WaitingOptions;
  readonly #clock: Clock;
  readonly #suits: WaitingDeps['suits'];
  readonly #lines = new Map<string, WaitingLine>();
  readonly #listeners = new Set<() => void>();
  #depth = 0;

  constructor(options: WaitingOptions, { clock, suits }: WaitingDeps) {
    this.#options = options;
    this.#clock = clock;
    this.#suits = suits;
  }

  /** Jobs that wait now. */
  get depth(): number {
    return this.#depth;
  }

  /** Jobs that may wait at once. */
  get room(): number {
    return this.#options.maxWaiting;
  }

  /** Models for which jobs wait that any admitted node may have. */
  models(): string[] {
    const models = new Set<string>();
    for (const { wanted } of this.#lines.values()) if (wanted.open) models.add(wanted.model);
    return [...models];
  }

  /** Calls back when a job came or went; returns the way to stop it. */
  onChanged(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whether others wait for this already: a newcomer stands behind them. */
  isWaitedFor(wanted: Wanted): boolean {
    return this.#lines.size > 0 && this.#lines.has(lineKey(wanted));
  }

  /** What a job that came now would have before it here; undefined when nobody waits for the same. */
  waitFor(wanted: Wanted): Required<Pick<JobWait, 'ahead' | 'estimateMs'>> | undefined {
    const line = this.#lines.get(lineKey(wanted));
    if (line === undefined) return undefined;
    const ahead = line.places.length;
    return { ahead, estimateMs: line.estimateMs(ahead) };
  }

  /**
   * Takes a place in line. Who was asked for earlier stands in front, so that a job that comes back in the midst of its
   * answer is not behind those that came after it.
   * @param askedAt order of the jobs: `Clock.elapsed()` when it was asked for
   * @param busyMs what the providers just said; undefined for one that stands behind others and has not asked
   * @param waitedMs how long it has waited in line already, before a provider took it and lost it
   * @throws GoGridError `overloaded`, with the time after which there is likely to be room
   */
  enter(wanted: Wanted, askedAt: number, busyMs: number | undefined, waitedMs = 0): WaitingPlace {
    const key = lineKey(wanted);
    const known = this.#lines.get(key);
    if (this.#depth >= this.#options.maxWaiting || this.#options.maxWaitMs <= 0) {
      const estimateMs = known?.estimateMs(known.places.length) ?? busyMs ?? 0;
      const others = this.#depth > 0 ? `, and ${this.#depth} jobs wait here already` : '';
      throw overloaded(`every provider of '${wanted.model}' is busy${others}`, estimateMs / 1000);
    }
    const line = known ?? new WaitingLine(wanted, this.#clock);
    if (known === undefined) this.#lines.set(key, line);
    this.#depth++;
    const place = line.enter(askedAt, busyMs, { mostMs: this.#options.maxWaitMs, waitedMs }, () => {
      this.#depth--;
      if (line.places.length === 0) this.#lines.delete(key);
      this.#tell();
    });
    this.#tell();
    return place;
  }

  /** Something changed that may have made room: the heads ask again. @param models of these, or of all */
  wake(models?: readonly string[]): void {
    for (const line of this.#lines.values()) {
      if (models === undefined || models.includes(line.wanted.model)) line.wake();
    }
  }

  /**
   * A worker has room: that many jobs of those that it can run ask it, and nobody else.
   * @returns how many
   */
  offer(node: NodeId, models: readonly string[], slots: number): number {
    let called = 0;
    for (const { wanted, places } of this.#lines.values()) {
      if (!wanted.open || !models.includes(wanted.model) || !this.#suits(wanted.needs, node)) continue;
      for (const place of places) {
        if (called >= slots) return called;
        if (place.isOfferedBy(node)) called++;
      }
    }
    return called;
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

function lineKey({ model, apart }: Wanted): string {
  return `${model} ${apart}`;
}

/** How long a job waits in line: at most, and of that before it came. */
interface WaitBounds {
  readonly mostMs: number;
  readonly waitedMs: number;
}

/** Jobs that wait for the same, the oldest first. */
class WaitingLine {
  readonly wanted: Wanted;
  readonly places: WaitingPlace[] = [];
  readonly clock: Clock;
  /** `Clock.elapsed()` when the providers expect to have room. */
  #roomAt = 0;
  /** Mean time between two that were taken; undefined before the second. */
  #paceMs: number | undefined;
  #takenAt: number | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;

  constructor(wanted: Wanted, clock: Clock) {
    this.wanted = wanted;
    this.clock = clock;
  }

  enter(askedAt: number, busyMs: number | undefined, patience: WaitBounds, left: () => void): WaitingPlace {
    const place = new WaitingPlace(this, askedAt, patience, left);
    let at = this.places.length;
    while (at > 0 && (this.places[at - 1]?.askedAt ?? 0) > askedAt) at--;
    this.places.splice(at, 0, place);
    for (const behind of this.places.slice(at + 1)) behind.call('moved');
    if (busyMs !== undefined) place.allBusy(busyMs);
    return place;
  }

  /** A job asked, and everybody is full for that long. */
  allBusy(place: WaitingPlace, busyMs: number): void {
    const now = this.clock.elapsed();
    this.#roomAt = now + busyMs;
    this.#askedAt = now;
    if (this.places[0] !== place) return;
    const inMs = place.takeNews() ? JOB.askAgainMinMs : busyMs;
    this.#callHeadIn(Math.min(JOB.askAgainMaxMs, Math.max(JOB.askAgainMinMs, inMs)));
  }

  /** A job has asked whom it was to ask, and waits on: as the head it has to be called some time. */
  waitsOn(place: WaitingPlace): void {
    const news = place.takeNews();
    if (this.places[0] === place && (news || this.#timer === undefined)) this.wake();
  }

  wake(): void {
    const head = this.places[0];
    if (head?.asks) head.noteNews();
    else this.#callHeadIn(Math.max(0, this.#askedAt + JOB.askAgainMinMs - this.clock.elapsed()));
  }

  /** @param taken it has a provider; else nobody wants it any more */
  leave(place: WaitingPlace, taken: boolean): void {
    const at = this.places.indexOf(place);
    this.places.splice(at, 1);
    if (taken) this.#measurePace();
    for (const behind of this.places.slice(at)) behind.call('moved');
    if (this.places.length === 0) this.#timer?.cancel();
    // Where the head found room there may be more, and the turn that it leaves without using it goes to the next one.
    else if (at === 0 && (place.asks || this.#timer === undefined)) this.#callHeadIn(0);
  }

  /** Milliseconds until a job with so many before it has a provider, as far as is known. */
  estimateMs(ahead: number): number {
    const now = this.clock.elapsed();
    const first = Math.max(0, this.#roomAt - now);
    return Math.round(first + ahead * (this.#paceMs ?? Math.max(first, JOB.askAgainMinMs)));
  }

  #callHeadIn(inMs: number): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (inMs <= 0) {
      this.places[0]?.call('turn');
      return;
    }
    this.#timer = this.clock.after(inMs, () => {
      this.#timer = undefined;
      this.places[0]?.call('turn');
    });
  }

  #measurePace(): void {
    const now = this.clock.elapsed();
    if (this.#takenAt !== undefined) {
      const gap = now - this.#takenAt;
      this.#paceMs = mean(this.#paceMs ?? 0, gap);
    }
    this.#takenAt = now;
  }
}

/** One job in a line. */
export class WaitingPlace {
  readonly askedAt: number;
  /** It asks the providers now. */
  asks = false;
  readonly #line: WaitingLine;
  readonly #maxWaitMs: number;
  readonly #left: () => void;
  readonly #late: Timer;
  #isLate = false;
  #isGone = false;
  /** Something changed while it asked. */
  #hasNews = false;
  #worker: NodeId | undefined;
  #offeredAt = Number.NEGATIVE_INFINITY;
  /** What it was called for and has not heard yet. */
  #called: Call | undefined;
  #wake: () => void = () => {};

  constructor(line: WaitingLine, askedAt: number, { mostMs, waitedMs }: WaitBounds, left: () => void) {
    this.#line = line;
    this.askedAt = askedAt;
    this.#maxWaitMs = mostMs;
    this.#left = left;
    this.#late = line.clock.after(Math.max(0, mostMs - waitedMs), () => {
      this.#isLate = true;
      // Its client may read nothing now, and others wait behind it. One that asks is told when nobody takes it.
      if (!this.asks) this.leave(false);
      this.#wake();
    });
  }

  /** What it waits for, as it is now. */
  wait(): JobWait {
    const ahead = Math.max(0, this.#line.places.indexOf(this));
    return { where: 'mesh', ahead, estimateMs: this.#line.estimateMs(ahead) };
  }

  /**
   * Waits until it is called.
   * @throws GoGridError `overloaded` when it has waited too long, or what `signal` was aborted with
   */
  async next(signal: AbortSignal): Promise<Call> {
    this.asks = false;
    if (this.#called === undefined) this.#line.waitsOn(this);
    if (this.#called === undefined && !this.#isLate && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const onAbort = () => resolve();
      this.#wake = onAbort;
      signal.addEventListener('abort', onAbort, { once: true });
      await promise;
      signal.removeEventListener('abort', onAbort);
    }
    signal.throwIfAborted();
    const called = this.#called;
    this.#called = undefined;
    if (called === undefined || this.#isLate) throw this.#tooLong();
    if (called === 'turn') this.asks = true;
    return called;
  }

  /** All providers were asked, and are full for that long. */
  allBusy(busyMs: number): void {
    this.asks = false;
    this.#line.allBusy(this, busyMs);
  }

  /** The worker that called it, if one did: it alone is asked in this round. */
  takeWorker(): NodeId | undefined {
    const worker = this.#worker;
    this.#worker = undefined;
    return worker;
  }

  /** Leaves the line; more than once does nothing. @param taken it has a provider; else nobody wants it any more */
  leave(taken: boolean): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#late.cancel();
    this.#line.leave(this, taken);
    this.#left();
  }

  /** @internal of the line: something happened. */
  call(call: Call): void {
    if (this.asks && call === 'moved') return;
    // It is about to ask a worker alone: the turn to ask all comes behind that.
    if (this.#worker !== undefined && call === 'turn') this.#hasNews = true;
    if (this.#called !== 'turn') this.#called = call;
    this.#wake();
  }

  /** @internal of the line: something changed while it asks. */
  noteNews(): void {
    this.#hasNews = true;
  }

  /** @internal of the line: whether something changed since it was asked last. */
  takeNews(): boolean {
    const had = this.#hasNews;
    this.#hasNews = false;
    return had;
  }

  /** @internal of the lines: whether it is free to be called for a worker. Not at once again: each time it sends a prompt. */
  isOfferedBy(node: NodeId): boolean {
    const now = this.#line.clock.elapsed();
    if (this.asks || this.#called === 'turn' || now - this.#offeredAt < JOB.askAgainMinMs) return false;
    this.call('turn');
    this.#worker = node;
    this.#offeredAt = now;
    return true;
  }

  #tooLong() {
    const { model } = this.#line.wanted;
    const { estimateMs = 0 } = this.wait();
    const secs = Math.round(this.#maxWaitMs / 1000);
    return overloaded(`every provider of '${model}' is busy; the job waited ${secs} s here`, estimateMs / 1000);
  }
}
