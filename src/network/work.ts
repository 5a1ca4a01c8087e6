/**
 * `/gogrid/work/1`: both ends. An idle worker says what it runs; the coordinator says how many of its waiting jobs come now,
 * and opens an ordinary job stream for each.
 */

import type { Connection, Stream } from '@libp2p/interface';
import type { Clock } from '../clock.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import { FRAME, MESH } from '../limits/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';
import { type WorkAnswer, type WorkIdle, workAnswer, workIdle } from '../protocol/work.ts';
import { FrameChannel, type FrameChannelOptions } from './frame-channel.ts';
import type { Directory, NetworkDeps } from './ports.ts';
import { WORK_PROTOCOL } from './protocols.ts';
import { Rates } from './rates.ts';
import type { StateExchange } from './state.ts';
import { openStream, within } from './streams.ts';

export interface WorkStreamsDeps {
  readonly onIdle: NetworkDeps['onIdle'];
  readonly state: Pick<StateExchange, 'ask'>;
  readonly directory: Pick<Directory, 'get'>;
  readonly clock: Clock;
  readonly onViolation: (node: NodeId, error: GoGridError) => void;
}

export class WorkStreams {
  readonly #deps: WorkStreamsDeps;
  readonly #open = new Map<NodeId, number>();
  readonly #rates: Rates<NodeId>;

  constructor(deps: WorkStreamsDeps) {
    this.#deps = deps;
    this.#rates = new Rates({ perSecond: MESH.maxWorkPerSecond, maxKeys: MESH.maxRates }, deps.clock);
  }

  /* ---- the worker's end ---- */

  /**
   * Offers free slots to a coordinator.
   * @returns how many jobs it says are on their way
   * @throws GoGridError `peer_unreachable`, `provider_lost`, `protocol_violation`, or what `signal` was aborted with
   */
  async ask(connection: Connection, idle: Omit<WorkIdle, 'type'>, signal: AbortSignal): Promise<number> {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(MESH.workTimeoutMs)]);
    const stream = await openStream(connection, WORK_PROTOCOL, bounded);
    const channel = this.#channel<WorkIdle, WorkAnswer>(connection, stream, workAnswer);
    const onAbort = () => channel.abort(new GoGridError({ code: 'peer_unreachable', message: 'asking took too long' }));
    bounded.addEventListener('abort', onAbort, { once: true });
    if (bounded.aborted) onAbort();
    try {
      channel.send({ type: 'idle', ...idle });
      const answer = await channel.receive();
      // Who promises more than there are slots has not understood the question.
      return Math.min(answer?.jobs ?? 0, idle.slots);
    } finally {
      bounded.removeEventListener('abort', onAbort);
      channel.close();
    }
  }

  /* ---- the coordinator's end ---- */

  /** Answers an admitted peer; never rejects. */
  async serve(stream: Stream, connection: Connection): Promise<void> {
    const node = connection.remotePeer.toString();
    const open = this.#open.get(node) ?? 0;
    if (open >= MESH.maxWorkPerPeer || !this.#rates.allows(node)) {
      stream.abort(new GoGridError({ code: 'overloaded', message: 'work is asked for too often' }));
      return;
    }
    this.#open.set(node, open + 1);
    const channel = this.#channel<WorkAnswer, WorkIdle>(connection, stream, workIdle);
    try {
      const idle = await within(MESH.workTimeoutMs, channel, this.#deps.clock);
      if (idle !== undefined) channel.send({ type: 'work', jobs: await this.#offer(connection, idle) });
      channel.close();
    } catch (thrown) {
      channel.abort(toGoGridError(thrown));
    } finally {
      const left = (this.#open.get(node) ?? 1) - 1;
      if (left > 0) this.#open.set(node, left);
      else this.#open.delete(node);
    }
  }

  /** Jobs go to whom the directory knows, for models that stand in its profile: it hears of the worker before they do. */
  async #offer(connection: Connection, { models, slots }: WorkIdle): Promise<number> {
    const { directory, state, onIdle } = this.#deps;
    const node = connection.remotePeer.toString();
    if (directory.get(node) === undefined) {
      await state.ask(connection, 'self', AbortSignal.timeout(MESH.workTimeoutMs));
    }
    const profile = directory.get(node)?.profile;
    const runs = profile?.models.map(({ name }) => name).filter((name) => models.includes(name)) ?? [];
    return runs.length === 0 ? 0 : onIdle(node, runs, slots);
  }

  #channel<Out, In>(connection: Connection, stream: Stream, schema: FrameChannelOptions<In>['schema']) {
    return new FrameChannel<Out, In>(
      stream,
      {
        schema,
        what: 'a work frame',
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
