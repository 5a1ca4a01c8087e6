/**
 * The simulated network: who is connected, how long things take, what is cut. A closed connection is noticed at once; a cut
 * and a machine without power only by silence, or when the connection's keep-alive gives up.
 */

import { GoGridError } from '../../errors.ts';
import type { ProviderChannel, RequesterChannel } from '../../jobs/ports.ts';
import { JOB } from '../../limits/jobs.ts';
import { MESH } from '../../limits/mesh.ts';
import type { NodeId } from '../../protocol/ids.ts';
import type { JobRequest } from '../../protocol/job.ts';
import { Connection, type Wire } from './connection.ts';
import type { Plan } from './plan.ts';
import type { Process } from './process.ts';
import { type Random, randomOf } from './random.ts';
import { openStream } from './stream.ts';
import type { World } from './world.ts';

/** What one `state` page carries of a node. */
export interface Signed {
  readonly profile: Uint8Array;
  readonly beat: Uint8Array;
  readonly ageMs: number;
}

/** A node's program, as the network meets it. */
export interface Host {
  readonly id: NodeId;
  readonly process: Process;
  /** Canonical names of the models it tells the DHT. */
  readonly provides: () => readonly string[];
  own(): Signed;
  signed(): Iterable<Signed>;
  onJob(from: NodeId, request: JobRequest, channel: ProviderChannel): void;
  /** A worker has free slots. Returns how many jobs come. */
  onIdle(node: NodeId, models: readonly string[], slots: number): number;
  onWorkAdvertised(node: NodeId): void;
  onProfile(bytes: Uint8Array): void;
  onBeat(bytes: Uint8Array, ageMs: number): void;
  /** Whether this node has heard who has these models. */
  serves(node: NodeId, model: string): boolean;
  knows(node: NodeId): boolean;
  /** It has heard of nothing, or of an older profile than the one that the node's last beat names. */
  lacksProfileOf(node: NodeId): boolean;
}

export class SimNetwork implements Wire {
  readonly #world: World;
  readonly #plan: Plan;
  readonly #random: Random;
  /** By index of the node; undefined while its program does not run. */
  readonly #hosts: (Host | undefined)[];
  readonly #indexOf: ReadonlyMap<NodeId, number>;
  readonly #powered: boolean[];
  readonly #base = new Map<number, number>();
  readonly #cuts = new Map<number, number>();
  /** Open at one side at least, by pair. */
  readonly #connections = new Map<number, Set<Connection>>();
  /** When a node last failed to reach another, by both. */
  readonly #failedAt = new Map<number, number>();

  constructor(world: World, plan: Plan, ids: readonly NodeId[]) {
    this.#world = world;
    this.#plan = plan;
    this.#random = randomOf(plan.seed, 'network');
    this.#hosts = plan.nodes.map(() => undefined);
    this.#powered = plan.nodes.map(() => true);
    this.#indexOf = new Map(ids.map((id, index) => [id, index]));
  }

  /* ---- who is there ---- */

