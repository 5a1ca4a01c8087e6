/**
 * How a reissued descriptor gets round. Every hello says which one its speaker has. Whoever hears of a newer one asks for
 * it, lives by it, and says hello again to its own peers, so that it crosses a mesh in as many exchanges as the mesh is wide.
 */

import type { Clock, Timer } from '../clock.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import { MESH } from '../limits/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { LiveDescriptor } from './descriptor.ts';
import type { Network } from './network.ts';
import type { SaidDescriptor, Verdict } from './ports.ts';

export interface SpreadDeps {
  readonly descriptor: Pick<LiveDescriptor, 'take' | 'onChange'>;
  readonly network: Pick<Network, 'askDescriptor' | 'sayRevision' | 'onViolation'>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class DescriptorSpread {
  readonly #deps: SpreadDeps;
  readonly #stop = new AbortController();
  readonly #asking = new Set<NodeId>();
  /** What each peer promised last and did not give; the latest last, bounded. */
  readonly #empty = new Map<NodeId, string>();
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
  heard(node: NodeId, said: SaidDescriptor): void {
    const promise = promiseOf(said);
    if (this.#asking.has(node) || this.#stop.signal.aborted || this.#empty.get(node) === promise) return;
    void this.#ask(node, promise);
  }

  /** A few times: a peer answers only so many questions a second, and may just have been asked for its directory. */
  async #ask(node: NodeId, promise: string): Promise<void> {
    this.#asking.add(node);
    for (let tries = 1; !this.#stop.signal.aborted; tries++) {
      const verdict = await this.#tryToAsk(node);
      if (verdict !== undefined && verdict !== 'accept') this.#noteEmpty(node, promise);
      if (verdict !== undefined || tries === MESH.maxDescriptorTries) break;
      await pause(this.#deps.clock, MESH.tellDescriptorEveryMs, this.#stop.signal);
    }
    this.#asking.delete(node);
  }

  #noteEmpty(node: NodeId, promise: string): void {
    this.#empty.delete(node);
    this.#empty.set(node, promise);
    const oldest = this.#empty.size > MESH.maxRates ? this.#empty.keys().next().value : undefined;
    if (oldest !== undefined) this.#empty.delete(oldest);
  }

  /** What became of the answer; undefined when the peer did not answer. */
  async #tryToAsk(node: NodeId): Promise<Verdict | 'nothing' | undefined> {
    const { network, descriptor, log } = this.#deps;
    try {
      const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(MESH.stateTimeoutMs)]);
      const bytes = await network.askDescriptor(node, signal);
      const verdict = bytes === undefined ? 'nothing' : descriptor.take(bytes);
      log.debug({ node, verdict }, 'asked a peer for its descriptor');
      if (verdict === 'reject') network.onViolation(node, forged());
      return verdict;
    } catch (thrown) {
      log.debug({ node, code: toGoGridError(thrown).code }, 'a peer did not give its descriptor');
      return undefined;
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

/** Tells one promise of a peer from another one. */
function promiseOf({ revision, descriptorHash }: SaidDescriptor): string {
  return `${revision} ${Buffer.from(descriptorHash ?? []).toString('hex')}`;
}

function forged(): GoGridError {
  return new GoGridError({
    code: 'protocol_violation',
    message: 'a descriptor that is not of this mesh, or not signed',
  });
}

/** Resolves after `ms` milliseconds, or as soon as `signal` aborts. */
async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const over = Promise.withResolvers<void>();
  const timer = clock.after(ms, over.resolve);
  const onAbort = () => over.resolve();
  signal.addEventListener('abort', onAbort, { once: true });
  await over.promise;
  timer.cancel();
  signal.removeEventListener('abort', onAbort);
}
