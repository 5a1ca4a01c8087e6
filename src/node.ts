/**
 * The composition root: every part of a node is built here, started in this order, and stopped in reverse.
 */

import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Logs } from './api/ports.ts';
import { createCatalogue, createRuntime } from './api/runtime.ts';
import { createApi } from './api/server.ts';
import { Announcer } from './capabilities/announcer.ts';
import { Directory } from './capabilities/directory.ts';
import { type StatusFacts, statusOf } from './capabilities/status.ts';
import { systemClock as clock, every } from './clock.ts';
import type { Config } from './config/schema.ts';
import { createNoEngine } from './inference/none.ts';
import { createOllamaEngine } from './inference/ollama/engine.ts';
import { JobBook } from './jobs/book.ts';
import { createCandidates } from './jobs/candidates.ts';
import type { Engine } from './jobs/ports.ts';
import { Provider } from './jobs/provider.ts';
import { Requester } from './jobs/requester.ts';
import { MESH } from './limits.ts';
import { readHardware } from './machine/hardware.ts';
import { createNetwork } from './network/network.ts';
import { LOCAL_NETWORK, networkIdOf, nodeIdOf } from './protocol/ids.ts';
import { signerFromSeed } from './protocol/signature.ts';
import { openDatabase } from './storage/database.ts';
import type { HomePaths } from './storage/home.ts';
import { LevelJobHistory } from './storage/job-history.ts';
import { loadApiKey, loadIdentity } from './storage/key-file.ts';
import { LevelKnownPeers } from './storage/known-peers.ts';
import type { Logger } from './telemetry/logger.ts';

const NETWORK_ID = networkIdOf(LOCAL_NETWORK);
/** Part of the grace time that is kept for closing what is open: last words to clients, goodbye to the mesh, the disk. */
const CLOSING_MS = 2_000;
/** As `protocol/profile.ts` bounds it. */
const MAX_NAME_CHARS = 64;

export interface NodeDeps {
  readonly home: HomePaths;
  readonly logger: Logger;
  readonly logs: Logs;
  readonly version: string;
  /** Whether somebody asked for just this `network.port`: a busy one is then an error, not a reason to take another. */
  readonly portIsConfigured: boolean;
}

/** What a node is to the program that runs it. */
export interface Node {
  /** Resolves when the API answers. @throws GoGridError */
  start(): Promise<void>;
  /** Drains and closes everything, within `node.shutdown_grace_secs`. */
  stop(): Promise<void>;
  /** Where it answers; valid after `start`. */
  ready(): { api: string; peerId: string; addresses: readonly string[]; pid: number };
  /** Sentences that its user should read at the start. */
  notices(): readonly string[];
  models(): readonly { readonly name: string }[];
  engine(): { kind: string; state: string; hint: string | undefined };
}

/** Opens the home and builds a node; nothing answers before its `start`. @throws GoGridError */
export async function createNode(config: Config, deps: NodeDeps): Promise<Node> {
  const stores = await openStores(deps);
  const worker = buildWorker(config, deps, stores);
  const mesh = buildMesh(config, deps, stores, worker);
  const api = buildApi(config, deps, stores, worker, mesh);

  const { engine, provider, directory } = worker;
  const { network, announcer } = mesh;
  const notices = [...stores.warnings];
  const stops: (() => Promise<void> | void)[] = [() => stores.close()];
  // What is left after the jobs have had their time closes the network and the database.
  const graceMs = Math.max(0, config.node.shutdown_grace_secs * 1000 - CLOSING_MS);
  let apiUrl = '';

  async function start(): Promise<void> {
    const engineReady = engine.start();
    stops.push(() => engine.stop());

    stops.push(() => network.stop());
    const listening = await network.start();
    if (listening.tookFreePort) {
      notices.push(`network port ${config.network.port} is busy; this node listens on ${listening.port} instead`);
    }

    await engineReady;
    worker.phase = 'running';
    announcer.start();
    stops.push(() => announcer.stop());

    const stopFollowing = followEngine(worker, mesh);
    const sweep = every(clock, MESH.tendEveryMs, () => directory.expire());
    stops.push(() => {
      sweep.cancel();
      stopFollowing();
    });

    apiUrl = await api.start();
    stops.push(() => drain());
  }

  /** Who waits for an answer gets it, within the grace time. */
  async function drain(): Promise<void> {
    worker.phase = 'draining';
    announcer.loadChanged();
    provider.drain();
    await Promise.all([api.stop(graceMs), provider.finish(AbortSignal.timeout(graceMs))]);
  }

  async function stop(): Promise<void> {
    for (const stopPart of stops.splice(0).reverse()) {
      try {
        await stopPart();
      } catch (error) {
        deps.logger.error({ error }, 'a part did not stop in order');
      }
    }
  }

  return {
    async start() {
      try {
        await start();
      } catch (thrown) {
        await stop();
        throw thrown;
      }
    },
    stop,
    ready: () => ({ api: apiUrl, peerId: stores.self, addresses: network.addresses(), pid: process.pid }),
    notices: () => notices,
    models: () => engine.models(),
    engine: () => ({ kind: engine.kind, state: engine.status().state, hint: engine.status().hint }),
  };
}

