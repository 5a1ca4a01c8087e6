/** The bounds of the mesh: frames, identity, admission, the directory, descriptors. */

import { KIB, MIB } from './units.ts';

/** Frames on our own stream protocols. */
export const FRAME = {
  /** Anything but a request: a chunk, a beat, a state page. */
  maxBytes: 256 * KIB,
  /** Streams of one protocol that one connection may have open. */
  maxInboundStreams: 128,
  maxOutboundStreams: 512,
  /** A frame's length is a varint of at most this many bytes (2^28). */
  maxLengthBytes: 4,
  /** First size of the buffer for a frame that comes in pieces; it doubles, so that a claimed length costs nothing. */
  firstBufferBytes: 1 * KIB,
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
  /** Hello, its answer and nothing else: any window holds them. */
  helloWindowBytes: 16 * KIB,
  stateTimeoutMs: 3_000,
  dialTimeoutMs: 5_000,
  beatEveryMs: 30_000,
  /** Jitter keeps a thousand nodes started by one script from beating in step. */
  beatJitterMs: 3_000,
  /** Three missed beats. */
  beatTtlMs: 90_000,
  /**
   * Numbers of profiles and beats are kept on the disk for so long ahead: at rest one write in ten beats. A node that starts
   * again sooner begins where they end, and is ahead of its clock for the rest of the time.
   */
  numbersKeptMs: 600_000,
  /** And at least so many, for one that is ahead of its clock and counts: more than it says in half an hour. */
  numbersKept: 1_000,
  maxBeatBytes: 250,
  /** Changes of status, and of a line's length by half, go out at most this often: gossip among twenty nodes carries some 25 messages a second. */
  statusEveryMs: 2_000,
  /** A status that does not last this long is not worth a message; what is measured is the change to all, 60 ms. */
  statusSettleMs: 10,
  /** At most one profile a second leaves a node, however often its models change. */
  profileEveryMs: 1_000,
  maxProfileBytes: 64 * KIB,
  maxModelsPerProfile: 512,
  /** As long as Ollama accepts: host, namespace, name and tag of 80 characters at most, with separators. */
  maxModelNameChars: 330,
  maxNodeNameChars: 64,
  /** Rates that a node may announce of itself: several times what the fastest machines of today do for one request. */
  maxTokensPerSecond: 10_000,
  maxPrefillTokensPerSecond: 1_000_000,
  /** Authors whose key was checked, which costs 2–3 ms and is done once; the oldest makes room. */
  maxCheckedKeys: 10_000,
  maxAddressesPerProfile: 16,
  /** Nodes a directory holds; the oldest beat makes room. */
  maxDirectory: 10_000,
  /** Tombstones of nodes that left, so that an old beat does not bring them back. */
  maxTombstones: 10_000,
  /** Nodes of a page taken in at once: the first check of an author's key costs 2–3 ms, and other work gets its turn between. */
  stateNodesPerTurn: 2,
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
  /** Jobs that waited no longer than this are not worth a walk: most find a provider that has a slot by then. */
  workSettleMs: 1_000,
  /** While jobs wait their record is placed again: each time those who keep it hear that there is work now. */
  workRenewMs: 30_000,
  /** Models with waiting jobs that a node tells the DHT of at once. */
  maxWorkModels: 8,
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
  /** One question for work and its answer; the coordinator may have to ask in turn who the worker is. */
  workTimeoutMs: 3_000,
  /** Questions for work that one peer may have open here, and how many it may ask a second: one whenever a job of its own ends. */
  maxWorkPerPeer: 2,
  maxWorkPerSecond: 10,
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
  /** A ping costs a stream, some ten packets: to twenty peers every minute it was a sixth of an idle node's traffic. */
  latencyEveryMs: 120_000,
  /** Twice as long as a beat lives: by then the node behind a connection that answers nothing is forgotten. */
  connectionCheckMs: 180_000,
  /** Yamux's own ping to every peer: a TCP connection without a byte for two minutes is closed. */
  muxerPingMs: 90_000,
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
  /** Peers that may see prompts of the tier `friends`: each was one decision of a person. */
  maxFriends: 1_024,
  /** Names of nodes that were met, kept while they are away so that history can be read: as many as a large mesh has. */
  maxLastNames: 1_024,
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
