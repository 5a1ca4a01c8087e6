/** What was said in a chat, and what of it is sent with the next question. Pure. */

import type { Message } from './answer.ts';

export interface Bounds {
  readonly maxMessages: number;
  readonly maxChars: number;
}

interface Turn {
  readonly question: string;
  readonly answer: string;
}

/** Turns of question and answer behind a system text; the oldest make room. */
export class Conversation {
  readonly #bounds: Bounds;
  readonly #turns: Turn[] = [];
  system = '';

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  get turns(): number {
    return this.#turns.length;
  }

  /** Forgets all but the system text. */
  clear(): void {
    this.#turns.length = 0;
  }

  /** Keeps a turn that has an answer, whole or cut off. */
  keep(question: string, answer: string): void {
    this.#turns.push({ question, answer });
  }

  /** Forgets the older half, one turn at least. @returns how many were forgotten; 0 when there was none */
  dropOldest(): number {
    return this.#turns.splice(0, Math.ceil(this.#turns.length / 2)).length;
  }

  /**
   * What to send with a question.
   * @returns the messages, and how many of the oldest turns had to be forgotten for them to stay within bounds
   */
  ask(question: string): { readonly messages: readonly Message[]; readonly dropped: number } {
    let dropped = 0;
    while (this.#turns.length > 0 && this.#isTooLong(question)) {
      this.#turns.shift();
      dropped++;
    }
    const messages: Message[] = this.system === '' ? [] : [{ role: 'system', content: this.system }];
    for (const turn of this.#turns) {
      messages.push({ role: 'user', content: turn.question }, { role: 'assistant', content: turn.answer });
    }
    messages.push({ role: 'user', content: question });
    return { messages, dropped };
  }

  #isTooLong(question: string): boolean {
    const chars = this.#turns.reduce((sum, turn) => sum + turn.question.length + turn.answer.length, 0);
    const all = this.system.length + chars + question.length;
    return all > this.#bounds.maxChars || this.#turns.length * 2 + 2 > this.#bounds.maxMessages;
  }
}
