/**
 * Admission: who is a peer of this mesh. The dialer says hello on every new connection, at once; the other side answers.
 * A peer is admitted when this side accepts it *and* it has said that it accepts this one. Until then it is nothing here:
 * no stream of ours, no gossip, no place in the DHT. One that has said hello and still has to be accepted, on either side,
 * *waits*: it stays connected and is listed apart. When its user decides, a side says hello again.
 */

import type { Connection, Libp2p, Stream, StreamHandler } from '@libp2p/interface';
import type { Clock } from '../clock.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import { MESH } from '../limits/mesh.ts';
import { type Hello, type HelloAnswer, helloAnswer, helloMessage } from '../protocol/hello.ts';
import { isNodeId, type NodeId } from '../protocol/ids.ts';
import type { Logger } from '../telemetry/logger.ts';
import { helloChannel } from './hello-channel.ts';
import { isAgreed, isInHello, type Link, newPeer, type Peer, undecide } from './outside.ts';
import type { WaitsFor } from './ports.ts';
import { HELLO_PROTOCOL } from './protocols.ts';
import { Rates } from './rates.ts';
import { hangUp, openStream, within } from './streams.ts';
import { roomFor, type Waiting } from './waiting-room.ts';

export interface AdmissionEvents {
  admitted(node: NodeId, hello: Hello, connection: Connection): void;
  /** The last connection to an admitted peer closed. */
  left(node: NodeId): void;
  /** It said hello, and somebody has to accept before it is admitted. */
  waiting(node: NodeId): void;
  /** It is of another mesh, does not speak our protocol, or there is no room: trying again soon is of no use. */
  refused(node: NodeId): void;
  /** An admitted peer said hello once more. */
  heard(node: NodeId, hello: Hello): void;
}

export interface AdmissionDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly onViolation: (node: NodeId, error: GoGridError) => void;
  /** What this node says of itself now. */
  readonly own: () => Omit<Hello, 'type' | 'waiting'>;
  /** Whether this side works with a node of the same mesh. */
  readonly accepts: (node: NodeId) => boolean;
  /** Whether its user has accepted just this node, by name. */
  readonly isChosen: (node: NodeId) => boolean;
}

export class Admission {
  readonly #deps: AdmissionDeps;
  readonly #events: AdmissionEvents;
  /** Every peer with a connection; the connection manager bounds them. */
  readonly #peers = new Map<NodeId, Peer>();
  readonly #rates: Rates<NodeId>;
  #stopping = false;

  constructor(deps: AdmissionDeps, events: AdmissionEvents) {
    this.#deps = deps;
    this.#events = events;
    this.#rates = new Rates({ perSecond: MESH.maxHellosPerSecond, maxKeys: MESH.maxRates }, deps.clock);
  }

