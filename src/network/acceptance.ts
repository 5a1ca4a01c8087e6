/**
 * Whom this node's user lets in: the rule of the mesh, and by name those who were accepted or blocked. Kept on disk, so
 * that a restart asks nobody twice.
 */

import { MESH } from '../limits.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { AcceptedPeer, AcceptedPeers } from './ports.ts';

/** `all`: every node of the mesh. `confirm`: those that this node's user has accepted. Whoever is blocked is out either way. */
export type AcceptRule = 'all' | 'confirm';

export class Acceptance {
  readonly #rule: AcceptRule;
  readonly #store: AcceptedPeers;
  readonly #log: Logger;
  readonly #accepted = new Map<NodeId, AcceptedPeer>();
  readonly #blocked = new Map<NodeId, AcceptedPeer>();

  constructor(rule: AcceptRule, store: AcceptedPeers, log: Logger) {
    this.#rule = rule;
    this.#store = store;
    this.#log = log;
  }

  /** Reads what was decided before; when that fails nobody is accepted, which is the safe side. */
  async load(): Promise<void> {
    try {
      const { accepted, blocked } = await this.#store.load();
      for (const peer of accepted.slice(0, MESH.maxAccepted)) this.#accepted.set(peer.node, peer);
      for (const peer of blocked.slice(0, MESH.maxAccepted)) this.#blocked.set(peer.node, peer);
    } catch (error) {
      this.#log.warn({ error }, 'the accepted peers could not be read: each has to be accepted again');
    }
  }

  get rule(): AcceptRule {
    return this.#rule;
  }

  /** Whether this side works with the node. */
  accepts(node: NodeId): boolean {
    if (this.#blocked.has(node)) return false;
    return this.#rule === 'all' || this.#accepted.has(node);
  }

  /** Whether the user has accepted just this node. */
  isChosen(node: NodeId): boolean {
    return this.#accepted.has(node);
  }

  isBlocked(node: NodeId): boolean {
    return this.#blocked.has(node);
  }

  blocked(): Iterable<AcceptedPeer> {
    return this.#blocked.values();
  }

  /** Resolves when it is on disk. @throws Error when the disk does not take it; it holds until the next start all the same */
  async accept(peer: AcceptedPeer): Promise<void> {
    this.#blocked.delete(peer.node);
    put(this.#accepted, peer);
    await this.#save();
  }

  async block(peer: AcceptedPeer): Promise<void> {
    this.#accepted.delete(peer.node);
    put(this.#blocked, peer);
    await this.#save();
  }

  /** From now on the node is a stranger again. */
  async unblock(node: NodeId): Promise<void> {
    this.#blocked.delete(node);
    await this.#save();
  }

  #save(): Promise<void> {
    return this.#store.save({ accepted: [...this.#accepted.values()], blocked: [...this.#blocked.values()] });
  }
}

/** The one decided longest ago makes room. */
function put(peers: Map<NodeId, AcceptedPeer>, peer: AcceptedPeer): void {
  peers.delete(peer.node);
  peers.set(peer.node, peer);
  const oldest = peers.size > MESH.maxAccepted ? peers.keys().next().value : undefined;
  if (oldest !== undefined) peers.delete(oldest);
}
