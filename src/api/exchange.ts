/** One answer to one client: whether the client is still there, and the way to end every answer when the node stops. */

import type { ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import type { GoGridError } from '../errors.ts';

/** An `endless` one only the client ends, and no stop waits for it. */
export type ExchangeKind = 'answer' | 'endless';

/** Every answer that is being given now. */
export class Exchanges {
  readonly #open = new Set<Exchange>();
  #onClosed: (() => void) | undefined;

  open(response: ServerResponse, kind: ExchangeKind = 'answer'): Exchange {
    const exchange = new Exchange(response, kind);
    // One whose client has gone already closes no second time.
    if (response.destroyed) return exchange;
    this.#open.add(exchange);
    response.once('close', () => {
      this.#open.delete(exchange);
      // After a complete answer nobody listens, and an abort is not free.
      if (!response.writableFinished) exchange.hangUp();
      this.#onClosed?.();
    });
    return exchange;
  }

  /** Ends every answer with `error`, which its client gets to read; only those of one kind when it is given. */
  endAll(error: GoGridError, kind?: ExchangeKind): void {
    for (const exchange of [...this.#open]) {
      if (kind === undefined || exchange.kind === kind) exchange.end(error);
    }
  }

  /** Closes the connections of those that are left, whose clients do not read their last words. */
  cutAll(kind: ExchangeKind): void {
    for (const exchange of [...this.#open]) if (exchange.kind === kind) exchange.response.destroy();
  }

  /** Resolves when none is left, or none of that kind where one is given; after `ms` milliseconds at the latest. */
  empty(clock: Clock, ms: number, kind?: ExchangeKind): Promise<void> {
    const isEmpty = () => ![...this.#open].some((exchange) => kind === undefined || exchange.kind === kind);
    if (isEmpty()) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = clock.after(ms, () => resolve());
      this.#onClosed = () => {
        if (!isEmpty()) return;
        timer.cancel();
        resolve();
      };
    });
  }
}

export class Exchange {
  readonly response: ServerResponse;
  readonly kind: ExchangeKind;
  readonly #abort = new AbortController();
  #gone = false;
  #endedBy: GoGridError | undefined;

  constructor(response: ServerResponse, kind: ExchangeKind) {
    this.response = response;
    this.kind = kind;
    if (response.destroyed) this.hangUp();
  }

  /** Aborts at once when the client hangs up, or the node ends the answer. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Nobody is left to read. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Why the node ended it, when it did. */
  get endedBy(): GoGridError | undefined {
    return this.#endedBy;
  }

  end(error: GoGridError): void {
    this.#endedBy ??= error;
    this.#abort.abort();
  }

  /** The connection is closed before the answer was complete. */
  hangUp(): void {
    this.#gone = true;
    this.#abort.abort();
  }
}
