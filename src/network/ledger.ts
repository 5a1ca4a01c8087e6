/**
 * `/gogrid/ledger/1`: both ends. Who lacks something asks question after question on one stream, each with one answer; what
 * the questions mean is the ledger's (`ledger/sync/sync.ts` asks, `ledger/sync/serve.ts` answers). Here is what one peer may cost.
 */

import type { Connection, Stream } from '@libp2p/interface';
import type { Clock } from '../clock.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import { Buckets } from '../ledger/intake/buckets.ts';
import type { LedgerLink, LedgerSession } from '../ledger/ports.ts';
import { LEDGER } from '../limits/ledger.ts';
import { FRAME, MESH } from '../limits/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';
import { LEDGER_ANSWERS, type LedgerAnswer, type LedgerAsk, ledgerAnswer, ledgerAsk } from '../protocol/ledger.ts';
import type { Logger } from '../telemetry/logger.ts';
import { FrameChannel, type FrameChannelOptions } from './frame-channel.ts';
import { OpenPerPeer } from './open-per-peer.ts';
import type { LedgerHandlers } from './ports.ts';
import { LEDGER_PROTOCOL } from './protocols.ts';
import { openStream, within } from './streams.ts';
import { Turns } from './turns.ts';

export interface LedgerStreamsDeps {
  /** Undefined in a mesh without credits. */
  readonly handlers: Pick<LedgerHandlers, 'answer'> | undefined;
  readonly admitted: () => Iterable<NodeId>;
  readonly connectionTo: (node: NodeId) => Connection | undefined;
  readonly publish: (hint: Uint8Array) => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onViolation: (node: NodeId, error: GoGridError) => void;
}

export class LedgerStreams implements LedgerLink {
  readonly #deps: LedgerStreamsDeps;
  readonly #open = new OpenPerPeer(LEDGER.maxStreamsPerPeer);
  readonly #rates: Buckets<NodeId>;
  readonly #turns = new Turns(LEDGER.maxServedAtOnce);
  /** Peers that do not speak it: an older version of the program. Until they leave. */
  readonly #mute = new Set<NodeId>();

  constructor(deps: LedgerStreamsDeps) {
    this.#deps = deps;
    const { maxRequestsPerSecond: perSecond, maxRequestsAtOnce: atOnce } = LEDGER;
    this.#rates = new Buckets({ perSecond, atOnce, maxKeys: MESH.maxRates }, deps.clock);
  }

  /** A peer is gone: should it come back, it may speak the protocol. */
  onLeft(node: NodeId): void {
    this.#mute.delete(node);
  }

  /* ---- who asks ---- */

  peers(): readonly NodeId[] {
    return [...this.#deps.admitted()].filter((node) => !this.#mute.has(node));
  }

  publish(hint: Uint8Array): void {
    this.#deps.publish(hint);
  }

  onViolation(peer: NodeId, message: string): void {
    this.#deps.onViolation(peer, new GoGridError({ code: 'protocol_violation', message }));
  }

  async open(peer: NodeId, signal: AbortSignal): Promise<LedgerSession> {
    const connection = this.#deps.connectionTo(peer);
    if (connection === undefined) throw new GoGridError({ code: 'peer_unreachable', message: 'the peer is gone' });
    try {
      const stream = await openStream(connection, LEDGER_PROTOCOL, signal);
      return new Session(this.#channel<LedgerAsk, LedgerAnswer>(connection, stream, ledgerAnswer), this.#deps.clock);
    } catch (thrown) {
      if (doesNotSpeak(thrown)) this.#mute.add(peer);
      throw thrown;
    }
  }

  /* ---- who answers ---- */

  /** Answers an admitted peer until it closes the stream; never rejects. */
  async serve(stream: Stream, connection: Connection): Promise<void> {
    const node = connection.remotePeer.toString();
    const { handlers, clock, log } = this.#deps;
    if (handlers === undefined || !this.#open.enter(node, stream)) {
      stream.abort(new GoGridError({ code: 'overloaded', message: 'too many ledger streams' }));
      return;
    }
    const channel = this.#channel<LedgerAnswer, LedgerAsk>(connection, stream, ledgerAsk);
    try {
      while (true) {
        const ask = await within(LEDGER.streamIdleMs, channel, clock);
        if (ask === undefined) break;
        if (!this.#rates.take(node)) throw new GoGridError({ code: 'overloaded', message: 'too many questions' });
        // Each peer has at most four questions in the line, so that none of them can keep the others waiting for long.
        channel.send(await this.#turns.next(() => handlers.answer(ask, node)));
        await channel.drained();
      }
      channel.close();
    } catch (thrown) {
      const error = toGoGridError(thrown);
      if (error.code === 'internal') log.warn({ error }, 'a question of the ledger could not be answered');
      channel.abort(error);
    }
  }

  #channel<Out, In>(connection: Connection, stream: Stream, schema: FrameChannelOptions<In>['schema']) {
    return new FrameChannel<Out, In>(
      stream,
      { schema, what: 'a ledger frame', sendWindowBytes: FRAME.maxBytes, receiveWindowBytes: FRAME.maxBytes },
      {
        clock: this.#deps.clock,
        onViolation: (error) => this.#deps.onViolation(connection.remotePeer.toString(), error),
      },
    );
  }
}

class Session implements LedgerSession {
  readonly #channel: FrameChannel<LedgerAsk, LedgerAnswer>;
  readonly #clock: Clock;
  #last: Promise<unknown> = Promise.resolve();

  constructor(channel: FrameChannel<LedgerAsk, LedgerAnswer>, clock: Clock) {
    this.#channel = channel;
    this.#clock = clock;
  }

  ask(request: LedgerAsk): Promise<LedgerAnswer> {
    const answer = this.#last.then(() => this.#askNow(request));
    this.#last = answer.catch(() => {});
    return answer;
  }

  async #askNow(request: LedgerAsk): Promise<LedgerAnswer> {
    this.#channel.send(request);
    const answer = await within(LEDGER.requestTimeoutMs, this.#channel, this.#clock);
    if (answer === undefined) throw new GoGridError({ code: 'provider_lost', message: 'the peer closed the stream' });
    if (answer.type === LEDGER_ANSWERS[request.type]) return answer;
    const error = new GoGridError({
      code: 'protocol_violation',
      message: `'${request.type}' was answered with '${answer.type}'`,
    });
    this.#channel.abort(error);
    throw error;
  }

  close(): void {
    this.#channel.close();
  }
}

/** Whether a stream could not be opened because the other side does not know its protocol. */
function doesNotSpeak(thrown: unknown): boolean {
  return (
    thrown instanceof GoGridError && thrown.cause instanceof Error && thrown.cause.name === 'UnsupportedProtocolError'
  );
}
