/**
 * The way out for an answer: pieces leave as long as the node gives credit for them; beyond it they gather into one, and
 * when that is large the engine waits.
 */

import { EMBEDDED } from '../../../limits/engine.ts';
import type { FromProcess } from '../messages.ts';
import type { Piece } from './pieces.ts';

export class Outbox {
  readonly #id: number;
  readonly #send: (message: FromProcess) => void;
  readonly #signal: AbortSignal;
  #credits: number;
  #text = '';
  #tokens = 0;
  #wake: (() => void) | undefined;

  constructor(id: number, credits: number, send: (message: FromProcess) => void, signal: AbortSignal) {
    this.#id = id;
    this.#credits = credits;
    this.#send = send;
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#wake?.(), { once: true });
  }

  credit(count: number): void {
    this.#credits += count;
    this.#flush();
    this.#wake?.();
  }

  /** Sends a piece, or keeps it; waits while too much is kept. */
  async text(piece: Piece): Promise<void> {
    this.#text += piece.text;
    this.#tokens += piece.tokens;
    this.#flush();
    while (this.#text.length > EMBEDDED.maxPieceChars && !this.#signal.aborted) await this.#credited();
  }

  /** Sends whole vectors, for a credit each time. */
  async vectors(dimensions: number, data: Uint8Array<ArrayBuffer>): Promise<void> {
    while (this.#credits <= 0 && !this.#signal.aborted) await this.#credited();
    this.#credits--;
    this.#send({ type: 'vectors', id: this.#id, dimensions, data });
  }

  /** Sends what is kept, for credit or not: it is one piece, and the last. */
  end(): void {
    this.#credits = 1;
    this.#flush();
  }

  #flush(): void {
    if (this.#credits <= 0 || this.#text === '') return;
    this.#credits--;
    this.#send({ type: 'chunk', id: this.#id, tokens: this.#tokens, text: this.#text });
    this.#text = '';
    this.#tokens = 0;
  }

  #credited(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
