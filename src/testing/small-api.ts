/** The real API on a free port, with sources in memory: for tests of what clients see. */

import { request } from 'node:http';
import { EventRing } from '../api/events.ts';
import { type Api, type ApiDeps, type ApiOptions, createApi } from '../api/server.ts';
import { systemClock } from '../clock.ts';
import type { Identity, LogLine, Model, NodeStatusAnswer, Peer, RuntimeHealth } from '../contract/control.ts';
import type { Network } from '../contract/network.ts';
import type { PullState } from '../contract/pulls.ts';
import type { JobOutput, JobSpec, RunJob } from '../jobs/output.ts';
import type { JobRecord } from '../jobs/record.ts';
import type { Decision } from '../jobs/routing/decision.ts';
import { buildCredits } from '../node/credits.ts';
import { LOCAL_DESCRIPTOR } from '../protocol/descriptor.ts';
import { silentLogger } from '../telemetry/logger.ts';

export const testKey = 'a0'.repeat(32);
export const testJobId = '0198c0de-0000-7000-8000-0000000000aa';

export interface SmallApi {
  readonly api: Api;
  readonly url: string;
  readonly port: number;
}

/** Starts an API; whoever starts it stops it. */
export async function smallApi(options: Partial<ApiOptions> = {}, deps: Partial<ApiDeps> = {}): Promise<SmallApi> {
  const api = createApi(
    {
      host: '127.0.0.1',
      port: 0,
      key: testKey,
      requireKey: false,
      privacy: 'mesh',
      hostname: 'testbox',
      allowedHosts: [],
      allowedOrigins: [],
      ...options,
    },
    {
      runJob: says('Hello', ' world'),
      catalogue: catalogueOf([testModel()]),
      runtime: testRuntime,
      doorkeeper: noDoor,
      friends: fewFriends(),
      explain: async () => testDecision,
      jobs: {
        list: async (limit) => ({ jobs: [testJob].slice(0, limit), total: 1 }),
        get: async (id) => (id === testJob.id ? testJob : undefined),
        cancel: async (id) => (id === testJob.id ? { ...testJob, state: 'cancelled' } : undefined),
      },
      pulls: noPulls,
      descriptor: {
        show: () => testNetwork,
        reissue: async ({ bootstrap = [], admission = 'all' }) => ({
          ...testNetwork,
          bootstrap,
          admission,
          revision: 2,
        }),
      },
      credits: noLedger.credits,
      ledger: noLedger.ledger,
      events: new EventRing('test', systemClock),
      doctor: async () => ({
        running: true,
        healthy: true,
        findings: [{ check: 'engine', level: 'ok', message: 'ollama 0.24.0 answers' }],
      }),
      stopNode: () => ({ pid: 4711, graceSecs: 20 }),
      logs: { tail: async (count) => testLines.slice(-count), follow: () => () => {} },
      clock: systemClock,
      log: silentLogger,
      ...deps,
    },
  );
  const url = await api.start();
  return { api, url, port: Number(new URL(url).port) };
}

/** A mesh without credits; `small-ledger.ts` has one that has. */
const noLedger = buildCredits(undefined, {
  clock: systemClock,
  descriptor: () => LOCAL_DESCRIPTOR,
  nameOf: () => '',
  isConnected: () => false,
  isInSight: () => false,
  publish: () => {},
  pause: async () => {},
});

export const noCredits = noLedger.credits;

/** The mesh of the node, which is its founder's. */
export const testNetwork: Network = {
  name: 'home',
  networkId: 'ab'.repeat(32),
  founder: '12D3KooWSelf',
  isFounder: true,
  genesisMicrocredits: '0',
  createdAt: 1_700_000_000_000,
  revision: 1,
  bootstrap: [],
  admission: 'all',
  witnesses: [],
  params: {},
  file: '/h/network.json',
};

/** Whoever is decided about is admitted when accepted, at once. */
export const noDoor: ApiDeps['doorkeeper'] = {
  accept: async (peerId) => ({ peerId, name: 'laptop', admitted: true, words: null, waitsFor: null }),
  block: async (peerId) => ({ peerId, name: 'laptop', admitted: false, words: null, waitsFor: null }),
  unblock: async (peerId) => ({ peerId, name: 'laptop', admitted: false, words: null, waitsFor: null }),
};

