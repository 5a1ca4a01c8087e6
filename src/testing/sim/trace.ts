/** What happened in a history: always as one number, to compare two runs; as lines when somebody wants to read it. */

import { hash } from './random.ts';

export interface TraceLine {
  /** Virtual milliseconds since the history began. */
  readonly at: number;
  /** Index of the node; undefined for the world. */
  readonly node: number | undefined;
  /** Index of the job in the plan, when the line is about one. */
  readonly job: number | undefined;
  readonly text: string;
}

export class Trace {
  readonly lines: TraceLine[] = [];
  readonly #keep: boolean;
  #hash = 0x811c9dc5;

  /** @param keep whether somebody will read the lines */
  constructor(keep: boolean) {
    this.#keep = keep;
  }

  add(at: number, node: number | undefined, job: number | undefined, text: string): void {
    this.#hash = hash(`${at}|${node}|${job}|${text}`, this.#hash);
    if (this.#keep) this.lines.push({ at, node, job, text });
  }

  /** Equal for equal histories. */
  get hash(): string {
    return this.#hash.toString(16).padStart(8, '0');
  }
}
