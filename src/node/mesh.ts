/** The mesh, and what this node asks and says there. */

import { randomBytes } from 'node:crypto';
import { Announcer } from '../capabilities/announcer.ts';
import { statusOf } from '../capabilities/status.ts';
import { systemClock as clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import { createCandidates } from '../jobs/candidates.ts';
import { Requester } from '../jobs/requester.ts';
import { readHardware } from '../machine/hardware.ts';
import { createNetwork } from '../network/network.ts';
import { type NodeDeps, nodeName } from './deps.ts';
import type { Stores } from './stores.ts';
import type { Worker } from './worker.ts';

export function buildMesh(config: Config, deps: NodeDeps, stores: Stores, worker: Worker) {
  const { logger, version } = deps;
  const { engine, provider, directory, book } = worker;
  const { self, signer } = stores;
  const name = nodeName(config);
  const network = createNetwork(
    {
      seed: stores.seed,
      networkId: stores.networkId,
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
    { networkId: stores.networkId, beatEveryMs: config.worker.heartbeat_interval_secs * 1000 },
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
export type Mesh = ReturnType<typeof buildMesh>;

/** Whenever the engine's models change, the mesh hears of it. */
export function followEngine({ engine }: Worker, { network, announcer }: Mesh): () => void {
  const provide = () => network.provide(engine.models().map((model) => model.name));
  provide();
  return engine.onChange(() => {
    announcer.profileChanged();
    announcer.loadChanged();
    provide();
  });
}
