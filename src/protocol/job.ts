/**
 * `/gogrid/job/1`: one inference request between a requester and a provider, and what it may ask for.
 *
 * The requester opens the stream, sends `request`, later perhaps `cancel`. The provider answers
 * (`queued` | `progress`)* `accepted` (`progress` | `chunk` | `vectors`)* `usage` `end`,
 * with one of four that end it sooner:
 * - `busy` or `reject` before `accepted`, at once or out of the queue: what it waited for there is gone;
 * - `error` after `accepted`;
 * - `handOver` at any point: it gives the job back in order, and its requester places it again with what it has of the answer.
 *
 * A stream that closes without `busy`, `reject`, `end`, `error` or `handOver` is a failure.
 */

import { z } from 'zod';
import { JOB } from '../limits/jobs.ts';

const uint = z.int().nonnegative();
const tokenCount = uint.max(JOB.maxTokens);
const shortText = z.string().max(500);
/** SHA-256 of a model, as its node says it. */
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const json = z.json();

/* ---- What is asked ------------------------------------------------------------------------------------------- */

const toolCall = z.object({
  id: z.string().max(200).optional(),
  name: z.string().max(200),
  /** The arguments as a JSON object in text, as the model gave them. */
  arguments: z.string(),
});
export type ToolCall = z.infer<typeof toolCall>;

const chatMessage = z.object({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: z.string(),
  thinking: z.string().optional(),
  /** Base64, without a `data:` header. */
  images: z.array(z.string()).optional(),
  toolCalls: z.array(toolCall).optional(),
  /** For role `tool`: the name of the tool whose result this is. */
  toolName: z.string().optional(),
  toolCallId: z.string().optional(),
});
export type ChatMessage = z.infer<typeof chatMessage>;

/** Sampling options under Ollama's names (`temperature`, `num_predict`, `stop`, …); null means the engine's default. */
const options = z.record(
  z.string().max(64),
  z.union([z.number(), z.string(), z.boolean(), z.null(), z.array(z.string())]),
);
export type Options = z.infer<typeof options>;

const think = z.union([z.boolean(), z.string().max(20)]);
const common = {
  options: options.optional(),
  /** How long the model stays loaded: seconds, or a duration such as `5m`. Obeyed for the owner's own jobs only. */
  keepAlive: z.union([z.number(), z.string().max(40)]).optional(),
};

export const chatInput = z.object({
  kind: z.literal('chat'),
  messages: z.array(chatMessage).max(JOB.maxListItems),
  /** Tool definitions in OpenAI's shape. */
  tools: z.array(json).optional(),
  /** `json`, or a JSON schema. */
  format: json.optional(),
  think: think.optional(),
  ...common,
});

export const generateInput = z.object({
  kind: z.literal('generate'),
  prompt: z.string(),
  suffix: z.string().optional(),
  system: z.string().optional(),
  template: z.string().optional(),
  images: z.array(z.string()).optional(),
  /** The prompt is given to the model as it is, without a template. */
  raw: z.boolean().optional(),
  /** The token context of an earlier answer, as Ollama's old API has it. */
  context: z.array(z.int()).max(JOB.maxContextTokens).optional(),
  format: json.optional(),
  think: think.optional(),
  ...common,
});

export const embedInput = z.object({
  kind: z.literal('embed'),
  inputs: z.array(z.string()).max(JOB.maxListItems),
  truncate: z.boolean().optional(),
  dimensions: z.int().positive().optional(),
  ...common,
});

/** Loads the model, or unloads it when `keepAlive` is 0, and generates nothing. */
export const loadInput = z.object({ kind: z.literal('load'), ...common });

export const jobInput = z.discriminatedUnion('kind', [chatInput, generateInput, embedInput, loadInput]);
export type ChatInput = z.infer<typeof chatInput>;
export type GenerateInput = z.infer<typeof generateInput>;
export type EmbedInput = z.infer<typeof embedInput>;
export type LoadInput = z.infer<typeof loadInput>;
export type JobInput = z.infer<typeof jobInput>;
export type JobKind = JobInput['kind'];

/* ---- From requester to provider ------------------------------------------------------------------------------ */

export const jobRequest = z.object({
  type: z.literal('request'),
  job: z.uuid(),
  /** Canonical name. */
  model: z.string().max(400),
  /** The only digest that will do. */
  digest: digest.optional(),
  /** Milliseconds left until nobody wants the answer any more. */
  deadlineMs: z.int().positive().optional(),
  /** Set when another provider began this answer: go on exactly behind this text. */
  resume: z
    .object({
      /** The answer so far, without its trailing white space. */
      text: z.string().max(JOB.maxResumeChars),
      /** Output tokens of that text, to be taken off `num_predict`. */
      tokens: tokenCount,
    })
    .optional(),
  input: jobInput,
});
export type JobRequest = z.infer<typeof jobRequest>;

