/**
 * The mesh between simulated ledgers: hints that are spread by gossip and may be lost, questions that are answered, and cuts.
 * What is said is real, as bytes that were signed; only the frames of the wire are left out.
 */

import { GoGridError } from '../../errors.ts';
import type { Verdict } from '../../ledger/intake/ingest.ts';
import type { LedgerLink, LedgerSession } from '../../ledger/ports.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { MESH } from '../../limits/mesh.ts';
import { sha256Hex } from '../../protocol/hash.ts';
import type { NodeId } from '../../protocol/ids.ts';
import type { LedgerAnswer, LedgerAsk, WitnessAnswer, WitnessAsk } from '../../protocol/ledger.ts';
import { idOf } from '../sim/keys.ts';
import type { Process } from '../sim/process.ts';
import { type Random, randomOf } from '../sim/random.ts';
import type { World } from '../sim/world.ts';
import type { Plan } from './plan.ts';

/** A node's program, as the mesh meets it. */
export interface Host {
  /** Of the machine: a clone has the id of another one, and a place of its own. */
  readonly place: number;
  readonly id: NodeId;
  readonly process: Process;
  onHint(bytes: Uint8Array, from: NodeId): Verdict;
  /** What a peer has answered in a sync. */
  onEntries(entries: readonly Uint8Array[], from: NodeId): void;
  onAsk(ask: LedgerAsk, from: NodeId): Promise<LedgerAnswer>;
  onWitnessAsk(ask: WitnessAsk, from: NodeId): Promise<WitnessAnswer>;
  /** A connection has come. */
  onPeer(peer: NodeId): void;
  /** One has come or gone. */
  peersChanged(): void;
}

/** A cut is noticed by then. */
const NOTICED_MS = 15_000;
/** Neighbours of a node where not everybody knows everybody. */
const NEIGHBOURS = 10;

export class SimMesh {
  readonly #world: World;
  readonly #plan: Plan;
  readonly #random: Random;
  readonly #hosts = new Map<number, Host>();
  readonly #base = new Map<string, number>();
  /** Cuts from one place to another, and since when. */
  readonly #cuts = new Map<string, { count: number; since: number }>();
  readonly #linked = new Map<string, boolean>();
  /** Messages of gossip that came to a program. */
  readonly #heard = new WeakMap<Host, Set<string>>();

  constructor(world: World, plan: Plan) {
    this.#world = world;
    this.#plan = plan;
    this.#random = randomOf(plan.seed, 'ledger mesh');
  }

  /* ---- who is there ---- */

