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
  /** The part of the room that authors have of whom nothing is here: keys that nobody paid must not fill it. */
  maxWaitingStrangers: 15_000,
  /** After it what waits is let go: a sync brings it again when its past has come. */
  waitingKeptMs: 3_600_000,
  /** Entries of one author that are not final, before only certified ones are taken: eight minutes at the highest rate. */
  maxTailPerAuthor: 10_000,
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
  /** Keys that one peer shows for the first time a second, and at once: the check of a new key takes 2-3 ms. */
  maxNewKeysPerSecond: 10,
  maxBurstNewKeys: 2_000,
  /** New keys in one hint: it is checked without a pause, and 10 ms are the most that a job may wait for it. */
  maxNewKeysPerHint: 4,
  /** Entries and attestations that one peer hints at a second, and at once; past it they wait for the next sync. */
  maxHintedPerSecond: 500,
  maxBurstHinted: 2_000,
  /** So many parts of a hint that were checked before count as one: to look them up costs a hundredth of a signature. */
  seenPartsPerNew: 16,
  /** Entries of final places that one peer may bring a second; at once `maxOld`. */
  maxOldPerSecond: 50,
  /** Keys that were shown and are not charged again: fewer than `MESH.maxCheckedKeys`, so that their check is remembered. */
  maxShownKeys: 5_000,
  /** Entries and attestations in one hint that this node sends: 5 ms of signatures to check. */
  maxHintParts: 64,
  /** Signatures that were checked and are not checked again, for bytes that come by several ways. */
  maxChecked: 20_000,
  /** Entries whose signatures are checked on other threads together: 64 keep two busy for 3 ms. */
  aheadGroup: 64,
  /** Between two pauses of a flow that has much to check: jobs on this node wait no longer than this. */
  sliceMs: 4,
  /** What a start reads from the disk between two pauses. */
  loadSlice: 200,
  /** Authors and peers whose rates are remembered; the one that was judged longest ago makes room. */
  maxBuckets: 20_000,
  /** Entries of places that are final already, which wait to be compared with the disk. */
  maxOld: 2_000,
  /** What others sent is written to the disk together with what comes in this long; an own entry takes it along. */
  storeGatherMs: 20,
  /** Entries and attestations that wait for the disk; then nothing more is taken in until it has them. */
  maxUnwritten: 10_000,
  /** After a write that failed. */
  storeRetryMs: 5_000,

  /* ---- gossip and sync ---- */
  /** New entries and attestations wait this long for others to go out with. */
  hintGatherMs: 50,
  /** One message of gossip. */
  maxHintBytes: 32 * KIB,
  /** A request, or an answer, on `/gogrid/ledger/1`; under the bound of a frame. */
  maxAnswerBytes: 192 * KIB,
  /** Hints that one peer passes on a second: beats and profiles are counted apart, so that neither keeps the other out. */
  maxHintsPerSecond: 200,
  /** Lines, entries or attestations in one answer; their bytes end it before. */
  maxAnswerParts: 10_000,
  /** Entries, and attestations, in one hint: more than fit its bytes. */
  maxHintedParts: 1_000,
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
  /** Questions to one peer a second, and at once: below what it answers. */
  asksPerSecond: 40,
  asksAtOnce: 400,
  /** Past it the next question waits so long. */
  askAgainMs: 100,
  /** A stream on which nothing is asked for so long is closed: a long page is checked in a fraction of it. */
  streamIdleMs: 30_000,
  /** Questions to a witness of one peer, each about many entries. */
  maxWitnessAsksPerSecond: 2,
  maxWitnessAsksAtOnce: 20,
  /** Streams of `/gogrid/ledger/1` that one peer may have open here. */
  maxStreamsPerPeer: 4,
  /** Rounds of one sync with one peer; a peer that never agrees must not hold it for ever. */
  maxSyncRounds: 10_000,
  /** Entries or attestations of one peer that do not stand, before a sync with it ends. */
  maxBadPerSync: 20,
  /** Answers in a row that bring nothing new, before a sync ends: the peer lies, or another sync was first. */
  maxFruitless: 3,
  /** Lines that one sync reads: ten thousand accounts have as many. */
  maxLinesPerSync: 100_000,
  /** Past it a sync makes room for the next one; what it took in stays, and it goes on behind the others. */
  syncTurnMs: 60_000,
  /** Syncs at once. A second one begins only when the first has brought nothing for a while. */
  maxSyncsAtOnce: 3,
  syncStallMs: 1_500,
  /** Nor does one that brings a little at a time hold the others up for longer. */
  syncAloneMs: 10_000,
  /** Peers that wait for a sync with them. */
  maxSyncQueue: 64,
  /** After a sync that failed, or brought nothing though the ledgers differ: twice as long each time. */
  syncRetryMs: 5_000,
  maxSyncRetryMs: 300_000,
  /** A gap often closes by itself: hints overtake each other. */
  gapSettleMs: 300,
  /** Entries of one account in one answer while many accounts are behind, so that they go on in step. */
  chainSlice: 64,
  /** The same while the waiting room is half full. */
  smallChainSlice: 4,
  /** Attestations and entries that one question makes a node read from its disk. */
  maxScanned: 5_000,
  /** Questions of all peers together that are answered at once. */
  maxServedAtOnce: 8,
  /** Entries of one final place that are kept before anybody names them. */
  maxLatePerPlace: 4,
  /** Places in a row, each with several entries, that are read to find which of them is final. */
  maxUnclearPlaces: 256,

  /* ---- witnesses ---- */
  /** New entries wait this long for others to be attested, and stored, together. */
  attestGatherMs: 100,
  /** Entries attested with one write to the disk. */
  maxAttestBatch: 500,
  /** A tip that is not certified by then: its author's node asks the witnesses. */
  askWitnessAfterMs: 5_000,
  /** The wait doubles, up to this, while the witnesses do not answer or do not attest. */
  askWitnessAgainMaxMs: 60_000,
  /** Of forks of others every node asks: their first questions are spread over so long, and the wait doubles up to more. */
  askForkSpreadMs: 10_000,
  askForkAgainMaxMs: 600_000,
  /** Between two looks for what is to be asked: below `maxWitnessAsksPerSecond`. */
  askWitnessEveryMs: 1_000,
  /** Entries behind what is final that are gone through for it. */
  maxUnsettledSeen: 5_000,
  /** A witness, or an author, whose disk refused a write tries again. */
  writeAgainMs: 1_000,
  /** A witness hears what its own key signed from so many peers before it attests. */
  witnessSyncsWith: 3,
  /** Between two looks of a witness for legs that are over, and that it need not know any more. */
  witnessForgetEveryMs: 3_600_000,

  /* ---- the own log ---- */
  /** Peers that are asked for the own newest entry after a start. */
  askHeadOf: 3,
  /** The witnesses, and peers, have so long to say it. */
  askHeadMs: 5_000,
  /** Nobody said it, or something of the own log is missing: a next round, unless a peer comes before. */
  askHeadAgainMs: 1_000,
  /** What a program is told to wait that asks for an own entry before the newest one is known. */
  notReadyRetrySecs: 3,
  /** Own entries that wait to be written. */
  maxOwnQueue: 1_000,
  /** Accepts, claims and releases that a node writes by itself, a second and at once: others take no more than `maxPerAuthorPerSecond`. */
  maxBookedPerSecond: 10,
  maxBookedAtOnce: 200,
  /** What has come in waits this long for more, before it is looked at for what can be booked. */
  bookGatherMs: 100,
  /** Between two looks for what can be booked, when nothing calls for one. */
  bookEveryMs: 10_000,

  /* ---- risk ---- */
  /** What is booked before it is final rests on at most so many entries that are not: all of them are looked at. */
  maxBookedPast: 1_000,
  /** All payers together may owe so many times the cap of one. */
  capForAll: 20,
  /** A loss counts against its payer for a week. */
  lossCountsSecs: 7 * DAY_SECS,
  maxLosses: 10_000,
  /** The part of `credits.lone_release_secs` that a witness must have run, and that a payee leaves unused. */
  loneReleasePart: 7,
  /** The witnesses are asked whether a rest may be taken back alone; more often when the waiting is set short. */
  loneReleaseEveryMs: 3_600_000,
  /** Legs whose vouchers are kept, given and received; past it no new ones are given or taken. */
  maxVoucherLegs: 20_000,

  /* ---- what people see ---- */
  /** Read at once where a whole ledger is read. */
  readPage: 256,
  /** After so many entries a long check gives the event loop its turn: 2 to 4 ms, most of it signatures. */
  checkBatch: 10,
  /** Problems that a check lists; more of them say nothing more. */
  maxProblems: 100,
  /** Forks that `GET /ledger/head` lists. */
  maxForksListed: 100,
  /** A line of an export: hex of the largest entry, and what stands in it. The first line holds a descriptor of 32 KiB as JSON. */
  maxExportLineBytes: 16 * KIB,
  maxExportHeadBytes: 256 * KIB,
  /** Own entries that a summary of thirty days, or the search for a claim before another, looks at. */
  maxSummed: 100_000,
  /** Transfers on their way here that the history lists above what is booked. */
  maxPendingListed: 200,
  /** `requestId`s of transfers that are remembered, each for a day: a client that tries again does so by then. */
  maxRequests: 10_000,
  requestKeptSecs: DAY_SECS,
  /** Changes of the balance within it are one event. */
  eventGatherMs: 100,
} as const;
