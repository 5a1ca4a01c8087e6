/** The bounds of the ledger: entries, what waits, sync, witnesses. */

import { KIB } from './units.ts';

const DAY_SECS = 86_400;

export const LEDGER = {
  /* ---- entries ---- */
  /** A sealed entry, before anything of it is decoded. The largest, a hold with four legs, has some 420. */
  maxEntryBytes: 1 * KIB,
  maxMemoBytes: 128,
  /** Payees of one hold: a job, and those that it may be handed on to. */
  maxLegs: 4,
  /** A sealed attestation has some 190. */
  maxAttestationBytes: 256,

  /* ---- what is kept ---- */
  /** Entries whose past is missing, of all authors together and of one; the oldest makes room. */
  maxWaiting: 20_000,
  maxWaitingPerAuthor: 2_000,
  /** Attestations whose entry is missing. */
  maxWaitingAttestations: 10_000,
  /** Entries of one author that do not stand; more are taken only when an entry or a certificate names them. */
  maxFallenPerAuthor: 256,
  /** Entries between two snapshots of the final state. */
  snapshotEvery: 5_000,

  /* ---- what comes in ---- */
  /** Entries of one author a second, in the long run, and at once. An honest one writes some hundreds a day. */
  maxPerAuthorPerSecond: 20,
  maxBurstPerAuthor: 2_000,
  /** First entries of authors a second, together: ten thousand keys made for nothing must not fill the disk. */
  maxNewAuthorsPerSecond: 10,
  maxBurstNewAuthors: 2_000,

  /* ---- gossip and sync ---- */
  /** New entries and attestations wait this long for others to go out with. */
  hintGatherMs: 50,
  /** One message of gossip. */
  maxHintBytes: 32 * KIB,
  /** A request, or an answer, on `/gogrid/ledger/1`; under the bound of a frame. */
  maxAnswerBytes: 192 * KIB,
  /** Names or authors in one request. */
  maxAsked: 1_000,
  /** Accounts are compared in so many groups, by the first byte of their key. */
  buckets: 256,
  /** With a peer drawn at random; a missed hint is made good by then. */
  syncEveryMs: 30_000,
  /** One request and its answer. */
  requestTimeoutMs: 10_000,
  /** Requests of one peer a second, and at once. */
  maxRequestsPerSecond: 50,
  maxRequestsAtOnce: 500,
  /** Streams of `/gogrid/ledger/1` that one peer may have open here. */
  maxStreamsPerPeer: 4,
  /** Rounds of one sync with one peer; a peer that never agrees must not hold it for ever. */
  maxSyncRounds: 10_000,
  /** Entries or attestations of one peer that do not stand, before a sync with it ends. */
  maxBadPerSync: 20,

  /* ---- witnesses ---- */
  /** New entries wait this long for others to be attested, and stored, together. */
  attestGatherMs: 100,
  /** Entries attested with one write to the disk. */
  maxAttestBatch: 500,
  /** A tip that is not certified by then: its author's node asks the witnesses. */
  askWitnessAfterMs: 5_000,

  /* ---- the own log ---- */
  /** Peers that are asked for the own newest entry after a start. */
  askHeadOf: 3,
  /** The witnesses, and peers, have so long to say it. */
  askHeadMs: 5_000,
  /** Own entries that wait to be written. */
  maxOwnQueue: 1_000,

  /* ---- risk ---- */
  /** All payers together may owe so many times the cap of one. */
  capForAll: 20,
  /** A loss counts against its payer for a week. */
  lossCountsSecs: 7 * DAY_SECS,
  maxLosses: 10_000,
  /** The part of `credits.lone_release_secs` that a witness must have run, and that a payee leaves unused. */
  loneReleasePart: 7,
} as const;
