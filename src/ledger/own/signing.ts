/** Whether this node signs entries of its own, since when, and why it does not. */

import type { Clock } from '../../clock.ts';
import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';

export interface AuthorState {
  /** `starting`: it asks where its log ends. `stopped`: its key is in use elsewhere. */
  readonly state: 'starting' | 'ready' | 'stopped';
  /** What it waits for, or why it stopped: a sentence of ours. */
  readonly reason?: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

export class Signing {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #listeners = new Set<() => void>();
  #state: AuthorState;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
    this.#state = { state: 'starting', since: clock.now() };
  }

  get state(): AuthorState {
    return this.#state;
  }

  get isReady(): boolean {
    return this.#state.state === 'ready';
  }

  /** Calls back after every change; returns the way to stop that. */
  onState(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  become(state: AuthorState['state'], reason?: string): void {
    const before = this.#state;
    if (before.state === state && before.reason === reason) return;
    const since = before.state === state ? before.since : this.#clock.now();
    this.#state = reason === undefined ? { state, since } : { state, since, reason };
    for (const listener of this.#listeners) listener();
  }

  /** @throws GoGridError `ledger_stopped`, `ledger_not_ready` */
  expectReady(): void {
    const { state, reason = '' } = this.#state;
    if (state === 'stopped') {
      throw new GoGridError({
        code: 'ledger_stopped',
        message: `this node signs nothing more: ${reason}`,
        hint: 'end the other program that uses this key, a copied home as a rule, and start this one again',
      });
    }
    if (state === 'starting') {
      throw new GoGridError({
        code: 'ledger_not_ready',
        message: `this node signs nothing yet: ${reason}`,
        hint: 'wait until a peer is connected; `gogrid doctor` says what is missing',
        retryAfterSecs: LEDGER.notReadyRetrySecs,
      });
    }
  }
}
