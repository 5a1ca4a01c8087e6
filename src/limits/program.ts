/** The bounds of the program around the node: its home, its demo, its command line. */

import { KIB, MIB } from './units.ts';

/** Files of the home folder and the command line. */
export const HOME = {
  secretFileMode: 0o600,
  folderMode: 0o700,
  maxConfigBytes: 1 * MIB,
  /** A key file is one line of under 50 characters; whatever is longer is no key file. */
  maxKeyFileBytes: 4 * KIB,
  /** The key of a new mesh's founder counts as unused for so long; after that the first start asks its peers like any other. */
  unusedKeyMs: 3_600_000,
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

/** The node's database. */
export const DATABASE = {
  /** Changes written together, of several writers: some megabytes in memory. */
  maxGroupChanges: 5_000,
  /** Of a long range, held in memory by whoever reads it. */
  readAheadBytes: 64 * KIB,
  /** After a write that failed the database is opened again, not more often than this. */
  reopenEveryMs: 5_000,
  /** With less room opening it would fail too: what its log holds is written into a table then. */
  reopenFreeBytes: 32 * MIB,
} as const;

/** The end of a node. */
export const STOP = {
  /** Part of the grace time that is kept for closing what is open: last words to clients, goodbye to the mesh, the disk. */
  closingMs: 2_000,
} as const;

/** What of a text or an error is shown, and looked at. */
export const SHOWN = {
  /** A wrong value is shown in the error, but not a whole novel of it. */
  maxValueChars: 80,
  /** Longer than any name of ours; what is longer is no typo, and comparing it costs time. */
  maxTypoChars: 80,
  /** How deep a chain of causes is followed; libraries wrap two or three times. */
  maxCauses: 4,
  /** Frames of a stack that say where; the rest is the runtime's. */
  maxFrames: 10,
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
  /** A transfer that is not answered in that time is asked for again; a node that is silent for half a minute stays so. */
  transferAttempts: 3,
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
