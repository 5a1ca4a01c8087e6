/** Round trips to peers: measured when a peer is admitted and now and then after; the median of the last few counts. */

import type { Connection, PeerId } from '@libp2p/interface';
import { type Clock, every, type Timer } from '../clock.ts';
import { MESH } from '../limits/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';

export interface LatencyDeps {
  readonly ping: (peer: PeerId, signal: AbortSignal) => Promise<number>;
  readonly clock: Clock;
}

export class Latencies {
  readonly #deps: LatencyDeps;
  /** Admitted peers alone. */
  readonly #peers = new Map<NodeId, { readonly peer: PeerId; readonly samples: number[] }>();
  readonly #stop = new AbortController();
  #timer: Timer | undefined;

  constructor(deps: LatencyDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#timer = every(this.#deps.clock, MESH.latencyEveryMs, () => void this.#measureAll());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#stop.abort();
  }

  onAdmitted(node: NodeId, { remotePeer }: Connection): void {
    this.#peers.set(node, { peer: remotePeer, samples: [] });
    void this.#measure(node);
  }

  onLeft(node: NodeId): void {
    this.#peers.delete(node);
  }

  /** Milliseconds; undefined before the first measurement. */
  median(node: NodeId): number | undefined {
    const samples = this.#peers.get(node)?.samples.toSorted((a, b) => a - b);
    return samples?.[Math.floor((samples.length - 1) / 2)];
  }

  /** One after the other: a round trip measured among a hundred others says more of this machine than of the network. */
  async #measureAll(): Promise<void> {
    for (const node of [...this.#peers.keys()]) await this.#measure(node);
  }

  async #measure(node: NodeId): Promise<void> {
    const entry = this.#peers.get(node);
    if (entry === undefined || this.#stop.signal.aborted) return;
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(MESH.dialTimeoutMs)]);
    try {
      entry.samples.push(await this.#deps.ping(entry.peer, signal));
      if (entry.samples.length > MESH.latencySamples) entry.samples.shift();
    } catch {
      // No sample: whether the peer lives is not decided here.
    }
  }
}
