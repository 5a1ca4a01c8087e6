/** How the journal of vouchers lies on the disk. */

import { DESCRIPTOR } from '../../limits/mesh.ts';
import { decode, encode } from '../../protocol/cbor.ts';
import type { EntryName } from '../entries/entry.ts';
import { bytesOf, listOf, microcreditsOf, nameOf, uintOf, wireNameOf } from '../entries/fields.ts';
import type { Voucher } from '../entries/voucher.ts';
import { readNote } from '../notes.ts';

/** What may have been promised of a leg of an own hold. */
export interface Given {
  readonly hold: EntryName;
  readonly leg: number;
  /** The highest cumulative that may have been signed. */
  may: bigint;
  /** Nothing more is signed. */
  closed: boolean;
  /** When it was raised last, in milliseconds since 1970. */
  at: number;
}

/** The newest voucher of a leg that was given to this account. */
export interface Received extends Voucher {
  /** The payer's, 64 bytes. */
  readonly signature: Uint8Array;
  /** When the first one came that was not booked then, in milliseconds since 1970. */
  readonly since: number;
}

const MAX = Number.MAX_SAFE_INTEGER;

export function encodeGiven({ hold, leg, may, closed, at }: Given): Uint8Array {
  return encode([wireNameOf(hold), leg, may, closed ? 1 : 0, at]);
}

/** @throws GoGridError `damaged` */
export function readGiven(key: string, value: Uint8Array): Given {
  return readNote(key, () => {
    const [hold, leg, may, closed, at] = listOf(decode(value, key), 5, key);
    return {
      hold: nameOf(hold, key),
      leg: uintOf(leg, MAX, key),
      may: microcreditsOf(may, 0n, DESCRIPTOR.maxGenesisMicrocredits, key),
      closed: uintOf(closed, 1, key) === 1,
      at: uintOf(at, MAX, key),
    };
  });
}

export function encodeReceived({ hold, leg, cumulative, receiptHash, signature, since }: Received): Uint8Array {
  return encode([wireNameOf(hold), leg, cumulative, receiptHash, signature, since]);
}

/** @throws GoGridError `damaged` */
export function readReceived(key: string, value: Uint8Array): Received {
  return readNote(key, () => {
    const [hold, leg, cumulative, receiptHash, signature, since] = listOf(decode(value, key), 6, key);
    return {
      hold: nameOf(hold, key),
      leg: uintOf(leg, MAX, key),
      cumulative: microcreditsOf(cumulative, 0n, DESCRIPTOR.maxGenesisMicrocredits, key),
      receiptHash: bytesOf(receiptHash, 32, key),
      signature: bytesOf(signature, 64, key),
      since: uintOf(since, MAX, key),
    };
  });
}