  /** A program starts; its machine has power again, if it had none. */
  attach(host: Host): void {
    const { node } = host.process;
    this.#hosts[node] = host;
    this.#powered[node] = true;
    // Who still sends to the program that ran here before is told that it is gone.
    for (const connection of this.#allOf(node)) {
      const old = connection.ends.find((end) => end.node === node && end !== host.process);
      if (old === undefined) continue;
      const other = connection.otherThan(old);
      if (!this.isCut(node, other.node)) this.after(this.#random.between(1, 3_000), () => connection.breakAt(other));
    }
  }

  /** A program is gone; its machine says so to whoever is connected, unless it lost its power. */
  detach(process: Process, hasPower: boolean): void {
    this.#hosts[process.node] = undefined;
    this.#powered[process.node] = hasPower;
    for (const connection of this.#allOf(process.node)) {
      if (!connection.ends.includes(process)) continue;
      if (hasPower) connection.closedByMachine(process);
      else this.#giveUpUnlessHealed(connection);
    }
  }

  /** The peers of a program that is stopped do not hear from it. */
  stopped(process: Process): void {
    for (const connection of this.#allOf(process.node)) this.#giveUpUnlessHealed(connection);
  }

  /** The program that runs on a node now. */
  host(node: number): Host | undefined {
    return this.#hosts[node];
  }

  /** The programs that run now, by index of their nodes. */
  get hosts(): readonly (Host | undefined)[] {
    return this.#hosts;
  }

  indexOf(id: NodeId): number | undefined {
    return this.#indexOf.get(id);
  }

  /* ---- the wire ---- */

  get now(): number {
    return this.#world.now;
  }

  after(ms: number, action: () => void): void {
    this.#world.clock.after(ms, action);
  }

  delayMs(from: number, to: number): number {
    const again = this.#random.chance(this.#plan.loss) ? 200 : 0;
    return this.baseMs(from, to) * (1 + this.#plan.jitter * this.#random.next() ** 2) + again;
  }

  /** Milliseconds one way when nothing is in the way. */
  baseMs(from: number, to: number): number {
    const pair = this.#pair(from, to);
    const known = this.#base.get(pair);
    if (known !== undefined) return known;
    const [near, far] = this.#plan.delayMs;
    const ms = this.#random.logBetween(near, far);
    this.#base.set(pair, ms);
    return ms;
  }

  isCut(from: number, to: number): boolean {
    return (this.#cuts.get(this.#way(from, to)) ?? 0) > 0;
  }

  isMachineUp(node: number): boolean {
    return this.#powered[node] === true;
  }

  /** Whether what one running program sends would reach another. */
  reaches(from: number, to: number): boolean {
    return from === to || (!this.isCut(from, to) && this.#hosts[to]?.process.state === 'running');
  }

  cut(from: number, to: number): void {
    const way = this.#way(from, to);
    this.#cuts.set(way, (this.#cuts.get(way) ?? 0) + 1);
    for (const connection of this.#between(from, to)) this.#giveUpUnlessHealed(connection);
  }

  heal(from: number, to: number): void {
    const way = this.#way(from, to);
    const left = (this.#cuts.get(way) ?? 1) - 1;
    this.#cuts.set(way, left);
    if (left > 0) return;
    for (const connection of this.#between(from, to)) connection.release(from, this.#random.between(0, 2_000));
  }

  /** Connections between two machines break, as when a router between them restarts. */
  reset(from: number, to: number): void {
    for (const connection of this.#between(from, to)) for (const end of connection.ends) connection.breakAt(end);
  }

  onBroken(connection: Connection, side: Process, other: Process): void {
    this.#world.note(side.node, undefined, `connection to ${nameOf(other.node)} is gone`);
    if (connection.ends.every((end) => !end.isAlive || !connection.isOpenAt(end))) {
      this.#between(side.node, other.node).delete(connection);
    }
    side.clock.after(this.#random.between(200, 6_000), () => void this.reach(side, other.node).catch(() => undefined));
  }

  /** A cut, a loss of power or a stop that outlasts the keep-alive ends a connection, at each side by itself. */
  #giveUpUnlessHealed(connection: Connection): void {
    for (const end of connection.ends) {
      const since = this.now;
      const ms = this.#plan.keepAliveMs * this.#random.between(0.7, 1.3);
      const other = connection.otherThan(end);
      this.after(ms, () => {
        const through = this.reaches(end.node, other.node) && this.reaches(other.node, end.node) && other.isAlive;
        if (!through && this.now - since >= ms - 1 && end.state === 'running') connection.breakAt(end);
      });
    }
  }

  /* ---- connecting ---- */

  connectionOf(process: Process, to: number): Connection | undefined {
    let youngest: Connection | undefined;
    for (const connection of this.#between(process.node, to)) {
      if (connection.ends.includes(process) && connection.isOpenAt(process)) youngest = connection;
    }
    return youngest;
  }

  /** Two nodes are connected, without the time it takes. */
  connect(a: Process, b: Process): Connection {
    const connection = new Connection([a, b], this);
    this.#between(a.node, b.node).add(connection);
    return connection;
  }

  /** As `network/dial.ts`: a try takes its time and fails in its own way. */
  reach(process: Process, to: number): Promise<Connection> {
    const open = this.connectionOf(process, to);
    if (open !== undefined) return Promise.resolve(open);
    return new Promise((resolve, reject) => {
      const failed = () => {
        this.#failedAt.set(this.#way(process.node, to), this.now);
        reject(new GoGridError({ code: 'peer_unreachable', message: `${nameOf(to)} cannot be reached` }));
      };
      const { node } = process;
      const timer = process.clock.after(MESH.dialTimeoutMs, failed);
      const through = (from: number, target: number) => !this.isCut(from, target);
      const roundTripMs = () => this.delayMs(node, to) + this.delayMs(to, node);
      if (!through(node, to) || !through(to, node) || !this.isMachineUp(to)) return;
      this.after(roundTripMs(), () => {
        const host = this.#hosts[to];
        if (host === undefined) {
          timer.cancel();
          process.deliver(failed);
          return;
        }
        // Encryption and hello: the program itself has to answer.
        this.after(roundTripMs(), () =>
          host.process.deliver(() => {
            if (!through(node, to) || !through(to, node) || !process.isAlive) return;
            const connection = this.connectionOf(process, to) ?? this.connect(process, host.process);
            process.deliver(() => {
              timer.cancel();
              this.#failedAt.delete(this.#way(node, to));
              resolve(connection);
            });
          }),
        );
      });
    });
  }

  /* ---- what a node asks of its network ---- */

  mayUse(process: Process, id: NodeId): boolean {
    const to = this.#indexOf.get(id);
    if (to === undefined) return false;
    if (this.connectionOf(process, to) !== undefined) return true;
    return !this.isOutOfReach(process, id);
  }

  /** It was tried lately and not reached. */
  isOutOfReach(process: Process, id: NodeId): boolean {
    const to = this.#indexOf.get(id);
    const failedAt = to === undefined ? undefined : this.#failedAt.get(this.#way(process.node, to));
    return failedAt !== undefined && this.now - failedAt < MESH.unreachableMs;
  }

  latencyMs(process: Process, id: NodeId): number | undefined {
    const to = this.#indexOf.get(id);
    if (to === undefined || this.connectionOf(process, to) === undefined) return undefined;
    return 2 * this.baseMs(process.node, to);
  }

  /** As `PeerLink.openJob`. */
  openJob(from: Host, id: NodeId, request: JobRequest, signal: AbortSignal): Promise<RequesterChannel> {
    const to = this.#indexOf.get(id);
    const { process } = from;
    return new Promise((resolve, reject) => {
      const leave = () =>
        reject(
          signal.reason instanceof GoGridError
            ? signal.reason
            : new GoGridError({ code: 'cancelled', message: `no job stream to ${id}` }),
        );
      if (signal.aborted || to === undefined) return leave();
      signal.addEventListener('abort', leave, { once: true });
      const settle =
        <T>(way: (value: T) => void) =>
        (value: T) => {
          signal.removeEventListener('abort', leave);
          way(value);
        };
      this.reach(process, to)
        .then((connection) => this.#negotiate(connection, process))
        .then((connection) => {
          signal.throwIfAborted();
          return this.#startJob(connection, from, request);
        })
        .then(settle(resolve), settle(reject));
    });
  }

  #negotiate(connection: Connection, process: Process): Promise<Connection> {
    if (!this.#plan.streamsTakeRoundTrip) return Promise.resolve(connection);
    return new Promise((resolve, reject) => {
      const timer = process.clock.after(JOB.openTimeoutMs, () =>
        reject(new GoGridError({ code: 'peer_unreachable', message: 'no stream in time' })),
      );
      const other = connection.otherThan(process);
      connection.send(process, () =>
        connection.send(other, () => {
          timer.cancel();
          resolve(connection);
        }),
      );
    });
  }

  #startJob(connection: Connection, from: Host, request: JobRequest): RequesterChannel {
    const { process } = from;
    const other = connection.otherThan(process);
    const { requester, provider } = openStream(connection, process, other, this.#plan.windowBytes);
    connection.send(process, () => {
      const host = this.#hosts[other.node];
      if (host?.process === other) host.onJob(from.id, request, provider);
    });
    return requester;
  }

  #allOf(node: number): Connection[] {
    const found: Connection[] = [];
    for (let other = 0; other < this.#hosts.length; other++) {
      for (const connection of this.#connections.get(this.#pair(node, other)) ?? []) found.push(connection);
    }
    return found;
  }

  #between(a: number, b: number): Set<Connection> {
    const pair = this.#pair(a, b);
    const known = this.#connections.get(pair);
    if (known !== undefined) return known;
    const fresh = new Set<Connection>();
    this.#connections.set(pair, fresh);
    return fresh;
  }

  #pair(a: number, b: number): number {
    return a < b ? this.#way(a, b) : this.#way(b, a);
  }

  #way(from: number, to: number): number {
    return from * this.#hosts.length + to;
  }
}

/** How a node is called in a report. */
export function nameOf(node: number): string {
  return `n${node}`;
}
