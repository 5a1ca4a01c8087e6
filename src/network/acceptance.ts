/**
 * Whom this node's user lets in: the rule of the mesh, and by name those who were accepted or blocked. Kept on disk, so
 * that a restart asks nobody twice.
 */

import { GoGridError } from '../errors.ts';
import { MESH } from '../limits/mesh.ts';
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
  /** The write that has not begun. */
  #nextWrite: Promise<void> | undefined;
  /** Settles when the last write that was asked for is over, well or not. */
  #lastWrite: Promise<void> = Promise.resolve();

  constructor(rule: AcceptRule, store: AcceptedPeers, log: Logger) {
    this.#rule = rule;
    this.#store = store;
    this.#log = log;
  }

  /**
   * Reads what was decided before. An acceptance that cannot be read is asked for again, which is the safe side; a block that
   * cannot be read lets in whom the user wanted out, where everybody is let in who is not blocked.
   * @throws GoGridError `damaged` when the blocked ones cannot be read under the rule `all`
   */
  async load(): Promise<void> {
    const { accepted, blocked } = await this.#store.load().catch((error: unknown) => {
      this.#log.warn({ error }, 'whom this node has accepted and blocked could not be read from the disk');
      return { accepted: undefined, blocked: undefined };
    });
    if (blocked === undefined && this.#rule === 'all') throw damagedBlocks();
    if (blocked === undefined)
      this.#log.warn({}, 'the list of blocked peers is damaged: block again whom you had blocked');
    if (accepted === undefined) {
      this.#log.warn({}, 'the list of accepted peers is damaged: each has to be accepted again');
    }
    for (const peer of accepted?.slice(0, MESH.maxAccepted) ?? []) this.#accepted.set(peer.node, peer);
    for (const peer of blocked?.slice(0, MESH.maxAccepted) ?? []) this.#blocked.set(peer.node, peer);
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

  accepted(): Iterable<AcceptedPeer> {
    return this.#accepted.values();
  }

  blocked(): Iterable<AcceptedPeer> {
    return this.#blocked.values();
  }

  /**
   * Holds at once, for the rest of this run whatever the disk does.
   * @returns when it is on disk; rejects when the disk does not take it
   * @throws GoGridError `invalid_request`, before anything has changed, when so many are accepted that one more would push
   * another out
   */
  accept(peer: AcceptedPeer): Promise<void> {
    expectRoom(
      this.#accepted,
      peer.node,
      'accepted',
      'take one off that list by blocking and unblocking it: gogrid peers',
    );
    this.#blocked.delete(peer.node);
    this.#accepted.set(peer.node, peer);
    return this.#save();
  }

  /** As `accept`: a block that is refused has changed nothing. */
  block(peer: AcceptedPeer): Promise<void> {
    expectRoom(this.#blocked, peer.node, 'blocked', 'unblock one that is gone for good: gogrid peers lists them');
    this.#accepted.delete(peer.node);
    this.#blocked.set(peer.node, peer);
    return this.#save();
  }

  /** From now on the node is a stranger again. */
  unblock(node: NodeId): Promise<void> {
    this.#blocked.delete(node);
    return this.#save();
  }

  /**
   * One write after the other: a disk may end two that are on their way in either order. Whatever is decided while one waits
   * for its turn goes with it.
   */
  #save(): Promise<void> {
    if (this.#nextWrite !== undefined) return this.#nextWrite;
    const write = this.#lastWrite.then(() => {
      this.#nextWrite = undefined;
      return this.#store.save({ accepted: [...this.#accepted.values()], blocked: [...this.#blocked.values()] });
    });
    this.#nextWrite = write;
    this.#lastWrite = write.catch(() => undefined);
    return write;
  }
}

/** No decision of the user is undone to make room for another. */
function expectRoom(peers: ReadonlyMap<NodeId, AcceptedPeer>, node: NodeId, what: string, hint: string): void {
  if (peers.has(node) || peers.size < MESH.maxAccepted) return;
  throw new GoGridError({
    code: 'invalid_request',
    message: `peer: ${MESH.maxAccepted} peers are ${what} already, and that is the most`,
    hint,
  });
}

function damagedBlocks(): GoGridError {
  return new GoGridError({
    code: 'damaged',
    message: 'the list of blocked peers is damaged, and network.accept lets in everybody who is not on it',
    hint: 'gogrid config set network.accept confirm lets the node start and ask about each machine; then block again whom you had blocked, and set it back',
  });
}