/** A list of friends in memory. */
export function fewFriends(friends: ReturnType<ApiDeps['friends']['list']> = []): ApiDeps['friends'] {
  let list = friends;
  return {
    list: () => list,
    replace: async (next) => {
      list = next;
    },
    add: async (friend) => {
      list = [...list.filter(({ node }) => node !== friend.node), friend];
    },
    remove: async (gone) => {
      list = list.filter(({ node }) => node !== gone);
    },
  };
}

/** The one peer, because it is the only one that can. */
export const testDecision: Decision = {
  at: 1_700_000_000_000,
  candidates: [
    {
      node: '12D3KooWPeer',
      local: false,
      digest: 'd'.repeat(64),
      expectedMs: { wait: 0, load: 0, prefill: 100, decode: 2_000, roundTrip: 2 },
      reliability: 0.9,
      avoidance: 1,
      score: 2_335,
      warmTokens: 0,
      failed: false,
      otherDigest: false,
      tooShort: false,
    },
  ],
  excluded: [{ node: '12D3KooWSelf', why: 'no-such-model' }],
  choice: 'only',
  promptTokens: 12,
  outputTokens: 256,
};

/** Nothing is being pulled; every model comes at once, and goes. */
export const noPulls: ApiDeps['pulls'] = {
  async *pull(name) {
    yield pullState({ model: name, state: 'done', status: 'done' });
  },
  states: () => [pullState()],
  remove: async () => {},
};

export function pullState(more: Partial<PullState> = {}): PullState {
  return {
    model: 'tiny',
    state: 'downloading',
    status: 'downloading',
    source: 'Hugging Face',
    digest: `sha256:${'e'.repeat(64)}`,
    bytes: 250,
    totalBytes: 1000,
    bytesPerSecond: 50,
    secondsLeft: 15,
    startedAt: 1,
    endedAt: null,
    error: null,
    ...more,
  };
}

export const placed: JobOutput = {
  type: 'placed',
  job: testJobId,
  provider: '12D3KooWProvider',
  route: 'direct',
  digest: 'd'.repeat(64),
};

export const done: JobOutput & { type: 'done' } = {
  type: 'done',
  reason: 'stop',
  usage: { promptTokens: 7, outputTokens: 2, loadMs: 1, prefillMs: 2, decodeMs: 3, estimated: false },
  job: jobRecord(),
};

/** A job that says these pieces, one chunk each. */
export function says(...pieces: string[]): RunJob {
  return async function* run() {
    yield placed;
    for (const text of pieces) yield { type: 'chunk', tokens: 1, text };
    yield done;
  };
}

/** A job that yields exactly this. */
export function yields(outputs: readonly JobOutput[], thenThrow?: Error): RunJob {
  return async function* run() {
    yield* outputs;
    if (thenThrow !== undefined) throw thenThrow;
  };
}

/** Keeps what was asked, and answers as `run` does. */
export function recording(run: RunJob): { run: RunJob; readonly specs: JobSpec[]; readonly signals: AbortSignal[] } {
  const specs: JobSpec[] = [];
  const signals: AbortSignal[] = [];
  return {
    specs,
    signals,
    run(spec, signal) {
      specs.push(spec);
      signals.push(signal);
      return run(spec, signal);
    },
  };
}

export function jobRecord(): JobRecord {
  return {
    id: testJobId,
    kind: 'chat',
    direction: 'out',
    state: 'completed',
    lane: 'paid',
    privacy: 'mesh',
    model: 'tiny:latest',
    requester: '12D3KooWRequester',
    provider: '12D3KooWProvider',
    attempts: [
      {
        provider: '12D3KooWProvider',
        startedAt: 1,
        endedAt: 2,
        fromToken: 0,
        toToken: 2,
        reason: null,
        digest: 'd'.repeat(64),
      },
    ],
    seenBy: ['12D3KooWProvider'],
    decision: null,
    reason: null,
    tokensIn: 7,
    tokensOut: 2,
    usageEstimated: false,
    costMicrocredits: '0',
    createdAt: 1,
    firstTokenAt: 1,
    endedAt: 2,
    tokensPerSecond: 666,
  };
}
const testJob = jobRecord();

