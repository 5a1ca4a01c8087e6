/** One call in a process that runs a model, as the node hears it. */

import type { Clock, Timer } from '../../clock.ts';
import { type GoGridError, isErrorCode } from '../../errors.ts';
import { EMBEDDED, ENGINE } from '../../limits/engine.ts';
import { JOB } from '../../limits/jobs.ts';
import { failed } from './failures.ts';
import type { ErrorMessage, FromProcess } from './messages.ts';

/** What a call says until it is over. */
export type RunEvent = Extract<FromProcess, { type: 'progress' | 'chunk' | 'vectors' | 'done' }>;

interface RunDeps {
  readonly credit: (count: number) => void;
  readonly cancel: () => void;
  readonly kill: () => void;
  /** The process says what it may not, or more than that. */
  readonly rubbish: () => void;
  readonly clock: Clock;
}

export class ProcessRun {
  readonly #deps: RunDeps;
  readonly #queue: RunEvent[] = [];
  readonly #over = Promise.withResolvers<void>();
  #failure: GoGridError | undefined;
  #wake: (() => void) | undefined;
  #spoken = false;
  /** Pieces that may still come. The last one of an answer comes for no credit (child/outbox.ts). */
  #expected = EMBEDDED.creditChunks + 1;
  #progressQueued = 0;
  #stopTimer: Timer | undefined;
  isOver = false;

  constructor(deps: RunDeps) {
    this.#deps = deps;
  }

  /** Resolves when the process has left the call. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /**
   * The next thing it says, in order; the last is `done`.
   * @throws GoGridError what the process failed with, or `engine_failed` when it falls silent
   */
  async next(): Promise<RunEvent> {
    for (;;) {
      const event = this.#queue.shift();
      if (event !== undefined) {
        this.#taken(event);
        return event;
      }
      if (this.#failure !== undefined) throw this.#failure;
      await this.#heard();
    }
  }

  /** Stops it. It leaves between two steps; if it does not within its time, its process ends. */
  cancel(): void {
    if (this.isOver || this.#stopTimer !== undefined) return;
    this.#queue.length = 0;
    this.#deps.cancel();
    this.#stopTimer = this.#deps.clock.after(EMBEDDED.stopMs, this.#deps.kill);
  }

  /** For the process: a message of this call. */
  hear(message: FromProcess): void {
    if (this.isOver) return;
    switch (message.type) {
      case 'chunk':
      case 'vectors':
        this.#spoken = true;
        if (this.#expected-- > 0) this.#keep(message);
        else this.#deps.rubbish();
        break;
      case 'progress':
        if (this.#progressQueued++ < EMBEDDED.maxQueuedProgress) this.#keep(message);
        else this.#deps.rubbish();
        break;
      case 'done':
        this.#queue.push(message);
        this.#end();
        break;
      case 'error':
        this.fail(ProcessRun.errorOf(message));
    }
    this.#wake?.();
  }

  /** For the process: nothing more will come. */
  fail(error: GoGridError): void {
    if (this.isOver) return;
    this.#failure = error;
    this.#end();
    this.#wake?.();
  }

  #keep(event: RunEvent): void {
    // A call that was cancelled has nobody who would take it.
    if (this.#stopTimer === undefined) this.#queue.push(event);
  }

  #taken({ type }: RunEvent): void {
    if (type === 'progress') this.#progressQueued--;
    if (type !== 'chunk' && type !== 'vectors') return;
    this.#expected++;
    this.#deps.credit(1);
  }

  static errorOf({ code, message, hint }: ErrorMessage): GoGridError {
    return failed(message, isErrorCode(code) ? code : 'engine_failed', hint);
  }

  #end(): void {
    this.isOver = true;
    this.#stopTimer?.cancel();
    this.#over.resolve();
  }

  /** Waits for the next message, for as long as an engine may be silent. */
  async #heard(): Promise<void> {
    const ms = this.#spoken ? JOB.engineStallMs : ENGINE.loadTimeoutMs;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = this.#deps.clock.after(ms, () => {
      this.fail(
        failed(this.#spoken ? `the model fell silent: ${ms} ms without a word` : 'the model did not begin to speak'),
      );
      this.#deps.kill();
    });
    await promise;
    timer.cancel();
    this.#wake = undefined;
  }
}
