/** The network adapter: builds its parts, starts them in order, stops them in reverse, and is the job flows' `PeerLink`. */

import type { Connection, Listener } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { GoGridError, toGoGridError } from '../errors.ts';
import type { PeerLink, RequesterChannel, Route } from '../jobs/ports.ts';
import { FRAME, JOB, MESH } from '../limits.ts';
import type { Hello } from '../protocol/hello.ts';
import { isNodeId, type NodeId, nodeIdOf } from '../protocol/ids.ts';
import type { JobRequest } from '../protocol/job.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { ProviderRecords } from './dht.ts';
import { Dialer } from './dial.ts';
import { Gossip } from './gossip.ts';
import { Admission } from './hello.ts';
import { JobStreams } from './jobs.ts';
import { Latencies } from './latency.ts';
import { Learning } from './learn.ts';
import { createHost, type Host } from './libp2p.ts';
import { startListening } from './listen.ts';
import type { Listening, NetworkDeps, NetworkEvent, NetworkOptions, PeerView } from './ports.ts';
import { JOB_PROTOCOL, networkNames, STATE_PROTOCOL } from './protocols.ts';
import { BadCounts } from './rates.ts';
import { StateExchange } from './state.ts';
import { hangUp } from './streams.ts';
import { Tend } from './tend.ts';

export interface Network extends PeerLink {
  /**
   * Listens, and begins to look for the mesh.
   * @throws GoGridError `port_in_use`, `invalid_config`
   */
  start(): Promise<Listening>;
  /** Hands out what was published, closes every connection, stops listening. */
  stop(): Promise<void>;
  /** Where this node listens: multiaddrs with `/p2p`; empty before `start`. */
  addresses(): readonly string[];
  /** Sends this node's signed profile, or beat, to the mesh; does nothing before `start`. */
  publishProfile(bytes: Uint8Array): void;
  publishBeat(bytes: Uint8Array): void;
  /** Tells the DHT which models this node serves now, by canonical name. */
  provide(models: readonly string[]): void;
  /** Whether a node of the directory may be asked: not refused by admission, and not found unreachable just now. */
  mayUse(node: NodeId): boolean;
  /** What the network knows of a node, connected or not. */
  view(node: NodeId): PeerView;
  /** The admitted peers. */
  peers(): PeerView[];
  /** How many they are. */
  admitted(): number;
}

export function createNetwork(options: NetworkOptions, deps: NetworkDeps): Network {
  return new MeshNetwork(options, deps);
}

/** What works on a host, and so lives as long as one. */
interface HostParts {
  readonly host: Host;
  readonly listeners: Listener[];
  readonly dialer: Dialer;
  readonly latencies: Latencies;
  readonly learning: Learning;
  readonly records: ProviderRecords;
  readonly tend: Tend;
}

class MeshNetwork implements Network {
  readonly self: NodeId;
  readonly #options: NetworkOptions;
  readonly #deps: NetworkDeps;
  readonly #bad: BadCounts;
  readonly #admission: Admission;
  readonly #gossip: Gossip;
  readonly #state: StateExchange;
  readonly #jobs: JobStreams;
  #parts: HostParts | undefined;
  #admitted = 0;

