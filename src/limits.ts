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
  /** A founder that reissues several times in a row is heard of once a second: peers bound hellos. */
  tellDescriptorEveryMs: 1_000,
  /** Questions to one peer for its descriptor, before it has to say hello again. */
  maxDescriptorTries: 3,
  /** Longer than a hello may take: one that was on its way with the old revision is through by then. */
  tellDescriptorAgainMs: 2_500,
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
  latencyEveryMs: 60_000,
  /** As long as a beat lives: a connection is not asked more often than the node behind it is believed. */
  connectionCheckMs: 90_000,
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
  /** Peers that a user has accepted, and as many blocked: each was one decision of a person. */
  maxAccepted: 1_024,
  /** Peers that are connected and wait to be accepted: a list that a person reads, and an eighth of the connections. */
  maxWaiting: 64,
  /** Of them, from one address: one machine with many keys must not push out the others. */
  maxWaitingPerAddress: 16,
  /** Connections that a peer which is not admitted may have open at once. */
  maxOutsideConnections: 4,
  /** Hellos that one peer may say a second: one at the start, one more when its user accepts. */
  maxHellosPerSecond: 4,
  /** After the four words of one peer were made, a pause of so many times what they took: a flood of keys gets a fifth of a thread. */
  wordsPauseTimes: 4,
  /** A change of the admitted peers is on disk so soon: a node killed right after joining finds its mesh again. */
  rememberAfterMs: 1_000,
  /** Multicast DNS: a node asks at its start, and then this often, in case a packet was lost. */
  mdnsEveryMs: 10_000,
  /** Nodes found in the local network that are remembered; the oldest makes room. */
  maxFound: 256,
  /** New ones a second, twice that at once: a whole classroom may start together, a flood of made-up ones may not be dialed. */
  maxFoundPerSecond: 32,
  /** Addresses that one answer may name, and that this node names: more do not fit a packet. */
  maxFoundAddresses: 8,
  /** Streams of all protocols that one QUIC connection may have open; past it, opening one hangs (measured). */
  quicStreams: 2_048,
} as const;