/* ---- what lies in the home folder ---- */

async function openStores({ home, logger }: NodeDeps) {
  const log = logger.child({ part: 'storage' });
  const database = await openDatabase(home.dataFolder);
  try {
    const history = await LevelJobHistory.open(database, log, clock.now());
    const identity = await loadIdentity(home);
    const apiKey = await loadApiKey(home);
    const signer = signerFromSeed(identity.value);
    return {
      history,
      knownPeers: new LevelKnownPeers(database, log),
      seed: identity.value,
      signer,
      self: nodeIdOf(signer.publicKey),
      apiKey: apiKey.value,
      warnings: [identity.warning, apiKey.warning].filter((warning) => warning !== undefined),
      async close() {
        await history.flushed();
        await database.close();
      },
    };
  } catch (thrown) {
    await database.close();
    throw thrown;
  }
}
type Stores = Awaited<ReturnType<typeof openStores>>;

/* ---- what runs models, and what is known of who else does ---- */

interface Worker {
  readonly engine: LivingEngine;
  readonly book: JobBook;
  readonly directory: Directory;
  readonly provider: Provider;
  phase: StatusFacts['phase'];
  facts(): StatusFacts;
  /** Told by the provider; the announcer listens as soon as it is there. */
  onLoadChanged: () => void;
}

function buildWorker(config: Config, { logger }: NodeDeps, { history, self }: Stores): Worker {
  const engine = createEngine(config, logger);
  const book = new JobBook({ clock, history, emit: () => {} });
  const directory = new Directory({ self, networkId: NETWORK_ID }, { clock, emit: () => {} });
  const { max_concurrent_jobs: slots, max_queued_jobs: room, max_job_secs: maxJobSecs } = config.worker;
  const provider = new Provider(
    { self, slots, room, maxJobMs: maxJobSecs * 1000 },
    { engine, book, clock, log: logger.child({ part: 'provider' }), loadChanged: () => worker.onLoadChanged() },
  );
  const worker: Worker = {
    engine,
    book,
    directory,
    provider,
    phase: 'starting',
    facts: () => ({
      phase: worker.phase,
      engineFailed: config.engine.kind === 'ollama' && engine.status().state === 'unreachable',
      running: provider.load.running,
    }),
    onLoadChanged: () => {},
  };
  return worker;
}

/** An engine with a life: it is looked after between `start` and `stop`. */
type LivingEngine = Engine & { start(): Promise<void>; stop(): void };

function createEngine(config: Config, logger: Logger): LivingEngine {
  if (config.engine.kind === 'none') return { ...createNoEngine(), start: async () => {}, stop: () => {} };
  return createOllamaEngine({ url: config.engine.ollama_url }, { logger, clock });
}

