/** Entries of the ledger as values (docs/ledger.md); `entry-codec.ts` has their bytes. */

/** An account: its public key, 32 bytes, as 64 small hex digits. The order of these texts is that of the bytes. */
export type AccountId = string;

/** The id of an entry: SHA-256 of what its author signed, as 64 small hex digits. */
export type EntryId = string;

/** Where an entry stands, and which it is. Who lacks it knows where to ask. */
export interface EntryName {
  readonly author: AccountId;
  /** 0, 1, 2 …, at most 2⁵³ − 1. */
  readonly sequence: number;
  readonly id: EntryId;
}

/** Credits leave the author's account for another, where they wait to be accepted. */
export interface Transfer {
  readonly kind: 'transfer';
  readonly to: AccountId;
  /** Microcredits, from 1. */
  readonly amount: bigint;
  /** At most `LEDGER.maxMemoBytes` of UTF-8. Text of a stranger. */
  readonly memo: string;
}

/** The payee books a transfer. */
export interface Accept {
  readonly kind: 'accept';
  readonly transfer: EntryName;
}

export interface HoldLeg {
  readonly payee: AccountId;
  /** Microcredits, from 1. */
  readonly max: bigint;
}

/** The author sets credits aside, out of which payees are paid by vouchers. */
export interface Hold {
  readonly kind: 'hold';
  /** 1 to `LEDGER.maxLegs`, payees distinct, none of them the author. */
  readonly legs: readonly HoldLeg[];
}

/** A payee books what the payer's newest voucher promises. */
export interface Claim {
  readonly kind: 'claim';
  readonly hold: EntryName;
  readonly leg: number;
  /** Microcredits promised so far, over all vouchers of this leg; 0 for a leg that is closed unused. */
  readonly cumulative: bigint;
  /** 32 bytes; empty when the cumulative is 0. */
  readonly receiptHash: Uint8Array;
  /** The payer's, 64 bytes; empty when the cumulative is 0. */
  readonly voucherSignature: Uint8Array;
  /** Nothing more will be claimed of this leg. */
  readonly last: boolean;
}

/** The payer takes back what is left of a leg: by the claim that closed it, or alone when the payee is gone. */
export interface Release {
  readonly kind: 'release';
  readonly hold: EntryName;
  readonly leg: number;
  readonly rest: { readonly claim: EntryName } | { readonly alone: bigint };
}

export type EntryBody = Transfer | Accept | Hold | Claim | Release;

/** An entry whose bytes, signature and voucher stand. It may still lack its past. */
export interface Entry extends EntryName {
  /** Id of the author's entry before; at sequence 0 the networkId, in hex. */
  readonly previous: string;
  /** Milliseconds since 1970, as its author says. Decides nothing. */
  readonly timestamp: number;
  readonly body: EntryBody;
  /** As it goes over the wire and onto the disk: `[payload, signature]`. */
  readonly sealed: Uint8Array;
}

/** The entries that an entry names. */
export function namesIn(body: EntryBody): readonly EntryName[] {
  switch (body.kind) {
    case 'transfer':
    case 'hold':
      return [];
    case 'accept':
      return [body.transfer];
    case 'claim':
      return [body.hold];
    case 'release':
      return 'claim' in body.rest ? [body.hold, body.rest.claim] : [body.hold];
  }
}

/** What of a mesh decides over its ledger: the same at every node. */
export interface LedgerMesh {
  /** 32 bytes. */
  readonly networkId: Uint8Array;
  readonly founder: AccountId;
  /** Microcredits that the founder starts with; 0 in a mesh without credits. */
  readonly genesis: bigint;
  /** Never empty but in a mesh without a founder. */
  readonly witnesses: readonly AccountId[];
}

/** How many witnesses make a certificate: a majority of those that are honest when ⌊(n − 1) / 3⌋ are not. */
export function quorumOf({ witnesses: { length: n } }: Pick<LedgerMesh, 'witnesses'>): number {
  const bad = Math.floor((n - 1) / 3);
  return Math.floor((n + bad) / 2) + 1;
}

/** A witness says that this entry is the one at its place. */
export interface Attestation extends EntryName {
  readonly witness: AccountId;
  /** A claim above what a release alone, attested before, left of its leg. */
  readonly late: boolean;
  /** As it goes over the wire and onto the disk. */
  readonly sealed: Uint8Array;
}