/** Network descriptors: the signed document that names a mesh. */
export const DESCRIPTOR = {
  maxNameChars: 64,
  /** One that answers is enough; as many as `network.bootstrap` takes. */
  maxBootstrap: 64,
  maxAddressChars: 256,
  /** 3f+1 witnesses: ten of them may fail, and attestations stay small. */
  maxWitnesses: 32,
  maxParams: 32,
  maxParamNameChars: 64,
  maxParamChars: 128,
  /** Amounts are below 2^63, which every language and database has. */
  maxGenesisMicrocredits: 2n ** 63n - 1n,
  maxRevision: 2 ** 32 - 1,
  /** Core, terms and signature at their bounds stay below 28 KiB. */
  maxBytes: 32 * KIB,
  /** The same as readable JSON. */
  maxFileBytes: 128 * KIB,
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

/** The engine inside GoGrid: model files, and the process that runs one of them. */
export const EMBEDDED = {
  /** Files looked at in one folder; more than anybody keeps models. */
  maxFiles: 512,
  /** Metadata and tensor table of a model file: vocabularies of 256,000 tokens with their merges take 16 MiB. */
  maxHeaderBytes: 64 * MIB,
  headerReadBytes: 256 * KIB,
  maxHeaderKeys: 4096,
  maxKeyBytes: 1024,
  /** A text in the metadata that is kept, such as the chat template; the longest known has 20 KiB. */
  maxTextBytes: 1 * MIB,
  maxTensors: 65_536,
  /** ggml's own bound. */
  maxDimensions: 4,
  /** A start waits so long for hashes: enough for the starter, and no node starts later for a model of 40 GiB. */
  startWaitMs: 1_500,
  maxDigestFileBytes: 1 * MIB,
  /** Loading the library takes half a second, on a busy machine of one core ten times that. */
  readyMs: 30_000,
  /** As Ollama's default: a model that nobody asks for leaves the memory. */
  keepAliveMs: 300_000,
  /** A process that has no model yet was started to see whether it can be, or for a job that did not come. */
  idleMs: 10_000,
  /** What was told to stop and does not is killed: a step of a large model takes long, a process that hangs for ever. */
  stopMs: 2_000,
  /** A process that died is started again after so long, by how often it died in a row. */
  restartMs: [0, 1_000, 5_000, 30_000],
  /** So often in a row, and this machine no longer offers its models until the next try. */
  maxCrashes: 3,
  /** A machine on which none ever got ready is tried again after so long: what it lacks seldom comes by itself. */
  retryUnprovenMs: 300_000,
  /** Pieces of an answer on the way to a consumer that does not take them: then the engine stops. */
  creditChunks: 8,
  /** Characters that gather into one piece while its consumer is behind; then the engine stops. */
  maxPieceChars: 2 * KIB,
  /** Signs of progress that wait to be taken; a call has no more phases than three. */
  maxQueuedProgress: 8,
  /** Ollama's default too: every token of context costs memory, whether used or not. */
  defaultContextTokens: 4096,
  minContextTokens: 64,
  /**
   * Tokens of a prompt that are read in one step, which cannot be interrupted: 8 of the starter take 55 ms on one thread,
   * and 512 at once are no more than a quarter faster (measured). The sizes are part of the arithmetic: an answer goes on
   * exactly only where its prompt was read in the same steps.
   */
  promptStepTokens: 8,
  /** Larger models gain more from larger steps, and no step of them is short. */
  largePromptStepTokens: 64,
  largeParameterCount: 500_000_000,
  /** One thread is fastest where another process wants the machine too: with two, the starter fell from 20-45 to 1-4 tokens/s. */
  singleThreadCores: 4,
  /** Memory feeds no more of them. */
  maxThreads: 8,
  /** Ollama that is away for so long at this node's run wakes the starter model; a restart of it is shorter. */
  starterAfterMs: 30_000,
  maxMessageChars: 500,
} as const;

/** Models that GoGrid fetches itself, and pulls of any kind. */
export const STORE = {
  /** No byte for so long and a source has failed: a slow line still sends some within it. */
  silenceMs: 30_000,
  /** Fewer bytes than this in `silenceMs` count as none: at that pace no model arrives. */
  minBytesPerSilence: 16 * KIB,
  /** pip first asks its index, perhaps through a proxy, and says nothing meanwhile. */
  pipSilenceMs: 60_000,
  /** `pip --version` starts Python, which takes a second on a busy machine. */
  pipProbeMs: 20_000,
  /** Whoever was told to end and has not by then is killed. */
  pipEndMs: 2_000,
  /** How often the files are looked at that pip writes: what it prints is for people. */
  pipLookMs: 250,
  /** Of what pip says last, in a sentence for people. */
  maxReasonChars: 300,
  /** End of pip's error output that is read. */
  maxPipErrorBytes: 16 * KIB,
  /** A publisher's hub redirects once or twice to its storage. */
  maxRedirects: 5,
  /** Pauses before a download that was cut is tried again, by how often nothing came: a network that changes is back soon. */
  retryAfterMs: [0, 500, 2_000, 5_000],
  /** Connections within one source. */
  maxResumes: 20,
  /** Read and hashed at a time. */
  readBytes: 1 * MIB,
  /** Stays free on the disk beside a model: a full disk stops more than a download. */
  diskReserveBytes: 256 * MIB,
  /** Window over which the rate is taken: long enough to be calm, short enough to follow a change. */
  rateWindowMs: 5_000,
  /** Two samples closer than this say nothing. */
  minRateSpanMs: 250,
  /** Samples that the window holds. */
  maxRateSamples: 64,
  /** Listeners hear of new bytes at most this often. */
  progressEveryMs: 100,
  /** How often a waiting process looks whether the one that downloads is done. */
  lockLookMs: 250,
  /** The holder of a lock shows life this often. */
  lockBeatEveryMs: 2_000,
  /** A lock without a sign of life for so long belongs to nobody: ten beats are missed. */
  lockStaleMs: 20_000,
  /** A process whose lock was taken over queues for it again so often; twice is bad luck, more is a disk that loses files. */
  maxLockLosses: 3,
  /** Who removes a model waits so long for another process that has its lock: one that only looks is done by then. */
  removeWaitMs: 2_000,
  maxNoteBytes: 4 * KIB,
  /** Entries of a zip's directory that are read; a wheel of one model has ten. */
  maxZipEntries: 4096,
  maxZipDirectoryBytes: 4 * MIB,
  /** The starter model is asked for again after so long, twice as long each time: a laptop may start before its network. */
  starterRetryMs: 30_000,
  maxStarterRetryMs: 1_800_000,
  /** Pulls that run at once; a machine has one line to the network. */
  maxPulls: 8,
  /** Ended pulls that are still told of. */
  maxEndedPulls: 16,
  /** Steps of a pull that a listener is behind; the oldest go. */
  maxPendingSteps: 64,
  /** Ollama says nothing while it checks what it got: minutes for a large model on a slow disk. */
  ollamaSilenceMs: 600_000,
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
  /** How soon a node that npm started notices that npm is gone. */
  parentLookMs: 1_000,
  /** `ps` answers at once, or not at all. */
  processLookMs: 2_000,
  /** Read from the end of the log for one answer of `GET /logs`. */
  maxLogReadBytes: 16 * MIB,
  logReadStepBytes: 256 * KIB,
} as const;

/** Programs that a command starts (src/sandbox.ts). */
export const SANDBOX = {
  /** What is kept of a program's standard error: enough for its last words. */
  keptStderrChars: 16_384,
} as const;

/** `gogrid demo`. */
export const DEMO = {
  minNodes: 3,
  maxNodes: 9,
  /** Nodes that hold the model: one answers, one takes over, one is left to be asked again undisturbed. */
  providers: 3,
  /** With fewer nobody could take over. */
  minProviders: 2,
  /** A start takes a second on a quiet machine, and many start at once. */
  readyWithinMs: 60_000,
  /** Nodes that know an address find each other in a second or two. */
  meshWithinMs: 60_000,
  /** An engine says in a second or two which models it has. */
  modelsWithinMs: 15_000,
  /** A small model from a slow disk, three times at once. */
  loadWithinMs: 300_000,
  /** No sign of an answer, not one word: the mesh itself gives up earlier. */
  answerWithinMs: 300_000,
  /** The job is over when its answer is; its record follows at once. */
  recordWithinMs: 5_000,
  lookEveryMs: 50,
  /** Room for a sentence or five: long enough to be cut in the middle, short enough to be read. */
  answerTokens: 150,
  /** The node dies behind so many words, or a few more: only in the middle of a sentence. */
  killAfterWords: 24,
  /** The screen marks the place when so long nothing more came of a node that is gone: what it sent is on its way still. */
  silentMs: 40,
  /** Idle nodes end in half a second; at the end of the story nobody waits longer for one that does not. */
  stopWithinMs: 5_000,
  /** A node with nothing to do. */
  nodeBytes: 150e6,
  /** An engine with a model: the file's bytes, so many times, and what comes on top whatever the size. */
  engineFactor: 1.3,
  engineBytes: 250e6,
  /** A terminal of the usual width; the text of a wider one would be hard to read. */
  columns: 80,
} as const;

/** What `gogrid up` tells on a terminal while the node runs. */
export const NEWS = {
  /** Soon enough for a person; a look costs a few microseconds. */
  lookEveryMs: 1_000,
  /** In a larger mesh somebody comes or goes all the time. */
  maxPeersToName: 5,
  /** How often the progress of a download is drawn. */
  progressEveryMs: 250,
} as const;

/** What `gogrid doctor` finds too little, or too much. */
export const DOCTOR = {
  /** Beyond it a peer's statements look old, or from the future. */
  maxClockSkewMs: 5_000,
  /** Log, history and keys need this. */
  leastFreeBytes: 256 * MIB,
  /** A model of a few billion parameters. */
  tightFreeBytes: 4 * 1024 * MIB,
  /** The starter model and the node itself. */
  tightMemoryBytes: 512 * MIB,
  /** Whatever is asked who it is runs on this machine, or near it. */
  probeMs: 1_500,
  maxProbeChars: 4 * KIB,
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
  /** Lines that arrow up brings back in `gogrid chat`; they are in memory alone. */
  maxTypedHistory: 500,
  /** Messages, and characters, that `gogrid chat` sends with a question: more than any model's context holds. */
  maxChatMessages: 400,
  maxChatChars: 1 * MIB,
  /** A question that is answered sooner needs no sign of life. */
  signOfLifeAfterMs: 700,
  signOfLifeEveryMs: 500,
  /** Jobs among which a question that waits is looked for. */
  signOfLifeJobs: 20,
  /** Beside the grace of a node's jobs: closing takes two seconds, and a busy machine more. */
  downExtraMs: 8_000,
  downLookMs: 100,
  /** How often `gogrid down` asks what the node waits for. */
  downAskMs: 1_000,
  /** A node that says when it started began to do so at most this long before: it had its home to open. */
  maxStartMs: 600_000,
  /** Start times of processes are known to the second. */
  startToleranceMs: 2_000,
  /** Where nobody watches, a long download still says that it goes on. */
  plainProgressMs: 15_000,
  /** The four words of a machine that has just come: 0.1 s each, and a busy machine more. */
  wordsWaitMs: 10_000,
  /** After an acceptance both sides have told each other within a round trip. */
  acceptWaitMs: 2_000,
  peerLookMs: 100,
  /** Narrower than this a table is not worth drawing. */
  minColumns: 40,
  /** Where there is no terminal to ask. */
  defaultColumns: 100,
} as const;
