/**
 * Checks of decoded fields, by hand: every entry of every node passes here, and a schema of zod takes six times as long.
 * `what` names the field in the error's sentence.
 */

import { GoGridError } from '../../errors.ts';
import type { WireName } from '../../protocol/ledger.ts';
import type { AccountId, EntryName } from './entry.ts';

const KEY_BYTES = 32;

export function violation(message: string, data?: { readonly signature: false }): GoGridError {
  return new GoGridError({ code: 'protocol_violation', message, ...(data === undefined ? {} : { data }) });
}

/** @throws GoGridError `protocol_violation`, like all of these */
export function listOf(value: unknown, length: number, what: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length !== length) throw violation(`${what} is not an array of ${length}`);
  return value as readonly unknown[];
}

export function bytesOf(value: unknown, length: number, what: string): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length !== length) throw violation(`${what} is not ${length} bytes`);
  return value;
}

/** A whole number from 0 to `max`. The decoder gives a bigint above 2⁵³ − 1, and a number with a fraction for a float. */
export function uintOf(value: unknown, max: number, what: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0 || (value as number) > max) {
    throw violation(`${what} is not a whole number from 0 to ${max}`);
  }
  return value as number;
}

/** An amount from `min` to `max`. The decoder gives a number up to 2⁵³ − 1 and a bigint above. */
export function microcreditsOf(value: unknown, min: bigint, max: bigint, what: string): bigint {
  // A whole float above 2⁵³ encodes as it came: it is refused here, not by comparing the bytes.
  const amount = typeof value === 'bigint' ? value : Number.isSafeInteger(value) ? BigInt(value as number) : undefined;
  if (amount === undefined || amount < min || amount > max) throw violation(`${what} is not from ${min} to ${max}`);
  return amount;
}

/** 32 bytes, as a text. */
export function hex32(value: unknown, what: string): string {
  return hexOf(bytesOf(value, KEY_BYTES, what));
}

/** `[author, sequence, id]`. */
export function nameOf(value: unknown, what: string): EntryName {
  const [author, sequence, id] = listOf(value, 3, what);
  return {
    author: hex32(author, what),
    sequence: uintOf(sequence, Number.MAX_SAFE_INTEGER, what),
    id: hex32(id, what),
  };
}

export function wireNameOf({ author, sequence, id }: EntryName): WireName {
  return [fromHex(author), sequence, fromHex(id)];
}

export function accountOf(publicKey: Uint8Array): AccountId {
  return hexOf(publicKey);
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

export function fromHex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/**
 * Bytes of the network as they may be kept: not more than `max`, and a copy, so that a small part does not keep the frame it
 * came in, and the parts that the decoder cuts out of it do not either.
 */
export function keptBytes(bytes: Uint8Array, max: number, what: string): Uint8Array {
  if (bytes.length > max) throw violation(`${what} of more than ${max} bytes`);
  return new Uint8Array(bytes);
}

/** @throws GoGridError `wrong_network` */
export function expectMesh(of: Uint8Array, networkId: Uint8Array, what: string): void {
  if (Buffer.compare(of, networkId) !== 0) {
    throw new GoGridError({ code: 'wrong_network', message: `${what} of another mesh` });
  }
}
