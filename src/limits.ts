/**
 * Every bound, interval and timeout of the program, with its unit in the name and its reason beside it.
 *
 * What an operator may change is a setting (`config/schema.ts`); what stands here is part of the protocol or of the
 * program's safety.
 */

const KIB = 1024;
const MIB = 1024 * KIB;

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

/** Frames on our own stream protocols. */
export const FRAME = {
  /** Anything but a request: a chunk, a beat, a state page. */
  maxBytes: 256 * KIB,
  /** Streams of one protocol that one connection may have open. */
  maxInboundStreams: 128,
  maxOutboundStreams: 512,
  /** A frame's length is a varint of at most this many bytes (2^28). */
  maxLengthBytes: 4,
  /** Depth of CBOR nesting accepted: tool schemas nest, attacks nest deeper. */
  maxDepth: 64,
  /** Bytes past the window that wait unread: signs of life, which no window holds back. */
  unheldBytes: 256 * KIB,
  /** Bytes that wait in a stream for the network; only a writer that ignores its window comes here. */
  maxBacklogBytes: 4 * MIB,
  /** What was sent has this long to leave, and the other side as long to close in turn; then the stream is reset. */
  closeTimeoutMs: 10_000,
} as const;

/** Identity, admission and the directory. */
export const MESH = {
  /** `hello` is one round trip; who needs longer is not a node. */
  helloTimeoutMs: 2_000,
  stateTimeoutMs: 3_000,
  dialTimeoutMs: 5_000,
  beatEveryMs: 30_000,
  /** Jitter keeps a thousand nodes started by one script from beating in step. */
  beatJitterMs: 3_000,
  /** Three missed beats. */
  beatTtlMs: 90_000,
  maxBeatBytes: 250,
  /** Changes of status go out at most this often: gossip among twenty nodes carries some 25 messages a second. */
  statusEveryMs: 2_000,
  /** A status that does not last this long is not worth a message; what is measured is the change to all, 60 ms. */
  statusSettleMs: 10,
  /** At most one profile a second leaves a node, however often its models change. */
  profileEveryMs: 1_000,
  maxProfileBytes: 64 * KIB,
  maxModelsPerProfile: 512,
  maxAddressesPerProfile: 16,
  /** Nodes a directory holds; the oldest beat makes room. */
  maxDirectory: 10_000,
  /** Tombstones of nodes that left, so that an old beat does not bring them back. */
  maxTombstones: 10_000,
  /** Entries in one `state` frame; a directory is sent in pages. */
  statePageNodes: 32,
  maxStateBytes: 64 * MIB,
  /** Peers asked for their directory on joining. */
  joinAskPeers: 3,
  /** Connections a node keeps by itself: enough for gossip's degree and for warm routes. */
  targetPeers: 12,
  /** Below so many it dials as many as it misses at once; above, a few a look, so that a whole mesh may start together. */
  urgentPeers: 4,
  calmDials: 2,
  /** Of them, at least so many to nodes that this one dialed: who is dialed by strangers alone sees only what they show. */
  reservedOutbound: 4,
  /** Looks after its connections this often. */
  tendEveryMs: 5_000,
  reconnectMaxMs: 60_000,
  /** Before the second try to reach a node that was never reached: at a start it may only be a moment late. */
  firstRetryMs: 1_000,
  /** Provider records that could not be placed are tried again so much later. */
  dhtRetryMs: 30_000,
  /** Records are placed this long after a change: at a start, models and peers come one after the other. */
  dhtSettleMs: 3_000,
  /** The first walk to one's own place in the DHT. */
  dhtSelfQueryMs: 10_000,
  /** Nodes that a walk asks at once. */
  dhtParallel: 3,
  maxKnownPeers: 256,
  maxConnections: 512,
  /** Inbound connections a second from one address: twenty nodes start behind one NAT, or on one machine. */
  inboundPerSecond: 200,
  pruneBackoffMs: 3_000,
  heartbeatMs: 700,
  /** A DHT walk for a model nobody in the directory has. */
  dhtFindMs: 2_000,
  dhtProvideMs: 10_000,
  dhtMaxProviders: 8,
  /** Signatures that fail, per peer and minute, before the connection is closed. */
  maxBadPerMinute: 32,
  /** Gossip messages from one peer a second, sustained; above it they are ignored. */
  maxGossipPerSecond: 500,
  /** Messages of one author that are passed on a second: a node changes its status at most every two seconds. */
  maxPerAuthorPerSecond: 4,
  /** Authors, and peers, whose rate is kept; the oldest makes room. */
  maxRates: 20_000,
  /** Streams that a peer may have waiting for its hello to pass; more are refused. */
  maxHeldStreams: 16,
  /** Bytes that may wait in each of them. */
  maxHeldBytes: 64 * KIB,
  /** State exchanges that one peer may have open here, and how many it may begin a second. */
  maxStatePerPeer: 2,
  maxStatePerSecond: 2,
  /** Bytes of one state page: far under a frame, so that the largest profile still fits on top. */
  statePageBytes: 128 * KIB,
  /** One state exchange in all: 64 MiB over a slow line. */
  stateTotalMs: 60_000,
  /** A beat names a profile that is not here: gossip gets this long to bring it before a peer is asked. */
  catchUpAfterMs: 1_500,
  /** The whole directory is asked for at most this often while profiles are missing. */
  catchUpEveryMs: 10_000,
  /** A node that could not be reached is no candidate for so long, unless it shows up. */
  unreachableMs: 15_000,
  /** A peer that is lost without a word is tried once this soon: was it the connection, or the peer? */
  probeAfterMs: 250,
  /** Dials at once that the node makes by itself. */
  maxDialsAtOnce: 8,
  /** Pings to one peer at once: ours, the connection monitor's and those of the DHT. */
  maxPings: 8,
  /** Round trips kept per peer; their median is its latency. */
  latencySamples: 5,
  latencyEveryMs: 30_000,
  /** Gossip waiting for a peer that does not read; past it that peer's stream is given up. */
  maxGossipBacklogBytes: 4 * MIB,
  /** One gossip transmission: all it may hold, at the largest size. */
  maxGossipBytes: 4 * MIB,
  /** Subscriptions, messages and control messages in one gossip transmission; the library's own bound is 5,000. */
  maxGossipParts: 64,
  maxGossipIds: 512,
  /** Between the last message of a node that stops and the end of its connections: a round trip over the world. */
  lastWordsMs: 250,
  /** A stop waits this long for connections to close in order. */
  hangUpMs: 500,
  /** Records that the DHT keeps here for others; the oldest makes room. */
  maxDhtRecords: 20_000,
} as const;

