/**
 * One run of a node's program: everything that reaches it from outside comes through here, so that it can be stopped
 * (nothing is read, nothing sent, then it goes on), slow, or gone for good.
 */

import type { Clock, Timer } from '../../clock.ts';
import type { World } from './world.ts';

export class Process {
  readonly node: number;
  readonly clock: Clock;
  state: 'running' | 'stopped' | 'dead' = 'running';
  /** Milliseconds that everything takes longer to be looked at: a machine that is short of time. */
  lagMs = 0;
  readonly #world: World;
  readonly #backlog: (() => void)[] = [];
  #timers = 0;
  #lastAt = 0;

  /** @param skewMs by how much its wall clock is wrong; a function, since clocks are set while programs run */
  constructor(node: number, world: World, skewMs: () => number) {
    this.node = node;
    this.#world = world;
    const bornAt = world.now;
    this.clock = {
      now: () => Math.floor(world.clock.now() + skewMs()),
      elapsed: () => world.now - bornAt,
      after: (ms, action) => this.#after(ms, action),
    };
  }

  get isAlive(): boolean {
    return this.state !== 'dead';
  }

  /** Timers of this program that still wait. */
  get timers(): number {
    return this.#timers;
  }

  /** Something from outside: now, later when it is stopped or slow, never when it is dead. */
  deliver(action: () => void): void {
    if (this.state === 'dead') return;
    if (this.state === 'stopped') {
      this.#backlog.push(action);
      return;
    }
    if (this.lagMs > 0 || this.#lastAt > this.#world.now) {
      this.#lastAt = Math.max(this.#lastAt, this.#world.now + this.lagMs);
      this.#world.clock.after(this.#lastAt - this.#world.now, () => this.#run(action));
      return;
    }
    this.#run(action);
  }

  stop(): void {
    if (this.state === 'running') this.state = 'stopped';
  }

  /** Goes on with what came meanwhile, one thing after the other. */
  goOn(): void {
    if (this.state !== 'stopped') return;
    this.state = 'running';
    for (const action of this.#backlog.splice(0)) this.#world.clock.after(0, () => this.#run(action));
  }

  die(): void {
    this.state = 'dead';
    this.#backlog.length = 0;
  }

  #run(action: () => void): void {
    if (this.state === 'dead') return;
    if (this.state === 'stopped') {
      this.#backlog.push(action);
      return;
    }
    this.#world.touched.add(this.node);
    action();
  }

  #after(ms: number, action: () => void): Timer {
    this.#timers++;
    let waits = true;
    const over = () => {
      if (!waits) return false;
      waits = false;
      this.#timers--;
      return true;
    };
    const timer = this.#world.clock.after(Math.max(0, ms), () =>
      this.deliver(() => {
        if (over()) action();
      }),
    );
    return {
      cancel: () => {
        if (over()) timer.cancel();
      },
    };
  }
}
