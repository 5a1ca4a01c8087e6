/**
 * `/gogrid/state/1`: asking a peer what it knows, and answering. One exchange after joining gives the whole directory; the
 * pages run under the ack window, since a directory may be large and its reader slow.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Connection, Stream } from '@libp2p/interface';
import type { z } from 'zod';
import type { Clock } from '../clock.ts';
import { GoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import { MESH } from '../limits/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';
import { type StateRequest, stateAnswer, stateRequest } from '../protocol/state.ts';
import { FrameChannel } from './frame-channel.ts';
import type { Directory, OwnDescriptor, SignedNode } from './ports.ts';
import { STATE_PROTOCOL } from './protocols.ts';
import { Rates } from './rates.ts';
import { openStream, within } from './streams.ts';

type StateAnswer = z.infer<typeof stateAnswer>;
type StateReply =
  | { readonly type: 'nodes'; readonly nodes: readonly SignedNode[] }
  | { readonly type: 'descriptor'; readonly descriptor: Uint8Array }
  | { readonly type: 'end' };
/** Whom a question is about. */
export type Scope = Exclude<StateRequest['scope'], 'descriptor'>;

/** What an exchange has brought. */
export interface News {
  /** The answering node, when something about it was new. */
  readonly self: SignedNode | undefined;
  /** Nodes about which something was new. */
  readonly nodes: number;
}

export interface StateDeps {
  readonly directory: Directory;
  readonly own: () => SignedNode;
  readonly descriptor: Pick<OwnDescriptor, 'sealed'>;
  readonly clock: Clock;
  readonly onViolation: (node: NodeId, error: GoGridError) => void;
}

export class StateExchange {
  readonly #deps: StateDeps;
  readonly #open = new Map<NodeId, number>();
  readonly #rates: Rates<NodeId>;

  constructor(deps: StateDeps) {
    this.#deps = deps;
    this.#rates = new Rates({ perSecond: MESH.maxStatePerSecond, maxKeys: MESH.maxRates }, deps.clock);
  }

  /**
   * Asks a peer and puts what it says into the directory.
   * @throws GoGridError `peer_unreachable`, `provider_lost`, `protocol_violation`
   */
  async ask(connection: Connection, scope: Scope, signal: AbortSignal): Promise<News> {
    const node = connection.remotePeer.toString();
    return this.#question(connection, scope, signal, (channel) => this.#takePages(node, channel));
  }

