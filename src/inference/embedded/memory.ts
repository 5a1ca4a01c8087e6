/**
 * The model in memory: which one, in which process, until when. One at a time; asking for another one ends the first. A
 * process that keeps dying is started again later and later, and meanwhile the engine says that it cannot run anything.
 */

import type { Clock, Timer } from '../../clock.ts';
import { type GoGridError, systemCode, toGoGridError } from '../../errors.ts';
import type { EngineState } from '../../jobs/ports.ts';
import { EMBEDDED } from '../../limits/engine.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { CRASH_HINT, died, resting } from './failures.ts';
import type { LoadOrder } from './messages.ts';
import { type End, ModelProcess } from './model-process.ts';

/** A model that is loaded, or about to be. */
interface Resident {
  readonly name: string;
  readonly digest: string;
  /** Bytes of the weights in memory; 0 while it loads. */
  sizeBytes: number;
  /** Tokens. */
  contextLength: number;
}

export interface MemoryDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** What is in memory, or whether anything can be, changed. */
  readonly changed: () => void;
  /** The program that runs models, where it is not ours. */
  readonly program: string | undefined;
}

export class Memory {
  readonly #deps: MemoryDeps;
  #process: ModelProcess | undefined;
  #resident: Resident | undefined;
  #loaded = false;
  #busy = false;
  #expiry: Timer | undefined;
  #expiresAt: number | undefined;
  #keepAliveMs: number = EMBEDDED.keepAliveMs;
  #crashes = 0;
  #restartAt = 0;
  #retry: Timer | undefined;
  #stopped = false;
  #unusable: GoGridError | undefined;
  #version = '';

  constructor(deps: MemoryDeps) {
    this.#deps = deps;
  }

  get version(): string {
    return this.#version;
  }

