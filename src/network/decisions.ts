/** What this node's user decides of peers, and what follows at once: who comes in, who is sent away. */

import type { NodeId } from '../protocol/ids.ts';
import type { Door } from './door.ts';
import type { Admission } from './hello.ts';
import type { HostParts } from './host-parts.ts';
import type { AcceptedPeer, Directory } from './ports.ts';

export interface DecisionsDeps {
  readonly door: Door;
  readonly admission: Admission;
  readonly directory: Pick<Directory, 'forget'>;
  /** Undefined while the network is not up. */
  readonly parts: () => Pick<HostParts, 'tend'> | undefined;
}

export class Decisions {
  readonly #deps: DecisionsDeps;

  constructor(deps: DecisionsDeps) {
    this.#deps = deps;
  }

  accepted(): Iterable<AcceptedPeer> {
    return this.#deps.door.acceptance.accepted();
  }

  blocked(): AcceptedPeer[] {
    return this.#deps.door.blocked();
  }

  async accept(node: NodeId): Promise<void> {
    const { door, admission, parts } = this.#deps;
    const saved = door.acceptance.accept({ node, name: this.#nameOf(node) });
    admission.reconsider(node);
    parts()?.tend.retry(node);
    await saved;
  }

  async block(node: NodeId): Promise<void> {
    const { door, admission, directory } = this.#deps;
    const saved = door.acceptance.block({ node, name: this.#nameOf(node) });
    admission.dismiss(node);
    directory.forget(node);
    await saved;
  }

  async unblock(node: NodeId): Promise<void> {
    const { door, parts } = this.#deps;
    await door.acceptance.unblock(node);
    parts()?.tend.retry(node);
  }

  #nameOf(node: NodeId): string {
    const { door, admission } = this.#deps;
    const known = door.blocked().find((peer) => peer.node === node);
    return admission.helloOf(node)?.name ?? known?.name ?? '';
  }
}