  /** Listens for connections and hellos; call it before the host starts. */
  async attach(host: Libp2p): Promise<void> {
    host.addEventListener('connection:open', ({ detail }) => this.#onOpen(detail));
    host.addEventListener('connection:close', ({ detail }) => this.#onClose(detail));
    await host.handle(HELLO_PROTOCOL, (stream, connection) => this.#answer(stream, connection), {
      maxInboundStreams: 2,
      maxOutboundStreams: 2,
      runOnLimitedConnection: true,
    });
  }

  /** From now on nobody is admitted any more; who asks is told that this node shuts down. */
  close(): void {
    this.#stopping = true;
  }

  /* ---- what the others ask ---- */

  isAdmitted(node: NodeId): boolean {
    // The user's no holds from the moment it is said, not from the moment the last connection is closed.
    return this.#peers.get(node)?.admitted === true && this.#deps.accepts(node);
  }

  /** Whether this side works with a node, should it come. */
  accepts(node: NodeId): boolean {
    return this.#deps.accepts(node);
  }

  /** Whether a peer is connected and not admitted, yet or at all. */
  isOutside(node: NodeId): boolean {
    return this.#peers.has(node) && !this.isAdmitted(node);
  }

  /** What a connected peer said of itself. */
  helloOf(node: NodeId): Hello | undefined {
    return this.#peers.get(node)?.hello;
  }

  /** Who has to accept before a connected peer is admitted; undefined when it is, or has not said hello. */
  waitsFor(node: NodeId): WaitsFor | undefined {
    const peer = this.#peers.get(node);
    if (peer === undefined || !peer.waits) return undefined;
    const there = [...peer.links.values()].every(({ heard }) => heard?.waiting !== false);
    if (this.#deps.accepts(node)) return 'there';
    return there ? 'both' : 'here';
  }

  /** The peers that wait, the one that came first in front. */
  *waiting(): Generator<Waiting> {
    for (const [node, { waits, since, links }] of this.#peers) {
      const [connection] = links.keys();
      if (waits && connection !== undefined) yield { node, since, address: connection.remoteAddr.toString() };
    }
  }

  /** The open connections to a peer, the oldest first. */
  *connectionsTo(node: NodeId): Generator<Connection> {
    for (const connection of this.#peers.get(node)?.links.keys() ?? [])
      if (connection.status === 'open') yield connection;
  }

  *admitted(): Generator<NodeId> {
    for (const node of this.#peers.keys()) if (this.isAdmitted(node)) yield node;
  }

  /** Whether a connected peer is admitted, as soon as that is decided: within `MESH.helloTimeoutMs`. */
  async whenAdmitted(node: NodeId): Promise<boolean> {
    if (this.isAdmitted(node)) return true;
    return this.#peers.get(node)?.decided.promise ?? false;
  }

  /** True as soon as a connected peer is admitted, be it after hours; false when it goes before. */
  async onceAdmitted(node: NodeId): Promise<boolean> {
    return this.#peers.get(node)?.entered.promise ?? false;
  }

  /**
   * A stream handler behind admission: streams that arrive before hello has passed wait for it, a bounded number with a
   * bounded number of bytes; those of a peer that is not admitted are reset.
   */
  guard(handler: StreamHandler): StreamHandler {
    return async (stream, connection) => {
      const node = connection.remotePeer.toString();
      if (!this.isAdmitted(node) && !(await this.#hold(node, stream))) {
        stream.abort(new GoGridError({ code: 'unauthorized', message: 'the peer is not admitted' }));
        return;
      }
      await handler(stream, connection);
    };
  }

  async #hold(node: NodeId, stream: Stream): Promise<boolean> {
    const peer = this.#peers.get(node);
    if (peer === undefined || peer.held >= MESH.maxHeldStreams) return false;
    const usual = stream.maxReadBufferLength;
    stream.maxReadBufferLength = MESH.maxHeldBytes;
    peer.held++;
    const admitted = await peer.decided.promise;
    peer.held--;
    stream.maxReadBufferLength = usual;
    return admitted;
  }

  /* ---- what the user decides ---- */

  /** The user has accepted a node: if it is connected, it is told. */
  reconsider(node: NodeId): void {
    const peer = this.#peers.get(node);
    if (peer !== undefined) this.#settle(node, peer);
  }

  /** The user does not want a node any more. */
  dismiss(node: NodeId): void {
    const peer = this.#peers.get(node);
    if (peer !== undefined) this.#hangUpAll(peer);
  }

  /** Says hello to every admitted peer once more, because there is something new to say. */
  sayAgain(): void {
    for (const [node, peer] of this.#peers) {
      const [connection, link] = [...peer.links].at(-1) ?? [];
      if (!peer.admitted || connection === undefined || link === undefined || link.saying) continue;
      void this.#say(node, peer, connection, link);
    }
  }

  /* ---- connections come and go ---- */

  #onOpen(connection: Connection): void {
    const node = connection.remotePeer.toString();
    if (connection.status !== 'open') return;
    const peer = this.#peers.get(node) ?? newPeer(this.#deps.clock.now());
    if (!isNodeId(node) || (!peer.admitted && peer.links.size >= MESH.maxOutsideConnections)) {
      hangUp(connection);
      return;
    }
    this.#peers.set(node, peer);
    const link: Link = { told: undefined, heard: undefined, saying: false };
    peer.links.set(connection, link);
    if (!peer.admitted) undecide(peer);
    this.#expectHello(node, peer, connection, link);
    if (connection.direction === 'outbound') void this.#say(node, peer, connection, link);
  }

  /** In two halves: a process that was held up for so long finds the hello in its buffers and has the second half to read it. */
  #expectHello(node: NodeId, peer: Peer, connection: Connection, link: Link): void {
    const { clock, log } = this.#deps;
    const halfMs = MESH.helloTimeoutMs / 2;
    clock.after(halfMs, () =>
      clock.after(halfMs, () => {
        // Of an admitted peer too: on another connection it may be a new run of it, which has to say whom it accepts.
        if (link.heard !== undefined || connection.status !== 'open') return;
        log.debug({ node }, 'no hello in time');
        this.#refuse(node, peer, connection);
      }),
    );
  }

  #onClose(connection: Connection): void {
    const node = connection.remotePeer.toString();
    const peer = this.#peers.get(node);
    if (peer === undefined || !peer.links.delete(connection)) return;
    if (peer.links.size > 0) {
      this.#settle(node, peer);
      return;
    }
    this.#peers.delete(node);
    peer.decided.resolve(false);
    peer.entered.resolve(false);
    if (peer.admitted) this.#events.left(node);
  }

  /* ---- saying hello ---- */

  /** The dialer's side, and either side's when it has something new to say. */
  async #say(node: NodeId, peer: Peer, connection: Connection, link: Link): Promise<void> {
    link.saying = true;
    if (!peer.admitted) undecide(peer);
    const accepts = this.#deps.accepts(node);
    try {
      const stream = await openStream(connection, HELLO_PROTOCOL, AbortSignal.timeout(MESH.helloTimeoutMs));
      const channel = helloChannel<Hello, HelloAnswer>(node, stream, helloAnswer, this.#deps);
      channel.send(this.#hello(accepts));
      const answer = await within(MESH.helloTimeoutMs, channel, this.#deps.clock);
      channel.close();
      link.saying = false;
      if (answer?.type === 'hello' && this.#isOurs(answer))
        this.#exchanged(node, peer, connection, link, answer, accepts);
      else this.#refuse(node, peer, connection);
    } catch (thrown) {
      link.saying = false;
      this.#deps.log.debug({ node, code: toGoGridError(thrown).code }, 'hello failed');
      // A new connection begins anew; half of an agreement would leave the two sides of different minds.
      const agreed = peer.admitted && isAgreed(link);
      if (connection.status === 'open' && !agreed) this.#refuse(node, peer, connection);
    }
  }

  /** The other side. */
  async #answer(stream: Stream, connection: Connection): Promise<void> {
    const node = connection.remotePeer.toString();
    if (!this.#rates.allows(node)) {
      stream.abort(new GoGridError({ code: 'overloaded', message: 'hello is said too often' }));
      return;
    }
    const channel = helloChannel<HelloAnswer, Hello>(node, stream, helloMessage, this.#deps);
    try {
      const hello = await within(MESH.helloTimeoutMs, channel, this.#deps.clock);
      const peer = this.#peers.get(node);
      const link = peer?.links.get(connection);
      if (hello === undefined || peer === undefined || link === undefined) {
        channel.abort(new GoGridError({ code: 'peer_unreachable', message: 'the peer left before its hello' }));
        return;
      }
      const accepts = this.#deps.accepts(node);
      const refusal = this.#refusal(node, peer, connection, hello, accepts);
      channel.send(refusal === undefined ? this.#hello(accepts) : { type: 'refused', code: refusal });
      channel.close();
      // The dialer of a refused one hangs up; one that does not is cut off when its time for hello is over.
      if (refusal === undefined) this.#exchanged(node, peer, connection, link, hello, accepts);
    } catch (thrown) {
      this.#deps.log.debug({ node, code: toGoGridError(thrown).code }, 'a hello was not understood');
    }
  }

  #refusal(node: NodeId, peer: Peer, connection: Connection, hello: Hello, accepts: boolean) {
    if (this.#stopping) return 'shutting_down';
    if (!this.#isOurs(hello)) return 'wrong_network';
    return this.#mustLeave(node, peer, connection, accepts && !hello.waiting) ? 'full' : undefined;
  }

  #hello(accepts: boolean): Hello {
    return { ...this.#deps.own(), type: 'hello', waiting: !accepts };
  }

  #isOurs(hello: Hello): boolean {
    return Buffer.compare(hello.networkId, this.#deps.own().networkId) === 0;
  }

  /* ---- what follows from what was said ---- */

  /** Both sides of a connection have said hello. @param accepts what this side has told */
  #exchanged(node: NodeId, peer: Peer, connection: Connection, link: Link, hello: Hello, accepts: boolean): void {
    // It closed meanwhile, or its peer made room for another one: what it said is of no use any more.
    if (!peer.links.has(connection)) return;
    peer.hello = hello;
    // Streams overtake one another: a `waiting` that comes after its end was said is older than that.
    link.heard = { ...hello, waiting: hello.waiting && link.heard?.waiting !== false };
    link.told = accepts || link.told === true;
    if (this.#mustLeave(node, peer, connection, isAgreed(link))) this.#refuse(node, peer, connection);
    else this.#settle(node, peer);
    if (peer.admitted) this.#events.heard(node, hello);
  }

  /** Brings a peer to where it belongs after what this side, or it, has said last. */
  #settle(node: NodeId, peer: Peer): void {
    const accepts = this.#deps.accepts(node);
    const links = [...peer.links];
    const agreed = links.find(([, link]) => isAgreed(link));
    if (agreed !== undefined && accepts && peer.hello !== undefined) {
      this.#admit(node, peer, peer.hello, agreed[0]);
      return;
    }
    if (peer.admitted) {
      // It comes back on another connection, as after a restart, and the old one was the first to go. It stays admitted until
      // the hello is through, at most `MESH.helloTimeoutMs` later: nobody has said no, and jobs of that connection go on.
      if (accepts && isInHello(peer)) return;
      // What it was admitted on is gone, and what is left says no.
      this.#hangUpAll(peer);
      return;
    }
    for (const [connection, link] of links) {
      if (accepts && link.told === false && !link.saying) void this.#say(node, peer, connection, link);
    }
    if (isInHello(peer)) return;
    peer.decided.resolve(false);
    if (!peer.waits) {
      peer.waits = true;
      this.#events.waiting(node);
    }
  }

  #admit(node: NodeId, peer: Peer, hello: Hello, connection: Connection): void {
    if (peer.admitted || this.#stopping) return;
    peer.admitted = true;
    peer.waits = false;
    peer.decided.resolve(true);
    this.#events.admitted(node, hello, connection);
    peer.entered.resolve(true);
  }

  /**
   * Whether a peer would have to wait, and there is no room for it. When another one has to make room, it is sent away here.
   * @param agreed both sides accept: it does not wait
   */
  #mustLeave(node: NodeId, peer: Peer, connection: Connection, agreed: boolean): boolean {
    // A peer that a person has chosen takes no room.
    if (agreed || peer.waits || peer.admitted || this.#deps.isChosen(node)) return false;
    const others = [...this.waiting()].filter((other) => !this.#deps.isChosen(other.node));
    const room = roomFor(connection.remoteAddr.toString(), others);
    if (room.kind === 'taken') this.#sendAway(room.from);
    return room.kind === 'none';
  }

  /** Ends a peer that waits, at once: what it says before its connections are closed finds nobody here. */
  #sendAway(node: NodeId): void {
    const peer = this.#peers.get(node);
    if (peer === undefined) return;
    this.#peers.delete(node);
    this.#hangUpAll(peer);
    peer.links.clear();
    peer.entered.resolve(false);
    this.#events.refused(node);
  }

  #refuse(node: NodeId, peer: Peer, connection: Connection): void {
    if (!peer.admitted) {
      peer.decided.resolve(false);
      this.#events.refused(node);
    }
    hangUp(connection);
  }

  #hangUpAll(peer: Peer): void {
    peer.decided.resolve(false);
    for (const connection of peer.links.keys()) hangUp(connection);
  }
}
