/** What can be said of an answer that two nodes wrote: who gave which part, and whether anything is missing or twice. Pure. */

import type { Job } from '../../contract/control.ts';

/** What one node delivered: tokens of the whole answer, `toToken` not included. */
export interface Share {
  readonly provider: string;
  readonly fromToken: number;
  readonly toToken: number;
}

/** The parts of an answer in their order; providers that were asked and gave nothing are left out. */
export function sharesOf(job: Pick<Job, 'attempts'>): Share[] {
  return job.attempts
    .filter(({ fromToken, toToken }) => toToken > fromToken)
    .map(({ provider, fromToken, toToken }) => ({ provider, fromToken, toToken }));
}

/** Whether every part begins at the token at which the one before ended, the first at 0, and the last ends with the answer. */
export function areContiguous(shares: readonly Share[], tokens: number): boolean {
  let at = 0;
  for (const { fromToken, toToken } of shares) {
    if (fromToken !== at) return false;
    at = toToken;
  }
  return at === tokens;
}

export interface Comparison {
  readonly equal: boolean;
  /** Words from the beginning on that are the same in both. */
  readonly sameWords: number;
}

/** Compares an answer with the one to the same question that nobody disturbed. */
export function compareTexts(text: string, reference: string): Comparison {
  const words = wordsOf(text);
  const others = wordsOf(reference);
  const differs = words.findIndex((word, index) => word !== others[index]);
  return { equal: text === reference, sameWords: differs < 0 ? words.length : differs };
}

export function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

/**
 * Whether the text so far has enough words, and stops in the middle of a sentence. The last word may not be complete yet,
 * and is not counted.
 */
export function isMidSentence(text: string, words: number): boolean {
  const complete = wordsOf(text.replace(/\S+$/, ''));
  const last = complete.at(-1) ?? '';
  return complete.length >= words && /[\p{L}\p{N}]$/u.test(last);
}
