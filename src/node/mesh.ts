/** The mesh, and what this node asks and says there. */

import { hash, randomBytes } from 'node:crypto';
import { Announcer } from '../capabilities/announcer.ts';
import { statusOf } from '../capabilities/status.ts';
import { systemClock as clock } from '../clock.ts';
import type { Config } from '../config/settings.ts';
import { Requester } from '../jobs/requester.ts';
import { createRouter } from '../jobs/routing/router.ts';
import { readHardware } from '../machine/hardware.ts';
import { createNetwork, type Network } from '../network/network.ts';
import { DescriptorSpread } from '../network/spread.ts';
import { isLocal } from '../protocol/descriptor.ts';
import type { Logger } from '../telemetry/logger.ts';
import { type NodeDeps, nodeName } from './deps.ts';
import { buildLedger, ledgerHandlers, type OpenLedger } from './ledger.ts';
import { randomPool } from './random-pool.ts';
import type { Stores } from './stores.ts';
import { buildPull } from './work.ts';
import { CREDITS, type Worker } from './worker.ts';

export function buildMesh(config: Config, deps: NodeDeps, stores: Stores, worker: Worker, opened?: OpenLedger) {
  const { logger, version } = deps;
  const { provider, directory } = worker;
  const log = logger.child({ part: 'network' });
  const admission = followAdmission(config, stores, log);
  const network = createNetwork(
    {
      seed: stores.seed,
      networkId: stores.networkId,
      name: nodeName(config, deps.home),
      version,
      features: [],
      accept: admission.rule,
      mdns: config.network.mdns,
      transports: config.network.transports,
      listen: [config.network.listen],
      port: wantedPort(config, deps, stores),
      portIsConfigured: deps.portIsConfigured,
      bootstrap: bootstrapOf(config, stores),
      reconnectDelayMs: config.network.reconnect_delay_secs * 1000,
    },
    {
      directory,
      own: () => announcer.own(),
      onJob: (from, request, channel) => {
        pull.jobArrived(from);
        return provider.handleJob(from, request, channel);
      },
      onIdle: (node, models, slots) => requester.offer(node, models, slots),
      onWorkAdvertised: (node) => pull.heardOf(node),
      knownPeers: stores.knownPeers,
      acceptedPeers: stores.acceptedPeers,
      descriptor: stores.descriptor,
      clock,
      random: Math.random,
      log,
      ...(opened !== undefined && { ledger: ledgerHandlers(opened, () => ledger?.witness) }),
      emit: (event) => {
        if (event.type === 'newer-descriptor') spread.heard(event.node, event.said);
        ledger?.onNetworkEvent(event);
      },
    },
  );
  const ledger = opened && buildLedger(opened, stores, network);
  const spread = new DescriptorSpread({ descriptor: stores.descriptor, network, clock, log });
  stores.descriptor.onChange(() => network.setBootstrap(bootstrapOf(config, stores)));
  const announcer = buildAnnouncer(config, deps, stores, worker, network);
  const pullLog = deps.logger.child({ part: 'pull' });
  const pull = buildPull({ worker, network, requester: () => requester, log: pullLog });
  worker.onLoadChanged = () => {
    announcer.loadChanged();
    pull.loadChanged();
    requester.wake();
  };
  worker.onRatesChanged = () => announcer.profileChanged();
  worker.onTurnedAway = (from) => {
    if (from !== stores.self) pull.heardOf(from);
  };
  const requester = buildRequester(config, deps, stores, worker, network);
  worker.onModelsThere = (models) => requester.wake(models);
  return { network, ledger, spread, announcer, requester, admission, pull };
}

