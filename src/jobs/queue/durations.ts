/** How long jobs hold a slot and how much they write, as measured here: what estimates of waiting rest on. Pure. */

import { mean } from '../mean.ts';

export interface Usual {
  /** Milliseconds in a slot. */
  readonly ms: number;
  readonly outputTokens: number;
}

/** A job of which it is asked how long it takes. */
export interface OfWork {
  /** Jobs of the same work take about as long. */
  readonly work: string;
  /** What it takes by the rates of the machine: this holds until a job has ended here. */
  readonly prior: Usual;
}

export class Durations {
  readonly #byModel = new Map<string, Usual>();
  #all: Usual | undefined;

  /** A job of `model` ran to its end. */
  measured(model: string, job: Usual): void {
    this.#byModel.set(model, blend(this.#byModel.get(model), job));
    this.#all = blend(this.#all, job);
  }

  /** Of work that was not done here yet the mean of the others; before any was, what is expected by rates alone. */
  usual({ work, prior }: OfWork): Usual {
    return this.#measuredOf(work) ?? prior;
  }

  /**
   * Milliseconds that a job which has held its slot for `heldMs` is expected to hold it still. One that takes longer than
   * usual is expected to take half as long again. Where no job has ended yet, what it has written shows how fast it is.
   * @param outputTokens written so far
   */
  leftMs({ work, prior }: OfWork, heldMs: number, outputTokens: number): number {
    const usual = this.#measuredOf(work);
    if (usual === undefined && outputTokens > 0) {
      return Math.max(((prior.outputTokens - outputTokens) * heldMs) / outputTokens, heldMs / 2);
    }
    return Math.max((usual ?? prior).ms - heldMs, heldMs / 2);
  }

  #measuredOf(work: string): Usual | undefined {
    return this.#byModel.get(work) ?? this.#all;
  }
}

function blend(before: Usual | undefined, { ms, outputTokens }: Usual): Usual {
  if (before === undefined) return { ms, outputTokens };
  return { ms: mean(before.ms, ms), outputTokens: mean(before.outputTokens, outputTokens) };
}
