/** What the network adapter needs of the node, and what it tells it; `node.ts` supplies the one and uses the other. */

import type { Clock } from '../clock.ts';
import type { GoGridError } from '../errors.ts';
import type { PeerLink, ProviderChannel, Route } from '../jobs/ports.ts';
import type { LedgerLink, WitnessLink } from '../ledger/ports.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { JobRequest } from '../protocol/job.ts';
import type { LedgerAnswer, LedgerAsk, WitnessAnswer, WitnessAsk } from '../protocol/ledger.ts';
import type { Logger } from '../telemetry/logger.ts';

/** `accept`: new and true, pass it on. `ignore`: nothing new, or not for us. `reject`: its sender should not have sent it. */
export type Verdict = 'accept' | 'ignore' | 'reject';

/** A node as `state` passes it on: signed profile, signed beat, and the beat's age. */
export interface SignedNode {
  readonly profile: Uint8Array;
  readonly beat: Uint8Array;
  /** Whole milliseconds since the beat was made, as far as this node knows. */
  readonly ageMs: number;
}

/** The directory of `capabilities/`, as the network sees it. No method throws. */
export interface Directory {
  ingestProfile(bytes: Uint8Array): Verdict;
  /** @param ageMs milliseconds since its sender heard it first; 0 when it comes fresh from gossip */
  ingestBeat(bytes: Uint8Array, ageMs: number): Verdict;
  /** Everybody but this node, as it is passed on. */
  signed(): Iterable<SignedNode>;
  /** A node that is known and whose beat has not run out. */
  get(node: NodeId): DirectoryNode | undefined;
  /** Everybody but this node. */
  nodes(): Iterable<DirectoryNode>;
  /** Drops a node that this one has no more to do with. */
  forget(node: NodeId): void;
}

export interface DirectoryNode {
  readonly node: NodeId;
  readonly profile: {
    readonly number: number;
    /** Multiaddrs, with or without `/p2p`. */
    readonly addresses: readonly string[];
    readonly models: readonly { readonly name: string }[];
  };
}

/** Addresses of good peers, kept from one run to the next: multiaddrs with `/p2p`, the best first. */
export interface KnownPeers {
  load(): Promise<readonly string[]>;
  /** Writes in the background; at most `MESH.maxKnownPeers`. */
  save(addresses: readonly string[]): void;
}

/** A peer on which this node's user has decided, with the name it had then. */
export interface AcceptedPeer {
  readonly node: NodeId;
  readonly name: string;
}

/** What this node's user has decided, kept from one run to the next: at most `MESH.maxAccepted` of each. */
export interface AcceptedPeers {
  /** A list that is damaged is undefined. @throws Error when the disk cannot be read */
  load(): Promise<{
    readonly accepted: readonly AcceptedPeer[] | undefined;
    readonly blocked: readonly AcceptedPeer[] | undefined;
  }>;
  /** Resolves when it is on disk. */
  save(lists: { readonly accepted: readonly AcceptedPeer[]; readonly blocked: readonly AcceptedPeer[] }): Promise<void>;
}

/** What happened, for whoever listens. */
export type NetworkEvent =
  | { readonly type: 'peer-admitted'; readonly node: NodeId; readonly name: string; readonly version: string }
  | { readonly type: 'peer-left'; readonly node: NodeId }
  /** A machine waits to be accepted, here, there, or on both sides. */
  | { readonly type: 'peer-waiting'; readonly node: NodeId }
  /** An admitted peer said hello, and its network descriptor supersedes the one that this node has. */
  | { readonly type: 'newer-descriptor'; readonly node: NodeId; readonly said: SaidDescriptor };

/** What a hello says of its speaker's network descriptor. */
export interface SaidDescriptor {
  /** 0 in the mesh `local`. */
  readonly revision: number;
  /** Tells two of one revision apart. */
  readonly descriptorHash?: Uint8Array | undefined;
}

