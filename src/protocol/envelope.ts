/**
 * The signed envelope: `[payload, signature]`, where payload is the canonical CBOR of an array that starts with the
 * networkId and the author's public key. What is signed is `"gogrid/<what>/1" ‖ 0 ‖ payload`, so that a signature over
 * one kind of thing, or for one mesh, is worth nothing for another.
 */

import { z } from 'zod';
import { GoGridError } from '../errors.ts';
import { decode, decodeCanonical, encode } from './cbor.ts';
import { type Signer, verifySignature } from './signature.ts';

/** What may be signed; each name is a domain of its own. */
export type Signed = 'profile' | 'beat' | 'descriptor' | 'entry' | 'voucher' | 'attestation' | 'checkpoint';

const wireEnvelope = z.tuple([z.instanceof(Uint8Array), z.instanceof(Uint8Array)]);

/** `fields` is the array after the networkId and the author. */
export function seal(what: Signed, network: Uint8Array, signer: Signer, fields: readonly unknown[]): Uint8Array {
  const payload = encode([network, signer.publicKey, ...fields]);
  return encode([payload, signer.sign(signedBytes(what, payload))]);
}

export interface Opened {
  readonly author: Uint8Array;
  /** The array after the networkId and the author, not yet checked. */
  readonly fields: readonly unknown[];
}

/**
 * Checks encoding, mesh and signature, in this order, cheapest first.
 * @throws GoGridError `protocol_violation`, or `wrong_network` for another mesh's
 */
export function open(what: Signed, network: Uint8Array, bytes: Uint8Array): Opened {
  const wire = wireEnvelope.safeParse(decode(bytes, `the envelope of a ${what}`));
  if (!wire.success) throw violation(`the envelope of a ${what} is not [payload, signature]`);
  const [payload, signature] = wire.data;
  const array = decodeCanonical(payload, `a ${what}`);
  if (!Array.isArray(array)) throw violation(`a ${what} is not an array`);
  const [ofNetwork, author, ...fields] = array as unknown[];
  if (!(ofNetwork instanceof Uint8Array) || !(author instanceof Uint8Array) || author.length !== 32) {
    throw violation(`a ${what} does not start with networkId and author`);
  }
  if (Buffer.compare(ofNetwork, network) !== 0) {
    throw new GoGridError({ code: 'wrong_network', message: `a ${what} of another mesh` });
  }
  if (!verifySignature(author, signedBytes(what, payload), signature)) {
    throw new GoGridError({
      code: 'protocol_violation',
      message: `the signature of a ${what} does not stand`,
      data: { signature: false },
    });
  }
  return { author, fields };
}

/** The bytes that a signature of this kind is over. */
export function signedBytes(what: Signed, payload: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`gogrid/${what}/1\0`, 'utf8'), payload]);
}

function violation(message: string): GoGridError {
  return new GoGridError({ code: 'protocol_violation', message });
}
