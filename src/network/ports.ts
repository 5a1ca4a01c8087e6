/** What the network adapter needs of the node, and what it tells it; `node.ts` supplies the one and uses the other. */

import type { Clock } from '../clock.ts';
import type { ProviderChannel, Route } from '../jobs/ports.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { JobRequest } from '../protocol/job.ts';
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

/** What happened, for whoever listens. */
export type NetworkEvent =
  | { readonly type: 'peer-admitted'; readonly node: NodeId; readonly name: string; readonly version: string }
  | { readonly type: 'peer-left'; readonly node: NodeId };

export interface NetworkDeps {
  readonly directory: Directory;
  /** This node's own profile and beat, as they are now. */
  readonly own: () => SignedNode;
  /**
   * Serves one job that a peer asks for. Called once per stream, with a whole and checked request; what it throws or
   * rejects with ends the stream.
   */
  readonly onJob: (from: NodeId, request: JobRequest, channel: ProviderChannel) => void | Promise<void>;
  readonly knownPeers: KnownPeers;
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
  /** TCP port; 0 takes a free one. */
  readonly port: number;
  /** Whether somebody asked for just this port. When nobody did and it is busy, a free one is taken. */
  readonly portIsConfigured: boolean;
  /** Multiaddrs with `/p2p` of nodes to join through. */
  readonly bootstrap: readonly string[];
  /** Milliseconds before the first try to reach a lost bootstrap node or peer again. */
  readonly reconnectDelayMs: number;
}

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
  readonly route: Route;
  /** Median round trip in milliseconds; undefined before the first measurement. */
  readonly latencyMs: number | undefined;
}