/** The network descriptor as this node has it now. */
export interface OwnDescriptor {
  said(): SaidDescriptor;
  /** Whether what a peer says of its own is worth asking for. */
  isNewer(said: SaidDescriptor): boolean;
  /** Signed, as peers are given it; undefined in the mesh `local`. */
  sealed(): Uint8Array | undefined;
}

/** The ledger of this node, as peers reach it. */
export interface LedgerHandlers {
  /** A message of gossip; never throws. */
  readonly onHint: (bytes: Uint8Array, from: NodeId) => Verdict;
  /** An answer of at most `LEDGER.maxAnswerBytes`; what it rejects with ends the stream. */
  readonly answer: (ask: LedgerAsk, from: NodeId) => Promise<LedgerAnswer>;
  /** Only of a node that is a witness. */
  readonly attest?: ((ask: WitnessAsk, from: NodeId) => Promise<WitnessAnswer>) | undefined;
}

export interface NetworkDeps {
  readonly directory: Directory;
  /** This node's own profile and beat, as they are now. */
  readonly own: () => SignedNode;
  /**
   * Serves one job that a peer asks for. Called once per stream, with a whole and checked request; what it throws or
   * rejects with ends the stream.
   */
  readonly onJob: (from: NodeId, request: JobRequest, channel: ProviderChannel) => void | Promise<void>;
  /**
   * A worker has slots free. Called when the directory knows it.
   * @returns how many of the jobs that wait here are sent to it now, at most `slots`
   */
  readonly onIdle: (node: NodeId, models: readonly string[], slots: number) => number;
  /** A node says in the DHT that jobs wait there for a model that this one serves. */
  readonly onWorkAdvertised: (node: NodeId) => void;
  /** Absent in a mesh without credits: then nothing of the ledger is spoken. */
  readonly ledger?: LedgerHandlers | undefined;
  readonly knownPeers: KnownPeers;
  readonly acceptedPeers: AcceptedPeers;
  readonly descriptor: OwnDescriptor;
  readonly clock: Clock;
  /** 0 ≤ x < 1; spreads retries. */
  readonly random: () => number;
  readonly log: Logger;
  readonly emit: (event: NetworkEvent) => void;
}

export interface NetworkOptions {
  /** The 32 secret bytes of this node's Ed25519 key. */
  readonly seed: Uint8Array;
  /** 32 bytes. */
  readonly networkId: Uint8Array;
  /** The operator's name for this node, at most 64 characters. */
  readonly name: string;
  /** Of the program. */
  readonly version: string;
  /** Optional parts of the protocol this node speaks. */
  readonly features: readonly string[];
  /** IP addresses of this machine to listen on, IPv4 or IPv6. */
  readonly listen: readonly string[];
  /** `confirm`: a peer is let in when this node's user has accepted it. */
  readonly accept: 'all' | 'confirm';
  /** Whether to look for nodes in the local network by multicast DNS, and answer those that look. */
  readonly mdns: boolean;
  /** In order of preference. */
  readonly transports: readonly Transport[];
  /** TCP and UDP port; 0 takes a free one for each. */
  readonly port: number;
  /** Whether somebody asked for just this port. When nobody did and it is busy, a free one is taken. */
  readonly portIsConfigured: boolean;
  /** Multiaddrs with `/p2p` of nodes to join through. */
  readonly bootstrap: readonly string[];
  /** Milliseconds before the first try to reach a lost bootstrap node or peer again. */
  readonly reconnectDelayMs: number;
}

export type Transport = 'tcp' | 'quic';

/** Where a node listens after its start. */
export interface Listening {
  /** Multiaddrs with `/p2p`. */
  readonly addresses: readonly string[];
  readonly port: number;
  /** The default port was busy, and `port` is another one. */
  readonly tookFreePort: boolean;
}