  constructor(options: NetworkOptions, deps: NetworkDeps) {
    this.#options = options;
    this.#deps = deps;
    this.self = nodeIdOf(signerFromSeed(options.seed).publicKey);
    const { clock, log, directory, own, onJob } = deps;
    const onViolation = (node: NodeId, error: GoGridError) => this.#punish(node, error);
    this.#bad = new BadCounts({ max: MESH.maxBadPerMinute, maxKeys: MESH.maxRates }, clock);
    this.#admission = new Admission(
      {
        networkId: options.networkId,
        name: options.name,
        version: options.version,
        features: [...options.features],
      } as Omit<Hello, 'type'>,
      // Admission `all`: whoever is of this mesh. `confirm` and `members` will ask their lists here.
      { clock, log, onViolation, mayEnter: () => true },
      {
        admitted: (node, hello, connection) => this.#onAdmitted(node, hello, connection),
        left: (node) => this.#onLeft(node),
        refused: (node) => this.#parts?.tend.onRefused(node),
      },
    );
    this.#gossip = new Gossip(networkNames(options.networkId), {
      directory,
      clock,
      log,
      onViolation,
      onMissingProfile: (author, number, from) => this.#parts?.learning.onMissingProfile(author, number, from),
    });
    this.#state = new StateExchange({ directory, own, clock, onViolation });
    this.#jobs = new JobStreams({ onJob, clock, log, onViolation });
  }

  /* ---- life ---- */

  async start(): Promise<Listening> {
    const { host, tookFreePort } = await startListening(this.#options, (listen) => this.#makeHost(listen));
    this.#gossip.start(host.services.pubsub);
    this.#running.latencies.start();
    await this.#running.tend.start();
    const addresses = this.addresses();
    const port = Number(/\/tcp\/(\d+)/.exec(addresses[0] ?? '')?.[1] ?? this.#options.port);
    return { addresses, port, tookFreePort };
  }

  async stop(): Promise<void> {
    const parts = this.#parts;
    if (parts === undefined) return;
    this.#admission.close();
    parts.tend.stop();
    parts.latencies.stop();
    parts.records.stop();
    parts.learning.stop();
    await this.#gossip.stop();
    await parts.host.stop();
    this.#parts = undefined;
  }

  /** A host with everything that has to stand before the first connection comes. */
  async #makeHost(listen: readonly string[]): Promise<Host> {
    const { seed, version, networkId } = this.#options;
    const host = await createHost({ seed, version, listen, names: networkNames(networkId) }, this.#admission);
    this.#parts = this.#buildParts(host);
    this.#gossip.attach(host.services.pubsub);
    await this.#admission.attach(host);
    const limits = {
      maxInboundStreams: FRAME.maxInboundStreams,
      maxOutboundStreams: FRAME.maxOutboundStreams,
      runOnLimitedConnection: true,
    };
    const serveState = this.#admission.guard((stream, connection) => void this.#state.serve(stream, connection));
    await host.handle(STATE_PROTOCOL, serveState, limits);
    const serveJob = this.#admission.guard((stream, connection) => void this.#jobs.serve(stream, connection));
    await host.handle(JOB_PROTOCOL, serveJob, limits);
    return host;
  }

  #buildParts(host: Host): HostParts {
    const { clock, log, directory, knownPeers, random } = this.#deps;
    const { bootstrap, reconnectDelayMs } = this.#options;
    const { self } = this;
    const { dht, ping } = host.services;
    const listeners: Listener[] = [];
    host.addEventListener('transport:listening', ({ detail }) => listeners.push(detail));
    const dialer = new Dialer({ host, admission: this.#admission, directory, clock });
    const connectionTo = (node: NodeId) => dialer.connectionTo(node);
    return {
      host,
      listeners,
      dialer,
      latencies: new Latencies({ clock, ping: (peer, signal) => ping.ping(peer, { signal }) }),
      learning: new Learning({ state: this.#state, gossip: this.#gossip, directory, clock, log, connectionTo }),
      records: new ProviderRecords({ dht, self, dialer, state: this.#state, directory, clock, log }),
      tend: new Tend({ self, bootstrap, reconnectDelayMs }, { dialer, directory, knownPeers, clock, random, log }),
    };
  }

  get #running(): HostParts {
    if (this.#parts === undefined) throw new GoGridError({ code: 'shutting_down', message: 'the network is not up' });
    return this.#parts;
  }

  /* ---- peers come and go ---- */

  #onAdmitted(node: NodeId, { name, version }: Hello, connection: Connection): void {
    const parts = this.#running;
    this.#admitted++;
    parts.dialer.onAdmitted(node);
    parts.tend.onAdmitted(node, connection.direction === 'outbound' ? connection.remoteAddr.toString() : undefined);
    parts.learning.onAdmitted(connection);
    parts.records.onAdmitted();
    parts.latencies.onAdmitted(node, connection);
    this.#deps.log.debug({ node, direction: connection.direction }, 'a peer is admitted');
    this.#emit({ type: 'peer-admitted', node, name, version });
  }

  #onLeft(node: NodeId): void {
    const parts = this.#parts;
    this.#admitted--;
    parts?.latencies.onLeft(node);
    parts?.records.onLeft();
    parts?.learning.onLeft();
    parts?.tend.onLeft(node);
    this.#deps.log.debug({ node }, 'a peer is gone');
    this.#emit({ type: 'peer-left', node });
  }

  /** Counts what no honest node sends; too much of it ends the connection. */
  #punish(node: NodeId, { message }: GoGridError): void {
    this.#deps.log.debug({ node, why: message }, 'a peer broke the protocol');
    if (!this.#bad.add(node)) return;
    this.#deps.log.warn({ node }, 'a peer broke the protocol too often: its connections are closed');
    this.#parts?.tend.onRefused(node);
    for (const connection of this.#connections(node)) hangUp(connection);
  }

  #emit(event: NetworkEvent): void {
    try {
      this.#deps.emit(event);
    } catch (thrown) {
      this.#deps.log.error({ error: toGoGridError(thrown) }, 'a listener of the network broke');
    }
  }

  #connections(node: NodeId): Connection[] {
    return isNodeId(node) ? (this.#parts?.host.getConnections(peerIdFromString(node)) ?? []) : [];
  }

  /* ---- what the node asks ---- */

  addresses(): readonly string[] {
    const addresses = this.#parts?.listeners.flatMap((listener) => listener.getAddrs()) ?? [];
    return addresses.slice(0, MESH.maxAddressesPerProfile).map((address) => `${address}/p2p/${this.self}`);
  }

  publishProfile(bytes: Uint8Array): void {
    this.#gossip.publishProfile(bytes);
  }

  publishBeat(bytes: Uint8Array): void {
    this.#gossip.publishBeat(bytes);
  }

  provide(models: readonly string[]): void {
    this.#parts?.records.provide(models);
  }

  mayUse(node: NodeId): boolean {
    return this.#admission.isAdmitted(node) || this.#parts?.dialer.failedLately(node) === false;
  }

  view(node: NodeId): PeerView {
    const hello = this.#admission.helloOf(node);
    const connected = this.#connections(node).length > 0;
    return {
      node,
      name: hello?.name ?? '',
      version: hello?.version ?? '',
      // A node of the directory that has no connection passes the rule `all` as soon as it has one.
      admitted: hello !== undefined || !connected,
      connected,
      route: this.route(node),
      latencyMs: this.latencyMs(node),
    };
  }

  peers(): PeerView[] {
    return [...this.#admission.admitted()].map((node) => this.view(node));
  }

  admitted(): number {
    return this.#admitted;
  }

  /* ---- PeerLink ---- */

  async openJob(node: NodeId, request: JobRequest, signal: AbortSignal): Promise<RequesterChannel> {
    try {
      signal.throwIfAborted();
      const connection = await this.#running.dialer.reach(node, AbortSignal.any([signal, openTimeout()]));
      return await this.#jobs.open(connection, request, signal);
    } catch (thrown) {
      if (thrown instanceof GoGridError) throw thrown;
      const code = signal.aborted ? 'cancelled' : 'peer_unreachable';
      throw new GoGridError({ code, message: `no job stream to ${node}`, cause: thrown });
    }
  }

  route(node: NodeId): Route {
    if (node === this.self) return 'local';
    const connection = this.#parts?.dialer.connectionTo(node);
    return connection?.remoteAddr.toString().includes('/p2p-circuit') === true ? 'relayed' : 'direct';
  }

  latencyMs(node: NodeId): number | undefined {
    return this.#parts?.latencies.median(node);
  }

  async findProviders(model: string, signal: AbortSignal): Promise<number> {
    return this.#running.records.find(model, signal);
  }
}

function openTimeout(): AbortSignal {
  return AbortSignal.timeout(JOB.openTimeoutMs);
}
