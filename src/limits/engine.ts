/** The bounds of engines, and of the models they run. */

import { KIB, MIB } from './units.ts';

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
  /** Of tensors in a file: usual is 32 bytes. */
  maxAlignmentBytes: 1 * MIB,
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
  /** The longest character has 4 bytes; whatever is incomplete after so many tokens stays so. */
  maxHeldTokens: 4,
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
