/**
 * CBOR (RFC 8949) in two strengths. `encode` writes the one canonical form; `decode` reads a frame from the network,
 * `decodeCanonical` reads bytes that were signed, where two encodings of one value would be two identities.
 */

import { decode as cborgDecode, encode as cborgEncode } from 'cborg';
import { GoGridError } from '../errors.ts';

const STRICT = {
  strict: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowNaN: false,
  allowInfinity: false,
  rejectDuplicateMapKeys: true,
} as const;

/** Canonical CBOR of `value`: shortest integers, definite lengths, map keys sorted. */
export function encode(value: unknown): Uint8Array {
  return cborgEncode(value);
}

/**
 * Decodes one value; trailing bytes, tags, indefinite lengths and repeated keys are refused.
 * @throws GoGridError `protocol_violation` naming `what`
 */
export function decode(bytes: Uint8Array, what: string): unknown {
  try {
    return cborgDecode(bytes, STRICT);
  } catch (cause) {
    // Nesting of some thousands overflows the decoder's stack: a RangeError, refused like any other rubbish.
    throw new GoGridError({ code: 'protocol_violation', message: `${what} is not valid CBOR`, cause });
  }
}

/**
 * Decodes bytes whose encoding must be the canonical one. Strict decoding alone lets a byte order mark, ill-formed UTF-8
 * and some floats through; only encoding the value again and comparing catches them all.
 * @throws GoGridError `protocol_violation` naming `what`
 */
export function decodeCanonical(bytes: Uint8Array, what: string): unknown {
  const value = decode(bytes, what);
  if (Buffer.compare(encode(value), bytes) !== 0) {
    throw new GoGridError({ code: 'protocol_violation', message: `${what} is not canonical CBOR` });
  }
  return value;
}