/** The engine on this machine. */
export const ENGINE = {
  /** Ollama answers these from memory. */
  controlTimeoutMs: 5_000,
  /** Look for new, removed and loaded models; the answer of a local daemon costs under 1 ms. */
  refreshEveryMs: 5_000,
  /** While no engine answers: a daemon that comes back is used within this time. */
  retryEveryMs: 1_000,
  /** A cold 70B model from a slow disk. */
  loadTimeoutMs: 600_000,
  /** One line of a daemon's answer: images come in, never out. */
  maxLineBytes: 8 * MIB,
  /** An unstreamed answer: embeddings of a full batch. */
  maxAnswerBytes: 64 * MIB,
  maxErrorBytes: 64 * KIB,
  maxModels: 512,
  /** Model descriptions (`/api/show`) asked for at once while the list is read. */
  describeAtOnce: 4,
  /** Error texts of a daemon are passed on up to here; they name files and numbers, not conversations. */
  maxErrorChars: 300,
  /** Most bytes of an answer read ahead of a consumer that is slow, and so of what one chunk is merged from. */
  readAheadBytes: 32 * KIB,
  /** How often a running call looks whether its daemon has gone silent. */
  stallCheckMs: 1_000,
  /** In place of `JOB.engineStallMs` with tools: Ollama holds a tool call back until it is whole, so it is silent meanwhile. */
  toolStallMs: 300_000,
  /** The end of an answer follows its last line at once; a connection on which it does not is not used again. */
  drainMs: 1_000,
  /** Idle connections kept for the next call; a machine runs few jobs at once. */
  maxFreeSockets: 4,
  /** A refresh that fails without a refused connection is tried so often before the daemon counts as gone. */
  maxRefreshFailures: 2,
  /** After a job and before its model is asked whether it can continue: a job that waits goes first. */
  probeAfterMs: 250,
  /** A model that is never idle is asked all the same: a daemon answers it beside a running job, without a token. */
  probePatienceMs: 10_000,
  probeTimeoutMs: 10_000,
  /** A full queue empties at the pace of whole answers. */
  overloadedRetrySecs: 5,
} as const;

/** Files of the home folder and the command line. */
export const HOME = {
  secretFileMode: 0o600,
  folderMode: 0o700,
  maxConfigBytes: 1 * MIB,
  /** A key file is one line of under 50 characters; whatever is longer is no key file. */
  maxKeyFileBytes: 4 * KIB,
  /** `gogrid.lock` holds a process id, an address and a time. */
  maxLockBytes: 4 * KIB,
  /** Log lines that wait for a disk that is behind; more are counted and dropped, memory stays. */
  maxLogBufferBytes: 4 * MIB,
  /** Read from the end of the log for one answer of `GET /logs`. */
  maxLogReadBytes: 16 * MIB,
  logReadStepBytes: 256 * KIB,
} as const;

export const CLI = {
  /** The node is on this machine and answers from memory. */
  requestTimeoutMs: 10_000,
  /** A list of a thousand peers or jobs stays far under it. */
  maxAnswerBytes: 64 * MIB,
  /** One line of a streamed answer. */
  maxLineBytes: 8 * MIB,
  /** As the API's body. */
  maxPromptBytes: 64 * MIB,
  /** Even with a grace of 0 a clean stop needs this to close files and sockets. */
  minStopMs: 1_000,
  /** The banner waits so long for the engine's first answer; Ollama gives it in milliseconds when it runs. */
  engineWaitMs: 1_500,
  engineLookMs: 25,
  /** Narrower than this a table is not worth drawing. */
  minColumns: 40,
  /** Where there is no terminal to ask. */
  defaultColumns: 100,
} as const;
