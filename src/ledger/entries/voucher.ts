/**
 * Vouchers: the payer of a hold promises the payee of one of its legs a cumulative amount. Signed is
 * `"gogrid/voucher/1" ‖ 0 ‖` canonical CBOR of `[networkId, name of the hold, leg, cumulative, receipt hash]`.
 */

import { encode } from '../../protocol/cbor.ts';
import { signedBytes } from '../../protocol/envelope.ts';
import { type Signer, verifySignature, verifySignatureAside } from '../../protocol/signature.ts';
import type { EntryName } from './entry.ts';
import { fromHex, wireNameOf } from './fields.ts';

export interface Voucher {
  /** Its author is the payer, who signs. */
  readonly hold: EntryName;
  /** 0 to `LEDGER.maxLegs` − 1. */
  readonly leg: number;
  /** Microcredits promised so far, over all vouchers of this leg, from 1. */
  readonly cumulative: bigint;
  /** SHA-256 of the receipt it pays, 32 bytes. */
  readonly receiptHash: Uint8Array;
}

/** The payer's signature, 64 bytes: what a claim carries. */
export function signVoucher(networkId: Uint8Array, payer: Signer, voucher: Voucher): Uint8Array {
  return payer.sign(bytesOfVoucher(networkId, voucher));
}

/** Whether `signature` is the hold's author's over just this promise; never throws. */
export function verifyVoucher(networkId: Uint8Array, voucher: Voucher, signature: Uint8Array): boolean {
  return verifySignature(fromHex(voucher.hold.author), bytesOfVoucher(networkId, voucher), signature);
}

/** `verifyVoucher` on another thread: see `verifySignatureAside`. */
export function verifyVoucherAside(networkId: Uint8Array, voucher: Voucher, signature: Uint8Array): Promise<boolean> {
  return verifySignatureAside(fromHex(voucher.hold.author), bytesOfVoucher(networkId, voucher), signature);
}

function bytesOfVoucher(networkId: Uint8Array, { hold, leg, cumulative, receiptHash }: Voucher): Uint8Array {
  return signedBytes('voucher', encode([networkId, wireNameOf(hold), leg, cumulative, receiptHash]));
}
