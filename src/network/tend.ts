/**
 * Looks after this node's connections: to the bootstrap nodes always, and to as many others as the mesh needs. libp2p's
 * own bootstrap gives up; this loop does not. Waits grow and are spread, so that a mesh whose bootstrap comes back does
 * not fall upon it in one moment.
 */

import type { Clock, Timer } from '../clock.ts';
import { toGoGridError } from '../errors.ts';
import { MESH } from '../limits/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { Logger } from '../telemetry/logger.ts';
import { type Dialer, nodeOf, toTarget } from './dial.ts';
import type { Directory, KnownPeers } from './ports.ts';

export interface TendOptions {
  readonly self: NodeId;
  /** Multiaddrs with `/p2p`. */
  readonly bootstrap: readonly string[];
  /** Milliseconds before a lost bootstrap node is tried again. */
  readonly reconnectDelayMs: number;
}

export interface TendDeps {
  readonly dialer: Dialer;
  readonly directory: Directory;
  readonly knownPeers: KnownPeers;
  /** Whether this node's user wants a connection to a node. */
  readonly wants: (node: NodeId) => boolean;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
}

interface Wait {
  failures: number;
  /** `Clock.elapsed()` before which the node is not tried. */
  notBefore: number;
}

export class Tend {
  readonly #options: TendOptions;
  readonly #deps: TendDeps;
  #bootstrap: ReadonlyMap<NodeId, readonly string[]>;
  /** Addresses of nodes that were peers, in this run or an earlier one; the latest last. */
  readonly #known = new Map<NodeId, readonly string[]>();
  /** Peers now, with the address each was dialed at; undefined for those that dialed us. */
  readonly #peers = new Map<NodeId, string | undefined>();
  readonly #reached = new Set<NodeId>();
  /** Nodes of the local network, found by multicast; the latest last. */
  readonly #found = new Map<NodeId, readonly string[]>();
  readonly #waits = new Map<NodeId, Wait>();
  readonly #dialing = new Set<NodeId>();
  readonly #stop = new AbortController();
  #next: Timer | undefined;
  #saving: Timer | undefined;
  /** Looks that are due after nodes that went without a word, one a node. */
  readonly #probes = new Map<NodeId, Timer>();
  #loaded = false;
  #saved = '';

  constructor(options: TendOptions, deps: TendDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#bootstrap = byNode(options.bootstrap, options.self);
  }

