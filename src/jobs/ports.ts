/** What the job flows need of the world, declared by the flows; adapters in `inference/`, `network/`, `storage/` implement it. */

import type { NodeId } from '../protocol/ids.ts';
import type {
  FinishReason,
  JobChunk,
  JobInput,
  JobRequest,
  JobUsage,
  JobVectors,
  Phase,
  ToProvider,
  ToRequester,
} from '../protocol/job.ts';
import type { ModelProfile, ModelRates } from '../protocol/profile.ts';
import type { JobRecord } from './record.ts';

/* ---- The engine ---------------------------------------------------------------------------------------------- */

/** A model as an engine on this machine has it. */
export interface EngineModel extends Omit<ModelProfile, keyof ModelRates> {
  /** Milliseconds since 1970. */
  readonly modifiedAt: number;
  /** Such as `gguf`. */
  readonly format: string;
  /** Output tokens after which the model's own parameters end an answer; undefined when they do not. */
  readonly outputLimit?: number;
}

/** What only the machine that has the model can say of it; long texts that no profile carries. */
export interface ModelDescription {
  readonly template: string;
  readonly parameters: string;
  readonly system: string;
  readonly license: string;
  /** Keys such as `general.architecture`, `llama.context_length`. */
  readonly modelInfo: Readonly<Record<string, unknown>>;
}

/** A model in memory now. */
export interface LoadedModel {
  readonly name: string;
  /** Bytes in GPU memory. */
  readonly vramBytes: number;
  /** Bytes in all. */
  readonly sizeBytes: number;
  /** Milliseconds since 1970 at which the engine will unload it unless it is used; undefined when never. */
  readonly expiresAt: number | undefined;
  readonly contextLength: number;
}

export interface EngineCall {
  /** Canonical name of one of `models()`. */
  readonly model: string;
  readonly input: JobInput;
  /** Go on exactly behind this text of an answer that another engine began; chat and generate only. */
  readonly resume: JobRequest['resume'];
}

export type EngineEvent =
  | { readonly type: 'progress'; readonly phase: Phase }
  | Omit<JobChunk, 'seq'>
  | JobVectors
  | { readonly type: 'done'; readonly reason: FinishReason; readonly usage: Omit<JobUsage, 'type'> };

export type EngineState = 'starting' | 'ready' | 'unreachable';

export interface Engine {
  /** Such as `ollama`, `none`. */
  readonly kind: string;
  /** Where it stands, and in a sentence what to do when it is not ready. Of several engines, with the one this is about. */
  status(): {
    readonly state: EngineState;
    readonly version: string;
    readonly hint: string | undefined;
    readonly kind?: string;
  };
  /** The models it can run now, as last seen. */
  models(): readonly EngineModel[];
  /** The models in memory, asked now. */
  loaded(signal: AbortSignal): Promise<readonly LoadedModel[]>;
  /** @throws GoGridError `model_not_found`, `engine_unavailable` */
  describe(model: string, signal: AbortSignal): Promise<ModelDescription>;
  /**
   * Runs one call. Chunks come as fast as the consumer takes them: one that stops reading stops the engine. Ends with
   * `done`, once. Aborting `signal`, or leaving the loop, frees the engine within `JOB.cancelWithinMs`.
   * @throws GoGridError `model_not_found`, `engine_unavailable`, `engine_out_of_memory`, `engine_failed`,
   *   `cannot_continue`, `invalid_request`, `unsupported`, `prompt_too_long`, `overloaded`, `cancelled`
   */
  run(call: EngineCall, signal: AbortSignal): AsyncIterable<EngineEvent>;
  /** Calls back when `models()` or `status()` changed; returns the way to stop it. */
  onChange(listener: () => void): () => void;
}

/* ---- Streams between requester and provider -------------------------------------------------------------------- */

/**
 * One end of a job's stream. Messages arrive in order, none twice. Back-pressure is the writer's duty: while `writable`
 * is false it merges what it has and waits for `drained`.
 */
export interface Channel<Out, In> {
  /** Never blocks and never throws; on a broken stream it does nothing, `receive` tells. */
  send(message: Out): void;
  readonly writable: boolean;
  /** Resolves when `writable` is true again, or the stream ended. */
  drained(): Promise<void>;
  /**
   * The next message, or undefined when the other side has closed in order.
   * @throws GoGridError `provider_lost` when the stream broke, `protocol_violation` when rubbish came
   */
  receive(): Promise<In | undefined>;
  /** `Clock.elapsed()` when something last came in. */
  readonly heardAt: number;
  /** No more will be sent; what was sent still arrives. */
  close(): void;
  /** Ends both directions at once; a waiting `receive` throws `reason`. */
  abort(reason: Error): void;
}

export type RequesterChannel = Channel<ToProvider, ToRequester>;
export type ProviderChannel = Channel<ToRequester, ToProvider>;

/** How a peer is reached. */
export type Route = 'local' | 'direct' | 'hole-punched' | 'relayed';

/** The mesh, as the requester needs it. */
export interface PeerLink {
  /** This node. */
  readonly self: NodeId;
  /**
   * Opens a stream to an admitted peer and sends the request, in parts when it is large.
   * @throws GoGridError `peer_unreachable`, `cancelled`
   */
  openJob(node: NodeId, request: JobRequest, signal: AbortSignal): Promise<RequesterChannel>;
  route(node: NodeId): Route;
  /** Median round trip, milliseconds; undefined before the first measurement. */
  latencyMs(node: NodeId): number | undefined;
  /**
   * Asks the DHT who serves a model, and each hit for its state, which lands in the directory.
   * @returns how many confirmed
   */
  findProviders(model: string, signal: AbortSignal): Promise<number>;
}

/** Where finished jobs are remembered. Never holds text of a prompt or an answer. */
export interface JobHistory {
  /** Writes in the background; the flows never wait for the disk. */
  put(record: JobRecord): void;
  get(id: string): Promise<JobRecord | undefined>;
  /** Newest first. */
  list(limit: number): Promise<{ readonly jobs: readonly JobRecord[]; readonly total: number }>;
}

/** What happened, for whoever listens (`node.ts` maps it to the contract's events). */
export type JobEvent = { readonly type: 'job'; readonly job: JobRecord };
export type Emit = (event: JobEvent) => void;
