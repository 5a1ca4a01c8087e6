/**
 * Tokens as text that can be sent: no character is split, no stop sequence gets out, and every token is counted with the
 * text it belongs to. Pure.
 */

import { EMBEDDED } from '../../../limits/engine.ts';

export interface Piece {
  readonly text: string;
  readonly tokens: number;
}

export interface PiecesOptions {
  /** The text of some tokens, given those before them. */
  readonly textOf: (tokens: readonly number[], before: readonly number[]) => string;
  /** Without empty ones. */
  readonly stops: readonly string[];
  /** White space at the end is not part of the answer: a grammar allows it, and means nothing by it. */
  readonly trimEnd: boolean;
  /** What the answer begins with, when it is gone on with: tokens that are not sent again. */
  readonly before: readonly number[];
}

/** What a decoder puts in place of bytes that are no character, or not yet. */
const REPLACEMENT = '\uFFFD';
/** As many tokens before a text as any tokenizer looks at. */
const CONTEXT_TOKENS = 8;

export class Pieces {
  readonly #options: PiecesOptions;
  #before: readonly number[];
  /** Tokens whose last character is not complete. */
  #partial: number[] = [];
  #held = '';
  #heldTokens = 0;
  /** A stop sequence came: the answer is over. */
  stopped = false;

  constructor(options: PiecesOptions) {
    this.#options = options;
    this.#before = options.before.slice(-CONTEXT_TOKENS);
  }

  /** What can be sent after one more token; the text may be empty. */
  add(token: number): Piece {
    this.#heldTokens++;
    this.#partial.push(token);
    const text = this.#options.textOf(this.#partial, this.#before);
    if (text.endsWith(REPLACEMENT) && this.#partial.length < EMBEDDED.maxHeldTokens) return { text: '', tokens: 0 };
    this.#before = [...this.#before, ...this.#partial].slice(-CONTEXT_TOKENS);
    this.#partial = [];
    this.#held += text;
    return this.#cutAtStop() ?? this.#release(this.#held.length - this.#doubtful());
  }

  /** What was still held when the answer ended. */
  end(): Piece {
    if (!this.stopped && this.#partial.length > 0) {
      this.#held += this.#options.textOf(this.#partial, this.#before);
      this.#partial = [];
    }
    if (this.#options.trimEnd) this.#held = this.#held.trimEnd();
    return this.#cutAtStop() ?? this.#release(this.#held.length);
  }

  #cutAtStop(): Piece | undefined {
    const found = this.#options.stops.map((stop) => this.#held.indexOf(stop)).filter((at) => at >= 0);
    if (found.length === 0) return undefined;
    this.stopped = true;
    const text = this.#held.slice(0, Math.min(...found));
    const piece = { text: this.#options.trimEnd ? text.trimEnd() : text, tokens: this.#heldTokens };
    this.#held = '';
    this.#heldTokens = 0;
    return piece;
  }

  /** Characters at the end that may become a stop sequence, or white space at the end of the answer. */
  #doubtful(): number {
    let most = this.#options.trimEnd ? this.#held.length - this.#held.trimEnd().length : 0;
    for (const stop of this.#options.stops) {
      for (let length = Math.min(stop.length - 1, this.#held.length); length > most; length--) {
        if (this.#held.endsWith(stop.slice(0, length))) most = length;
      }
    }
    // Half of a surrogate pair is no text.
    const before = this.#held.charCodeAt(this.#held.length - most - 1);
    return before >= 0xd800 && before < 0xdc00 ? most + 1 : most;
  }

  #release(length: number): Piece {
    const text = this.#held.slice(0, length);
    // Tokens without a text, and those of a text that is held, count with the next one that gets out.
    if (text === '') return { text: '', tokens: 0 };
    this.#held = this.#held.slice(length);
    const tokens = this.#heldTokens;
    this.#heldTokens = 0;
    return { text, tokens };
  }
}
