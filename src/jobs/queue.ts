/**
 * Where jobs wait at a provider: a bounded line in front of a fixed number of slots. It stands before the engine, whatever
 * queue the engine has of its own, so that order, bounds and estimates are ours.
 */

export interface QueueOptions {
  /** Jobs that run at once. */
  readonly slots: number;
  /** Jobs that wait at most. */
  readonly room: number;
}

/** A job's place, from entering the line to leaving its slot. */
export interface Place {
  /** Resolves when the job may run. Never resolves for a place that was left while waiting. */
  readonly turn: Promise<void>;
  /** 0 when it has a slot, 1 when it is next, and so on. */
  position(): number;
  /** Gives the place back, from the line or from the slot; the next job moves up. More than once does nothing. */
  leave(): void;
}

interface Waiting {
  readonly start: () => void;
}

/** Weight of the newest job in the running mean of durations. */
const EWMA_WEIGHT = 0.3;

export class JobQueue {
  readonly #options: QueueOptions;
  readonly #line: Waiting[] = [];
  #running = 0;
  #meanMs = 0;

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  get depth(): number {
    return this.#line.length;
  }

  get running(): number {
    return this.#running;
  }

  get options(): QueueOptions {
    return this.#options;
  }

  /** Enters the line, or returns undefined when it is full. */
  enter(): Place | undefined {
    if (this.#running >= this.#options.slots && this.#line.length >= this.#options.room) return undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting: Waiting = { start: resolve };
    this.#line.push(waiting);
    this.#advance();
    let left = false;
    return {
      turn: promise,
      position: () => this.#line.indexOf(waiting) + 1,
      leave: () => {
        if (left) return;
        left = true;
        const at = this.#line.indexOf(waiting);
        if (at >= 0) this.#line.splice(at, 1);
        else this.#running--;
        this.#advance();
      },
    };
  }

  /** Tells how long a finished job held its slot, milliseconds; the estimates come from it. */
  measured(ms: number): void {
    this.#meanMs = this.#meanMs === 0 ? ms : this.#meanMs + EWMA_WEIGHT * (ms - this.#meanMs);
  }

  /** Milliseconds until a job at `position` has a slot, from the mean of past jobs; 0 before any has finished. */
  estimateMs(position: number): number {
    return Math.round((position / this.#options.slots) * this.#meanMs);
  }

  #advance(): void {
    while (this.#running < this.#options.slots) {
      const next = this.#line.shift();
      if (next === undefined) return;
      this.#running++;
      next.start();
    }
  }
}
