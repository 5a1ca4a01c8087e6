/** Reaching a node: its open connection, or a new one by the addresses that are known of it. */

import type { Connection, PeerId } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import type { Clock } from '../clock.ts';
import { GoGridError, systemCode } from '../errors.ts';
import { MESH } from '../limits/mesh.ts';
import { isNodeId, type NodeId } from '../protocol/ids.ts';
import type { Admission } from './hello.ts';
import type { Host } from './libp2p.ts';
import type { Directory } from './ports.ts';
import { abortable } from './streams.ts';
import { transportOf } from './transports.ts';

export interface DialerDeps {
  readonly host: Host;
  readonly admission: Admission;
  readonly directory: Directory;
  readonly clock: Clock;
}

export class Dialer {
  readonly #deps: DialerDeps;
  /** `Clock.elapsed()` of the last try that failed, of nodes that no try has reached since. */
  readonly #failedAt = new Map<NodeId, number>();

  constructor(deps: DialerDeps) {
    this.#deps = deps;
  }

  /** The youngest open connection to an admitted peer: an older one may be left from before its restart. */
  connectionTo(node: NodeId): Connection | undefined {
    const { admission } = this.#deps;
    return admission.isAdmitted(node) ? [...admission.connectionsTo(node)].at(-1) : undefined;
  }

  /** Whether a try to reach the node failed lately, and none has reached it since. */
  failedLately(node: NodeId): boolean {
    const at = this.#failedAt.get(node);
    return at !== undefined && this.#deps.clock.elapsed() - at < MESH.unreachableMs;
  }

  onAdmitted(node: NodeId): void {
    this.#failedAt.delete(node);
  }

  /**
   * A connection to a node, admitted.
   * @param addresses multiaddrs to try; without any, those of its profile, and what libp2p knows
   * @throws GoGridError `peer_unreachable`, or what `signal` was aborted with
   */
  async reach(node: NodeId, signal: AbortSignal, addresses: readonly string[] = []): Promise<Connection> {
    signal.throwIfAborted();
    const open = this.connectionTo(node);
    if (open !== undefined) return open;
    if (!isNodeId(node)) throw new GoGridError({ code: 'peer_unreachable', message: 'the name of no node' });
    const late = AbortSignal.timeout(MESH.dialTimeoutMs);
    const bounded = AbortSignal.any([signal, late]);
    try {
      const peer = peerIdFromString(node);
      const connection = await abortable(this.#dial(peer, node, addresses, bounded), bounded);
      if (!(await abortable(this.#deps.admission.whenAdmitted(node), bounded))) {
        throw new GoGridError({ code: 'peer_unreachable', message: `${node} is not admitted` });
      }
      return this.connectionTo(node) ?? connection;
    } catch (cause) {
      signal.throwIfAborted();
      this.#noteFailure(node);
      if (cause instanceof GoGridError) throw cause;
      throw new GoGridError({ code: 'peer_unreachable', message: `${node} cannot be reached`, cause });
    }
  }

  /** One transport after the other, as they are listed: its addresses are in the order in which the node wants to be reached. */
  async #dial(peer: PeerId, node: NodeId, given: readonly string[], signal: AbortSignal): Promise<Connection> {
    const { host, directory } = this.#deps;
    const addresses = given.length > 0 ? given : (directory.get(node)?.profile.addresses ?? []);
    const targets = addresses.flatMap((address) => toTarget(address, node)).slice(0, MESH.maxAddressesPerProfile);
    if (targets.length === 0) return host.dial(peer, { signal });
    const groups = [...Map.groupBy(targets, (target) => transportOf(target.toString())).values()];
    let failure: unknown;
    for (const group of groups) {
      try {
        return await host.dial(group, { signal });
      } catch (thrown) {
        failure = thrown;
        // The machine is there and the program is not: over UDP that would show in a silence of seconds.
        if (wasRefused(thrown)) break;
      }
    }
    throw failure;
  }

  #noteFailure(node: NodeId): void {
    this.#failedAt.delete(node);
    this.#failedAt.set(node, this.#deps.clock.elapsed());
    const oldest = this.#failedAt.size > MESH.maxDirectory ? this.#failedAt.keys().next().value : undefined;
    if (oldest !== undefined) this.#failedAt.delete(oldest);
  }
}

/** The address with the node's name behind it, so that a connection to the wrong machine fails; none when it is malformed. */
export function toTarget(address: string, node: NodeId): Multiaddr[] {
  const bare = address.replace(/\/p2p\/[^/]*$/, '');
  try {
    return [multiaddr(`${bare}/p2p/${node}`)];
  } catch {
    return [];
  }
}

/** The node that an address names at its end; undefined when it names none. */
export function nodeOf(address: string): NodeId | undefined {
  const node = /\/p2p\/([^/]+)$/.exec(address)?.[1];
  return node !== undefined && isNodeId(node) ? node : undefined;
}

/** Whether every address that was tried said that nobody listens there. */
function wasRefused(thrown: unknown): boolean {
  const errors: readonly unknown[] = thrown instanceof AggregateError ? thrown.errors : [thrown];
  return errors.length > 0 && errors.every((error) => systemCode(error) === 'ECONNREFUSED');
}
