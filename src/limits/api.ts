/** The bounds of the local API. */

import { KIB, MIB } from './units.ts';

/** HTTP: the local API. */
export const API = {
  /** An image or a long conversation fits; Ollama's clients send both in one body. */
  maxBodyBytes: 64 * MIB,
  /** Node's own default is 16 KiB; SDK headers stay under 4. */
  maxHeaderBytes: 16 * KIB,
  /** More than any desktop opens; far below the process's file limit. */
  maxConnections: 1024,
  /** A slow client may not hold a socket half-open: headers come in one go. */
  headersTimeoutMs: 20_000,
  /** 64 MiB at 1 MiB/s. */
  requestTimeoutMs: 64_000,
  /** Longer than the 5 s of most clients, so that the client closes first and no request meets a closing socket. */
  keepAliveTimeoutMs: 72_000,
  /** Model names carry a registry host, a namespace and a tag; Fastify's default of 100 cuts them. */
  maxParamChars: 1024,
  maxToolNameChars: 200,
  maxCallIdChars: 200,
  maxOptionNameChars: 64,
  /** Such as `1h30m`. */
  maxDurationChars: 40,
  /** Of a path that does not exist, in the error that says so. */
  maxShownPathChars: 200,
  /** Node's fetch gives up after 300 s without headers; proxies much sooner: show life by then. */
  headersWithinMs: 20_000,
  /** Idle streams get a comment or an empty chunk, so that no proxy takes them for dead. */
  keepAliveEveryMs: 15_000,
  /** After an NDJSON error line and before the cut: without the pause ollama-js loses the text (measured). */
  errorLinePauseMs: 50,
  /** Text of a stream that is gathered into one write: a few hundred chunks, and far under a socket's buffer. */
  maxGatheredChars: 16 * KIB,
  /** A client that does not read for this long is gone; its job is cancelled. */
  stalledClientMs: 120_000,
  maxLogLines: 10_000,
  defaultLogLines: 200,
  maxListed: 1000,
  /** A frame to a provider may nest 64 deep, and holds what the body holds a few levels further down. */
  maxBodyDepth: 56,
  /** `x-gogrid-deadline-secs`: a day; a longer wait is a wish, not a deadline. */
  maxDeadlineSecs: 86_400,
  /** An answer that is not streamed is held in memory; a provider that never ends may not fill it. */
  maxWholeAnswerBytes: 64 * MIB,
  /** A body that was refused is read and thrown away for this long, so that its sender gets to read why. */
  refusedBodyMs: 5_000,
  /** How often headersTimeoutMs and requestTimeoutMs are looked at; Node's 30 s would let them run over. */
  timeoutCheckEveryMs: 5_000,
  /** Two hours, the most that Chromium keeps. */
  preflightMaxAgeSecs: 7_200,
  /** Whoever holds our port answers from the same machine, or is not worth waiting for. */
  portProbeMs: 500,
  /** With port 0 the port that 127.0.0.1 got may be taken on [::1]. */
  maxPortTries: 10,
  /** Time in which an answer that the node has to end tells its client so. */
  lastWordsMs: 1_000,
  /** 128 bits in hex: nobody finds it by trying. */
  minKeyChars: 32,
  /** A follower of the log may be this far behind before lines are left out. */
  maxLogBacklogBytes: 1 * MIB,
} as const;

/** `/credits`, and `GET /events`. */
export const CREDITS = {
  maxListed: 1000,
  defaultListed: 50,
  /** A PeerId has 52 characters, a name of a node at most 64. */
  maxNameChars: 128,
  /** Letters in which an id may differ from a known one and still be taken for it, mistyped; two random ids differ in 40. */
  maxMistypedLetters: 4,
  /** Accounts that a mistyped id is compared with: writing one as text takes some 10 µs. */
  maxCompared: 5_000,
} as const;

/** `GET /events`. */
export const EVENTS = {
  /** Kept for clients that come back: an hour of a lively node. */
  kept: 1_000,
  /** Between two signs of life; proxies cut a silent stream after 30 s and more. */
  aliveEveryMs: 15_000,
  /** A reader that is so far behind is cut off; it comes back with `Last-Event-ID` and goes on, or learns that it missed some. */
  maxBacklogBytes: 1 * MIB,
  /** What a client is told to wait before it connects again. */
  retryMs: 2_000,
} as const;
