/** A simulated history as it runs: its time, its trace, and the first law that it breaks. */

import { turn, VirtualClock } from '../virtual-clock.ts';
import { Trace } from './trace.ts';

/** A law that did not hold. */
export interface Violation {
  /** Short and stable, such as `answer-exact`: a smaller history must break the same one. */
  readonly law: string;
  readonly text: string;
  readonly at: number;
}

export class World {
  readonly clock = new VirtualClock();
  readonly trace: Trace;
  violation: Violation | undefined;
  /** Timers and deliveries so far. */
  events = 0;
  /** Nodes that did something in this event: only they have to be looked at after it. */
  readonly touched = new Set<number>();
  /** What happened how often, by name: whether the histories are worth anything. */
  readonly tally = new Map<string, number>();
  readonly #checks: ((node: number) => void)[] = [];

  constructor(keepTrace: boolean) {
    this.trace = new Trace(keepTrace);
  }

  get now(): number {
    return this.clock.elapsed();
  }

  /** Looks at every node that was touched by an event, after it. */
  afterEvent(check: (node: number) => void): void {
    this.#checks.push(check);
  }

  note(node: number | undefined, job: number | undefined, text: string): void {
    this.trace.add(Math.round(this.now * 1000) / 1000, node, job, text);
  }

  count(what: string): void {
    this.tally.set(what, (this.tally.get(what) ?? 0) + 1);
  }

  /** The first violation ends the history; what follows from it is no news. */
  violate(law: string, text: string, node?: number, job?: number): void {
    if (this.violation !== undefined) return;
    this.violation = { law, text, at: this.now };
    this.note(node, job, `VIOLATED ${law}: ${text}`);
  }

  /**
   * Runs event by event until `end` milliseconds, a violation, or `isOver`.
   * @returns whether it stopped early
   */
  async run(end: number, isOver: () => boolean = () => false): Promise<boolean> {
    while (this.clock.step(end)) {
      await turn();
      this.events++;
      for (const node of this.touched) for (const check of this.#checks) check(node);
      this.touched.clear();
      if (this.violation !== undefined || isOver()) return true;
    }
    return false;
  }
}