  /**
   * Asks a peer for the mesh's descriptor, not yet checked.
   * @returns undefined when the peer has none to give
   * @throws GoGridError `peer_unreachable`, `provider_lost`, `protocol_violation`
   */
  async askDescriptor(connection: Connection, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return this.#question(connection, 'descriptor', signal, async (channel) => {
      const answer = await within(MESH.stateTimeoutMs, channel, this.#deps.clock);
      return answer?.type === 'descriptor' ? answer.descriptor : undefined;
    });
  }

  async #question<T>(
    connection: Connection,
    scope: StateRequest['scope'],
    signal: AbortSignal,
    take: (channel: FrameChannel<StateRequest, StateAnswer>) => Promise<T>,
  ): Promise<T> {
    const stream = await openStream(connection, STATE_PROTOCOL, signal);
    const channel = this.#channel<StateRequest, StateAnswer>(connection.remotePeer.toString(), stream, stateAnswer);
    const onAbort = () => channel.abort(new GoGridError({ code: 'peer_unreachable', message: 'asking took too long' }));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      channel.send({ type: 'get', scope });
      return await take(channel);
    } finally {
      signal.removeEventListener('abort', onAbort);
      channel.close();
    }
  }

  async #takePages(node: NodeId, channel: FrameChannel<StateRequest, StateAnswer>): Promise<News> {
    let self: SignedNode | undefined;
    let nodes = 0;
    let bytes = 0;
    let count = 0;
    while (true) {
      const answer = await within(MESH.stateTimeoutMs, channel, this.#deps.clock);
      if (answer?.type !== 'nodes') return { self, nodes };
      for (const entry of answer.nodes) {
        bytes += entry.profile.length + entry.beat.length;
        // One more than a directory holds: the node itself is on the list too.
        if (++count > MESH.maxDirectory + 1 || bytes > MESH.maxStateBytes) {
          const error = violation('more state than a directory holds');
          channel.abort(error);
          throw error;
        }
        if (this.#take(node, entry)) {
          nodes++;
          // The answering node itself comes first.
          if (count === 1) self = entry;
        }
        if (count % MESH.stateNodesPerTurn === 0) await nextTurn();
      }
    }
  }

  #take(from: NodeId, { profile, beat, ageMs }: SignedNode): boolean {
    const { directory, onViolation } = this.#deps;
    const verdicts = [directory.ingestProfile(profile), directory.ingestBeat(beat, ageMs)];
    if (verdicts.includes('reject'))
      onViolation(from, violation('state that is malformed, forged, or of another mesh'));
    return verdicts.includes('accept');
  }

  /** Answers a peer; never rejects. */
  async serve(stream: Stream, connection: Connection): Promise<void> {
    const node = connection.remotePeer.toString();
    const open = this.#open.get(node) ?? 0;
    if (open >= MESH.maxStatePerPeer || !this.#rates.allows(node)) {
      stream.abort(new GoGridError({ code: 'overloaded', message: 'state is asked for too often' }));
      return;
    }
    this.#open.set(node, open + 1);
    const channel = this.#channel<StateReply, StateRequest>(node, stream, stateRequest);
    const { clock } = this.#deps;
    const late = new GoGridError({ code: 'peer_unreachable', message: 'the peer reads too slowly' });
    const timer = clock.after(MESH.stateTotalMs, () => channel.abort(late));
    try {
      const request = await within(MESH.stateTimeoutMs, channel, clock);
      if (request?.scope === 'descriptor') this.#sendDescriptor(channel);
      else if (request !== undefined) await this.#sendPages(channel, request.scope);
      channel.close();
    } catch {
      // The peer is gone or sent rubbish: the channel has dealt with it.
    } finally {
      timer.cancel();
      const left = (this.#open.get(node) ?? 1) - 1;
      if (left > 0) this.#open.set(node, left);
      else this.#open.delete(node);
    }
  }

  #sendDescriptor(channel: FrameChannel<StateReply, StateRequest>): void {
    const descriptor = this.#deps.descriptor.sealed();
    if (descriptor !== undefined) channel.send({ type: 'descriptor', descriptor });
    channel.send({ type: 'end' });
  }

  async #sendPages(channel: FrameChannel<StateReply, StateRequest>, scope: Scope): Promise<void> {
    const { own, directory } = this.#deps;
    for (const nodes of pages([own(), ...(scope === 'all' ? directory.signed() : [])])) {
      channel.send({ type: 'nodes', nodes });
      await channel.drained();
      await nextTurn();
    }
    channel.send({ type: 'end' });
  }

  #channel<Out, In>(node: NodeId, stream: Stream, schema: z.ZodType<In>) {
    return new FrameChannel<Out, In>(
      stream,
      {
        schema,
        what: 'a state frame',
        sendWindowBytes: JOB.windowBytes,
        receiveWindowBytes: JOB.windowBytes,
        // The asker has one message; the answer ends with `end`.
        isLast: (message) =>
          (message as { type: string }).type === 'end' || (message as { type: string }).type === 'get',
      },
      { clock: this.#deps.clock, onViolation: (error) => this.#deps.onViolation(node, error) },
    );
  }
}

/** Cuts a directory into pages, bounded in nodes and in bytes. */
function* pages(nodes: readonly SignedNode[]): Generator<SignedNode[]> {
  let page: SignedNode[] = [];
  let bytes = 0;
  for (const node of nodes) {
    page.push(node);
    bytes += node.profile.length + node.beat.length;
    if (page.length < MESH.statePageNodes && bytes < MESH.statePageBytes) continue;
    yield page;
    page = [];
    bytes = 0;
  }
  if (page.length > 0) yield page;
}

function violation(message: string): GoGridError {
  return new GoGridError({ code: 'protocol_violation', message });
}