export const jobCancel = z.object({ type: z.literal('cancel') });

export type ToProvider = JobRequest | z.infer<typeof jobCancel>;

/* ---- From provider to requester ------------------------------------------------------------------------------ */

export const PHASES = ['loading', 'prefill', 'decoding'] as const;
export type Phase = (typeof PHASES)[number];

export const jobQueued = z.object({
  type: z.literal('queued'),
  /** 1 is next. */
  position: z.int().positive(),
  estimateMs: uint,
});
/** No room here now. */
export const jobBusy = z.object({ type: z.literal('busy'), queue: uint, estimateMs: uint });
/** Not here at all: another provider may still do it. */
export const jobReject = z.object({ type: z.literal('reject'), code: z.string().max(64), message: shortText });
export const jobAccepted = z.object({
  type: z.literal('accepted'),
  /** Of the model that will answer. */
  digest,
});
export const jobProgress = z.object({ type: z.literal('progress'), phase: z.enum(PHASES) });
export const jobChunk = z.object({
  type: z.literal('chunk'),
  /** 0, 1, 2 … without gaps. */
  seq: uint,
  /** Output tokens in this chunk. */
  tokens: tokenCount,
  text: z.string().optional(),
  thinking: z.string().optional(),
  toolCalls: z.array(toolCall).optional(),
});
/** Embedding vectors: `data` holds whole vectors of `dimensions` float32, little endian, one after the other. */
export const jobVectors = z.object({
  type: z.literal('vectors'),
  dimensions: z.int().positive(),
  data: z.instanceof(Uint8Array),
});
export const jobUsage = z.object({
  type: z.literal('usage'),
  promptTokens: tokenCount,
  outputTokens: tokenCount,
  loadMs: uint,
  prefillMs: uint,
  decodeMs: uint,
});
export const FINISH_REASONS = ['stop', 'length', 'load', 'unload'] as const;
export type FinishReason = (typeof FINISH_REASONS)[number];
export const jobEnd = z.object({ type: z.literal('end'), reason: z.enum(FINISH_REASONS) });
export const jobError = z.object({
  type: z.literal('error'),
  code: z.string().max(64),
  message: shortText,
  retryAfterSecs: uint.optional(),
});

/** Why a provider gives a job back: its owner needs the machine, it is told to stop, or it pauses. */
export const HAND_OVER_REASONS = ['owner', 'drain', 'pause'] as const;
export type HandOverReason = (typeof HAND_OVER_REASONS)[number];
/**
 * The provider gives the job back in order, before or in the midst of its answer; everything it wrote is sent. After `owner`
 * and `pause` it keeps a place for the same job: sent there again, it is taken though the queue be full, and stands in front.
 */
export const jobHandOver = z.object({
  type: z.literal('handOver'),
  reason: z.enum(HAND_OVER_REASONS),
  /** Milliseconds until the job could go on there, where that is known. */
  estimateMs: uint.optional(),
});

export type JobBusy = z.infer<typeof jobBusy>;
export type JobChunk = z.infer<typeof jobChunk>;
export type JobVectors = z.infer<typeof jobVectors>;
export type JobUsage = z.infer<typeof jobUsage>;
export type JobHandOver = z.infer<typeof jobHandOver>;

export const toRequester = z.discriminatedUnion('type', [
  jobQueued,
  jobBusy,
  jobReject,
  jobAccepted,
  jobProgress,
  jobChunk,
  jobVectors,
  jobUsage,
  jobEnd,
  jobError,
  jobHandOver,
]);
export type ToRequester = z.infer<typeof toRequester>;

/* ---- The stream beneath: flow control and large requests ------------------------------------------------------ */

/**
 * A request larger than one frame: what can be large in it, input and resume, is one CBOR map (`requestBody`) that comes in
 * `part` frames behind a `request` frame that has `bodyBytes` in their place. Either side acknowledges the bytes it has
 * consumed, so that a slow reader holds the writer back instead of filling a buffer.
 */
export const requestBody = jobRequest.pick({ input: true, resume: true });
export const largeRequest = jobRequest
  .omit({ input: true, resume: true })
  .extend({ bodyBytes: z.int().positive().max(JOB.maxRequestBytes) });
export const streamPart = z.object({ type: z.literal('part'), data: z.instanceof(Uint8Array) });
export const streamAck = z.object({
  type: z.literal('ack'),
  /** Bytes of frames consumed since the stream began. */
  bytes: uint,
});