  attach(host: Host): void {
    this.#hosts.set(host.place, host);
    for (const other of this.#hosts.values()) {
      if (other !== host && this.#isConnected(host, other)) this.#meet(host, other);
    }
  }

  detach(process: Process): void {
    const host = this.#hosts.get(process.node);
    if (host?.process !== process) return;
    this.#hosts.delete(process.node);
    for (const other of this.#hosts.values()) {
      if (!this.#isLinked(host.place, other.place)) continue;
      this.#after(this.#delayMs(host.place, other.place), () => other.process.deliver(() => other.peersChanged()));
    }
  }

  /** Programs that run now. */
  get hosts(): readonly Host[] {
    return [...this.#hosts.values()];
  }

  /** Nothing gets from one place to another. */
  cut(from: number, to: number): void {
    const way = this.#cuts.get(`${from} ${to}`);
    if (way === undefined) this.#cuts.set(`${from} ${to}`, { count: 1, since: this.#world.now });
    else way.count++;
  }

  heal(from: number, to: number): void {
    const way = this.#cuts.get(`${from} ${to}`);
    if (way === undefined || --way.count > 0) return;
    this.#cuts.delete(`${from} ${to}`);
    const [a, b] = [this.#hosts.get(from), this.#hosts.get(to)];
    const noticed = this.#world.now - way.since > NOTICED_MS;
    if (noticed && a !== undefined && b !== undefined && this.#isConnected(a, b)) this.#meet(a, b);
  }

  isCut(from: number, to: number): boolean {
    return this.#cuts.has(`${from} ${to}`);
  }

  /* ---- what a node asks of its network ---- */

  /** @param host undefined until it is attached: it has no peers then */
  linkOf(host: () => Host | undefined, blames: (peer: NodeId, why: string) => void): LedgerLink {
    return {
      peers: () => {
        const own = host();
        return own === undefined ? [] : this.#peersOf(own);
      },
      open: async (peer, signal) => {
        const own = host();
        if (own === undefined) throw unreachable('the node has no network yet');
        return this.#open(own, peer, signal);
      },
      publish: (hint) => {
        const own = host();
        if (own !== undefined) this.#publish(own, hint);
      },
      onViolation: blames,
    };
  }

  /** As `network/witness.ts`. */
  async askWitness(
    host: () => Host | undefined,
    peer: NodeId,
    ask: WitnessAsk,
    signal: AbortSignal,
  ): Promise<WitnessAnswer> {
    const from = host();
    if (from === undefined) throw unreachable('the node has no network yet');
    const to = await this.#dial(from, peer, signal);
    return this.#roundTrip(from, to, (witness) => witness.onWitnessAsk(ask, from.id));
  }

  /** Somebody who is no node of ours hands a hint to one, which passes it on. @param from a key that nobody can be asked at */
  slip(bytes: Uint8Array, to: number, from: NodeId): void {
    this.#after(this.#random.between(1, this.#plan.delayMs[1]), () => {
      const host = this.#hosts.get(to);
      host?.process.deliver(() => {
        if (!this.#isNews(host, bytes)) return;
        if (host.onHint(bytes, from) === 'accept') this.#publish(host, bytes);
      });
    });
  }

  /** The same as the answer to a question, which nobody passes on. */
  slipEntries(entries: readonly Uint8Array[], to: number, from: NodeId): void {
    this.#after(this.#random.between(1, this.#plan.delayMs[1]), () => {
      const host = this.#hosts.get(to);
      host?.process.deliver(() => host.onEntries(entries, from));
    });
  }

  /** Brings something from one program to the one that runs at a place, if it gets there. */
  carry(from: Process, to: number, action: (host: Host) => void): void {
    if (this.isCut(from.node, to)) return;
    this.#after(this.#delayMs(from.node, to), () => {
      const host = this.#hosts.get(to);
      host?.process.deliver(() => action(host));
    });
  }

  #publish(from: Host, hint: Uint8Array): void {
    for (const host of this.#hosts.values()) {
      if (host.id === from.id || this.#random.chance(this.#plan.hintLoss)) continue;
      const relay = this.isCut(from.place, host.place) ? this.#relay(from.place, host.place) : undefined;
      if (this.isCut(from.place, host.place) && relay === undefined) continue;
      const ms =
        relay === undefined
          ? this.#delayMs(from.place, host.place)
          : this.#delayMs(from.place, relay) + this.#delayMs(relay, host.place) + MESH.heartbeatMs;
      this.#after(ms, () =>
        host.process.deliver(() => {
          if (this.#isNews(host, hint)) host.onHint(hint, from.id);
        }),
      );
    }
  }

