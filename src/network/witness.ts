/** `/gogrid/witness/1`: both ends. One question on a stream, and its answer; what they mean is the ledger's. */

import type { Connection, Stream } from '@libp2p/interface';
import type { Clock } from '../clock.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import { Buckets } from '../ledger/intake/buckets.ts';
import type { WitnessLink } from '../ledger/ports.ts';
import { LEDGER } from '../limits/ledger.ts';
import { FRAME, MESH } from '../limits/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';
import { type WitnessAnswer, type WitnessAsk, witnessAnswer, witnessAsk } from '../protocol/ledger.ts';
import type { Logger } from '../telemetry/logger.ts';
import { FrameChannel, type FrameChannelOptions } from './frame-channel.ts';
import { OpenPerPeer } from './open-per-peer.ts';
import type { LedgerHandlers } from './ports.ts';
import { WITNESS_PROTOCOL } from './protocols.ts';
import { openStream, within } from './streams.ts';

export interface WitnessStreamsDeps {
  /** Undefined at a node that is no witness. */
  readonly attest: LedgerHandlers['attest'];
  /** A connection to a node, dialed when there is none. @throws GoGridError `peer_unreachable` */
  readonly reach: (node: NodeId, signal: AbortSignal) => Promise<Connection>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onViolation: (node: NodeId, error: GoGridError) => void;
}

export class WitnessStreams implements WitnessLink {
  readonly #deps: WitnessStreamsDeps;
  readonly #open = new OpenPerPeer(LEDGER.maxStreamsPerPeer);
  readonly #rates: Buckets<NodeId>;

  constructor(deps: WitnessStreamsDeps) {
    this.#deps = deps;
    const { maxWitnessAsksPerSecond: perSecond, maxWitnessAsksAtOnce: atOnce } = LEDGER;
    this.#rates = new Buckets({ perSecond, atOnce, maxKeys: MESH.maxRates }, deps.clock);
  }

  async ask(node: NodeId, ask: WitnessAsk, signal: AbortSignal): Promise<WitnessAnswer> {
    const connection = await this.#deps.reach(node, signal);
    const stream = await openStream(connection, WITNESS_PROTOCOL, signal);
    const channel = this.#channel<WitnessAsk, WitnessAnswer>(connection, stream, witnessAnswer);
    const onAbort = () => channel.abort(new GoGridError({ code: 'peer_unreachable', message: 'asking took too long' }));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      channel.send(ask);
      const answer = await within(LEDGER.requestTimeoutMs, channel, this.#deps.clock);
      if (answer === undefined || (answer.type === 'may-release') !== (ask.type === 'may-release')) {
        throw new GoGridError({ code: 'protocol_violation', message: `'${ask.type}' has no answer of its kind` });
      }
      return answer;
    } finally {
      signal.removeEventListener('abort', onAbort);
      channel.close();
    }
  }

  /** Answers an admitted peer; never rejects. */
  async serve(stream: Stream, connection: Connection): Promise<void> {
    const node = connection.remotePeer.toString();
    const { attest, clock, log } = this.#deps;
    if (attest === undefined || !this.#open.enter(node, stream) || !this.#rates.take(node)) {
      stream.abort(new GoGridError({ code: 'overloaded', message: 'a witness is asked too often' }));
      return;
    }
    const channel = this.#channel<WitnessAnswer, WitnessAsk>(connection, stream, witnessAsk);
    try {
      const ask = await within(LEDGER.requestTimeoutMs, channel, clock);
      if (ask !== undefined) channel.send(await attest(ask, node));
      channel.close();
    } catch (thrown) {
      const error = toGoGridError(thrown);
      if (error.code === 'internal') log.warn({ error }, 'a question to the witness could not be answered');
      channel.abort(error);
    }
  }

  #channel<Out, In>(connection: Connection, stream: Stream, schema: FrameChannelOptions<In>['schema']) {
    return new FrameChannel<Out, In>(
      stream,
      {
        schema,
        what: 'a witness frame',
        sendWindowBytes: FRAME.maxBytes,
        receiveWindowBytes: FRAME.maxBytes,
        // Either side has one message.
        isLast: () => true,
      },
      {
        clock: this.#deps.clock,
        onViolation: (error) => this.#deps.onViolation(connection.remotePeer.toString(), error),
      },
    );
  }
}
