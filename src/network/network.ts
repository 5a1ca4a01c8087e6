/** The network adapter: builds its parts, starts them in order, stops them in reverse, and is the job flows' `PeerLink`. */

import type { Connection } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { GoGridError, toGoGridError } from '../errors.ts';
import type { RequesterChannel, Route } from '../jobs/ports.ts';
import { JOB } from '../limits/jobs.ts';
import { MESH } from '../limits/mesh.ts';
import type { Hello } from '../protocol/hello.ts';
import { isNodeId, type NodeId, nodeIdOf } from '../protocol/ids.ts';
import type { JobRequest } from '../protocol/job.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { Decisions } from './decisions.ts';
import { Door } from './door.ts';
import { Gossip } from './gossip.ts';
import { Admission } from './hello.ts';
import { buildHostParts, type HostParts } from './host-parts.ts';
import { JobStreams } from './jobs.ts';
import { withoutStrangers } from './known-directory.ts';
import { LedgerStreams } from './ledger.ts';
import { createHost, type Host } from './libp2p.ts';
import { portOf, startListening } from './listen.ts';
import type {
  AcceptedPeer,
  Directory,
  Listening,
  Network,
  NetworkDeps,
  NetworkEvent,
  NetworkOptions,
  PeerView,
  WaitingPeer,
} from './ports.ts';
import {
  JOB_PROTOCOL,
  LEDGER_PROTOCOL,
  networkNames,
  STATE_PROTOCOL,
  WITNESS_PROTOCOL,
  WORK_PROTOCOL,
} from './protocols.ts';
import { BadCounts } from './rates.ts';
import { serveProtocols } from './served.ts';
import { StateExchange } from './state.ts';
import { hangUp } from './streams.ts';
import { addressOrder, type LoadedTransports, loadTransports } from './transports.ts';
import { PeerViews } from './views.ts';
import { WitnessStreams } from './witness.ts';
import { WorkStreams } from './work.ts';

export type { Network } from './ports.ts';

export function createNetwork(options: NetworkOptions, deps: NetworkDeps): Network {
  return new MeshNetwork(options, deps);
}

class MeshNetwork implements Network {
  readonly self: NodeId;
  readonly #options: NetworkOptions;
  readonly #deps: NetworkDeps;
  readonly #bad: BadCounts;
  readonly #door: Door;
  readonly #admission: Admission;
  /** Without those whom this side does not accept. */
  readonly #directory: Directory;
  readonly #gossip: Gossip;
  readonly #state: StateExchange;
  readonly #jobs: JobStreams;
  readonly #work: WorkStreams;
  readonly ledger: LedgerStreams;
  readonly witness: WitnessStreams;
  readonly #views: PeerViews;
  readonly #decisions: Decisions;
  #parts: HostParts | undefined;
  #admitted = 0;