/** What this node says of itself, and when. */
function buildAnnouncer(config: Config, deps: NodeDeps, stores: Stores, worker: Worker, network: Network): Announcer {
  const { engine, provider } = worker;
  return new Announcer(
    { networkId: stores.networkId, beatEveryMs: config.worker.heartbeat_interval_secs * 1000 },
    {
      signer: stores.signer,
      clock,
      random: Math.random,
      nextNumber: () => stores.numbers.next(),
      describe: () => ({
        name: nodeName(config, deps.home),
        version: deps.version,
        region: config.node.region,
        addresses: network.addresses().map((address) => address.replace(/\/p2p\/.*$/, '')),
        hardware: readHardware(),
        models: engine.models().map((model) => ({ ...model, ...provider.ratesOf(model.name) })),
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
}

/** What this node asks of the mesh. */
function buildRequester(config: Config, deps: NodeDeps, stores: Stores, worker: Worker, network: Network): Requester {
  const { engine, provider, directory, book } = worker;
  const { self, friends } = stores;
  // Beginnings of conversations are remembered as hashes; salted, since many of them can be guessed.
  const salt = randomBytes(16).toString('hex');
  const router = createRouter(
    { self },
    {
      engine,
      ownWaitMs: () => provider.estimateFor(self),
      ownRates: (model) => provider.ratesOf(model),
      directory,
      link: network,
      usable: (node) => network.mayUse(node),
      outOfReach: (node) => network.isOutOfReach(node),
      isFriend: (node) => friends.has(node),
      clock,
      random: Math.random,
      hash: (text) => hash('sha256', salt + text, 'base64url'),
    },
  );
  const { max_waiting_jobs: maxWaiting, max_wait_secs: maxWaitSecs } = config.worker;
  return new Requester(
    { maxWaiting, maxWaitMs: maxWaitSecs * 1000, credits: CREDITS },
    {
      router,
      link: network,
      handleLocally: (request, channel) => void provider.handleJob(self, request, channel),
      ownModels: {
        trouble: () => (engine.status().state === 'unreachable' ? engine.status().hint : undefined),
        arriving: (model) => worker.arriving(model),
      },
      book,
      clock,
      randomBytes: randomPool(),
      log: deps.logger.child({ part: 'requester' }),
    },
  );
}

/** The port to listen on: the one that was taken before when the usual one was busy, unless somebody asked for another. */
export function wantedPort(config: Config, { portIsConfigured }: NodeDeps, { port }: Pick<Stores, 'port'>): number {
  return (portIsConfigured ? undefined : port.remembered) ?? config.network.port;
}

/** Whom to join through: those of the setting, and those of the mesh's descriptor as it is now; never this node itself. */
export function bootstrapOf(config: Config, { descriptor, self }: Pick<Stores, 'descriptor' | 'self'>): string[] {
  const all = [...config.network.bootstrap, ...descriptor.current.terms.bootstrap];
  return [...new Set(all)].filter((address) => !address.endsWith(`/p2p/${self}`));
}

/**
 * Whom this node lets in: what the mesh says, which its user may narrow and not widen. In `local` nobody unasked, unless its
 * user has said so: whoever is in the same café is in it too.
 */
export function acceptRule(config: Config, { descriptor }: Pick<Stores, 'descriptor'>): 'all' | 'confirm' {
  const { accept } = config.network;
  const { current } = descriptor;
  if (current.terms.admission !== 'all' || accept === 'confirm') return 'confirm';
  return accept === 'all' || !isLocal(current) ? 'all' : 'confirm';
}

/**
 * The rule by which a node lets others in while it runs. A reissue that changes it holds from the next start on, and the log
 * says so, once a revision: until then a mesh that was closed is open here.
 */
export function followAdmission(
  config: Config,
  { descriptor }: Pick<Stores, 'descriptor'>,
  log: Pick<Logger, 'warn'>,
): { readonly rule: 'all' | 'confirm'; readonly waitsForRestart: () => boolean } {
  const rule = acceptRule(config, { descriptor });
  const waitsForRestart = () => acceptRule(config, { descriptor }) !== rule;
  descriptor.onChange(({ terms: { revision } }) => {
    if (waitsForRestart()) {
      log.warn({ revision }, `the mesh has another admission rule: until it is restarted, this node goes by '${rule}'`);
    }
  });
  return { rule, waitsForRestart };
}

export type Mesh = ReturnType<typeof buildMesh>;

/** Whenever the engine's models change, the mesh hears of it. */
export function followEngine({ engine }: Worker, { network, announcer, requester }: Mesh): () => void {
  const provide = () => network.provide(engine.models().map((model) => model.name));
  provide();
  return engine.onChange(() => {
    announcer.profileChanged();
    announcer.loadChanged();
    requester.wake();
    provide();
  });
}
