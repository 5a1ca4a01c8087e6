/** The one signature rule, by both libraries, on signatures made to be ambiguous: real ones hardly ever are. */

import { hash } from 'node:crypto';
import { Point } from '@noble/ed25519';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { signerFromSeed, verifySignature, verifySignatureAside } from './signature.ts';
import { verifyPortable } from './signature-portable.ts';

const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const B = Point.BASE;
const SECRET = 0x1234567890abcdef1234567890abcdefn;
const NONCE = 0xfedcba0987654321fedcba0987654321n;

interface Vector {
  readonly key: Uint8Array;
  readonly bytes: Uint8Array;
  readonly signature: Uint8Array;
  readonly stands: boolean;
}

/** All points of order 1, 2, 4, 8: multiples of one of order 8. */
const TORSION = torsionPoints();

describe('the one signature rule', () => {
  test('1,536 vectors: every mixture of prime and small order in A and R, with S, S + L and S one too high', () => {
    const vectors = MIXTURES;
    expect(vectors).toHaveLength(1536);
    expect(vectors.filter(({ stands }) => stands)).toHaveLength(2);
    expect(wrongOf(vectors)).toEqual([]);
  });

  test('the vectors are such that libraries part: some stand for OpenSSL, or up to the cofactor, and not here', () => {
    // With A of mixed order and k a multiple of 8 the plain equation holds; with R = R' + T only eight times both sides are equal.
    const honestS = MIXTURES.filter((_, i) => i % 6 === 0);
    const left = honestS.map(({ key, bytes, signature }) => difference(key, bytes, signature));
    const plain = left.filter((point) => point.is0());
    const cofactored = left.filter((point) => point.isSmallOrder());
    expect(plain.length).toBeGreaterThan(20);
    expect(cofactored.length).toBeGreaterThan(plain.length);
  });

  test('no other encoding of a point counts, as key or as R', () => {
    const message = Buffer.from('encodings');
    const odd = nonCanonical();
    expect(odd.length).toBeGreaterThan(20);
    const vectors = odd.flatMap((encoding) => [
      // As key of which nobody knows the secret: for one of small order, R = [S]B − [k]A needs none.
      ...[1n, 5n, NONCE].map((s) => vector(encoding, message, signatureOf(B.multiply(s).toBytes(), s))),
      // As R, under an honest key.
      vector(B.multiply(SECRET).toBytes(), message, signatureFor(SECRET, encoding, 0n, message)),
    ]);
    expect(wrongOf(vectors)).toEqual([]);
  });

  test('S = 0, R the identity, and all zeros or ones', () => {
    const key = B.multiply(SECRET).toBytes();
    const message = Buffer.from('edges');
    const zero = Point.ZERO.toBytes();
    const halves = [
      zero,
      new Uint8Array(32),
      new Uint8Array(32).fill(0xff),
      B.toBytes(),
      key,
      bytes32(L),
      bytes32(L - 1n),
    ];
    const vectors = [key, ...halves].flatMap((a) =>
      halves.flatMap((r) => halves.map((s) => vector(a, message, Uint8Array.of(...r, ...s)))),
    );
    // R = 0 under an honest key: S = k · a is a right answer to the equation.
    vectors.push(vector(key, message, signatureFor(SECRET, zero, 0n, message)));
    expect(difference(key, message, vectors.at(-1)!.signature).is0()).toBe(true);
    expect(wrongOf(vectors)).toEqual([]);
  });

  test('the first vector of RFC 8032 stands', () => {
    const signer = signerFromSeed(
      Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex'),
    );
    const signature = Buffer.from(
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
      'hex',
    );
    expect(Buffer.from(signer.publicKey).toString('hex')).toBe(
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    );
    expect(wrongOf([{ key: signer.publicKey, bytes: new Uint8Array(0), signature, stands: true }])).toEqual([]);
  });

  test('property 8: any flipped bit of key, message or signature is refused, both libraries agree', () => {
    const pieces = { seed: fc.uint8Array({ minLength: 32, maxLength: 32 }), message: fc.uint8Array({ minLength: 1 }) };
    fc.assert(
      fc.property(pieces.seed, pieces.message, fc.nat(), (seed, message, where) => {
        const signer = signerFromSeed(seed);
        const whole = Buffer.concat([signer.publicKey, signer.sign(message), message]);
        const cut = (all: Uint8Array, stands: boolean): Vector => ({
          key: all.subarray(0, 32),
          signature: all.subarray(32, 96),
          bytes: all.subarray(96),
          stands,
        });
        const flipped = Uint8Array.from(whole);
        const bit = where % (8 * whole.length);
        flipped[bit >> 3]! ^= 1 << (bit & 7);
        expect(wrongOf([cut(whole, true), cut(flipped, false)])).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  test('keys and signatures of any length and content are refused without an error, both libraries agree', () => {
    const any = fc.uint8Array({ maxLength: 80 });
    const right = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    fc.assert(
      fc.property(fc.oneof(any, right(32)), any, fc.oneof(any, right(64)), (key, message, signature) => {
        expect(wrongOf([vector(key, message, signature)])).toEqual([]);
      }),
    );
  });

  test('on other threads the answers are the same, many at once, of keys seen before and not', async () => {
    const some = MIXTURES.filter((_, i) => i % 16 === 0);
    const honest = Array.from({ length: 40 }, (_, i): Vector => {
      const signer = signerFromSeed(new Uint8Array(32).fill(100 + (i % 4)));
      const bytes = Uint8Array.of(i);
      const signature = signer.sign(bytes);
      if (i % 5 === 0) signature[i % 64]! ^= 4;
      return { key: signer.publicKey, bytes, signature, stands: i % 5 !== 0 };
    });
    const odd = honest.map((each) => vector(each.key, each.bytes, each.signature.subarray(1)));
    const all = [...some, ...honest, ...odd];
    for (let round = 0; round < 2; round++) {
      const answers = all.map(({ key, bytes, signature }) => verifySignatureAside(key, bytes, signature));
      expect(await Promise.all(answers)).toEqual(all.map(({ stands }) => stands));
    }
  });

  test('a key that was refused once is refused again, and an honest one stays good', () => {
    const message = Buffer.from('again');
    const honest = signerFromSeed(new Uint8Array(32).fill(3));
    const mixed = MIXTURES.find(
      ({ key, bytes, signature }, i) => i % 3 === 0 && difference(key, bytes, signature).is0(),
    );
    for (let i = 0; i < 3; i++) {
      expect(verifySignature(mixed!.key, mixed!.bytes, mixed!.signature)).toBe(mixed!.stands);
      expect(verifySignature(honest.publicKey, message, new Uint8Array(64).fill(9))).toBe(false);
      expect(verifySignature(honest.publicKey, message, honest.sign(message))).toBe(true);
    }
  });
});

/** Vectors of which one of the two libraries says something else than what is right. */
function wrongOf(vectors: readonly Vector[]): string[] {
  return vectors
    .filter(
      ({ key, bytes, signature, stands }) =>
        verifySignature(key, bytes, signature) !== stands || verifyPortable(key, bytes, signature) !== stands,
    )
    .map(({ key, bytes, signature }) =>
      [key, bytes, signature].map((part) => Buffer.from(part).toString('hex')).join(' '),
    );
}

/** A = a·B + T, R = r·B + T', with a or r also 0, over two messages, so that k differs modulo 8. */
const MIXTURES: readonly Vector[] = [0n, SECRET].flatMap((a) =>
  [0n, NONCE].flatMap((r) =>
    TORSION.flatMap((ofKey, i) =>
      TORSION.flatMap((ofNonce, j) => {
        const key = B.multiplyUnsafe(a).add(ofKey).toBytes();
        const encodedR = B.multiplyUnsafe(r).add(ofNonce).toBytes();
        return [0, 1].flatMap((number) => {
          const bytes = Uint8Array.of(number, i, j);
          const s = scalarFor(a, key, encodedR, r, bytes);
          const honest = a !== 0n && r !== 0n && i === 0 && j === 0;
          return [s, s + L, (s + 1n) % L].map((scalar) => ({
            key,
            bytes,
            signature: signatureOf(encodedR, scalar),
            stands: honest && scalar === s,
          }));
        });
      }),
    ),
  ),
);

function vector(key: Uint8Array, bytes: Uint8Array, signature: Uint8Array): Vector {
  return { key, bytes, signature, stands: false };
}

/** S = r + k·a, by which an honest signer answers. */
function scalarFor(a: bigint, key: Uint8Array, encodedR: Uint8Array, r: bigint, bytes: Uint8Array): bigint {
  return (r + challenge(encodedR, key, bytes) * a) % L;
}

function signatureFor(a: bigint, encodedR: Uint8Array, r: bigint, bytes: Uint8Array): Uint8Array {
  return signatureOf(encodedR, scalarFor(a, B.multiply(a).toBytes(), encodedR, r, bytes));
}

function signatureOf(encodedR: Uint8Array, s: bigint): Uint8Array {
  return Uint8Array.of(...encodedR, ...bytes32(s));
}

function challenge(encodedR: Uint8Array, key: Uint8Array, bytes: Uint8Array): bigint {
  return fromLittleEndian(hash('sha512', Buffer.concat([encodedR, key, bytes]), 'buffer')) % L;
}

/** S·B − R − k·A, for S < L: 0 where the plain equation holds, of small order where the cofactored one does. */
function difference(key: Uint8Array, bytes: Uint8Array, signature: Uint8Array): Point {
  const encodedR = signature.subarray(0, 32);
  const right = Point.fromBytes(encodedR).add(Point.fromBytes(key).multiplyUnsafe(challenge(encodedR, key, bytes)));
  return B.multiplyUnsafe(fromLittleEndian(signature.subarray(32))).subtract(right);
}

function torsionPoints(): Point[] {
  for (let y = 2n; ; y++) {
    const point = pointOf(bytes32(y));
    // L times any point is in the group of order 8; half of them generate it.
    const small = point?.multiplyUnsafe(L - 1n).add(point);
    if (small?.multiplyUnsafe(4n).is0() === false) {
      return Array.from({ length: 8 }, (_, i) => small.multiplyUnsafe(BigInt(i)));
    }
  }
}

/** Encodings with y from p on, or with a sign where x is 0, that a lax decoder takes for points. */
function nonCanonical(): Uint8Array[] {
  const high = Array.from({ length: 19 }, (_, i) => bytes32(P + BigInt(i)));
  const signs = [1n, P - 1n, P + 1n].map((y) => bytes32(y));
  return [...high, ...high.map(negative), ...signs.map(negative)].filter((bytes) => pointOf(bytes, true) !== undefined);
}

function negative(bytes: Uint8Array): Uint8Array {
  const other = Uint8Array.from(bytes);
  other[31]! |= 0x80;
  return other;
}

function pointOf(bytes: Uint8Array, lax = false): Point | undefined {
  try {
    return Point.fromBytes(bytes, lax);
  } catch {
    return undefined;
  }
}

function bytes32(value: bigint): Uint8Array {
  return Uint8Array.from(Buffer.from(value.toString(16).padStart(64, '0'), 'hex')).reverse();
}

function fromLittleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
}
