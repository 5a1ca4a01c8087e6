/**
 * The rule of `signature.ts` once more, on another library's points: `[S]B − [k]A` is worked out and compared, so nothing here
 * hangs on what a ready-made `verify` takes for valid (noble's own is cofactored in both of its settings). The program verifies with
 * `signature.ts`, which is some fifty times faster; the tests hold that one against this one, on signatures made to be
 * ambiguous, and whoever has no node:crypto has the rule here.
 */

import { hash } from 'node:crypto';
import { Point } from '@noble/ed25519';

/** The order of the base point B. */
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const HALF = 32;
const SIGNATURE_BYTES = 2 * HALF;

/** Whether `signature` of `publicKey` over `bytes` stands; never throws. */
export function verifyPortable(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false;
  const r = signature.subarray(0, HALF);
  const s = littleEndian(signature.subarray(HALF));
  if (s >= L || same(r, Point.ZERO.toBytes())) return false;
  const key = keyOf(publicKey);
  if (key === undefined) return false;
  const k = littleEndian(hash('sha512', Buffer.concat([r, publicKey, bytes]), 'buffer')) % L;
  // Comparing bytes, and not points, refuses every other encoding of R.
  return same(times(Point.BASE, s).subtract(times(key, k)).toBytes(), r);
}

/** The point of a key that is one: encoded canonically, of prime order. */
function keyOf(publicKey: Uint8Array): Point | undefined {
  try {
    const point = Point.fromBytes(publicKey);
    return point.isSmallOrder() || !point.isTorsionFree() ? undefined : point;
  } catch {
    return undefined;
  }
}

/** Nothing here is secret, so time may tell of it; 0 gives the neutral element, which the safe method refuses. */
function times(point: Point, scalar: bigint): Point {
  return point.multiplyUnsafe(scalar);
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