export function testModel(more: Partial<Model> = {}): Model {
  return {
    name: 'tiny:latest',
    local: true,
    providers: ['12D3KooWSelf'],
    digests: ['d'.repeat(64)],
    sizeBytes: 650_000,
    parameterCount: 134_520_000,
    quantisation: 'Q4_K_M',
    family: 'llama',
    contextLength: 2048,
    capabilities: ['completion', 'tools'],
    warm: true,
    modifiedAt: 1_700_000_000_123,
    format: 'gguf',
    ...more,
  };
}

export function catalogueOf(models: readonly Model[]): ApiDeps['catalogue'] {
  return {
    models: () => models,
    describe: async (name) =>
      models.find((model) => model.name === name)?.local
        ? {
            template: '{{ .Prompt }}',
            parameters: 'stop "###"',
            system: '',
            license: 'MIT',
            modelInfo: { 'general.architecture': 'llama', 'llama.context_length': 2048 },
          }
        : undefined,
    loaded: async () => [
      { name: 'tiny:latest', vramBytes: 10, sizeBytes: 20, expiresAt: 1_800_000_000_000, contextLength: 1024 },
    ],
  };
}

const engine = { kind: 'ollama', state: 'ready', version: '0.24.0' } as const;
const health: RuntimeHealth = { state: 'idle', engine, model: null, uptimeSecs: 1.5, peers: 2, version: '0.1.0' };
export const testStatus: NodeStatusAnswer = {
  state: 'idle',
  peerId: '12D3KooWSelf',
  name: 'testbox',
  version: '0.1.0',
  startedAt: 1,
  uptimeSecs: 1.5,
  engine,
  models: 1,
  meshModels: 1,
  peers: 2,
  jobs: { running: 0, queued: 0, completed: 1, failed: 0, cancelled: 0 },
  tokens: { in: 7, out: 2, perSecond: 0 },
  queue: { depth: 0, running: 0, slots: 1, room: 4, lanes: { owner: 0, paid: 0, free: 0 }, estimateMs: 0 },
  waiting: { depth: 0, room: 64, models: [] },
  addresses: [],
};
const identity: Identity = {
  peerId: '12D3KooWSelf',
  account: '12D3KooWSelf',
  publicKey: '00',
  name: 'testbox',
  network: 'local',
  networkId: 'ff',
  addresses: [],
};
export const testPeer: Peer = {
  peerId: '12D3KooWPeer',
  name: 'other',
  status: 'idle',
  route: 'direct',
  transport: 'tcp',
  connected: true,
  admitted: true,
  friend: false,
  words: null,
  waitsFor: null,
  latencyMs: 1.2,
  models: ['tiny:latest'],
  queueDepth: 0,
  runningJobs: 0,
  version: '0.1.0',
  region: '',
  addresses: [],
  lastHeardAt: 1,
  hardware: { cores: 2, memoryBytes: 1, gpu: '', vramBytes: 0 },
};
export const testRuntime: ApiDeps['runtime'] = {
  health: () => health,
  status: () => testStatus,
  identity: () => identity,
  peers: () => [testPeer],
  away: () => [],
};
const testLines: LogLine[] = [
  { time: 1, level: 'info', message: 'one' },
  { time: 2, level: 'warn', part: 'network', message: 'two', code: 'x' },
];

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

export interface Ask {
  readonly method?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string | Buffer;
  /** The address to call, when it is not 127.0.0.1. */
  readonly address?: string;
}

/** One request by `node:http`, which sends exactly what it is given. */
export function ask(
  port: number,
  path: string,
  { method = 'GET', headers = {}, body, address }: Ask = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: address ?? '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(parts).toString('utf8'),
        }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Vectors as an engine gives them. */
export function vectorsOf(vectors: readonly (readonly number[])[]): JobOutput {
  const numbers = Float32Array.from(vectors.flat());
  return { type: 'vectors', dimensions: vectors[0]?.length ?? 1, data: new Uint8Array(numbers.buffer) };
}
