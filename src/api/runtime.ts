/** What the control surface shows of this node and its peers, put together from the parts that know. All from memory. */

import { type MeshModel, mergeOffers, type Offer } from '../capabilities/catalogue.ts';
import type { Directory, KnownNode } from '../capabilities/directory.ts';
import type { StatusFacts } from '../capabilities/status.ts';
import { statusOf } from '../capabilities/status.ts';
import type { Clock } from '../clock.ts';
import type { Identity, NodeState, NodeStatusAnswer, Peer } from '../contract/control.ts';
import type { JobBook } from '../jobs/book.ts';
import type { Engine, Route } from '../jobs/ports.ts';
import type { Provider } from '../jobs/provider.ts';
import type { NodeId } from '../protocol/ids.ts';
import { UNKNOWN_RATES } from '../protocol/profile.ts';
import type { Catalogue, Runtime } from './ports.ts';

/** What the network knows of a peer besides its profile and beat. */
export interface Link {
  readonly connected: boolean;
  /** It has no connection, and the last try to reach it failed, lately. */
  readonly outOfReach: boolean;
  readonly admitted: boolean;
  readonly route: Route;
  readonly latencyMs: number | undefined;
  readonly transport: Peer['transport'] | undefined;
  readonly words: string | undefined;
  readonly waitsFor: Peer['waitsFor'] | undefined;
}

/** A peer that is connected and not admitted, because somebody has to accept first. */
export interface WaitingLink extends Link {
  readonly node: NodeId;
  readonly name: string;
  readonly version: string;
  /** Multiaddr of its connection. */
  readonly address: string;
  /** Milliseconds since 1970. */
  readonly since: number;
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
  /** Jobs of everybody on this machine. */
  readonly queue: () => NodeStatusAnswer['queue'];
  /** Own jobs that no node has taken yet. */
  readonly inMesh: () => NodeStatusAnswer['waiting'];
  /** Multiaddrs with /p2p. */
  readonly addresses: () => readonly string[];
  readonly link: (node: NodeId) => Link;
  readonly admittedPeers: () => number;
  readonly waiting: () => readonly WaitingLink[];
  readonly isFriend: (node: NodeId) => boolean;
  readonly blocked: () => readonly { readonly node: NodeId; readonly name: string }[];
  /** What the nodes that were met, accepted or made friends called themselves last. */
  readonly knownNames: () => Iterable<readonly [NodeId, string]>;
  /** `Clock.elapsed()` by which a node that drains ends what still runs. */
  readonly drainEndsAt: () => number | undefined;
}

const ALONE = 'no peer is connected: check network.bootstrap, and that the other machines run';

