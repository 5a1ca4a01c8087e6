/**
 * Bytes of entries made by hand and rightly signed by A, so that only the rule that is meant can refuse them.
 */

import { GoGridError } from '../../errors.ts';
import type { EntryName } from '../../ledger/entries/entry.ts';
import { openEntry } from '../../ledger/entries/entry-codec.ts';
import { encode } from '../../protocol/cbor.ts';
import { type Signed, signedBytes } from '../../protocol/envelope.ts';
import { account, bytes, meshOf } from './authors.ts';

export const GENESIS = 2n ** 63n - 1n;
export const MAX = Number.MAX_SAFE_INTEGER;
export const mesh = meshOf({ genesis: GENESIS });
export const other = meshOf({ genesis: GENESIS, network: 'another mesh' });
export const a = account('A');
export const b = account('B');
export const someId = 'ab'.repeat(32);
export const holdOfA: EntryName = { author: a.id, sequence: 3, id: someId };
export const holdOfB: EntryName = { author: b.id, sequence: 3, id: someId };

/** A part of CBOR as it stands, in the place of a value. */
export class Raw {
  readonly hex: string;
  constructor(hex: string) {
    this.hex = hex;
  }
}

export function cbor(value: unknown): Buffer {
  if (value instanceof Raw) return Buffer.from(value.hex, 'hex');
  if (!Array.isArray(value)) return Buffer.from(encode(value));
  return Buffer.concat([Buffer.of(0x80 + value.length), ...value.map(cbor)]);
}

export function sealedOver(payload: Uint8Array, what: Signed = 'entry', signer = a.signer): Uint8Array {
  return encode([payload, signer.sign(signedBytes(what, payload))]);
}

export type Fields = readonly unknown[];
export const transferFields: Fields = [
  1,
  mesh.networkId,
  a.signer.publicKey,
  0,
  mesh.networkId,
  1_800_000_000_000,
  1,
  [bytes(b.id), 7, 'thanks'],
];

export function withField(place: number, value: unknown): Uint8Array {
  return sealedOver(cbor(transferFields.with(place, value)));
}

export function withBody(kind: number, value: unknown): Uint8Array {
  return sealedOver(cbor([...transferFields.slice(0, 6), kind, value]));
}

/** The error's code, and 'signature' when it says that one does not stand; undefined when the entry opens. */
export function refusalOf(sealed: Uint8Array, ofMesh = mesh): string | undefined {
  try {
    openEntry(sealed, ofMesh);
    return undefined;
  } catch (error) {
    if (!(error instanceof GoGridError)) throw error;
    return error.data?.signature === false ? 'signature' : error.code;
  }
}

export const wire = ({ author, sequence, id: ofEntry }: EntryName) => [bytes(author), sequence, bytes(ofEntry)];
export const hash32 = new Uint8Array(32).fill(5);
export const voucher64 = new Uint8Array(64).fill(6);
export const none = new Uint8Array(0);
