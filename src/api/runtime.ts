/** What the control surface shows of this node and its peers, put together from the parts that know. All from memory. */

import { type MeshModel, mergeOffers, type Offer } from '../capabilities/catalogue.ts';
import type { Directory, KnownNode } from '../capabilities/directory.ts';
import type { StatusFacts } from '../capabilities/status.ts';
import { statusOf } from '../capabilities/status.ts';
import type { Clock } from '../clock.ts';
import type { Identity, NodeState, Peer } from '../contract/control.ts';
import type { JobBook } from '../jobs/book.ts';
import type { Engine, Route } from '../jobs/ports.ts';
import type { Provider } from '../jobs/provider.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { Catalogue, Runtime } from './ports.ts';

/** What the network knows of a peer besides its profile and beat. */
export interface Link {
  readonly connected: boolean;
  readonly admitted: boolean;
  readonly route: Route;
  readonly latencyMs: number | undefined;
}

export interface RuntimeOptions {
  readonly self: NodeId;
  readonly name: string;
  readonly version: string;
  /** Hex. */
  readonly publicKey: string;
  readonly network: string;
  /** Hex. */
  readonly networkId: string;
  /** The node was given somebody to join, or has met somebody before: being alone is a fault. */
  readonly expectsPeers: () => boolean;
}

export interface RuntimeDeps {
  readonly engine: Engine;
  readonly provider: Provider;
  readonly book: JobBook;
  readonly directory: Directory;
  readonly clock: Clock;
  readonly facts: () => StatusFacts;
  /** Multiaddrs with /p2p. */
  readonly addresses: () => readonly string[];
  readonly link: (node: NodeId) => Link;
  readonly admittedPeers: () => number;
}

const ALONE = 'no peer is connected: check network.bootstrap, and that the other machines run';

export function createRuntime(options: RuntimeOptions, deps: RuntimeDeps): Runtime {
  const { engine, provider, book, directory, clock } = deps;
  const startedAt = clock.now();
  const startedElapsed = clock.elapsed();
  const uptimeSecs = () => Math.round(clock.elapsed() - startedElapsed) / 1000;

  function state(): { state: NodeState; reason: string | undefined } {
    const status = statusOf(deps.facts());
    if (status === 'leaving') return { state: 'draining', reason: undefined };
    const { hint } = engine.status();
    if (status === 'error') return { state: 'error', reason: hint };
    const alone = options.expectsPeers() && deps.admittedPeers() === 0;
    if (alone && (status === 'idle' || status === 'busy')) return { state: 'disconnected', reason: ALONE };
    return { state: status, reason: hint };
  }

  function engineStatus() {
    const { state: engineState, version, hint } = engine.status();
    return { kind: engine.kind, state: engineState, version, ...(hint !== undefined && { hint }) };
  }

  return {
    health() {
      const { state: now, reason } = state();
      return {
        state: now,
        ...(reason !== undefined && { reason }),
        engine: engineStatus(),
        model: engine.models().find((model) => model.warm)?.name ?? null,
        uptimeSecs: uptimeSecs(),
        peers: deps.admittedPeers(),
        version: options.version,
      };
    },

    status() {
      const { depth, running, slots, room } = provider.load;
      return {
        state: state().state,
        peerId: options.self,
        name: options.name,
        version: options.version,
        startedAt,
        uptimeSecs: uptimeSecs(),
        engine: engineStatus(),
        models: engine.models().length,
        meshModels: mergeOffers(offers(options.self, engine, directory)).length,
        peers: deps.admittedPeers(),
        jobs: book.totals(),
        tokens: provider.tokens,
        queue: { depth, running, slots, room },
      };
    },

    identity(): Identity {
      const { self, publicKey, name, network, networkId } = options;
      return { peerId: self, account: self, publicKey, name, network, networkId, addresses: [...deps.addresses()] };
    },

    peers: () => [...directory.nodes()].map((node) => peerOf(node, deps.link(node.node), clock)),
  };
}

/** The models of the mesh as the inference surfaces list them. */
export function createCatalogue(self: NodeId, deps: Pick<RuntimeDeps, 'engine' | 'directory'>): Catalogue {
  const { engine, directory } = deps;
  return {
    models: (): MeshModel[] => mergeOffers(offers(self, engine, directory)),
    async describe(name, signal) {
      const own = engine.models().some((model) => model.name === name);
      return own ? engine.describe(name, signal) : undefined;
    },
    loaded: (signal) => engine.loaded(signal),
  };
}

function* offers(self: NodeId, engine: Engine, directory: Directory): Generator<Offer> {
  for (const model of engine.models()) {
    const { modifiedAt, format } = model;
    yield { node: self, local: true, model: { ...model, tokensPerSecond: 0 }, modifiedAt, format };
  }
  for (const { node, profile } of directory.nodes()) {
    // A profile does not carry the date of each model: they are as old as its statement.
    const modifiedAt = profile.issuedAt;
    for (const model of profile.models) yield { node, local: false, model, modifiedAt, format: 'gguf' };
  }
}

function peerOf({ node, profile, beat, beatAt }: KnownNode, link: Link, clock: Clock): Peer {
  return {
    peerId: node,
    name: profile.name,
    status: beat.status,
    route: link.route,
    connected: link.connected,
    admitted: link.admitted,
    latencyMs: link.latencyMs ?? null,
    models: profile.models.map((model) => model.name),
    queueDepth: beat.queueDepth,
    runningJobs: beat.running,
    version: profile.version,
    region: profile.region,
    addresses: [...profile.addresses],
    lastHeardAt: Math.round(clock.now() - (clock.elapsed() - beatAt)),
    hardware: { ...profile.hardware },
  };
}
