/**
 * Admission: who is a peer of this mesh. The dialer says hello on every new connection, at once; the other side answers.
 * Until that has passed a peer is nothing here: no stream of ours, no gossip, no place in the DHT, not listed.
 */

import type { Connection, Libp2p, Stream, StreamHandler } from '@libp2p/interface';
import type { Clock } from '../clock.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import { MESH } from '../limits.ts';
import { type Hello, type HelloAnswer, helloAnswer, helloMessage } from '../protocol/hello.ts';
import { isNodeId, type NodeId } from '../protocol/ids.ts';
import type { Logger } from '../telemetry/logger.ts';
import { FrameChannel } from './frame-channel.ts';
import { HELLO_PROTOCOL } from './protocols.ts';
import { hangUp, openStream, within } from './streams.ts';

/** Hello, its answer and nothing else: any window holds them. */
const HELLO_WINDOW_BYTES = 16 * 1024;

export interface AdmissionEvents {
  admitted(node: NodeId, hello: Hello, connection: Connection): void;
  /** The last connection to an admitted peer closed. */
  left(node: NodeId): void;
  /** It is of another mesh, or does not speak our protocol: trying again soon is of no use. */
  refused(node: NodeId): void;
}

export interface AdmissionDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly onViolation: (node: NodeId, error: GoGridError) => void;
  /** The mesh's admission rule, for a peer of the same mesh; today `all`: everybody. */
  readonly mayEnter: (node: NodeId, hello: Hello) => boolean;
}

interface Peer {
  readonly connections: Set<Connection>;
  readonly decided: PromiseWithResolvers<boolean>;
  /** Set once admitted. */
  hello: Hello | undefined;
  held: number;
}

export class Admission {
  readonly #own: Hello;
  readonly #deps: AdmissionDeps;
  readonly #events: AdmissionEvents;
  /** Every peer with a connection; the connection manager bounds them. */
  readonly #peers = new Map<NodeId, Peer>();
  #stopping = false;

