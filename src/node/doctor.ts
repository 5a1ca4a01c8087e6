/** Gathers what the doctor judges, from the parts that know. */

import type { Doctor, Pulls } from '../api/ports.ts';
import type { Directory } from '../capabilities/directory.ts';
import { systemClock as clock } from '../clock.ts';
import { isLoopback } from '../config/checks.ts';
import type { Config } from '../config/settings.ts';
import { diagnoseNode } from '../doctor/checks.ts';
import type { BootstrapFacts, CreditFacts, LedgerFacts, NodeFacts } from '../doctor/facts.ts';
import { inCredits } from '../ledger/entries/amounts.ts';
import { MESH } from '../limits/mesh.ts';
import { DOCTOR } from '../limits/program.ts';
import { readMachine } from '../machine/look.ts';
import { portOf } from '../network/listen.ts';
import type { Network } from '../network/network.ts';
import type { NodeId } from '../protocol/ids.ts';
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
  readonly credits: () => LedgerFacts | undefined;
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
    credits: creditFacts(config, credits()),
    clock: { aheadMs: [...aheadOf(directory)], movedMs },
  };
}

function creditFacts({ credits }: Config, facts: LedgerFacts | undefined): CreditFacts | undefined {
  const { require_final: requireFinal, stranger_cap_microcredits: cap } = credits;
  const amount = inCredits(BigInt(cap));
  const bookedEarly = requireFinal || cap === 0 ? undefined : `${amount} ${amount === '1' ? 'credit' : 'credits'}`;
  return facts && { ...facts, bookedEarly };
}

/**
 * Whether a node is there, as far as this one sees. A connection tells at once. Where a node is connected to all that it can
 * reach, who has none is gone, though its last beat may hold for a minute; in a larger mesh beats are all that tells.
 */
export function isInSight(
  node: NodeId,
  network: Pick<Network, 'view' | 'admitted'>,
  directory: Pick<Directory, 'get'>,
): boolean {
  if (network.view(node).connected) return true;
  return network.admitted() >= MESH.targetPeers && directory.get(node) !== undefined;
}

function bootstrapFacts(network: Network, address: string): BootstrapFacts {
  const node = /\/p2p\/([^/]+)$/.exec(address)?.[1];
  if (node === undefined || node === network.self) return { address, connected: undefined, waits: false };
  const { connected, waitsFor } = network.view(node);
  return { address, connected, waits: connected && waitsFor !== undefined };
}

/**
 * A beat's number is its author's wall clock in milliseconds, unless it is ahead of that (capabilities/numbers.ts). So was the
 * number of its profile then, which says beside it what time it was: such a node is not asked.
 */
function* aheadOf(directory: Directory): Generator<number> {
  for (const { profile, beat, beatAt } of directory.nodes()) {
    if (profile.number - profile.issuedAt > DOCTOR.maxClockSkewMs) continue;
    const heardAt = clock.now() - (clock.elapsed() - beatAt);
    yield beat.sequence - heardAt;
  }
}
