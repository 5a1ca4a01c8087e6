/**
 * Changes on their way to a disk, one write at a time: what comes while one is on its way goes together with the next. A
 * write that waits for the disk itself (fsync) costs as much for a thousand changes as for one.
 */

import { DATABASE } from '../limits/program.ts';

interface Commit<Change> {
  readonly changes: readonly Change[];
  readonly durable: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Writes these changes, all or none of them; `durable`: resolves when they are on the disk itself. */
export type WriteChanges<Change> = (changes: readonly Change[], durable: boolean) => Promise<void>;

export class GroupCommit<Change> {
  readonly #write: WriteChanges<Change>;
  /** Whoever has something to write waits for it, so there are as many as there are writers. */
  #waiting: Commit<Change>[] = [];
  #running: Promise<void> | undefined;

  constructor(write: WriteChanges<Change>) {
    this.#write = write;
  }

  /**
   * Resolves when these changes are written, after all that were committed before them; rejects with what the write failed
   * with. What is committed together is written together.
   */
  commit(changes: readonly Change[], durable: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ changes, durable, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when nothing is on its way. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#nextGroup();
      const durable = group.some((commit) => commit.durable);
      try {
        await this.#write(
          group.flatMap(({ changes }) => changes),
          durable,
        );
        for (const { resolve } of group) resolve();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#running = undefined;
  }

  #nextGroup(): Commit<Change>[] {
    let changes = 0;
    let end = 0;
    for (const commit of this.#waiting) {
      changes += commit.changes.length;
      if (end > 0 && changes > DATABASE.maxGroupChanges) break;
      end++;
    }
    return this.#waiting.splice(0, end);
  }
}
