/** How many streams of one protocol each peer has open here. */

import type { Stream } from '@libp2p/interface';
import type { NodeId } from '../protocol/ids.ts';

export class OpenPerPeer {
  readonly #max: number;
  readonly #open = new Map<NodeId, number>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Counts a stream until it is closed. @returns false when the peer has as many as it may have */
  enter(node: NodeId, stream: Stream): boolean {
    const open = this.#open.get(node) ?? 0;
    if (open >= this.#max) return false;
    this.#open.set(node, open + 1);
    stream.addEventListener('close', () => this.#leave(node), { once: true });
    return true;
  }

  #leave(node: NodeId): void {
    const left = (this.#open.get(node) ?? 1) - 1;
    if (left > 0) this.#open.set(node, left);
    else this.#open.delete(node);
  }
}
