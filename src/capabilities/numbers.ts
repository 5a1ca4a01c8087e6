/**
 * The numbers of this node's profiles and beats. Others take only greater ones than they have had, so they grow over restarts
 * too, also where the wall clock was set back meanwhile: a number that is at least as great as any that may have been said is
 * kept on the disk. It is kept ahead, for the time to come, since a write for every beat would be too many.
 */

import type { Clock } from '../clock.ts';
import { MESH } from '../limits/mesh.ts';

export interface NumbersDeps {
  readonly clock: Clock;
  /** Puts a number on the disk itself, in place of the one before. Rejects when it could not. */
  readonly keep: (number: number) => Promise<void>;
}

export class Numbers {
  readonly #deps: NumbersDeps;
  #last: number;
  /** What is on the disk. */
  #kept: number;
  #keeping: Promise<void> | undefined;

  /** @param kept what was on the disk at the start; 0 when there was nothing, or nothing that can be read */
  constructor(kept: number, deps: NumbersDeps) {
    this.#deps = deps;
    this.#last = kept;
    this.#kept = kept;
  }

  /** Greater than every number before it. The wall clock in milliseconds, unless the numbers are ahead of that already. */
  next(): number {
    const now = this.#deps.clock.now();
    this.#last = Math.max(this.#last + 1, now);
    const isTimeShort = this.#kept - now < MESH.numbersKeptMs / 2;
    const isRoomShort = this.#kept - this.#last < MESH.numbersKept / 2;
    if (isTimeShort || isRoomShort) void this.keepAhead();
    return this.#last;
  }

  /**
   * Keeps numbers for the time to come. Resolves when they are on the disk, or could not be put there: then the next number
   * tries again, and until that works they are as good as the wall clock is.
   */
  keepAhead(): Promise<void> {
    this.#keeping ??= this.#keepAhead().finally(() => {
      this.#keeping = undefined;
    });
    return this.#keeping;
  }

  /**
   * Keeps the last number and nothing ahead of it, once no more are said: the next start begins at the wall clock again, and so
   * does one that finds nothing on its disk.
   */
  async end(): Promise<void> {
    await this.#keeping;
    try {
      await this.#deps.keep(this.#last);
      this.#kept = this.#last;
    } catch {
      // What is kept ahead holds as well.
    }
  }

  async #keepAhead(): Promise<void> {
    // Numbers that are ahead of the clock count up one by one: restarts in a row do not carry them far away from it.
    const upTo = Math.max(this.#deps.clock.now() + MESH.numbersKeptMs, this.#last + MESH.numbersKept);
    try {
      await this.#deps.keep(upTo);
      this.#kept = upTo;
    } catch {
      // Whoever keeps them has said so in the log.
    }
  }
}
