/**
 * Ed25519 under one acceptance rule. Libraries, and versions of one library, disagree on keys and signatures made to be
 * ambiguous (small order, mixed order, S + L), so a plain `verify` would let two honest nodes see two truths. The rule:
 * the key is a canonical point of prime order, R is not the identity, S < L, and [S]B − [k]A encodes to R. That is node:crypto's
 * `verify` behind two checks of ours; `signature-portable.ts` has the rule once more without it, for the tests to compare.
 */

import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { Point } from '@noble/ed25519';
import { MESH } from '../limits/mesh.ts';

/** DER headers of RFC 8410: node:crypto imports raw keys only in this wrapping. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

/** The encoding of the neutral element (x = 0, y = 1). */
const IDENTITY = Buffer.from(`01${'00'.repeat(31)}`, 'hex');
const SIGNATURE_BYTES = 64;

const checkedKeys = new Map<string, KeyObject | null>();

export interface Signer {
  readonly publicKey: Uint8Array;
  sign(bytes: Uint8Array): Uint8Array;
}

/** @param seed the 32 secret bytes of RFC 8032 */
export function signerFromSeed(seed: Uint8Array): Signer {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return {
    publicKey: new Uint8Array(spki.subarray(SPKI.length)),
    sign: (bytes) => new Uint8Array(sign(null, bytes, key)),
  };
}

/** Whether `signature` of `publicKey` over `bytes` stands under the rule above; never throws. */
export function verifySignature(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES || IDENTITY.equals(signature.subarray(0, 32))) return false;
  const name = Buffer.from(publicKey).toString('latin1');
  const known = checkedKeys.get(name);
  if (known !== undefined) return known !== null && verify(null, bytes, known, signature);
  // The signature before the key's order, which takes twenty times as long: rubbish under keys made up for it costs little.
  const key = importKey(publicKey);
  if (key === undefined || !verify(null, bytes, key, signature)) return false;
  const checked = hasPrimeOrder(publicKey) ? key : null;
  remember(name, checked);
  return checked !== null;
}

/**
 * `verifySignature` on another thread, so that several run at once and the event loop goes on meanwhile. Only for a key of which a
 * signature has stood before: to check a new key is work for this thread, and is done at once.
 */
export function verifySignatureAside(
  publicKey: Uint8Array,
  bytes: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const known = checkedKeys.get(Buffer.from(publicKey).toString('latin1'));
  const isOdd = signature.length !== SIGNATURE_BYTES || IDENTITY.equals(signature.subarray(0, 32));
  if (isOdd || !known) return Promise.resolve(verifySignature(publicKey, bytes, signature));
  return new Promise((resolve) => verify(null, bytes, known, signature, (error, stands) => resolve(!error && stands)));
}

function remember(name: string, key: KeyObject | null): void {
  const oldest = checkedKeys.size >= MESH.maxCheckedKeys ? checkedKeys.keys().next().value : undefined;
  if (oldest !== undefined) checkedKeys.delete(oldest);
  checkedKeys.set(name, key);
}

/** OpenSSL takes any 32 bytes; whether they are a point it finds when it verifies. */
function importKey(publicKey: Uint8Array): KeyObject | undefined {
  try {
    return createPublicKey({ key: Buffer.concat([SPKI, publicKey]), format: 'der', type: 'spki' });
  } catch {
    return undefined;
  }
}

function hasPrimeOrder(publicKey: Uint8Array): boolean {
  try {
    const point = Point.fromBytes(publicKey);
    return !point.isSmallOrder() && point.isTorsionFree();
  } catch {
    return false;
  }
}