/** Whenever the engine's models change, the mesh hears of it. */
function followEngine({ engine }: Worker, { network, announcer }: Mesh): () => void {
  const provide = () => network.provide(engine.models().map((model) => model.name));
  provide();
  return engine.onChange(() => {
    announcer.profileChanged();
    announcer.loadChanged();
    provide();
  });
}

/* ---- the mesh, and what this node asks and says there ---- */

function buildMesh(config: Config, deps: NodeDeps, stores: Stores, worker: Worker) {
  const { logger, version } = deps;
  const { engine, provider, directory, book } = worker;
  const { self, signer } = stores;
  const name = nodeName(config);
  const network = createNetwork(
    {
      seed: stores.seed,
      networkId: NETWORK_ID,
      name,
      version,
      features: [],
      listen: [config.network.listen],
      port: config.network.port,
      portIsConfigured: deps.portIsConfigured,
      bootstrap: config.network.bootstrap,
      reconnectDelayMs: config.network.reconnect_delay_secs * 1000,
    },
    {
      directory,
      own: () => announcer.own(),
      onJob: (from, request, channel) => provider.handleJob(from, request, channel),
      knownPeers: stores.knownPeers,
      clock,
      random: Math.random,
      log: logger.child({ part: 'network' }),
      emit: () => {},
    },
  );
  const announcer = new Announcer(
    { networkId: NETWORK_ID, beatEveryMs: config.worker.heartbeat_interval_secs * 1000 },
    {
      signer,
      clock,
      random: Math.random,
      describe: () => ({
        name,
        version,
        region: config.node.region,
        addresses: network.addresses().map((address) => address.replace(/\/p2p\/.*$/, '')),
        hardware: readHardware(),
        models: engine.models().map((model) => ({ ...model, tokensPerSecond: provider.rateOf(model.name) })),
        features: [],
      }),
      load: () => ({
        status: statusOf(worker.facts()),
        queueDepth: provider.load.depth,
        running: provider.load.running,
      }),
      sendProfile: (bytes) => network.publishProfile(bytes),
      sendBeat: (bytes) => network.publishBeat(bytes),
    },
  );
  worker.onLoadChanged = () => announcer.loadChanged();
  const requester = new Requester({
    candidates: createCandidates({
      engine,
      provider,
      directory,
      link: network,
      usable: (node) => network.mayUse(node),
    }),
    link: network,
    handleLocally: (request, channel) => void provider.handleJob(self, request, channel),
    book,
    clock,
    randomBytes,
    log: logger.child({ part: 'requester' }),
  });
  return { network, announcer, requester };
}
type Mesh = ReturnType<typeof buildMesh>;

/* ---- what programs and people talk to ---- */

function buildApi(config: Config, deps: NodeDeps, stores: Stores, worker: Worker, { network, requester }: Mesh) {
  const { engine, book, directory } = worker;
  const { self, signer } = stores;
  const runtime = createRuntime(
    {
      self,
      name: nodeName(config),
      version: deps.version,
      publicKey: Buffer.from(signer.publicKey).toString('hex'),
      network: LOCAL_NETWORK.name,
      networkId: Buffer.from(NETWORK_ID).toString('hex'),
      expectsPeers: () => config.network.bootstrap.length > 0,
    },
    {
      ...worker,
      clock,
      addresses: () => network.addresses(),
      link: (node) => network.view(node),
      admittedPeers: () => network.admitted(),
    },
  );
  const { host, port, require_key: requireKey } = config.api;
  return createApi(
    {
      host,
      port,
      requireKey,
      privacy: config.privacy.default,
      key: stores.apiKey,
      allowedOrigins: config.api.allowed_origins,
      allowedHosts: config.api.allowed_hosts,
      hostname: hostname(),
    },
    {
      runJob: (spec, signal) => requester.run(spec, signal),
      catalogue: createCatalogue(self, { engine, directory }),
      runtime,
      jobs: book,
      logs: deps.logs,
      clock,
      log: deps.logger.child({ part: 'api' }),
    },
  );
}

/** The operator's name for this node, else the machine's. */
function nodeName(config: Config): string {
  return config.node.node_name || hostname().slice(0, MAX_NAME_CHARS);
}