  /** Whether models can be run, as far as is known. */
  get state(): { readonly state: EngineState; readonly hint: string | undefined } {
    if (this.#unusable !== undefined) {
      return { state: 'unreachable', hint: `${this.#unusable.message}; ${this.#unusable.hint}` };
    }
    // Where none ever got ready, the end of a rest alone is no reason to count on the next one.
    const waits = this.#version === '' || this.#restMs() > 0;
    if (this.#crashes >= EMBEDDED.maxCrashes && waits) return { state: 'unreachable', hint: CRASH_HINT };
    return { state: 'ready', hint: undefined };
  }

  /** The model that can be used without loading. */
  get loaded(): (Resident & { readonly expiresAt: number | undefined }) | undefined {
    if (!this.#loaded || this.#resident === undefined) return undefined;
    return { ...this.#resident, expiresAt: this.#expiresAt };
  }

  /** A model is being loaded. */
  get loads(): boolean {
    return this.#resident !== undefined && !this.#loaded;
  }

  /** The process; undefined while there is none. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /**
   * Finds out in the background whether the library works here. A job that comes soon uses the process. Never throws: what
   * goes wrong is told by `state`, and tried again after its rest.
   */
  warmUp(): void {
    if (this.#process !== undefined || this.#stopped || this.#restMs() > 0) return;
    this.#unusable = undefined;
    let process: ModelProcess;
    try {
      process = this.#start();
    } catch {
      return;
    }
    process.ready.then(
      () => this.#expireIn(EMBEDDED.idleMs),
      () => undefined,
    );
  }

  /**
   * The process with this model in memory.
   * @throws GoGridError `engine_unavailable`, `engine_out_of_memory`, `engine_failed`
   */
  async hold(model: { name: string; digest: string }, order: Omit<LoadOrder, 'type'>): Promise<ModelProcess> {
    this.#busy = true;
    this.#expiry?.cancel();
    if (this.#resident !== undefined && this.#resident.digest !== model.digest) this.unload();
    if (this.#unusable !== undefined) throw this.#unusable;
    const process = this.#process ?? this.#start();
    if (this.#resident !== undefined) return process;
    this.#resident = { name: model.name, digest: model.digest, sizeBytes: 0, contextLength: 0 };
    try {
      const { sizeBytes } = await process.load(order);
      // Unloaded in the moment in which it was there.
      if (this.#process !== process) throw died('it was unloaded');
      this.#resident.sizeBytes = sizeBytes;
      this.#loaded = true;
      this.#deps.log.info({ model: model.name, bytes: sizeBytes }, 'a model is in memory');
    } catch (thrown) {
      // Whatever is left of a model that did not load leaves with its process.
      if (this.#process === process) this.unload();
      throw thrown;
    }
    this.#deps.changed();
    return process;
  }

  /** Tokens of the context that calls have now. */
  set contextLength(tokens: number) {
    if (this.#resident !== undefined) this.#resident.contextLength = tokens;
  }

  /**
   * The call is over.
   * @param keepAliveMs how long the model stays from now on; undefined: as long as before
   */
  release(keepAliveMs: number | undefined, succeeded: boolean): void {
    this.#busy = false;
    if (succeeded) this.#crashes = 0;
    if (keepAliveMs !== undefined) this.#keepAliveMs = keepAliveMs;
    if (this.#process === undefined) return;
    if (this.#keepAliveMs === 0) this.unload();
    else this.#expireIn(this.#keepAliveMs);
  }

  /** Ends the process for good: none is started any more. */
  stop(): void {
    this.#stopped = true;
    this.#retry?.cancel();
    this.unload();
  }

  /** Ends the process, and with it whatever is in memory. */
  unload(): void {
    const { name } = this.#resident ?? {};
    if (name !== undefined) this.#deps.log.info({ model: name }, 'a model leaves the memory');
    const process = this.#process;
    this.#forget();
    process?.stop();
    this.#deps.changed();
  }

  #forget(): void {
    this.#expiry?.cancel();
    this.#expiresAt = undefined;
    this.#process = undefined;
    this.#resident = undefined;
    this.#loaded = false;
    this.#keepAliveMs = EMBEDDED.keepAliveMs;
  }

  #expireIn(ms: number): void {
    this.#expiry?.cancel();
    if (this.#busy) return;
    this.#expiresAt = Number.isFinite(ms) ? this.#deps.clock.now() + Math.round(ms) : undefined;
    if (this.#expiresAt === undefined) return;
    // Timers hold a month at most; what is longer is looked at again then.
    const step = Math.min(ms, MAX_TIMER_MS);
    this.#expiry = this.#deps.clock.after(step, () => (step < ms ? this.#expireIn(ms - step) : this.unload()));
  }

  /** @throws GoGridError `engine_unavailable` during a rest, `engine_failed` when the system starts no process */
  #start(): ModelProcess {
    const wait = this.#restMs();
    if (wait > 0) throw resting(this.#crashes, wait);
    const process = this.#fork();
    this.#process = process;
    process.ready.then(
      (version) => this.#isUsable(version),
      (thrown: unknown) => this.#isUnusable(process, toGoGridError(thrown)),
    );
    void process.ended.then((end) => this.#ended(process, end));
    return process;
  }

  #fork(): ModelProcess {
    try {
      return new ModelProcess(this.#deps.clock, this.#deps.program);
    } catch (thrown) {
      const how = `it could not be started: ${systemCode(thrown) ?? 'unknown'}`;
      this.#crashed(how);
      throw died(how);
    }
  }

  #isUsable(version: string): void {
    if (this.#version === version) return;
    this.#version = version;
    this.#deps.changed();
  }

  #isUnusable(process: ModelProcess, error: GoGridError): void {
    if (error.code !== 'engine_unavailable' || this.#process !== process) return;
    this.#unusable = error;
    this.#deps.log.warn({ reason: error.message }, 'the embedded engine cannot be used');
    this.unload();
  }

  #ended(process: ModelProcess, end: End): void {
    if (this.#process === process && !end.wanted) this.#crashed(end.how);
  }

  /** A process ended that should not have. */
  #crashed(how: string): void {
    this.#crashes++;
    const waits = EMBEDDED.restartMs;
    const wait = waits[Math.min(this.#crashes, waits.length) - 1] ?? 0;
    this.#restartAt = this.#deps.clock.elapsed() + wait;
    this.#deps.log.warn({ how, times: this.#crashes }, 'the process of the embedded engine ended');
    this.#forget();
    this.#retryIn(this.#version === '' && this.#crashes > waits.length ? EMBEDDED.retryUnprovenMs : wait);
    this.#deps.changed();
  }

  /** Nobody asks an engine that says it cannot run anything: where none was ever ready, the next try is its own. */
  #retryIn(ms: number): void {
    this.#retry?.cancel();
    if (this.#stopped) return;
    this.#retry = this.#deps.clock.after(ms, () => {
      const left = this.#restMs();
      // Timers may come a moment early.
      if (left > 0) {
        this.#retryIn(left);
        return;
      }
      if (this.#version === '') this.warmUp();
      this.#deps.changed();
    });
  }

  #restMs(): number {
    return this.#crashes === 0 ? 0 : Math.max(0, this.#restartAt - this.#deps.clock.elapsed());
  }
}

const MAX_TIMER_MS = 2 ** 31 - 1;
