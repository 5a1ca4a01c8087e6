/** The bounds of jobs: the protocol, the two flows, and where jobs wait. */

import { KIB, MIB } from './units.ts';

/** The job protocol and the two flows. */
export const JOB = {
  /** Failures, not hand-overs; the fourth provider that breaks is a sign that the request breaks them. */
  maxAttempts: 4,
  /** Providers that take a job and give it back in order: no attempts, and no endless wandering either. */
  maxHandOvers: 16,
  /** Who gave a job back for its owner is expected to need its machine at least so long: until then others are better. */
  minOwnerUseMs: 1_000,
  /** Text and vectors of one answer that a requester holds: beyond it the provider is at fault. */
  maxAnswerBytes: 256 * MIB,
  /** What a tool call or a piece of vectors takes besides its bytes: empty ones are not free. */
  heldItemBytes: 256,
  /** Tokens of one answer that show nothing, such as marks between its parts: every other is a byte of it at least. */
  maxHiddenTokens: 64,
  /** Tokens of one prompt or one answer: an hour at four thousand a second, and every token of the longest that is handed on. */
  maxTokens: 16 * MIB,
  /** A whole large request, from its first part to its last: 64 MiB at 1 MiB/s. */
  requestWholeMs: 64_000,
  /** A frame of any kind counts as life; 500 ms between frames leaves four to be late. */
  silenceMs: 2_500,
  /** A timer that comes so much too late shows that this process itself was held up: what came in meanwhile lies unread. */
  heldUpMs: 500,
  /** An answer that has begun, and of which no token comes for so long, has stalled; or for so many of its own usual gaps. */
  stallMs: 5_000,
  stallGaps: 20,
  /** The last gaps between tokens of which the median is taken: longer ago says little about an engine's pace now. */
  stallGapsKept: 33,
  /** A provider that keeps a job so many times as long as it told is left for an idle one; and not before it had so long. */
  overdueFactor: 4,
  overdueInQueueMs: 10_000,
  /** The same before the first token: large models come from slow disks. */
  overdueOnEngineMs: 120_000,
  /** Whoever counts a deadline from when the request came, in whole milliseconds, may see it pass a moment early. */
  deadlineSlackMs: 1_000,
  /** A provider that has nothing to send says where it is. */
  progressEveryMs: 500,
  /** A provider that does not answer a request with any frame by then is not there. */
  openTimeoutMs: 5_000,
  /** An engine that has begun to speak and then says nothing for so long has failed. */
  engineStallMs: 30_000,
  /** What is given back at the end of a drain is on its way within this time, or is cut off with the process. */
  handOverWithinMs: 1_000,
  /** Back to the engine within this time when the client hangs up (docs/protocol.md). */
  cancelWithinMs: 100,
  /** Bytes of chunks in flight before the provider waits for an `ack`; QUIC and Yamux buffers stay far under 4 MiB. */
  windowBytes: 256 * KIB,
  /** The requester acknowledges in steps, so that a fast stream costs few frames back. */
  ackEveryBytes: 64 * KIB,
  /** Window of a request on its way in: bulk transfers may not fill the receiver's 4 MiB stream buffer. */
  requestWindowBytes: 1 * MIB,
  /** A request up to this size goes in one frame, a larger one in parts of this size; either fits a frame with its header. */
  requestPartBytes: 128 * KIB,
  /** Large requests of all peers that arrive, wait or run at once: four of the largest, or hundreds of usual ones. */
  maxIncomingRequestBytes: 256 * MIB,
  /** As the API's body. */
  maxRequestBytes: 64 * MIB,
  /** Messages between the two flows of one node before the writer waits. */
  memoryChannelMessages: 16,
  /** Longest text of an answer that is handed to another provider: far beyond any model's context. */
  maxResumeChars: 4 * MIB,
  /** A requester that takes nothing for so long while its job holds a slot gets the job back: others wait for the slot. */
  unreadMs: 30_000,
  /** Largest chunk that a writer which is behind merges before it holds the engine back. */
  maxChunkBytes: 32 * KIB,
  /** Output of a peer's job, where the model's context is not known: more than models of today write in one go. */
  maxOutputTokens: 32_768,
  /** Jobs that one peer may have open here at once, queued ones included. */
  maxOpenPerPeer: 64,
  /** Jobs that this node has open at one peer: fewer than that peer bears, since it may hear later of those that ended. */
  maxOpenAtPeer: 48,
  /** Ollama looks for each of them behind every token. */
  maxStopSequences: 16,
  /** Messages of a conversation, inputs of one embedding job. */
  maxListItems: 65_536,
  /** Tokens of a context that a client gives back: beyond any model's. */
  maxContextTokens: 4_194_304,
  maxStopChars: 256,
  /** Jobs kept after their end, of this node and as many of peers, so that `GET /jobs/:id` right after needs no disk. */
  maxRecent: 256,
  /**
   * Changes of history gather for this long before they go to disk together: most jobs begin and end within it and cost
   * one write, and a batch costs the event loop as much as a whole request (0.2 ms, measured). A crash loses no more.
   */
  historyGatherMs: 250,
  /** Jobs of this node kept in history on disk, and as many of its peers, who cannot push those out; older ones are dropped. */
  maxHistory: 10_000,
  /** A job that waits because all are busy asks again no sooner, whatever news comes, and no later than this. */
  askAgainMinMs: 250,
  askAgainMaxMs: 5_000,
  /** Longer prompts stand in lines of their own, each for twice the length: not every machine that has the model has the context. */
  anyContextTokens: 2_048,
  /** The whole job, all attempts and waits together, unless the request names a deadline. */
  maxTotalSecs: 3_600,
  /** When to ask again for a model whose engine is away: it is looked for every second. */
  engineRetrySecs: 5,
  /** Weight of the newest value in every running mean: five make up most of it. */
  newestWeight: 0.3,
  /** Bounds of `Retry-After`: clients obey it without a cap of their own. */
  minRetryAfterSecs: 1,
  maxRetryAfterSecs: 60,
} as const;