  /** Dials for the first time; resolves when the known peers are loaded, not when anybody answered. */
  async start(): Promise<void> {
    this.#dialBootstrap();
    try {
      const addresses = (await this.#deps.knownPeers.load()).slice(0, MESH.maxKnownPeers);
      // The list has the best first, the map the latest last.
      for (const [node, list] of [...byNode(addresses, this.#options.self)].reverse()) this.#known.set(node, list);
    } catch (error) {
      this.#deps.log.warn({ error }, 'the known peers could not be read');
    }
    this.#loaded = true;
    this.#tick();
  }

  stop(): void {
    this.#stop.abort();
    this.#next?.cancel();
    this.#saving?.cancel();
    for (const probe of this.#probes.values()) probe.cancel();
    this.#probes.clear();
    this.#remember();
  }

  /** A node of the local network has shown itself. @param addresses multiaddrs */
  onFound(node: NodeId, addresses: readonly string[]): void {
    const isNew = !this.#found.has(node);
    this.#found.delete(node);
    this.#found.set(node, addresses);
    const oldest = this.#found.size > MESH.maxFound ? this.#found.keys().next().value : undefined;
    if (oldest !== undefined) this.#found.delete(oldest);
    if (isNew && this.#isDue(node)) this.#schedule(0);
  }

  /** The mesh's founder has named other nodes to join through. @param addresses multiaddrs with `/p2p` */
  setBootstrap(addresses: readonly string[]): void {
    this.#bootstrap = byNode(addresses, this.#options.self);
    this.#schedule(0);
  }

  /** @param dialedAt the address it was reached at, when this node was the dialer */
  onAdmitted(node: NodeId, dialedAt: string | undefined): void {
    this.#peers.set(node, dialedAt);
    this.#waits.delete(node);
    if (this.#bootstrap.has(node)) this.#reached.add(node);
    this.#rememberSoon();
    if (this.#peers.size < MESH.urgentPeers) this.#schedule(MESH.firstRetryMs);
  }

  onLeft(node: NodeId): void {
    this.#peers.delete(node);
    const { clock, directory } = this.#deps;
    // A node that said it leaves is not in the directory any more, and is not disturbed.
    const waitMs = this.#bootstrap.has(node) ? this.#options.reconnectDelayMs : MESH.probeAfterMs;
    this.#setWait(node, { failures: 0, notBefore: clock.elapsed() + this.#spread(waitMs) });
    if (directory.get(node) !== undefined && !this.#bootstrap.has(node)) {
      this.#probeAfter(node, waitMs * 2);
    }
    this.#schedule(waitMs);
  }

  /** This node's user has decided about a node: the reason to leave it alone may be gone. */
  retry(node: NodeId): void {
    this.#waits.delete(node);
    this.#schedule(0);
  }

  /** It is of another mesh, or no node at all. */
  onRefused(node: NodeId): void {
    this.#putOff(node, MESH.reconnectMaxMs);
  }

  #tick(): void {
    if (this.#stop.signal.aborted) return;
    this.#remember();
    this.#dialBootstrap();
    for (const [node, addresses] of this.#candidates().slice(0, this.#room())) void this.#dial(node, addresses);
    this.#schedule(this.#nextWaitMs());
  }

  #dialBootstrap(): void {
    for (const [node, addresses] of this.#bootstrap) if (this.#isDue(node)) void this.#dial(node, addresses);
  }

  /** Until the next node may be tried again; timers may be a moment early, hence the one on top. */
  #nextWaitMs(): number {
    const now = this.#deps.clock.elapsed();
    const ends = [...this.#waits].filter(([node, { notBefore }]) => notBefore > now && !this.#peers.has(node));
    return Math.min(MESH.tendEveryMs, ...ends.map(([, { notBefore }]) => Math.ceil(notBefore - now) + 1));
  }

  /** How many may be dialed now. */
  #room(): number {
    const peers = this.#peers.size + this.#dialing.size;
    const wanted = peers < MESH.urgentPeers ? MESH.urgentPeers - peers : MESH.calmDials;
    // Some places are for nodes that this one chose: whoever dials in may be of one hand.
    const chosen = [...this.#peers.values()].filter((dialedAt) => dialedAt !== undefined).length + this.#dialing.size;
    const free = Math.max(MESH.targetPeers - peers, MESH.reservedOutbound - chosen);
    return Math.max(0, Math.min(wanted, free, MESH.maxDialsAtOnce - this.#dialing.size));
  }

  /** A peer went without a word: was it the connection, or the peer? A job should not be the one to find out. */
  #probeAfter(node: NodeId, ms: number): void {
    if (this.#stop.signal.aborted) return;
    this.#probes.get(node)?.cancel();
    const probe = this.#deps.clock.after(ms, () => {
      this.#probes.delete(node);
      if (this.#isDue(node) && this.#deps.directory.get(node) !== undefined) void this.#dial(node, []);
    });
    this.#probes.set(node, probe);
  }

  #candidates(): [NodeId, readonly string[]][] {
    const all = new Map([...this.#known, ...this.#found]);
    for (const { node, profile } of this.#deps.directory.nodes()) all.set(node, profile.addresses);
    const due = [...all].filter(([node, addresses]) => addresses.length > 0 && this.#isDue(node));
    // In random order, so that a mesh does not fasten onto the nodes that everybody met first.
    return due
      .map((candidate) => ({ candidate, place: this.#deps.random() }))
      .toSorted((a, b) => a.place - b.place)
      .map(({ candidate }) => candidate);
  }

  #isDue(node: NodeId): boolean {
    if (node === this.#options.self || this.#peers.has(node) || this.#dialing.has(node)) return false;
    if (!this.#deps.wants(node)) return false;
    return (this.#waits.get(node)?.notBefore ?? 0) <= this.#deps.clock.elapsed();
  }

  async #dial(node: NodeId, addresses: readonly string[]): Promise<void> {
    this.#dialing.add(node);
    try {
      await this.#deps.dialer.reach(node, this.#stop.signal, addresses);
    } catch (thrown) {
      if (this.#stop.signal.aborted) return;
      this.#deps.log.debug({ node, code: toGoGridError(thrown).code }, 'a node was not reached');
      const { reconnectDelayMs } = this.#options;
      const first = this.#bootstrap.has(node) && !this.#reached.has(node);
      this.#putOff(node, first ? Math.min(MESH.firstRetryMs, reconnectDelayMs) : reconnectDelayMs);
    } finally {
      this.#dialing.delete(node);
    }
  }

  /** @param firstMs the wait after the first failure; it doubles with every other */
  #putOff(node: NodeId, firstMs: number): void {
    const before = this.#waits.get(node);
    const failures = (before?.failures ?? 0) + 1;
    const waitMs = this.#spread(Math.min(MESH.reconnectMaxMs, firstMs * 2 ** (failures - 1)));
    const notBefore = Math.max(before?.notBefore ?? 0, this.#deps.clock.elapsed() + waitMs);
    this.#setWait(node, { failures, notBefore });
    this.#schedule(waitMs);
  }

  #setWait(node: NodeId, wait: Wait): void {
    this.#waits.delete(node);
    this.#waits.set(node, wait);
    const oldest = this.#waits.size > MESH.maxDirectory ? this.#waits.keys().next().value : undefined;
    if (oldest !== undefined) this.#waits.delete(oldest);
  }

  /** Half to one and a half of it. */
  #spread(ms: number): number {
    return ms * (0.5 + this.#deps.random());
  }

  /** The next look, no later than this; an earlier one stays. */
  #schedule(ms: number): void {
    if (this.#stop.signal.aborted) return;
    const at = this.#deps.clock.elapsed() + Math.min(ms, MESH.tendEveryMs);
    if (this.#next !== undefined && this.#nextAt <= at) return;
    this.#next?.cancel();
    this.#nextAt = at;
    this.#next = this.#deps.clock.after(Math.max(1, at - this.#deps.clock.elapsed()), () => {
      this.#next = undefined;
      this.#tick();
    });
  }
  #nextAt = 0;

  /** A node that is killed right after it has joined finds its mesh again. */
  #rememberSoon(): void {
    if (this.#stop.signal.aborted) return;
    this.#saving ??= this.#deps.clock.after(MESH.rememberAfterMs, () => {
      this.#saving = undefined;
      this.#remember();
    });
  }

  #remember(): void {
    // What an earlier run has left must not be overwritten before it is read.
    if (!this.#loaded) return;
    for (const [node, dialedAt] of this.#peers) {
      const profile = this.#deps.directory.get(node)?.profile.addresses ?? [];
      const dialed = dialedAt === undefined ? [] : [dialedAt];
      const addresses = new Set([...dialed, ...profile].flatMap((address) => toTarget(address, node)).map(String));
      if (addresses.size === 0) continue;
      this.#known.delete(node);
      this.#known.set(node, [...addresses].slice(0, MESH.maxAddressesPerProfile));
    }
    for (const oldest of [...this.#known.keys()].slice(0, Math.max(0, this.#known.size - MESH.maxKnownPeers))) {
      this.#known.delete(oldest);
    }
    const list = [...this.#known]
      .reverse()
      .flatMap(([, addresses]) => addresses)
      .slice(0, MESH.maxKnownPeers);
    const text = list.join();
    if (text === this.#saved) return;
    this.#saved = text;
    this.#deps.knownPeers.save(list);
  }
}

/** Addresses by the node they name; those that name none, or this node, are left out. */
function byNode(addresses: readonly string[], self: NodeId): Map<NodeId, string[]> {
  const nodes = new Map<NodeId, string[]>();
  for (const address of addresses) {
    const node = nodeOf(address);
    if (node !== undefined && node !== self) nodes.set(node, [...(nodes.get(node) ?? []), address]);
  }
  return nodes;
}
