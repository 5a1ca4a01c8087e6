/**
 * `/gogrid/ledger/1` and the ledger's gossip: how two nodes find what one of them lacks, and hand it over. The one who asks
 * asks question after question on one stream; every question has one answer, bounded by `LEDGER.maxAnswerBytes`, so whoever is
 * cut off goes on from what it has.
 *
 * Entries and attestations travel as the bytes that were signed (`docs/ledger.md`); everything here is only their wrapping.
 */

import { z } from 'zod';
import { LEDGER } from '../limits/ledger.ts';
import { DESCRIPTOR } from '../limits/mesh.ts';

const uint = z.int().nonnegative();
/** Of any memory: zod's own `instanceof` takes bytes for a view that nobody shares, which an answer need not be. */
const bytesOf = (min: number, max: number) =>
  z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length >= min && value.length <= max);
const key = bytesOf(32, 32);
const hash = bytesOf(0, 32);
const entry = bytesOf(0, LEDGER.maxEntryBytes);
const attestation = bytesOf(0, LEDGER.maxAttestationBytes);
const asked = <T extends z.ZodType>(item: T) => z.array(item).max(LEDGER.maxAsked);

/** Microcredits are below 2⁶³ (docs/ledger.md, "Entries"). */

/** `[author, sequence, id]`. */
export const wireName = z.tuple([key, uint, key]);
export type WireName = z.infer<typeof wireName>;

/**
 * What a node holds of one account, in a line: `[author, tip sequence, tip id, certified sequence + 1, final sequence + 1,
 * proof]`. The tip stands; certified and final count entries, 0 for none; `proof` is 32 bytes over the places of the forks that are
 * known of it, empty for none. Two nodes whose lines agree have nothing to give each other of this account.
 */
export const ledgerLine = z.tuple([key, uint, key, uint, uint, hash]);
export type LedgerLine = z.infer<typeof ledgerLine>;

export const ledgerAsk = z.discriminatedUnion('type', [
  /** One hash over all lines. */
  z.object({ type: z.literal('root') }),
  /** A hash for each of `LEDGER.buckets` groups of accounts. */
  z.object({ type: z.literal('buckets') }),
  /** The lines of the accounts in these groups; `after` goes on behind that account of the first of them. */
  z.object({
    type: z.literal('lines'),
    buckets: z.array(uint.max(LEDGER.buckets - 1)).max(LEDGER.buckets),
    after: key.optional(),
  }),
  /**
   * Standing entries of accounts: `[author, from sequence]`. As many as fit, in order, the first account first; `most` of
   * each account, so that accounts that name each other's entries can be gone through in step.
   */
  z.object({ type: z.literal('chains'), from: asked(z.tuple([key, uint])), most: uint.min(1).optional() }),
  /** Entries by name, whether they stand or not. */
  z.object({ type: z.literal('entries'), names: asked(wireName) }),
  /** Attestations over what is certified of accounts: `[author, from sequence]`; of claims all, else of the first and of the newest place. */
  z.object({ type: z.literal('certificates'), from: asked(z.tuple([key, uint])) }),
  /** Entries that prove the forks of accounts, with those in front of them from the fork on. */
  z.object({ type: z.literal('proofs'), authors: asked(key) }),
  /** Of each account what a witness attested last, behind what is final; `after` goes on behind that account. */
  z.object({ type: z.literal('votes'), witness: key, after: key.optional() }),
  /** The newest entries of one account that are there, standing or not: one, or all tips of a fork. */
  z.object({ type: z.literal('head'), author: key }),
]);
export type LedgerAsk = z.infer<typeof ledgerAsk>;

export const ledgerAnswer = z.discriminatedUnion('type', [
  z.object({ type: z.literal('root'), root: key, accounts: uint, entries: uint }),
  z.object({ type: z.literal('buckets'), hashes: z.array(hash).max(LEDGER.buckets) }),
  /** `more`: there are further lines behind the last one here. */
  z.object({ type: z.literal('lines'), lines: z.array(ledgerLine).max(LEDGER.maxAnswerParts), more: z.boolean() }),
  /** `more`: what was asked for did not fit. */
  z.object({ type: z.literal('entries'), entries: z.array(entry).max(LEDGER.maxAnswerParts), more: z.boolean() }),
  z.object({
    type: z.literal('attestations'),
    attestations: z.array(attestation).max(LEDGER.maxAnswerParts),
    more: z.boolean(),
  }),
]);
export type LedgerAnswer = z.infer<typeof ledgerAnswer>;

/** What each question is answered with. */
export const LEDGER_ANSWERS = {
  root: 'root',
  buckets: 'buckets',
  lines: 'lines',
  chains: 'entries',
  entries: 'entries',
  proofs: 'entries',
  head: 'entries',
  certificates: 'attestations',
  votes: 'attestations',
} as const satisfies Record<LedgerAsk['type'], LedgerAnswer['type']>;

/** A message of gossip: new entries and attestations, in the order in which they came to be. */
export const ledgerHint = z.tuple([
  z.array(entry).max(LEDGER.maxHintedParts),
  z.array(attestation).max(LEDGER.maxHintedParts),
]);
export type LedgerHint = z.infer<typeof ledgerHint>;

/* ---- `/gogrid/witness/1` ---- */

/** Asks a witness to attest entries, or whether it would: of a release alone before it is written. */
export const witnessAsk = z.discriminatedUnion('type', [
  /** What has the witness attested of these? What it has not, and stands there, it attests now. */
  z.object({ type: z.literal('attest'), names: asked(wireName) }),
  /** Would it attest a release alone of this leg at this cumulative? `[hold, leg, cumulative]`. */
  z.object({
    type: z.literal('may-release'),
    hold: wireName,
    leg: uint.max(LEDGER.maxLegs - 1),
    cumulative: z.union([uint, z.bigint().min(0n).max(DESCRIPTOR.maxGenesisMicrocredits)]).transform(BigInt),
  }),
]);
export type WitnessAsk = z.infer<typeof witnessAsk>;

export const witnessAnswer = z.discriminatedUnion('type', [
  z.object({ type: z.literal('attestations'), attestations: z.array(attestation).max(LEDGER.maxAsked) }),
  /** `inSecs`: 0 for yes; undefined for never. */
  z.object({ type: z.literal('may-release'), inSecs: uint.optional() }),
]);
export type WitnessAnswer = z.infer<typeof witnessAnswer>;