  /** Gossip brings each message to a node once. */
  #isNews(host: Host, hint: Uint8Array): boolean {
    const heard = this.#heard.get(host) ?? new Set<string>();
    this.#heard.set(host, heard);
    const key = sha256Hex(hint);
    if (heard.has(key)) return false;
    heard.add(key);
    return true;
  }

  #relay(from: number, to: number): number | undefined {
    const hosts = this.hosts;
    for (let tries = 0; tries < 3; tries++) {
      const middle = this.#random.pick(hosts);
      const runs = middle.process.state === 'running';
      if (runs && !this.isCut(from, middle.place) && !this.isCut(middle.place, to)) return middle.place;
    }
    return undefined;
  }

  #peersOf(host: Host): NodeId[] {
    const peers = new Set<NodeId>();
    for (const other of this.#hosts.values()) {
      if (other.id !== host.id && this.#isConnected(host, other)) peers.add(other.id);
    }
    return [...peers];
  }

  /** A cut of either way ends a connection, when it is noticed. */
  #isConnected(a: Host, b: Host): boolean {
    if (a.id === b.id || !this.#isLinked(a.place, b.place)) return false;
    const gone = (way: { since: number } | undefined) => way !== undefined && this.#world.now - way.since > NOTICED_MS;
    return !gone(this.#cuts.get(`${a.place} ${b.place}`)) && !gone(this.#cuts.get(`${b.place} ${a.place}`));
  }

  #isLinked(a: number, b: number): boolean {
    const key = a < b ? `${a} ${b}` : `${b} ${a}`;
    const known = this.#linked.get(key);
    if (known !== undefined) return known;
    const { length } = this.#plan.nodes;
    const near = Math.abs(a - b) === 1 || this.#plan.witnesses.includes(a) || this.#plan.witnesses.includes(b);
    const linked = near || this.#random.chance(Math.min(1, NEIGHBOURS / length));
    this.#linked.set(key, linked);
    return linked;
  }

  #meet(a: Host, b: Host): void {
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      this.#after(2 * this.#delayMs(one.place, other.place), () =>
        one.process.deliver(() => {
          if (this.#hosts.get(one.place) !== one || this.#hosts.get(other.place) !== other) return;
          one.peersChanged();
          one.onPeer(other.id);
        }),
      );
    }
  }

  async #open(from: Host, peer: NodeId, signal: AbortSignal): Promise<LedgerSession> {
    const to = await this.#dial(from, peer, signal);
    let closed = false;
    return {
      ask: (ask) => {
        if (closed) return Promise.reject(unreachable('the stream is closed'));
        return this.#roundTrip(from, to, (host) => host.onAsk(ask, from.id));
      },
      close: () => {
        closed = true;
      },
    };
  }

  /** @returns the place of the machine that answers under this id */
  #dial(from: Host, peer: NodeId, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    const hosts = this.hosts.filter(({ id }) => id === peer);
    const to = hosts.length === 0 ? this.#placeOf(peer) : this.#random.pick(hosts).place;
    return new Promise((resolve, reject) => {
      const leave = () => done(() => reject(signal.reason));
      const timer = from.process.clock.after(MESH.dialTimeoutMs, () => done(() => reject(unreachable('no answer'))));
      const done = (settle: () => void) => {
        timer.cancel();
        signal.removeEventListener('abort', leave);
        settle();
      };
      signal.addEventListener('abort', leave, { once: true });
      if (to === undefined || this.isCut(from.place, to) || this.isCut(to, from.place)) return;
      this.#after(this.#delayMs(from.place, to) + this.#delayMs(to, from.place), () =>
        from.process.deliver(() => {
          done(() => (this.#hosts.has(to) ? resolve(to) : reject(unreachable('nobody is there'))));
        }),
      );
    });
  }

  #placeOf(id: NodeId): number | undefined {
    const at = this.#plan.nodes.findIndex((_, index) => idOf(index) === id);
    return at < 0 ? undefined : at;
  }

  #roundTrip<T>(from: Host, to: number, act: (host: Host) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = from.process.clock.after(LEDGER.requestTimeoutMs, () => reject(unreachable('no answer in time')));
      const back = (settle: () => void) => {
        if (this.isCut(to, from.place)) return;
        this.#after(this.#delayMs(to, from.place), () =>
          from.process.deliver(() => {
            timer.cancel();
            settle();
          }),
        );
      };
      if (this.isCut(from.place, to)) return;
      this.#after(this.#delayMs(from.place, to), () => {
        const host = this.#hosts.get(to);
        if (host === undefined) {
          back(() => reject(lost()));
          return;
        }
        host.process.deliver(() => {
          act(host).then(
            (answer) => back(() => resolve(answer)),
            (thrown) => back(() => reject(thrown instanceof GoGridError ? thrown : lost())),
          );
        });
      });
    });
  }

  #after(ms: number, action: () => void): void {
    this.#world.clock.after(ms, action);
  }

  #delayMs(from: number, to: number): number {
    const key = from < to ? `${from} ${to}` : `${to} ${from}`;
    const [near, far] = this.#plan.delayMs;
    const base = this.#base.get(key) ?? this.#random.logBetween(near, far);
    this.#base.set(key, base);
    return base * (1 + this.#plan.jitter * this.#random.next() ** 2);
  }
}

function unreachable(message: string): GoGridError {
  return new GoGridError({ code: 'peer_unreachable', message });
}

function lost(): GoGridError {
  return new GoGridError({ code: 'provider_lost', message: 'the stream broke' });
}
