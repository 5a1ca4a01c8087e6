/**
 * How simulated nodes hear of each other: gossip, the exchange of state, the DHT, and the question for work. Each takes its
 * time and may be lost; what is said is real, signed and checked by whoever hears it.
 */

import { GoGridError } from '../../errors.ts';
import { MESH } from '../../limits/mesh.ts';
import type { NodeId } from '../../protocol/ids.ts';
import type { Host, SimNetwork } from './network.ts';
import type { Plan } from './plan.ts';
import { type Random, randomOf } from './random.ts';
import type { World } from './world.ts';

export class Discovery {
  readonly #network: SimNetwork;
  readonly #world: World;
  readonly #plan: Plan;
  readonly #random: Random;
  /** Models for which jobs wait at a node, as the DHT has it. */
  readonly #work = new WeakMap<Host, Set<string>>();

  constructor(network: SimNetwork, world: World, plan: Plan) {
    this.#network = network;
    this.#world = world;
    this.#plan = plan;
    this.#random = randomOf(plan.seed, 'discovery');
  }

  /** Everybody else hears of it, most of them, over the ways that are open. */
  publish(from: Host, tell: (host: Host) => void): void {
    const { node } = from.process;
    for (const host of this.#network.hosts) {
      if (host === undefined || host === from || this.#random.chance(this.#plan.gossipLoss)) continue;
      const to = host.process.node;
      const relay = this.#network.isCut(node, to) ? this.#relay(node, to) : undefined;
      if (this.#network.isCut(node, to) && relay === undefined) continue;
      const ms =
        relay === undefined
          ? this.#network.delayMs(node, to)
          : this.#network.delayMs(node, relay) + this.#network.delayMs(relay, to) + MESH.heartbeatMs;
      this.#world.clock.after(ms, () => host.process.deliver(() => tell(host)));
    }
  }

  /** As `network/learn.ts`: a beat names a profile that is not here; if none follows, its author is asked for it. */
  catchUp(host: Host, author: Host): void {
    if (!host.lacksProfileOf(author.id)) return;
    host.process.clock.after(MESH.catchUpAfterMs, () => {
      if (host.lacksProfileOf(author.id)) void this.ask(host, author.process.node, 'self').catch(() => undefined);
    });
  }

  #relay(from: number, to: number): number | undefined {
    for (let tries = 0; tries < 3; tries++) {
      const middle = this.#random.int(0, this.#network.hosts.length - 1);
      const isHost = this.#network.hosts[middle]?.process.state === 'running';
      if (isHost && !this.#network.isCut(from, middle) && !this.#network.isCut(middle, to)) return middle;
    }
    return undefined;
  }

  /** As `network/state.ts`: a peer's own word, or its whole directory. */
  async ask(from: Host, to: number, what: 'self' | 'all'): Promise<void> {
    const connection = await this.#network.reach(from.process, to);
    await new Promise<void>((resolve, reject) => {
      const late = new GoGridError({ code: 'peer_unreachable', message: 'no state in time' });
      const timer = from.process.clock.after(MESH.stateTimeoutMs, () => reject(late));
      const other = connection.otherThan(from.process);
      connection.send(from.process, () => {
        const host = this.#network.hosts[to];
        if (host === undefined || host.process !== other) return;
        const pages = what === 'self' ? [host.own()] : [host.own(), ...host.signed()];
        connection.send(other, () => {
          timer.cancel();
          for (const { profile, beat, ageMs } of pages) {
            from.onProfile(profile);
            from.onBeat(beat, ageMs);
          }
          resolve();
        });
      });
    });
  }

  /** As `network/dht.ts`: whoever placed a record lately, dead or alive, each asked for its own word. */
  async findProviders(from: Host, model: string, signal: AbortSignal): Promise<number> {
    await new Promise<void>((resolve) => from.process.clock.after(this.#random.between(20, 600), resolve));
    if (signal.aborted) return 0;
    const hits = this.#random.some(
      this.#network.hosts.filter(
        (host) => host !== undefined && host !== from && host.provides().includes(model),
      ) as Host[],
      MESH.dhtMaxProviders,
    );
    const asked = hits.map((hit) =>
      this.ask(from, hit.process.node, 'self').then(
        () => from.serves(hit.id, model),
        () => false,
      ),
    );
    return (await Promise.all(asked)).filter(Boolean).length;
  }

  /** As `network/dht.ts`: for which models jobs wait at a node. Workers near the key hear of it at once. */
  advertiseWork(from: Host, models: readonly string[]): void {
    const before = this.#work.get(from) ?? new Set<string>();
    const now = new Set(models);
    this.#work.set(from, now);
    const fresh = [...now].filter((model) => !before.has(model));
    if (fresh.length === 0) return;
    this.publish(from, (host) => {
      if (host.provides().some((model) => fresh.includes(model))) host.onWorkAdvertised(from.id);
    });
  }

  /** As `network/dht.ts`: nodes whose record says that jobs wait there. */
  async findWork(from: Host, model: string, signal: AbortSignal, skip: (node: NodeId) => boolean): Promise<NodeId[]> {
    await new Promise<void>((resolve) => from.process.clock.after(this.#random.between(20, 600), resolve));
    if (signal.aborted) return [];
    const found = this.#network.hosts.filter(
      (host) => host !== undefined && host !== from && this.#work.get(host)?.has(model),
    );
    return found.flatMap((host) => (host === undefined || skip(host.id) ? [] : [host.id]));
  }

  /** As `network/work.ts`. */
  async askWork(
    from: Host,
    id: NodeId,
    models: readonly string[],
    slots: number,
    signal: AbortSignal,
  ): Promise<number> {
    const to = this.#network.indexOf(id);
    if (to === undefined) return 0;
    const connection = await this.#network.reach(from.process, to);
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const late = new GoGridError({ code: 'peer_unreachable', message: 'asking took too long' });
      const timer = from.process.clock.after(MESH.workTimeoutMs, () => reject(late));
      const other = connection.otherThan(from.process);
      connection.send(from.process, () => {
        const host = this.#network.hosts[to];
        if (host === undefined || host.process !== other) return;
        const answer = () => {
          const jobs = host.knows(from.id) ? host.onIdle(from.id, models, slots) : 0;
          this.#world.count(jobs > 0 ? 'pull gets jobs' : 'pull gets nothing');
          connection.send(other, () => {
            timer.cancel();
            resolve(Math.min(jobs, slots));
          });
        };
        if (host.knows(from.id)) answer();
        else void this.ask(host, from.process.node, 'self').then(answer, () => undefined);
      });
    });
  }
}
