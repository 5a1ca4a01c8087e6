/** One pull: where it stands, and everybody who listens to it. */

import type { Clock, Timer } from '../../clock.ts';
import { type GoGridError, toGoGridError } from '../../errors.ts';
import { STORE } from '../../limits/engine.ts';
import { cancelled } from './failures.ts';
import { RateMeter } from './rate.ts';
import type { FetchState } from './ways.ts';

/** What a source says on the way. */
export interface PullStep {
  readonly state: 'starting' | FetchState;
  /** For people. */
  readonly status: string;
  readonly source: string;
  /** Of the layer. */
  readonly digest: string | undefined;
  readonly bytes: number;
  /** 0 when not known. */
  readonly totalBytes: number;
}

/** As `contract/pulls.ts` writes it. */
export interface PullState {
  /** As it was asked for. */
  readonly model: string;
  readonly state: PullStep['state'] | 'done' | 'failed' | 'cancelled';
  readonly status: string;
  readonly source: string;
  readonly digest: string | null;
  readonly bytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond: number | null;
  readonly secondsLeft: number | null;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly error: string | null;
}

export interface PullOptions {
  readonly model: string;
  /** Does the work. */
  steps(signal: AbortSignal): AsyncIterable<PullStep>;
  /** Aborts when the node stops. */
  readonly stopped: AbortSignal;
}

const BEGINNING: PullStep = {
  state: 'starting',
  status: 'looking for a source',
  source: '',
  digest: undefined,
  bytes: 0,
  totalBytes: 0,
};

type End = { readonly state: 'done' } | { readonly state: 'failed' | 'cancelled'; readonly error: GoGridError };

export class Pull {
  /** Resolves with its last state; never rejects. */
  readonly ended: Promise<PullState>;
  readonly #options: PullOptions;
  readonly #clock: Clock;
  readonly #startedAt: number;
  readonly #ending = Promise.withResolvers<PullState>();
  readonly #listeners = new Set<Listener>();
  readonly #unwanted = new AbortController();
  readonly #meter = new RateMeter();
  #step = BEGINNING;
  #toldAt = Number.NEGATIVE_INFINITY;
  /** Tells what was held back because the last was told a moment ago. */
  #held: Timer | undefined;
  #end: End | undefined;
  #endedAt: number | undefined;

  constructor(options: PullOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#startedAt = clock.now();
    this.ended = this.#ending.promise;
  }

  /** Nobody listens any more: it only ends. */
  get isLeft(): boolean {
    return this.#unwanted.signal.aborted;
  }

  start(): void {
    void this.#run();
  }

  /** Where it stands now; the rate falls while nothing comes. */
  state(): PullState {
    const { state, status, source, digest, bytes, totalBytes } = this.#step;
    const now = this.#clock.elapsed();
    const moves = this.#end === undefined && (state === 'downloading' || state === 'unpacking');
    const end = this.#end;
    return {
      model: this.#options.model,
      state: end?.state ?? state,
      status: end === undefined ? status : end.state,
      source,
      digest: digest ?? null,
      bytes: end?.state === 'done' ? totalBytes : bytes,
      totalBytes,
      bytesPerSecond: moves ? rounded(this.#meter.bytesPerSecond(now)) : null,
      secondsLeft: moves && totalBytes > 0 ? rounded(this.#meter.secondsLeft(now, totalBytes)) : null,
      startedAt: this.#startedAt,
      endedAt: this.#endedAt ?? null,
      error: end !== undefined && end.state !== 'done' ? end.error.message : null,
    };
  }

  /** Its states from now on, up to `done`. @throws GoGridError why it failed, or the reason of `signal` */
  async *listen(signal: AbortSignal): AsyncGenerator<PullState, void, undefined> {
    const listener = new Listener(signal);
    this.#listeners.add(listener);
    try {
      listener.put(this.state());
      if (this.#end !== undefined) listener.end();
      for (let state = await listener.next(); state !== undefined; state = await listener.next()) yield state;
      if (signal.aborted) throw cancelled(signal);
      if (this.#end !== undefined && this.#end.state !== 'done') throw this.#end.error;
    } finally {
      listener.end();
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#unwanted.abort();
    }
  }

  async #run(): Promise<void> {
    const signal = AbortSignal.any([this.#unwanted.signal, this.#options.stopped]);
    try {
      for await (const step of this.#options.steps(signal)) this.#take(step);
      this.#end = { state: 'done' };
    } catch (thrown) {
      const error = signal.aborted ? cancelled(signal) : toGoGridError(thrown);
      this.#end = { state: signal.aborted ? 'cancelled' : 'failed', error };
    }
    this.#held?.cancel();
    this.#endedAt = this.#clock.now();
    const last = this.state();
    this.#ending.resolve(last);
    for (const listener of [...this.#listeners]) {
      if (this.#end.state === 'done') listener.put(last);
      listener.end();
    }
  }

  #take(step: PullStep): void {
    const now = this.#clock.elapsed();
    const isNew = !isSame(step, this.#step);
    // How far the step before came is told, even if it was only a moment ago.
    if (isNew && this.#held !== undefined) this.#tell();
    this.#step = step;
    if (isNew) this.#meter.restart(now, step.bytes);
    else this.#meter.sample(now, step.bytes);
    const waitMs = this.#toldAt + STORE.progressEveryMs - now;
    if (isNew || waitMs <= 0) this.#tell();
    else this.#held ??= this.#clock.after(waitMs, () => this.#tell());
  }

  #tell(): void {
    this.#held?.cancel();
    this.#held = undefined;
    this.#toldAt = this.#clock.elapsed();
    const state = this.state();
    for (const listener of this.#listeners) listener.put(state);
  }
}

/** Whether only the bytes differ. */
function isSame(
  a: Pick<PullStep, 'status' | 'source'> & { readonly state: string; readonly digest: unknown },
  b: typeof a,
): boolean {
  return a.state === b.state && a.status === b.status && a.source === b.source && a.digest === b.digest;
}

function rounded(value: number | undefined): number | null {
  return value === undefined ? null : Math.round(value * 10) / 10;
}

/** States for one who listens: of those that he has not read yet, only the newest of each step is kept. */
class Listener {
  readonly #pending: PullState[] = [];
  readonly #signal: AbortSignal;
  #over = false;
  #wake: (() => void) | undefined;
  readonly #onAbort = () => this.end();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', this.#onAbort, { once: true });
    if (signal.aborted) this.#over = true;
  }

  put(state: PullState): void {
    if (this.#over) return;
    const last = this.#pending.at(-1);
    if (last !== undefined && isSame(last, state)) this.#pending.pop();
    this.#pending.push(state);
    if (this.#pending.length > STORE.maxPendingSteps) this.#pending.shift();
    this.#wake?.();
  }

  end(): void {
    this.#over = true;
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#wake?.();
  }

  /** undefined when there will be no more. */
  async next(): Promise<PullState | undefined> {
    while (this.#pending.length === 0 && !this.#over) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#signal.aborted ? undefined : this.#pending.shift();
  }
}
