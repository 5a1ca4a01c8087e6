/** Dice that fall the same way again: every random choice of a scenario comes from the seed that the run printed. */

export interface Random {
  /** At least 0 and below 1. */
  next(): number;
  /** A whole number from `low` to `high`, both included. */
  int(low: number, high: number): number;
  /** Letters and digits that nobody writes by chance. */
  word(length: number): string;
  pick<T>(from: readonly T[]): T;
}

/** A generator of its own for every name, so that a scenario replays alone as it ran among the others. */
export function randomFrom(seed: number, name: string): Random {
  let state = seed | 0;
  for (const char of name) state = Math.imul(state ^ (char.codePointAt(0) ?? 0), 0x01000193);
  // Mulberry32.
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (low: number, high: number) => low + Math.floor(next() * (high - low + 1));
  const pick = <T>(from: readonly T[]) => from[int(0, from.length - 1)] as T;
  return { next, int, pick, word: (length) => Array.from({ length }, () => pick([...LETTERS])).join('') };
}

const LETTERS = 'abcdefghijkmnpqrstuvwxyz23456789';
