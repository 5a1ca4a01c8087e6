/** Who wants to know of something; one that breaks does not keep it from the others. */

import { toGoGridError } from '../../errors.ts';
import type { Logger } from '../../telemetry/logger.ts';

export class Listeners<Arguments extends readonly unknown[]> {
  readonly #log: Logger;
  readonly #listeners = new Set<(...what: Arguments) => void>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @returns what ends it */
  add(listener: (...what: Arguments) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(...what: Arguments): void {
    for (const listener of this.#listeners) {
      try {
        listener(...what);
      } catch (thrown) {
        this.#log.error({ error: toGoGridError(thrown) }, 'a listener of the ledger broke');
      }
    }
  }
}
