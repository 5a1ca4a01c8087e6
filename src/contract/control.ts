/**
 * The control API's answers, once: the server sends them, the command line, the dashboard and every script read them, and
 * `/openapi.json` is made from them. Times are milliseconds since 1970, amounts decimal strings of microcredits.
 */

import { z } from 'zod';
import { API } from '../limits/api.ts';

const uint = z.int().nonnegative();
const time = uint.describe('milliseconds since 1970');
const peerId = z.string().describe('libp2p PeerId, 12D3Koo…');
const modelName = z.string().describe('canonical model name, with tag');

/** Every error of the control surface. The OpenAI and Ollama surfaces have dialects of their own. */
export const errorBody = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    hint: z.string().optional(),
    jobId: z.string().optional(),
  }),
});

export const health = z.object({ status: z.literal('ok') });

export const nodeState = z.enum([
  'starting',
  'idle',
  'busy',
  'paused',
  'throttled',
  'draining',
  'error',
  'disconnected',
]);

export const engineStatus = z.object({
  kind: z.string(),
  state: z.enum(['starting', 'ready', 'unreachable']),
  version: z.string(),
  hint: z.string().optional(),
});

export const runtimeHealth = z.object({
  state: nodeState,
  /** Why it is in this state, in a sentence, when that is not plain. */
  reason: z.string().optional(),
  engine: engineStatus,
  model: modelName.nullable().describe('the model in memory, or null'),
  uptimeSecs: z.number(),
  peers: uint.describe('admitted peers'),
  version: z.string(),
});

/** What `POST /stop` answers. */
export const stopping = z.object({
  state: nodeState,
  pid: uint,
  graceSecs: z.number().describe('how long running jobs may go on'),
});

export const nodeStatus = z.object({
  state: nodeState,
  reason: z.string().optional().describe('why it is in this state, when that is not plain'),
  peerId,
  name: z.string(),
  version: z.string(),
  startedAt: time,
  uptimeSecs: z.number(),
  engine: engineStatus,
  models: uint.describe('models that this machine runs'),
  meshModels: uint.describe('models that the mesh runs, this machine included'),
  peers: uint,
  jobs: z.object({
    running: uint,
    queued: uint,
    completed: uint,
    failed: uint,
    cancelled: uint,
  }),
  tokens: z.object({
    in: uint.describe('prompt tokens read by this machine'),
    out: uint.describe('tokens written by this machine'),
    perSecond: z.number().describe('written over the last ten seconds'),
  }),
  queue: z
    .object({
      depth: uint,
      running: uint,
      slots: uint,
      room: uint.describe('jobs of peers that may wait at once; 0 while this node takes none'),
      lanes: z.object({ owner: uint, paid: uint, free: uint }).describe('jobs that wait, by the lane they wait in'),
      estimateMs: z.number().nonnegative().describe('expected milliseconds until a job that comes now would run'),
    })
    .describe('jobs of everybody on this machine'),
  waiting: z
    .object({ depth: uint, room: uint, models: z.array(modelName) })
    .describe('own jobs that no node of the mesh has taken yet: none takes another one now'),
  addresses: z.array(z.string()).describe('multiaddrs with /p2p'),
});

export const identity = z.object({
  peerId,
  account: peerId.describe('the account that owns this node'),
  publicKey: z.string().describe('Ed25519, hex'),
  name: z.string(),
  network: z.string(),
  networkId: z.string().describe('SHA-256, hex'),
  addresses: z.array(z.string()).describe('multiaddrs with /p2p'),
});

export const route = z.enum(['local', 'direct', 'hole-punched', 'relayed']);

export const transport = z.enum(['tcp', 'quic']);
/** Whose user has to accept before two nodes work together. */
export const waitsFor = z.enum(['here', 'there', 'both']);

export const peer = z.object({
  peerId,
  name: z.string(),
  status: z
    .string()
    .describe(
      'as its last beat says, or `leaving`; `unreachable` when the last try to reach it failed; `waiting` to be accepted; `blocked` by this user',
    ),
  route: route.describe('of the connection; means nothing without one'),
  transport: transport.nullable().describe('of the connection, or null without one'),
  connected: z.boolean(),
  admitted: z.boolean(),
  friend: z.boolean().describe('on the list of those that may see prompts of the privacy tier `friends`'),
  words: z
    .string()
    .nullable()
    .describe(
      'the four words that both machines show; null where nobody is asked to compare them, or until they are made',
    ),
  waitsFor: waitsFor.nullable().describe('who has to accept before it is admitted, or null'),
  latencyMs: z.number().nullable(),
  models: z.array(modelName),
  queueDepth: uint,
  runningJobs: uint,
  version: z.string(),
  region: z.string(),
  addresses: z.array(z.string()),
  lastHeardAt: time,
  hardware: z.object({ cores: uint, memoryBytes: uint, gpu: z.string(), vramBytes: uint }),
});
export const peerList = z.object({
  peers: z.array(peer),
  total: uint,
  away: z
    .array(z.object({ peerId, name: z.string() }))
    .describe('who was here, was accepted or is a friend, and is not here now'),
});

/** Body of `POST /mesh/accept`, `/mesh/block` and `/mesh/unblock`. */
export const peerChoice = z.object({ peer: peerId });
/** What such a decision comes to. */
export const peerDecision = z.object({
  peerId,
  name: z.string().describe('empty when it has never been connected'),
  admitted: z.boolean(),
  words: z.string().nullable(),
  waitsFor: waitsFor.nullable(),
});

