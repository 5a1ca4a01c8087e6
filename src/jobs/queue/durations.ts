/** How long jobs hold a slot and how much they write, as measured here: what estimates of waiting rest on. Pure. */

/** Weight of the newest job in the running means. */
const EWMA_WEIGHT = 0.3;

export interface Usual {
  /** Milliseconds in a slot. */
  readonly ms: number;
  readonly outputTokens: number;
}

const NOTHING: Usual = { ms: 0, outputTokens: 0 };

export class Durations {
  readonly #byModel = new Map<string, Usual>();
  #all: Usual | undefined;

  /** A job of `model` ran to its end. */
  measured(model: string, job: Usual): void {
    this.#byModel.set(model, blend(this.#byModel.get(model), job));
    this.#all = blend(this.#all, job);
  }

  /** Of a model that has not run here yet the mean of the others; nothing before any has. */
  usual(model: string): Usual {
    return this.#byModel.get(model) ?? this.#all ?? NOTHING;
  }

  /**
   * Milliseconds that a job which has held its slot for `heldMs` is expected to hold it still. One that takes longer than
   * usual is expected to take half as long again, and so is one of which nothing is known.
   */
  leftMs(model: string, heldMs: number): number {
    return Math.max(this.usual(model).ms - heldMs, heldMs / 2);
  }
}

function blend(before: Usual | undefined, { ms, outputTokens }: Usual): Usual {
  if (before === undefined) return { ms, outputTokens };
  return {
    ms: before.ms + EWMA_WEIGHT * (ms - before.ms),
    outputTokens: before.outputTokens + EWMA_WEIGHT * (outputTokens - before.outputTokens),
  };
}