  constructor(options: NetworkOptions, deps: NetworkDeps) {
    this.#options = options;
    this.#deps = deps;
    this.self = nodeIdOf(signerFromSeed(options.seed).publicKey);
    const { self } = this;
    const { networkId } = options;
    const { clock, log, own, onJob, onIdle } = deps;
    const onViolation = (node: NodeId, error: GoGridError) => this.#punish(node, error);
    this.#bad = new BadCounts({ max: MESH.maxBadPerMinute, maxKeys: MESH.maxRates }, clock);
    this.#door = new Door(
      { self, networkId, rule: options.accept },
      {
        store: deps.acceptedPeers,
        waits: (node) => this.#admission.waitsFor(node) !== undefined,
        isAdmitted: (node) => this.#admission.isAdmitted(node),
        clock,
        log,
      },
    );
    const { acceptance } = this.#door;
    this.#admission = new Admission(
      {
        clock,
        log,
        onViolation,
        own: () => this.#hello(),
        accepts: (node) => acceptance.accepts(node),
        isChosen: (node) => acceptance.isChosen(node),
      },
      {
        admitted: (node, hello, connection) => this.#onAdmitted(node, hello, connection),
        left: (node) => this.#onLeft(node),
        waiting: (node) => this.#onWaiting(node),
        refused: (node) => this.#parts?.tend.onRefused(node),
        heard: (node, hello) => this.#onHeard(node, hello),
      },
    );
    const mayKnow = (node: NodeId) => acceptance.accepts(node) && this.#admission.waitsFor(node) === undefined;
    const directory = withoutStrangers(deps.directory, mayKnow);
    this.#directory = directory;
    this.#decisions = new Decisions({
      door: this.#door,
      admission: this.#admission,
      directory,
      parts: () => this.#parts,
    });
    this.#gossip = new Gossip(networkNames(networkId), {
      directory: deps.directory,
      mayKnow,
      clock,
      log,
      onViolation,
      onHint: deps.ledger?.onHint,
      onMissingProfile: (author, number, from) => this.#parts?.learning.onMissingProfile(author, number, from),
    });
    this.#state = new StateExchange({ directory, own, descriptor: deps.descriptor, clock, onViolation });
    this.#jobs = new JobStreams({ onJob, clock, log, onViolation });
    this.#work = new WorkStreams({ onIdle, state: this.#state, directory, clock, onViolation });
    this.ledger = new LedgerStreams({
      handlers: deps.ledger,
      admitted: () => this.#admission.admitted(),
      connectionTo: (node) => this.#parts?.dialer.connectionTo(node),
      publish: (hint) => this.#gossip.publishHint(hint),
      clock,
      log,
      onViolation,
    });
    const reach = (node: NodeId, signal: AbortSignal) => this.#running.dialer.reach(node, signal);
    this.witness = new WitnessStreams({ attest: deps.ledger?.attest, reach, clock, log, onViolation });
    this.#views = new PeerViews({
      self,
      admission: this.#admission,
      door: this.#door,
      parts: () => this.#parts,
      connections: (node) => this.#connections(node),
    });
  }

  /* ---- life ---- */

  async start(): Promise<Listening> {
    await this.#door.acceptance.load();
    const transports = await loadTransports(this.#options.transports, this.#deps.log);
    const { host, tookFreePort } = await startListening({ ...this.#options, transports: transports.names }, (listen) =>
      this.#makeHost(listen, transports),
    );
    this.#gossip.start(host.services.pubsub);
    const { latencies, tend, lan } = this.#running;
    latencies.start();
    await tend.start();
    await lan?.start();
    const addresses = this.addresses();
    return { addresses, port: portOf(addresses) ?? this.#options.port, tookFreePort };
  }

  async stop(): Promise<void> {
    const parts = this.#parts;
    if (parts === undefined) return;
    this.#admission.close();
    this.#door.stop();
    await parts.lan?.stop();
    parts.tend.stop();
    parts.latencies.stop();
    parts.discovery.stop();
    parts.learning.stop();
    await this.#gossip.stop();
    await parts.host.stop();
    this.#parts = undefined;
  }

  /** A host with everything that has to stand before the first connection comes. */
  async #makeHost(listen: readonly string[], transports: LoadedTransports): Promise<Host> {
    const { seed, version, networkId } = this.#options;
    const isBlocked = (node: NodeId) => this.#door.acceptance.isBlocked(node);
    const names = networkNames(networkId);
    const onRecord = (key: string) => this.#parts?.discovery.onRecord(key);
    const host = await createHost({ seed, version, listen, names, transports, isBlocked, onRecord }, this.#admission);
    this.#parts = buildHostParts(host, this.#options, this.#deps, {
      self: this.self,
      admission: this.#admission,
      acceptance: this.#door.acceptance,
      directory: this.#directory,
      gossip: this.#gossip,
      state: this.#state,
      addresses: () => this.addresses(),
    });
    this.#gossip.attach(host.services.pubsub);
    await this.#admission.attach(host);
    const { ledger } = this.#deps;
    await serveProtocols(host, this.#admission, {
      [STATE_PROTOCOL]: this.#state,
      [JOB_PROTOCOL]: this.#jobs,
      [WORK_PROTOCOL]: this.#work,
      [LEDGER_PROTOCOL]: ledger && this.ledger,
      [WITNESS_PROTOCOL]: ledger?.attest && this.witness,
    });
    return host;
  }

  get #running(): HostParts {
    if (this.#parts === undefined) throw new GoGridError({ code: 'shutting_down', message: 'the network is not up' });
    return this.#parts;
  }

  /* ---- peers come and go ---- */

  #hello(): Omit<Hello, 'type' | 'waiting'> {
    const { networkId, name, version, features } = this.#options;
    const { revision, descriptorHash } = this.#deps.descriptor.said();
    // Decoding gives bytes that own their memory, and the type says so.
    return {
      networkId: Uint8Array.from(networkId),
      name,
      version,
      features: [...features],
      revision,
      ...(descriptorHash === undefined ? {} : { descriptorHash: Uint8Array.from(descriptorHash) }),
    };
  }

  #onWaiting(node: NodeId): void {
    this.#door.onPeer(node);
    this.#deps.log.debug({ node }, 'a peer waits to be accepted');
    this.#emit({ type: 'peer-waiting', node });
  }

  #onHeard(node: NodeId, hello: Hello): void {
    if (this.#deps.descriptor.isNewer(hello)) this.#emit({ type: 'newer-descriptor', node, said: hello });
  }

  #onAdmitted(node: NodeId, { name, version }: Hello, connection: Connection): void {
    const parts = this.#running;
    this.#admitted++;
    parts.dialer.onAdmitted(node);
    parts.tend.onAdmitted(node, connection.direction === 'outbound' ? connection.remoteAddr.toString() : undefined);
    parts.learning.onAdmitted(connection);
    parts.discovery.onAdmitted();
    parts.latencies.onAdmitted(node, connection);
    this.#door.onPeer(node);
    this.#deps.log.debug({ node, direction: connection.direction }, 'a peer is admitted');
    this.#emit({ type: 'peer-admitted', node, name, version });
  }

  #onLeft(node: NodeId): void {
    const parts = this.#parts;
    this.#admitted--;
    parts?.latencies.onLeft(node);
    parts?.discovery.onLeft();
    parts?.learning.onLeft();
    this.ledger.onLeft(node);
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
    const own = this.#parts?.listeners.flatMap((listener) => listener.getAddrs().map(String)) ?? [];
    return own
      .toSorted(addressOrder(this.#options.transports))
      .slice(0, MESH.maxAddressesPerProfile)
      .map((address) => `${address}/p2p/${this.self}`);
  }

  publishProfile(bytes: Uint8Array): void {
    this.#gossip.publishProfile(bytes);
  }

  publishBeat(bytes: Uint8Array): void {
    this.#gossip.publishBeat(bytes);
  }

  provide(models: readonly string[]): void {
    this.#parts?.discovery.provide(models);
  }

  advertiseWork(models: readonly string[]): void {
    this.#parts?.discovery.advertiseWork(models);
  }

  async findWork(model: string, signal: AbortSignal, skip: (node: NodeId) => boolean): Promise<readonly NodeId[]> {
    return this.#parts?.discovery.findWork(model, signal, skip) ?? [];
  }

  async askWork(node: NodeId, models: readonly string[], slots: number, signal: AbortSignal): Promise<number> {
    const connection = await this.#running.dialer.reach(node, signal);
    return this.#work.ask(connection, { models: models.slice(0, MESH.maxModelsPerProfile), slots }, signal);
  }

  mayUse(node: NodeId): boolean {
    if (this.#admission.isAdmitted(node)) return true;
    const mayEnter = this.#door.acceptance.accepts(node) && !this.#admission.isOutside(node);
    return mayEnter && this.#parts?.dialer.failedLately(node) === false;
  }

  isOutOfReach(node: NodeId): boolean {
    return this.#parts?.dialer.failedLately(node) === true;
  }

  view(node: NodeId): PeerView {
    return this.#views.view(node);
  }

  peers(): PeerView[] {
    return this.#views.admitted();
  }

  admitted(): number {
    return this.#admitted;
  }

  waiting(): WaitingPeer[] {
    return this.#views.waiting();
  }

  /* ---- what this node's user decides ---- */

  accepted(): Iterable<AcceptedPeer> {
    return this.#decisions.accepted();
  }

  blocked(): AcceptedPeer[] {
    return this.#decisions.blocked();
  }

  words(node: NodeId): Promise<string | undefined> {
    return this.#door.wordsNow(node);
  }

  accept(node: NodeId): Promise<void> {
    return this.#decisions.accept(node);
  }

  block(node: NodeId): Promise<void> {
    return this.#decisions.block(node);
  }

  unblock(node: NodeId): Promise<void> {
    return this.#decisions.unblock(node);
  }

  setBootstrap(addresses: readonly string[]): void {
    this.#parts?.tend.setBootstrap(addresses);
  }

  sayRevision(): void {
    this.#admission.sayAgain();
  }

  async askDescriptor(node: NodeId, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return this.#state.askDescriptor(await this.#running.dialer.reach(node, signal), signal);
  }

  onViolation(node: NodeId, error: GoGridError): void {
    this.#punish(node, error);
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
    return this.#views.route(node);
  }

  latencyMs(node: NodeId): number | undefined {
    return this.#parts?.latencies.median(node);
  }

  async findProviders(model: string, signal: AbortSignal): Promise<number> {
    return this.#running.discovery.findProviders(model, signal);
  }
}

function openTimeout(): AbortSignal {
  return AbortSignal.timeout(JOB.openTimeoutMs);
}
