/** Gathers what the doctor judges, from the parts that know. */

import type { Doctor, Pulls } from '../api/ports.ts';
import type { Directory } from '../capabilities/directory.ts';
import { systemClock as clock } from '../clock.ts';
import { isLoopback } from '../config/checks.ts';
import type { Config } from '../config/settings.ts';
import { diagnoseNode } from '../doctor/checks.ts';
import type { BootstrapFacts, CreditFacts, NodeFacts } from '../doctor/facts.ts';
import { readMachine } from '../machine/look.ts';
import { portOf } from '../network/listen.ts';
import type { Network } from '../network/network.ts';
import type { NodeDeps } from './deps.ts';
import type { Worker } from './worker.ts';

export interface DoctorDeps {
  readonly config: Config;
  readonly deps: NodeDeps;
  readonly worker: Worker;
  readonly network: Network;
  readonly pulls: Pulls;
  /** Multiaddrs that it was told to join through. */
  readonly bootstrap: () => readonly string[];
  /** Names of the models of the mesh, this machine's included. */
  readonly meshModels: () => number;
  /** Undefined in a mesh without credits. */
  readonly credits: () => CreditFacts | undefined;
  /** Where the API answers. */
  readonly api: () => string;
}

export function buildDoctor(parts: DoctorDeps): Doctor {
  const began = { at: clock.now(), elapsed: clock.elapsed() };
  const { home } = parts.deps;
  return async () => {
    const machine = await readMachine({ home: home.folder, cache: home.cacheFolder, logFile: home.logFile });
    const movedMs = clock.now() - began.at - (clock.elapsed() - began.elapsed);
    return diagnoseNode(factsOf(parts, movedMs), machine);
  };
}

function factsOf(parts: DoctorDeps, movedMs: number): NodeFacts {
  const { config, worker, network, pulls, bootstrap, meshModels, credits, api } = parts;
  const { engine, directory } = worker;
  const { kind = engine.kind, state, version, hint } = engine.status();
  const addresses = network.addresses();
  return {
    engine: { kind, state, version, hint },
    models: {
      here: engine.models().length,
      inMesh: meshModels(),
      coming: pulls
        .states()
        .filter((pull) => pull.endedAt === null)
        .map((pull) => pull.model),
    },
    api: api(),
    apiHost: config.api.host,
    apiIsLocal: isLoopback(config.api.host),
    apiRequiresKey: config.api.require_key,
    network: { addresses, wantedPort: config.network.port, port: portOf(addresses) },
    peers: {
      admitted: network.admitted(),
      waiting: network.waiting().flatMap(({ name, waitsFor }) => (waitsFor === undefined ? [] : [{ name, waitsFor }])),
      bootstrap: bootstrap().map((address) => bootstrapFacts(network, address)),
    },
    credits: credits(),
    clock: { aheadMs: [...aheadOf(directory)], movedMs },
  };
}

function bootstrapFacts(network: Network, address: string): BootstrapFacts {
  const node = /\/p2p\/([^/]+)$/.exec(address)?.[1];
  if (node === undefined || node === network.self) return { address, connected: undefined, waits: false };
  const { connected, waitsFor } = network.view(node);
  return { address, connected, waits: connected && waitsFor !== undefined };
}

/** A beat's number is its author's wall clock in milliseconds (capabilities/announcer.ts), unless that was set back. */
function* aheadOf(directory: Directory): Generator<number> {
  for (const { beat, beatAt } of directory.nodes()) {
    const heardAt = clock.now() - (clock.elapsed() - beatAt);
    yield beat.sequence - heardAt;
  }
}
