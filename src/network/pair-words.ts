/**
 * The four words of each connected peer and this node, made in the background, one at a time. Strangers cost work here, so
 * it is bounded: who comes again and again with new keys gets a fifth of one thread, and a place in a bounded queue.
 */

import type { Clock, Timer } from '../clock.ts';
import { toGoGridError } from '../errors.ts';
import { MESH } from '../limits/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { Logger } from '../telemetry/logger.ts';

export interface PairWordsDeps {
  /** Takes about 0.1 s, on another thread. */
  readonly make: (node: NodeId) => Promise<string>;
  /** Whether the words of the node are of use now: of a connected peer, and so of a bounded number. */
  readonly isWanted: (node: NodeId) => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

export class PairWords {
  readonly #deps: PairWordsDeps;
  /** The latest last; bounded, by the number of connections where more are wanted. */
  readonly #made = new Map<NodeId, string>();
  readonly #queue = new Set<NodeId>();
  #busy = false;
  #making: NodeId | undefined;
  #pause: Timer | undefined;
  #stopped = false;

  constructor(deps: PairWordsDeps) {
    this.#deps = deps;
  }

  stop(): void {
    this.#stopped = true;
    this.#pause?.cancel();
    this.#queue.clear();
  }

  /** The words, when they are made; when they are not and are wanted, they will be soon. */
  of(node: NodeId): string | undefined {
    const words = this.#made.get(node);
    if (words === undefined) this.want(node);
    return words;
  }

  /** Has them made soon. */
  want(node: NodeId): void {
    if (this.#stopped || this.#made.has(node) || this.#making === node || !this.#deps.isWanted(node)) return;
    // Those that have gone must not keep out one that is here.
    if (this.#queue.size >= MESH.maxConnections) this.#dropUnwanted(this.#queue, MESH.maxConnections - 1);
    if (this.#queue.size >= MESH.maxConnections) return;
    this.#queue.add(node);
    void this.#work();
  }

  /** The words now, ahead of the queue: a person has asked. @throws what `make` rejects with */
  async now(node: NodeId): Promise<string> {
    const words = this.#made.get(node) ?? (await this.#deps.make(node));
    if (this.#deps.isWanted(node)) this.#keep(node, words);
    return words;
  }

  async #work(): Promise<void> {
    if (this.#busy || this.#stopped || this.#queue.size === 0) return;
    this.#busy = true;
    const { clock, make, log } = this.#deps;
    const node = this.#next();
    this.#making = node;
    const since = clock.elapsed();
    try {
      if (node !== undefined) this.#keep(node, await make(node));
    } catch (thrown) {
      log.warn({ error: toGoGridError(thrown) }, 'four words could not be made');
    }
    this.#making = undefined;
    // A pause after the last one too: the next stranger is on its way.
    if (this.#stopped) return;
    this.#pause = clock.after((clock.elapsed() - since) * MESH.wordsPauseTimes, () => {
      this.#busy = false;
      void this.#work();
    });
  }

  /** Those that have gone while they were in the queue cost nothing. */
  #next(): NodeId | undefined {
    for (const node of this.#queue) {
      this.#queue.delete(node);
      if (this.#deps.isWanted(node)) return node;
    }
    return undefined;
  }

  #keep(node: NodeId, words: string): void {
    this.#queue.delete(node);
    this.#made.set(node, words);
    this.#dropUnwanted(this.#made, MESH.maxConnections);
  }

  /** Never those of a peer that is here: who comes and goes with new keys would push them out, and a person waits for them. */
  #dropUnwanted(nodes: Set<NodeId> | Map<NodeId, string>, max: number): void {
    for (const node of nodes.keys()) {
      if (nodes.size <= max) return;
      if (!this.#deps.isWanted(node)) nodes.delete(node);
    }
  }
}
