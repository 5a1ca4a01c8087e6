/** The bounds of jobs: the protocol, the two flows, and where jobs wait. */

import { KIB, MIB } from './units.ts';

/** The job protocol and the two flows. */
export const JOB = {
  /** Failures, not hand-overs; the fourth provider that breaks is a sign that the request breaks them. */
  maxAttempts: 4,
  /** Providers that take a job and give it back in order: no attempts, and no endless wandering either. */
  maxHandOvers: 16,
  /** Text and vectors of one answer that a requester holds: beyond it the provider is at fault. */
  maxAnswerBytes: 256 * MIB,
  /** A whole large request, from its first part to its last: 64 MiB at 1 MiB/s. */
  requestWholeMs: 64_000,
  /** A frame of any kind counts as life; 500 ms between frames leaves four to be late. */
  silenceMs: 2_500,
  /** How often the requester looks whether its provider has gone silent. */
  silenceCheckMs: 500,
  /** A provider that has nothing to send says where it is. */
  progressEveryMs: 500,
  /** A provider that does not answer a request with any frame by then is not there. */
  openTimeoutMs: 5_000,
  /** An engine that has begun to speak and then says nothing for so long has failed. */
  engineStallMs: 30_000,
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
  /** Largest chunk that a writer which is behind merges before it holds the engine back. */
  maxChunkBytes: 32 * KIB,
  /** Jobs that one peer may have open here at once, queued ones included. */
  maxOpenPerPeer: 64,
  /** Ollama looks for each of them behind every token. */
  maxStopSequences: 16,
  /** Messages of a conversation, inputs of one embedding job. */
  maxListItems: 65_536,
  /** Tokens of a context that a client gives back: beyond any model's. */
  maxContextTokens: 4_194_304,
  maxStopChars: 256,
  /** Jobs kept in the live table after their end, so that `GET /jobs/:id` right after an answer needs no disk. */
  maxRecent: 256,
  /**
   * Changes of history gather for this long before they go to disk together: most jobs begin and end within it and cost
   * one write, and a batch costs the event loop as much as a whole request (0.2 ms, measured). A crash loses no more.
   */
  historyGatherMs: 250,
  /** Jobs kept in history on disk; older ones are dropped. */
  maxHistory: 10_000,
  /** The whole job, all attempts and waits together, unless the request names a deadline. */
  maxTotalSecs: 3_600,
  /** When to ask again for a model whose engine is away: it is looked for every second. */
  engineRetrySecs: 5,
  /** Bounds of `Retry-After`: clients obey it without a cap of their own. */
  minRetryAfterSecs: 1,
  maxRetryAfterSecs: 60,
} as const;
