/**
 * How a reissued descriptor gets round. Every hello says which one its speaker has. Whoever hears of a newer one asks for
 * it, lives by it, and says hello again to its own peers, so that it crosses a mesh in as many exchanges as the mesh is wide.
 */

import type { Clock, Timer } from '../clock.ts';
import { toGoGridError } from '../errors.ts';
import { MESH } from '../limits.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { LiveDescriptor } from './descriptor.ts';
import type { Network } from './network.ts';

export interface SpreadDeps {
  readonly descriptor: Pick<LiveDescriptor, 'take' | 'onChange'>;
  readonly network: Pick<Network, 'askDescriptor' | 'sayRevision'>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class DescriptorSpread {
  readonly #deps: SpreadDeps;
  readonly #stop = new AbortController();
  readonly #asking = new Set<NodeId>();
  readonly #stopListening: () => void;
  #saidAt = Number.NEGATIVE_INFINITY;
  #next: Timer | undefined;
  #again: Timer | undefined;

  constructor(deps: SpreadDeps) {
    this.#deps = deps;
    this.#stopListening = deps.descriptor.onChange(() => this.#tell());
  }

  stop(): void {
    this.#stop.abort();
    this.#stopListening();
    this.#next?.cancel();
    this.#again?.cancel();
  }

  /** An admitted peer said in its hello that it has a newer one. */
  heard(node: NodeId): void {
    if (!this.#asking.has(node) && !this.#stop.signal.aborted) void this.#ask(node);
  }

  /** A few times: a peer answers only so many questions a second, and may just have been asked for its directory. */
  async #ask(node: NodeId): Promise<void> {
    const { clock } = this.#deps;
    this.#asking.add(node);
    for (let tries = 1; !(await this.#tryToAsk(node)) && tries < MESH.maxDescriptorTries; tries++) {
      await new Promise<void>((resolve) => clock.after(MESH.tellDescriptorEveryMs, resolve));
      if (this.#stop.signal.aborted) break;
    }
    this.#asking.delete(node);
  }

  /** Returns whether the peer answered. */
  async #tryToAsk(node: NodeId): Promise<boolean> {
    const { network, descriptor, log } = this.#deps;
    try {
      const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(MESH.stateTimeoutMs)]);
      const bytes = await network.askDescriptor(node, signal);
      const verdict = bytes === undefined ? 'nothing' : descriptor.take(bytes);
      log.debug({ node, verdict }, 'asked a peer for its descriptor');
      return true;
    } catch (thrown) {
      log.debug({ node, code: toGoGridError(thrown).code }, 'a peer did not give its descriptor');
      return false;
    }
  }

  /** At once, but not more often than peers will listen; the last of several changes is never left out. */
  #tell(): void {
    const { clock } = this.#deps;
    if (this.#stop.signal.aborted || this.#next !== undefined) return;
    const restMs = this.#saidAt + MESH.tellDescriptorEveryMs - clock.elapsed();
    if (restMs > 0) this.#next = clock.after(restMs, () => this.#sayNow());
    else this.#sayNow();
  }

  #sayNow(): void {
    const { clock, network } = this.#deps;
    this.#next = undefined;
    this.#saidAt = clock.elapsed();
    network.sayRevision();
    // A hello that was on its way just now still told of the one before; by then it is through, and its peer is told again.
    this.#again?.cancel();
    this.#again = clock.after(MESH.tellDescriptorAgainMs, () => network.sayRevision());
  }
}