/** A peer as the local API shows it. */
export interface PeerView {
  readonly node: NodeId;
  readonly name: string;
  readonly version: string;
  readonly admitted: boolean;
  readonly connected: boolean;
  /** It has no connection, and the last try to reach it failed, lately. */
  readonly outOfReach: boolean;
  readonly route: Route;
  /** Undefined without a connection. */
  readonly transport: Transport | undefined;
  /** The four words that both sides show; undefined until they are made, and under the rule `all` of a peer that does not wait. */
  readonly words: string | undefined;
  /** Who has to accept: this node's user (`here`), the peer's (`there`), or both; undefined when nobody has to. */
  readonly waitsFor: WaitsFor | undefined;
  /** Median round trip in milliseconds; undefined before the first measurement. */
  readonly latencyMs: number | undefined;
}

export type WaitsFor = 'here' | 'there' | 'both';

/** A peer of this mesh that is connected and not let in, because somebody has to accept first. */
export interface WaitingPeer extends PeerView {
  /** Multiaddr of its connection. */
  readonly address: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

/** The network adapter, as the node drives it. */
export interface Network extends PeerLink {
  /** The mesh, as the ledger reaches it. */
  readonly ledger: LedgerLink;
  readonly witness: WitnessLink;
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
  /** Tells the DHT for which models jobs wait here, at most `MESH.maxWorkModels`, when they have waited for a moment. */
  advertiseWork(models: readonly string[]): void;
  /**
   * Asks the DHT where jobs wait for a model. Nobody it names has been asked yet; never rejects.
   * @param skip nodes that need not be named
   */
  findWork(model: string, signal: AbortSignal, skip: (node: NodeId) => boolean): Promise<readonly NodeId[]>;
  /**
   * Offers this node's free slots to a coordinator.
   * @returns how many jobs come from there now
   * @throws GoGridError `peer_unreachable`, `provider_lost`, `protocol_violation`, or what `signal` was aborted with
   */
  askWork(node: NodeId, models: readonly string[], slots: number, signal: AbortSignal): Promise<number>;
  /** Whether a node of the directory may be asked: not refused by admission, and not found unreachable just now. */
  mayUse(node: NodeId): boolean;
  /** Whether the last try to reach a node failed, lately. */
  isOutOfReach(node: NodeId): boolean;
  /** What the network knows of a node, connected or not. */
  view(node: NodeId): PeerView;
  /** The admitted peers. */
  peers(): PeerView[];
  /** Peers that are connected, and wait until somebody accepts. */
  waiting(): WaitingPeer[];
  /** Nodes that this node's user has accepted, each by itself. */
  accepted(): Iterable<AcceptedPeer>;
  /** Nodes that this node's user has blocked. */
  blocked(): AcceptedPeer[];
  /**
   * This node's user accepts a node, connected or not. It is admitted as soon as both sides accept.
   * @returns when that is on disk
   */
  accept(node: NodeId): Promise<void>;
  /** Hangs up on a node, and refuses it from now on. */
  block(node: NodeId): Promise<void>;
  /** A blocked node is a stranger again. */
  unblock(node: NodeId): Promise<void>;
  /** The four words, made when they have to be: 0.1 s; undefined when this node accepts everybody and the peer does not wait. */
  words(node: NodeId): Promise<string | undefined>;
  /** Other nodes to join through than those of the options. @param addresses multiaddrs with `/p2p` */
  setBootstrap(addresses: readonly string[]): void;
  /** Tells the admitted peers that this node has another revision of the network descriptor. */
  sayRevision(): void;
  /**
   * A peer's network descriptor, signed and not yet checked; undefined when it has none.
   * @throws GoGridError `peer_unreachable`, `provider_lost`, `protocol_violation`
   */
  askDescriptor(node: NodeId, signal: AbortSignal): Promise<Uint8Array | undefined>;
  /** How many they are. */
  admitted(): number;
  /** A peer sent what no honest node sends: too much of it ends its connections. */
  onViolation(node: NodeId, error: GoGridError): void;
}
