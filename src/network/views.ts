/** Peers, as the local API shows them: what admission, the door and the connections know of them, in one. */

import type { Connection } from '@libp2p/interface';
import type { Route } from '../jobs/ports.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { Door } from './door.ts';
import type { Admission } from './hello.ts';
import type { HostParts } from './host-parts.ts';
import type { PeerView, WaitingPeer } from './ports.ts';
import { transportOf } from './transports.ts';

export interface PeerViewsDeps {
  readonly self: NodeId;
  readonly admission: Admission;
  readonly door: Door;
  /** Undefined while there is no host. */
  readonly parts: () => Pick<HostParts, 'dialer' | 'latencies'> | undefined;
  /** All connections to a node, also of one that is not admitted. */
  readonly connections: (node: NodeId) => readonly Connection[];
}

export class PeerViews {
  readonly #deps: PeerViewsDeps;

  constructor(deps: PeerViewsDeps) {
    this.#deps = deps;
  }

  view(node: NodeId): PeerView {
    const { admission, door, parts, connections } = this.#deps;
    const hello = admission.helloOf(node);
    const connection = parts()?.dialer.connectionTo(node) ?? connections(node).at(-1);
    return {
      node,
      name: hello?.name ?? '',
      version: hello?.version ?? '',
      // A node of the directory that has no connection is admitted as soon as it has one.
      admitted: admission.isAdmitted(node) || (connection === undefined && door.acceptance.accepts(node)),
      connected: connection !== undefined,
      outOfReach: connection === undefined && parts()?.dialer.failedLately(node) === true,
      route: this.route(node),
      transport: connection === undefined ? undefined : transportOf(connection.remoteAddr.toString()),
      latencyMs: parts()?.latencies.median(node),
      words: door.words(node),
      waitsFor: admission.waitsFor(node),
    };
  }

  admitted(): PeerView[] {
    return [...this.#deps.admission.admitted()].map((node) => this.view(node));
  }

  waiting(): WaitingPeer[] {
    return [...this.#deps.admission.waiting()].map((waiting) => ({ ...this.view(waiting.node), ...waiting }));
  }

  route(node: NodeId): Route {
    if (node === this.#deps.self) return 'local';
    const connection = this.#deps.parts()?.dialer.connectionTo(node);
    return connection?.remoteAddr.toString().includes('/p2p-circuit') === true ? 'relayed' : 'direct';
  }
}