/** Where a job goes: what it is expected to take, what is remembered of providers, and what counts as equal. */
export const ROUTING = {
  /** A node tells the mesh of its rates again when one has changed by this factor. */
  tellFactor: 1.25,
  /** Answers and prompts too short to show a rate: a call costs more than they do. */
  minOutputTokens: 4,
  minPromptTokens: 32,
  /** What an engine reports for a model that is loaded already is less. */
  minLoadMs: 100,
  /** What a decision keeps: four that fail, and more that are only full. It is kept with each job of history. */
  maxCandidates: 16,
  maxExcluded: 32,
  /** Of a text in English; a guess for the rest, and the same for every candidate. */
  charsPerToken: 4,
  /** What a model's template puts around a prompt: more than a provider counts of one than its characters could be. */
  templateTokens: 256,
  /** A provider's own times are believed when they are no more than this shorter than what was seen here: the way, this machine. */
  usageTolerance: 1.5,
  usageSlackMs: 50,
  /** What a picture takes of a prompt with the vision models of today, 256 to 2,000. */
  tokensPerImage: 768,
  /** An answer, before any of that model was seen. */
  usualOutputTokens: 256,
  /** A job of whoever waits in front, of which nothing is known but that it is there. */
  usualPromptTokens: 512,
  /** A rate that nobody has measured: a model of 7 billion parameters on a desktop without a graphics card. */
  priorTokensPerSecond: 8,
  priorPrefillTokensPerSecond: 60,
  /** A model comes from disk at this rate, behind the engine's own start. */
  priorLoadBytesPerMs: 500_000,
  priorLoadMs: 1_000,
  /** To a peer that was never measured there is first a connection to be made. */
  priorRoundTripMs: 250,
  /** What was measured of a peer gives way to what it announces: it may have changed, and is not asked when it looks slow. */
  ratesHalfLifeMs: 600_000,
  /** An engine unloads a model it has not used for five minutes, and what it has read with it. */
  staysWarmMs: 240_000,
  /** A model that was loaded for a job stands in its node's profile by then. */
  warmNewsMs: 10_000,
  /** Peers, and models of each, of which it is remembered how jobs went; the longest unused makes room. */
  maxNodes: 1_024,
  maxModelsPerNode: 32,
  /** Jobs begun and ended at one peer that are remembered until its next beat. */
  maxChangesPerNode: 128,
  /** Beginnings of prompts of which it is remembered who has read them: two a job, and they are of use for minutes. */
  maxPrefixes: 4_096,
  maxReadersPerPrefix: 8,
  /** A plain prompt is compared in steps of this size; a longer conversation is not compared at all. */
  prefixStepChars: 2_048,
  maxPrefixMessages: 1_024,
  /** Models of which the usual length of an answer is remembered. */
  maxAnswerModels: 256,
  /** Successes that a peer begins with: one of which nothing is known counts as 8 of 9, not as hopeless, nor as proven. */
  priorSuccesses: 8,
  /** The bound of success holds with 84 %: one standard deviation. */
  wilsonZ: 1,
  /** Jobs of a peer that count: older ones fade, so that a peer can mend, and a proven one cannot rest on it. */
  rememberedJobs: 64,
  /**
   * One failure makes a peer look this many times slower on top, and each more as much again: a dead peer whose queue is
   * empty stands behind a living one with a long line.
   */
  avoidancePerFailure: 20,
  maxAvoidance: 200,
  /** A restart, or a network that comes back, is over in a minute. */
  avoidanceHalfLifeMs: 60_000,
  /** What a try at an avoided peer costs besides, times the avoidance: about as long as it takes to notice that it is dead. */
  avoidedMs: 3_000,
  /** A beat, its jitter and its way are over by then: a peer of which none came may be gone, and counts as half gone. */
  beatOverdueMs: 45_000,
  overdueAvoidance: 2,
  /** This machine goes first while it takes at most this many times as long as the best: a prompt that stays here is nobody's. */
  hereFactor: 1.5,
  /** Expectations are no better than this: within it candidates count as equal. */
  nearFactor: 1.2,
} as const;

