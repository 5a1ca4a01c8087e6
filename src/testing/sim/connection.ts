/** A connection between two processes: two ordered directions that may be held up, and an end that each side sees for itself. */

import type { Process } from './process.ts';

export type Side = 0 | 1;

/** One end of a stream that runs over a connection. */
export interface StreamEnd {
  readonly process: Process;
  connectionBroke(): void;
}

/** What a connection needs of the network it runs over. */
export interface Wire {
  /** Milliseconds on the way, drawn anew for every packet. */
  delayMs(from: number, to: number): number;
  /** Nothing gets from one machine to the other now. */
  isCut(from: number, to: number): boolean;
  /** The machine is on, so that it says of a program that is gone that it is gone. */
  isMachineUp(node: number): boolean;
  after(ms: number, action: () => void): void;
  readonly now: number;
  /** A side has noticed that the connection is gone. */
  onBroken(connection: Connection, side: Process, other: Process): void;
}

export class Connection {
  readonly ends: readonly [Process, Process];
  readonly streams = new Set<StreamEnd>();
  readonly #wire: Wire;
  readonly #open: [boolean, boolean] = [true, true];
  readonly #lastAt: [number, number] = [0, 0];
  /** What waits for a cut to heal, as TCP sends again what was not acknowledged. */
  readonly #held: [(() => void)[], (() => void)[]] = [[], []];

  constructor(ends: readonly [Process, Process], wire: Wire) {
    this.ends = ends;
    this.#wire = wire;
  }

  isOpenAt(process: Process): boolean {
    return this.#open[this.#sideOf(process)] === true;
  }

  otherThan(process: Process): Process {
    return this.ends[this.#sideOf(process) === 0 ? 1 : 0];
  }

  /** Brings an action to the other side, after everything sent before. */
  send(from: Process, action: () => void): void {
    const side = this.#sideOf(from);
    if (!this.#open[side] || !from.isAlive) return;
    this.#transmit(side, action);
  }

  /** This side notices that the connection is gone. */
  breakAt(process: Process): void {
    const side = this.#sideOf(process);
    if (!this.#open[side] || !process.isAlive) return;
    const other = this.otherThan(process);
    // A reset tells the other side, if it gets there: nobody sends it again.
    if (!this.#wire.isCut(process.node, other.node)) this.#transmit(side, () => this.breakAt(other));
    this.#open[side] = false;
    process.deliver(() => {
      for (const stream of [...this.streams]) if (stream.process === process) stream.connectionBroke();
      this.#wire.onBroken(this, process, other);
    });
  }

  /** The program at one side is gone and its machine is not: the machine closes what was open. */
  closedByMachine(process: Process): void {
    const side = this.#sideOf(process);
    if (!this.#open[side]) return;
    this.#transmit(side, () => this.breakAt(this.otherThan(process)));
    this.#open[side] = false;
  }

  /** A cut in this direction has healed: what was held is sent again after `waitMs`. */
  release(from: number, waitMs: number): void {
    for (const side of [0, 1] as const) {
      if (this.ends[side].node !== from) continue;
      for (const action of this.#held[side].splice(0)) this.#schedule(side, action, waitMs);
    }
  }

  #transmit(side: Side, action: () => void): void {
    const from = this.ends[side];
    const to = this.ends[side === 0 ? 1 : 0];
    if (this.#held[side].length > 0 || this.#wire.isCut(from.node, to.node)) this.#held[side].push(action);
    else this.#schedule(side, action, 0);
  }

  #schedule(side: Side, action: () => void, waitMs: number): void {
    const from = this.ends[side];
    const to = this.ends[side === 0 ? 1 : 0];
    const at = this.#wire.now + waitMs + this.#wire.delayMs(from.node, to.node);
    this.#lastAt[side] = Math.max(this.#lastAt[side], at);
    this.#wire.after(this.#lastAt[side] - this.#wire.now, () => this.#arrive(from, to, action));
  }

  #arrive(from: Process, to: Process, action: () => void): void {
    if (to.isAlive && this.isOpenAt(to)) {
      to.deliver(() => {
        if (this.isOpenAt(to)) action();
      });
      return;
    }
    // Nobody holds this connection there any more: the machine says so, if it is on and its word gets back.
    const reachable = this.#wire.isMachineUp(to.node) && !this.#wire.isCut(to.node, from.node);
    if (reachable) this.#wire.after(this.#wire.delayMs(to.node, from.node), () => this.breakAt(from));
  }

  #sideOf(process: Process): Side {
    return this.ends[0] === process ? 0 : 1;
  }
}
