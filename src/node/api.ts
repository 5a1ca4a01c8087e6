/** What programs and people talk to. */

import { hostname } from 'node:os';
import { createCatalogue, createRuntime } from '../api/runtime.ts';
import { createApi } from '../api/server.ts';
import { systemClock as clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import { LOCAL_NETWORK } from '../protocol/ids.ts';
import { type NodeDeps, nodeName } from './deps.ts';
import type { Mesh } from './mesh.ts';
import type { Stores } from './stores.ts';
import type { Worker } from './worker.ts';

export function buildApi(config: Config, deps: NodeDeps, stores: Stores, worker: Worker, { network, requester }: Mesh) {
  const { engine, book, directory } = worker;
  const { self, signer } = stores;
  const runtime = createRuntime(
    {
      self,
      name: nodeName(config),
      version: deps.version,
      publicKey: Buffer.from(signer.publicKey).toString('hex'),
      network: LOCAL_NETWORK.name,
      networkId: Buffer.from(stores.networkId).toString('hex'),
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
