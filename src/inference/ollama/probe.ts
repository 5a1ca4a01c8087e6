/**
 * Finding out whether a model can continue an answer, when its first job here writes: the model is in memory then, so that
 * rendering a prompt costs milliseconds, and that very job may have to go on elsewhere. Never in front of a job, one at a time.
 */

import type { Clock, Timer } from '../../clock.ts';
import { ENGINE } from '../../limits/engine.ts';
import type { TextInput } from './requests.ts';

export interface ProbeDeps {
  readonly clock: Clock;
  /** Whether it is still not known. */
  readonly wanted: (model: string) => boolean;
  /** Asks the daemon with the job's own `options`, so that it does not load the model anew for others; never throws. */
  readonly ask: (model: string, like: ProbeLike, signal: AbortSignal) => Promise<void>;
}

/** What of a job decides how its model is held in memory. Never its text. */
export type ProbeLike = Pick<TextInput, 'options' | 'keepAlive'>;

export class ContinueProbe {
  readonly #deps: ProbeDeps;
  /** Models that ran a job and were not asked yet, and since when they wait. */
  readonly #pending = new Map<string, { readonly like: ProbeLike; readonly since: number }>();
  #running = 0;
  #timer: Timer | undefined;
  #asking: AbortController | undefined;
  #stopped = false;

  constructor(deps: ProbeDeps) {
    this.#deps = deps;
  }

  /** A job begins: a question that is under way makes room. */
  jobStarts(): void {
    this.#running++;
    this.#asking?.abort();
  }

  jobEnds(): void {
    this.#running--;
    this.#schedule();
  }

  /** A job of this model writes: asked at once, beside it. */
  jobWrites(model: string, like: ProbeLike): void {
    if (this.#pending.has(model) || !this.#deps.wanted(model)) return;
    this.consider(model, like);
    void this.#askNext(model);
  }

  /** A job of this model succeeded. */
  consider(model: string, like: ProbeLike): void {
    if (!this.#pending.has(model)) this.#pending.set(model, { like, since: this.#deps.clock.elapsed() });
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#asking?.abort();
  }

  #schedule(): void {
    if (this.#stopped || this.#pending.size === 0 || this.#asking !== undefined) return;
    this.#timer?.cancel();
    this.#timer = this.#deps.clock.after(ENGINE.probeAfterMs, () => void this.#askNext());
  }

  /** @param writing a model that is in use now; without it one that has been */
  async #askNext(writing?: string): Promise<void> {
    if (this.#stopped || this.#asking !== undefined) return;
    const [model = ''] = writing === undefined ? this.#pending.keys() : [writing];
    const next = this.#pending.get(model);
    if (next === undefined) return;
    const { like, since } = next;
    const patient = writing === undefined && this.#deps.clock.elapsed() - since < ENGINE.probePatienceMs;
    // The end of the job that runs now comes back here.
    if (this.#running > 0 && patient) return;
    if (!this.#deps.wanted(model)) {
      this.#pending.delete(model);
      this.#schedule();
      return;
    }
    const asking = new AbortController();
    this.#asking = asking;
    const late = this.#deps.clock.after(ENGINE.probeTimeoutMs, () => {
      this.#pending.delete(model);
      asking.abort();
    });
    await this.#deps.ask(model, like, asking.signal);
    late.cancel();
    this.#asking = undefined;
    // Interrupted by a job: it stays pending, and that job's end comes back here.
    if (!asking.signal.aborted) this.#pending.delete(model);
    if (this.#running === 0) this.#schedule();
  }
}