/** Pull: an idle worker looks for jobs that wait elsewhere. */
export const PULL = {
  /** Coordinators that a worker remembers to have work; as long as a job waits there, so long it is worth asking. */
  maxKnown: 64,
  knownMs: 60_000,
  /** Coordinators asked in one look: each has its jobs waiting, or had them a moment ago. */
  maxAsks: 8,
  /** Between two looks: whoever ends ten jobs a second asks as often, and its coordinators bear it. */
  gapMs: 100,
  /** Idle workers that hear of work at once ask one after the other, so that the first ones find the jobs. */
  spreadMs: 200,
  /** Jobs that were promised and have not come by then have gone elsewhere. */
  promiseMs: 2_000,
  /** The first walk through the DHT: by then a node has joined, and its peers have answered. */
  firstWalkMs: 5_000,
  /**
   * Between two walks, doubled while they find nothing. One that finds nothing asks twenty nodes and costs the mesh 32 KB
   * (measured); at the longest pause that is 55 bytes a second.
   */
  walkMs: 60_000,
  maxWalkMs: 600_000,
  /** Of each pause, added or taken away: workers that were started by one script do not walk in step. */
  walkJitter: 0.25,
  /** A coordinator that had nothing is not named by a walk again so soon: its record outlives its jobs by two days. */
  quietMs: 600_000,
} as const;

/** Where jobs wait at a provider (src/jobs/queue). */
export const QUEUE = {
  /** Accounts whose counter is kept in each lane besides those that have a job here: a mesh of the size we measure. */
  maxAccounts: 1_024,
  /**
   * What every start is charged at least, so that no job is free. Small: it may not outweigh a short question (256 made the gap
   * of P13 22 times the bound).
   */
  minInputTokens: 16,
  /** A line is run ahead in thought so far; behind that it is only counted. */
  maxForecastJobs: 256,
  /** A forecast holds for so long unless the line changes: half of what a waiting job is told at. */
  forecastEveryMs: 250,
  /** A job that was given back is placed again at once, or waits at its requester at most `worker.max_wait_secs`. */
  keepPlaceMs: 60_000,
  /** Places kept at once for jobs that were given back: as many jobs as run at once, several times over. */
  maxKeptPlaces: 64,
} as const;

/** Answers that a provider still knows, for a job that is sent again (src/jobs/transcripts.ts). In memory only. */
export const TRANSCRIPT = {
  /** A requester whose connection broke comes back within seconds, or not at all. */
  keepMs: 60_000,
  /** Of one answer: some 250,000 tokens. */
  maxChars: 1 * MIB,
  /** Of all finished answers together. */
  maxCharsInAll: 16 * MIB,
} as const;