export const model = z.object({
  name: modelName,
  local: z.boolean().describe('this machine runs it'),
  providers: z.array(peerId),
  digests: z.array(z.string()),
  sizeBytes: uint,
  parameterCount: uint,
  quantisation: z.string(),
  family: z.string(),
  contextLength: uint,
  capabilities: z.array(z.string()),
  warm: z.boolean().describe('in memory somewhere'),
  modifiedAt: time,
  format: z.string().describe('such as `gguf`; empty when not known'),
});
export const modelList = z.object({ models: z.array(model), total: uint });

export const attempt = z.object({
  provider: peerId,
  startedAt: time,
  endedAt: time.nullable(),
  fromToken: uint,
  toToken: uint,
  reason: z.string().nullable(),
  digest: z.string().nullable(),
});

export const privacyTier = z.enum(['local', 'own', 'friends', 'mesh']);

/** Where a job goes, and why: what `POST /route/explain` answers, and what is kept with every job. */
export const decision = z.object({
  at: time,
  candidates: z
    .array(
      z.object({
        node: peerId,
        local: z.boolean(),
        digest: z.string(),
        expectedMs: z.object({
          wait: z.number(),
          load: z.number(),
          prefill: z.number(),
          decode: z.number(),
          roundTrip: z.number(),
        }),
        reliability: z.number().describe('lower bound of its success, 0 to 1'),
        avoidance: z.number().describe('1 unless it failed lately'),
        score: z.number().describe('milliseconds; smaller is better'),
        warmTokens: uint.describe('tokens of this conversation that it need not read again'),
        failed: z.boolean(),
        otherDigest: z.boolean(),
        tooShort: z.boolean().describe('its context seems too short for the prompt: it stands last'),
      }),
    )
    .describe('in the order in which they are asked'),
  excluded: z.array(z.object({ node: peerId, why: z.string() })),
  choice: z
    .enum(['only', 'fastest', 'here', 'warm', 'one-of-two', 'none'])
    .describe('why the first one stands in front'),
  promptTokens: uint.describe('estimated'),
  outputTokens: uint.describe('estimated'),
});

export const job = z.object({
  id: z.string(),
  kind: z.enum(['chat', 'generate', 'embed', 'load']),
  direction: z.enum(['local', 'out', 'in']),
  state: z.enum(['queued', 'placing', 'running', 'handing-over', 'completed', 'failed', 'cancelled', 'expired']),
  lane: z.enum(['owner', 'paid', 'free']),
  privacy: privacyTier.nullable().describe('how far the prompt may go; null of a job that a peer asked for'),
  model: modelName,
  requester: peerId,
  provider: peerId.nullable(),
  attempts: z.array(attempt),
  seenBy: z.array(peerId).describe('every node that was sent the prompt'),
  decision: decision.nullable().describe('why it went where it went; null of a job that a peer asked for'),
  reason: z.string().nullable(),
  tokensIn: uint,
  tokensOut: uint,
  usageEstimated: z.boolean(),
  costMicrocredits: z.string(),
  createdAt: time,
  firstTokenAt: time.nullable(),
  endedAt: time.nullable(),
  tokensPerSecond: z.number().nullable(),
  waiting: z
    .object({
      where: z.enum(['mesh', 'queue', 'engine']).describe('here, at its provider, or in its provider’s engine'),
      ahead: uint.optional().describe('jobs that run before it'),
      estimateMs: z.number().nonnegative().optional().describe('expected milliseconds until it runs'),
      phase: z.string().optional(),
    })
    .optional()
    .describe('what it waits for now'),
});
/** Without its decision, which is several times as long as all else. */
export const listedJob = job.omit({ decision: true });
export const jobList = z.object({ jobs: z.array(listedJob), total: uint });
export const jobListQuery = z.object({ limit: z.coerce.number().int().min(1).max(API.maxListed).default(50) });

export const logQuery = z.object({
  lines: z.coerce.number().int().min(1).max(API.maxLogLines).default(API.defaultLogLines),
  level: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('trace'),
  follow: z
    .enum(['true', 'false', '1', '0', ''])
    .default('false')
    .transform((text) => text === 'true' || text === '1' || text === ''),
});
export const logLine = z.object({ time, level: z.string(), part: z.string().optional(), message: z.string() }).loose();
export const logList = z.object({ lines: z.array(logLine) });

/** The first line of `gogrid up --json`. */
export const readyEvent = z.object({
  event: z.literal('ready'),
  api: z.url(),
  peerId,
  addresses: z.array(z.string()),
  pid: uint,
});

export type ErrorBody = z.infer<typeof errorBody>;
export type NodeState = z.infer<typeof nodeState>;
export type RuntimeHealth = z.infer<typeof runtimeHealth>;
export type NodeStatusAnswer = z.infer<typeof nodeStatus>;
export type Stopping = z.infer<typeof stopping>;
export type Identity = z.infer<typeof identity>;
export type Peer = z.infer<typeof peer>;
export type PeerList = z.infer<typeof peerList>;
export type PeerChoice = z.infer<typeof peerChoice>;
export type PeerDecision = z.infer<typeof peerDecision>;
export type Model = z.infer<typeof model>;
export type ModelList = z.infer<typeof modelList>;
export type Job = z.infer<typeof job>;
export type ListedJob = z.infer<typeof listedJob>;
export type JobList = z.infer<typeof jobList>;
export type LogLine = z.infer<typeof logLine>;
export type LogList = z.infer<typeof logList>;
export type ReadyEvent = z.infer<typeof readyEvent>;