export function createRuntime(options: RuntimeOptions, deps: RuntimeDeps): Runtime {
  const { engine, provider, book, directory, clock } = deps;
  const startedAt = clock.now();
  const startedElapsed = clock.elapsed();
  const uptimeSecs = () => Math.round(clock.elapsed() - startedElapsed) / 1000;

  function state(): { state: NodeState; reason: string | undefined } {
    const status = statusOf(deps.facts());
    if (status === 'leaving' || status === 'draining') return { state: 'draining', reason: drainReason() };
    const { hint } = engine.status();
    if (status === 'error') return { state: 'error', reason: hint };
    const alone = options.expectsPeers() && deps.admittedPeers() === 0;
    if (alone && (status === 'idle' || status === 'busy')) {
      const waiting = deps.waiting();
      // It has found somebody: what is missing is a person's word.
      return waiting.length === 0
        ? { state: 'disconnected', reason: ALONE }
        : { state: status, reason: waitReason(waiting) };
    }
    return { state: status, reason: hint };
  }

  /** What a node that ends still waits for. */
  function drainReason(): string {
    const { running, queued } = book.totals();
    const jobs = running + queued;
    const endsAt = deps.drainEndsAt();
    if (jobs === 0 || endsAt === undefined) return 'it ends';
    const secs = Math.max(0, Math.ceil((endsAt - clock.elapsed()) / 1000));
    return `it ends: ${jobs === 1 ? 'one job' : `${jobs} jobs`} may go on for ${secs} s more`;
  }

  function engineStatus() {
    const { kind = engine.kind, state: engineState, version, hint } = engine.status();
    return { kind, state: engineState, version, ...(hint !== undefined && { hint }) };
  }

  /** Who has no model, or ends, has no room for jobs of peers, whatever its queue would hold. */
  function takesJobs(now: NodeState): boolean {
    return now !== 'draining' && now !== 'error' && now !== 'starting' && engine.models().length > 0;
  }

  function peers(): Peer[] {
    const waiting = deps.waiting();
    const outside = new Set(waiting.map(({ node }) => node));
    // One that was let in before may be known from then.
    const known = [...directory.nodes()].filter(({ node }) => !outside.has(node));
    return [
      ...known.map((node) => peerOf(node, deps.link(node.node), clock)),
      ...waiting.map(waitingPeer),
      ...deps.blocked().map(({ node, name }) => blockedPeer(node, name)),
    ].map((peer) => ({ ...peer, friend: deps.isFriend(peer.peerId) }));
  }

  return {
    peers,

    away() {
      const here = new Set(peers().map(({ peerId }) => peerId));
      const names = new Map(deps.knownNames());
      return [...names].filter(([node]) => !here.has(node)).map(([peerId, name]) => ({ peerId, name }));
    },

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
      const { state: now, reason } = state();
      return {
        state: now,
        ...(reason !== undefined && { reason }),
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
        queue: { ...deps.queue(), ...(takesJobs(now) ? {} : { room: 0 }) },
        waiting: deps.inMesh(),
        addresses: [...deps.addresses()],
      };
    },

    identity(): Identity {
      const { self, publicKey, name, network, networkId } = options;
      return { peerId: self, account: self, publicKey, name, network, networkId, addresses: [...deps.addresses()] };
    },
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
    yield { node: self, local: true, model: { ...model, ...UNKNOWN_RATES }, modifiedAt, format };
  }
  for (const { node, profile } of directory.nodes()) {
    // A profile does not carry the date of each model: they are as old as its statement.
    const modifiedAt = profile.issuedAt;
    for (const model of profile.models) yield { node, local: false, model, modifiedAt, format: 'gguf' };
  }
}

/** A peer, but for what this node's user has said of it. */
type Seen = Omit<Peer, 'friend'>;

function peerOf({ node, profile, beat, beatAt }: KnownNode, link: Link, clock: Clock): Seen {
  return {
    peerId: node,
    name: profile.name,
    // Its last beat outlives it by more than a minute.
    status: link.outOfReach ? 'unreachable' : beat.status,
    route: link.route,
    connected: link.connected,
    transport: link.transport ?? null,
    admitted: link.admitted,
    words: link.words ?? null,
    waitsFor: link.waitsFor ?? null,
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

/** Whose turn it is: that of this node's user first, who can do something about it here. */
function waitReason(waiting: readonly WaitingLink[]): string {
  const here = waiting.filter(({ waitsFor }) => waitsFor !== 'there');
  const [who, them] = here.length > 0 ? [here, 'you here'] : [waiting, 'the user there'];
  const names = who.length === 1 ? `'${who[0]?.name}' waits` : `${who.length} machines wait`;
  const then =
    here.length > 0
      ? 'compare the four words, then gogrid peers accept NAME'
      : 'gogrid peers accept NAME, on that machine';
  return `no peer is admitted: ${names} for ${them}: ${then}`;
}

/** What is not known of a node that has said no more than hello. */
const UNKNOWN = {
  latencyMs: null,
  models: [],
  queueDepth: 0,
  runningJobs: 0,
  region: '',
  hardware: { cores: 0, memoryBytes: 0, gpu: '', vramBytes: 0 },
};

function waitingPeer({
  node,
  name,
  version,
  route,
  connected,
  transport,
  words,
  waitsFor,
  ...rest
}: WaitingLink): Seen {
  return {
    ...UNKNOWN,
    peerId: node,
    name,
    status: 'waiting',
    route,
    transport: transport ?? null,
    connected,
    admitted: false,
    words: words ?? null,
    waitsFor: waitsFor ?? null,
    version,
    addresses: [rest.address],
    lastHeardAt: rest.since,
  };
}

function blockedPeer(node: NodeId, name: string): Seen {
  return {
    ...UNKNOWN,
    peerId: node,
    name,
    status: 'blocked',
    route: 'direct',
    transport: null,
    connected: false,
    admitted: false,
    words: null,
    waitsFor: null,
    version: '',
    addresses: [],
    lastHeardAt: 0,
  };
}