  constructor(own: Omit<Hello, 'type'>, deps: AdmissionDeps, events: AdmissionEvents) {
    this.#own = { ...own, type: 'hello' };
    this.#deps = deps;
    this.#events = events;
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

  isAdmitted(node: NodeId): boolean {
    return this.#peers.get(node)?.hello !== undefined;
  }

  /** Whether a peer is connected and not admitted, yet or at all. */
  isOutside(node: NodeId): boolean {
    const peer = this.#peers.get(node);
    return peer !== undefined && peer.hello === undefined;
  }

  /** What an admitted peer said of itself. */
  helloOf(node: NodeId): Hello | undefined {
    return this.#peers.get(node)?.hello;
  }

  /** The open connections to a peer, the oldest first. */
  *connectionsTo(node: NodeId): Generator<Connection> {
    for (const connection of this.#peers.get(node)?.connections ?? [])
      if (connection.status === 'open') yield connection;
  }

  *admitted(): Generator<NodeId> {
    for (const [node, { hello }] of this.#peers) if (hello !== undefined) yield node;
  }

  /** Whether a connected peer is admitted, as soon as that is decided: within `MESH.helloTimeoutMs`. */
  async whenAdmitted(node: NodeId): Promise<boolean> {
    if (this.isAdmitted(node)) return true;
    return this.#peers.get(node)?.decided.promise ?? false;
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

  #onOpen(connection: Connection): void {
    const node = connection.remotePeer.toString();
    if (connection.status !== 'open') return;
    if (!isNodeId(node)) {
      hangUp(connection);
      return;
    }
    const peer = this.#peers.get(node) ?? newPeer();
    this.#peers.set(node, peer);
    peer.connections.add(connection);
    this.#expectHello(node, peer, connection);
    if (connection.direction === 'outbound') void this.#say(node, peer, connection);
  }

  /** In two halves: a process that was held up for so long finds the hello in its buffers and has the second half to read it. */
  #expectHello(node: NodeId, peer: Peer, connection: Connection): void {
    const { clock, log } = this.#deps;
    const halfMs = MESH.helloTimeoutMs / 2;
    clock.after(halfMs, () =>
      clock.after(halfMs, () => {
        if (peer.hello !== undefined || connection.status !== 'open') return;
        log.debug({ node }, 'no hello in time');
        this.#refuse(node, peer, connection);
      }),
    );
  }

  #onClose(connection: Connection): void {
    const node = connection.remotePeer.toString();
    const peer = this.#peers.get(node);
    if (peer === undefined || !peer.connections.delete(connection) || peer.connections.size > 0) return;
    this.#peers.delete(node);
    peer.decided.resolve(false);
    if (peer.hello !== undefined) this.#events.left(node);
  }

  /** The dialer's side. */
  async #say(node: NodeId, peer: Peer, connection: Connection): Promise<void> {
    try {
      const stream = await openStream(connection, HELLO_PROTOCOL, AbortSignal.timeout(MESH.helloTimeoutMs));
      const channel = this.#channel<Hello, HelloAnswer>(node, stream, helloAnswer);
      channel.send(this.#own);
      const answer = await within(MESH.helloTimeoutMs, channel, this.#deps.clock);
      channel.close();
      if (answer?.type === 'hello' && this.#isOurs(answer)) this.#admit(node, peer, answer, connection);
      else this.#refuse(node, peer, connection);
    } catch (thrown) {
      this.#deps.log.debug({ node, code: toGoGridError(thrown).code }, 'hello failed');
      if (connection.status === 'open') this.#refuse(node, peer, connection);
    }
  }

  /** The other side. */
  async #answer(stream: Stream, connection: Connection): Promise<void> {
    const node = connection.remotePeer.toString();
    const channel = this.#channel<HelloAnswer, Hello>(node, stream, helloMessage);
    try {
      const hello = await within(MESH.helloTimeoutMs, channel, this.#deps.clock);
      const peer = this.#peers.get(node);
      if (hello === undefined || peer === undefined) {
        channel.abort(new GoGridError({ code: 'peer_unreachable', message: 'the peer left before its hello' }));
      } else if (this.#stopping || !this.#isOurs(hello)) {
        channel.send({ type: 'refused', code: this.#stopping ? 'shutting_down' : 'wrong_network' });
        channel.close();
        // The dialer hangs up; one that does not is cut off when its time for hello is over.
      } else if (this.#deps.mayEnter(node, hello)) {
        channel.send(this.#own);
        channel.close();
        this.#admit(node, peer, hello, connection);
      }
    } catch (thrown) {
      this.#deps.log.debug({ node, code: toGoGridError(thrown).code }, 'a hello was not understood');
    }
  }

  #isOurs(hello: Hello): boolean {
    return Buffer.compare(hello.networkId, this.#own.networkId) === 0;
  }

  #admit(node: NodeId, peer: Peer, hello: Hello, connection: Connection): void {
    const isNew = peer.hello === undefined;
    peer.hello = hello;
    peer.decided.resolve(true);
    if (isNew && peer.connections.size > 0) this.#events.admitted(node, hello, connection);
  }

  #refuse(node: NodeId, peer: Peer, connection: Connection): void {
    if (peer.hello === undefined) {
      peer.decided.resolve(false);
      this.#events.refused(node);
    }
    hangUp(connection);
  }

  #channel<Out, In>(node: NodeId, stream: Stream, schema: typeof helloAnswer | typeof helloMessage) {
    return new FrameChannel<Out, In>(
      stream,
      {
        schema: schema as never,
        what: 'a hello frame',
        sendWindowBytes: HELLO_WINDOW_BYTES,
        receiveWindowBytes: HELLO_WINDOW_BYTES,
        isLast: () => true,
      },
      { clock: this.#deps.clock, onViolation: (error) => this.#deps.onViolation(node, error) },
    );
  }
}

function newPeer(): Peer {
  return { connections: new Set(), decided: Promise.withResolvers<boolean>(), hello: undefined, held: 0 };
}
