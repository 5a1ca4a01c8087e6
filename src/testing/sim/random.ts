/** Every random choice of a simulated history comes from generators made here, so that a seed replays all of it. */

export interface Random {
  /** 0 ≤ x < 1. */
  next(): number;
  /** A whole number, `from` and `to` included. */
  int(from: number, to: number): number;
  between(from: number, to: number): number;
  /** Evenly over orders of magnitude: what latencies and speeds look like. */
  logBetween(from: number, to: number): number;
  /** @param probability 0 to 1 */
  chance(probability: number): boolean;
  pick<T>(list: readonly T[]): T;
  /** At most `count` different ones, in random order. */
  some<T>(list: readonly T[], count: number): T[];
  bytes(size: number): Uint8Array;
}

/**
 * sfc32 by Chris Doty-Humphrey (PractRand), seeded by name so that one part drawing more does not move the others.
 * @param seed any whole number
 */
export function randomOf(seed: number, name: string): Random {
  let a = hash(`${name}/${seed}`);
  let b = hash(`${seed}/${name}`);
  let c = seed | 0;
  let counter = 1;
  const next = () => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    return (t >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 12; i++) next();
  const int = (from: number, to: number) => from + Math.floor(next() * (to - from + 1));
  return {
    next,
    int,
    between: (from, to) => from + next() * (to - from),
    logBetween: (from, to) => from * (to / from) ** next(),
    chance: (probability) => next() < probability,
    pick: (list) => list[int(0, list.length - 1)] as (typeof list)[number],
    some(list, count) {
      const left = [...list];
      const taken: typeof left = [];
      while (taken.length < count && left.length > 0) taken.push(...left.splice(int(0, left.length - 1), 1));
      return taken;
    },
    bytes: (size) => Uint8Array.from({ length: size }, () => int(0, 255)),
  };
}

/** FNV-1a, 32 bits. */
export function hash(text: string, from = 0x811c9dc5): number {
  let value = from;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
