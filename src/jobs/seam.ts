/**
 * The place in an answer where one provider stopped and the next one goes on. The next one was given the text without its
 * trailing white space, because models put the space before the word; so it may write that white space again. The seam
 * takes exactly that away, and finds a stop sequence of which the first half was written on the other side.
 */

export class Seam {
  /** White space at the end of what the client already has, and the next provider was not shown. */
  readonly #space: string;
  /** Halves of stop sequences that the text so far may have begun: what would complete one. */
  readonly #completions: readonly string[];
  #held = '';
  #spaceDone: boolean;
  #repeated = false;
  #open = true;

  /**
   * @param delivered everything the client has of the answer
   * @param stops the request's stop sequences
   */
  constructor(delivered: string, stops: readonly string[]) {
    this.#space = delivered.slice(delivered.trimEnd().length);
    this.#spaceDone = this.#space === '';
    this.#completions = stops.flatMap((stop) => completionsOf(stop, delivered));
  }

  /** The next provider wrote the white space again, and it was taken away. */
  get repeated(): boolean {
    return this.#repeated;
  }

  /** Something was written of which it is not known yet whether the client gets it. */
  get holdsBack(): boolean {
    return this.#held !== '';
  }

  /** What the client gets of the next piece; `stopped` when a stop sequence was completed and the answer is over. */
  take(piece: string): { text: string; stopped: boolean } {
    if (!this.#open) return { text: piece, stopped: false };
    this.#held += piece;
    if (!this.#spaceDone && !this.#skipSpace()) return { text: '', stopped: false };
    if (this.#completions.some((rest) => this.#held.startsWith(rest))) {
      this.#open = false;
      return { text: '', stopped: true };
    }
    if (this.#completions.some((rest) => rest.startsWith(this.#held))) return { text: '', stopped: false };
    return { text: this.#release(), stopped: false };
  }

  /** What was still held when the answer ended. */
  end(): string {
    // A beginning of the same white space adds nothing to what the client has.
    return this.#open && this.#spaceDone ? this.#release() : '';
  }

  /** Whether it is decided how the continuation begins. */
  #skipSpace(): boolean {
    if (this.#held.length < this.#space.length && this.#space.startsWith(this.#held)) return false;
    if (this.#held.startsWith(this.#space)) {
      this.#held = this.#held.slice(this.#space.length);
      this.#repeated = true;
    }
    this.#spaceDone = true;
    return true;
  }

  #release(): string {
    const text = this.#held;
    this.#held = '';
    if (text !== '') this.#open = false;
    return text;
  }
}

/** For every way in which `delivered` ends with a beginning of `stop`: the rest of it. */
function completionsOf(stop: string, delivered: string): string[] {
  const rests: string[] = [];
  for (let length = 1; length < stop.length; length++) {
    if (delivered.endsWith(stop.slice(0, length))) rests.push(stop.slice(length));
  }
  return rests;
}
