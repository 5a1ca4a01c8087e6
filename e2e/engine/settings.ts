/** What a fake engine can be told, at its start and, over `POST /_fake`, at run time. */

export interface FakeModel {
  readonly name: string;
  /** 64 hex characters; derived from the name when absent, so that equal names are equal models everywhere. */
  readonly digest?: string;
  /** Default `['completion']`. */
  readonly capabilities?: readonly string[];
  /** Whether the template closes a trailing assistant message (`closing`, the default) or leaves its turn open. */
  readonly template?: 'open' | 'closing';
  readonly sizeBytes?: number;
  readonly parameterCount?: number;
  readonly family?: string;
  readonly quantisation?: string;
  readonly contextLength?: number;
  /** Dimensions of its embeddings. */
  readonly dimensions?: number;
  /** Set: a model that runs in a cloud, not here. */
  readonly remoteHost?: string;
}

/**
 * What goes wrong, in the next `times` generations (default 1) of `model` (default any), once `afterTokens` (default 0)
 * tokens are out. With 0 nothing is sent before, not even a header, unless the kind says otherwise.
 */
export interface FakeFault {
  /**
   * - `stall`: says nothing more and keeps the connection open.
   * - `die`: the process exits, or with `how: 'socket'` cuts this one connection.
   * - `cut`: ends the answer in order, without its last line.
   * - `garbage`: a line that is not JSON.
   * - `error`: the daemon's error with the text `message`: status 500, or a line when tokens are out.
   * - `503`: the daemon's queue is full.
   * - `oom`: the daemon's out-of-memory error.
   * - `slow`: goes on at `tokensPerSecond`.
   * - `pause`: says nothing for `ms` milliseconds, then goes on.
   */
  readonly kind: 'stall' | 'die' | 'cut' | 'garbage' | 'error' | '503' | 'oom' | 'slow' | 'pause';
  readonly afterTokens?: number;
  readonly times?: number;
  readonly model?: string;
  readonly how?: 'exit' | 'socket';
  readonly message?: string;
  readonly tokensPerSecond?: number;
  readonly ms?: number;
}

export interface FakeSettings {
  /** Of Ollama, as `/api/version` tells it. */
  readonly version: string;
  readonly models: readonly FakeModel[];
  /** Whether it knows `_debug_render_only`; an engine that does not generates an answer instead. */
  readonly renders: boolean;
  /** 0: as fast as it can. */
  readonly tokensPerSecond: number;
  /** How long a model that is not in memory takes to load; nothing is sent meanwhile. */
  readonly loadMs: number;
  /** How long it looks at a prompt before the first token. */
  readonly prefillMs: number;
  /** Generations at once (OLLAMA_NUM_PARALLEL); the others wait their turn. */
  readonly parallel: number;
  /** Requests that may wait (OLLAMA_MAX_QUEUE); the next gets 503. */
  readonly maxQueue: number;
  /** How long an idle model stays in memory unless the request says (OLLAMA_KEEP_ALIVE). */
  readonly keepAliveMs: number;
  readonly faults: readonly FakeFault[];
}

export const DEFAULTS: FakeSettings = {
  version: '0.24.0',
  models: [{ name: 'words:latest' }],
  renders: true,
  tokensPerSecond: 0,
  loadMs: 0,
  prefillMs: 0,
  parallel: 1,
  maxQueue: 512,
  keepAliveMs: 300_000,
  faults: [],
};

/** One request that the engine served, as `GET /_fake` tells it. Times are milliseconds since 1970. */
export interface FakeCall {
  readonly id: number;
  readonly path: string;
  readonly model: string;
  /** Whether only the rendered prompt was asked for. */
  readonly render: boolean;
  readonly startedAt: number;
  /** When the first line was sent. */
  firstAt: number | null;
  /** When it ended, or the engine saw that its client was gone. */
  endedAt: number | null;
  /** Index in the answer of the first token generated: above 0 when it went on in the middle of an answer. */
  fromToken: number;
  /** Tokens generated, and bytes of body sent. */
  tokens: number;
  bytes: number;
  status: number;
  /** The client hung up before the end. */
  aborted: boolean;
}

/** What `GET /_fake` answers. */
export interface FakeReport {
  readonly pid: number;
  /** The newest calls of the inference endpoints, oldest first. */
  readonly calls: readonly FakeCall[];
  readonly totals: {
    readonly calls: number;
    readonly tokens: number;
    readonly aborted: number;
    /** Inference requests inside the engine now, waiting ones included. */
    readonly open: number;
    /** Most generations that ran at once. */
    readonly maxConcurrent: number;
  };
  readonly settings: FakeSettings;
}
