/**
 * `/gogrid/job/1`: job streams, both ends. A large request goes in parts, and everything runs under the ack window, so
 * that whoever reads slowly holds back whoever writes.
 */

import type { Connection, Stream } from '@libp2p/interface';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import type { Channel, ProviderChannel, RequesterChannel } from '../jobs/ports.ts';
import { JOB } from '../limits/jobs.ts';
import type { NodeId } from '../protocol/ids.ts';
import {
  type JobRequest,
  jobCancel,
  jobRequest,
  largeRequest,
  requestBody,
  streamPart,
  type ToRequester,
  toRequester,
} from '../protocol/job.ts';
import { logDefect } from '../telemetry/defect.ts';
import type { Logger } from '../telemetry/logger.ts';
import { FrameChannel } from './frame-channel.ts';
import { decodeFrame, encodeMessage } from './frames.ts';
import type { NetworkDeps } from './ports.ts';
import { JOB_PROTOCOL } from './protocols.ts';
import { abortable, openStream, within } from './streams.ts';

/** A request travels whole, or with its body in the parts behind it. */
const fromRequester = z.union([jobRequest, largeRequest, streamPart, jobCancel]);
type FromRequester = z.infer<typeof fromRequester>;
type LargeRequest = z.infer<typeof largeRequest>;

/** After these the provider has nothing more to say. */
const LAST: ReadonlySet<ToRequester['type']> = new Set(['busy', 'reject', 'end', 'error', 'handOver']);

export interface JobStreamsDeps {
  readonly onJob: NetworkDeps['onJob'];
  readonly clock: Clock;
  readonly log: Logger;
  readonly onViolation: (node: NodeId, error: GoGridError) => void;
}

export class JobStreams {
  readonly #deps: JobStreamsDeps;
  readonly #openPerPeer = new Map<NodeId, number>();
  /** Bytes of large requests that arrive, wait or run here. */
  #incomingBytes = 0;

  constructor(deps: JobStreamsDeps) {
    this.#deps = deps;
  }

  /* ---- the requester's end ---- */

  /**
   * Opens a stream and sends a request.
   * @throws GoGridError `peer_unreachable`, `payload_too_large`, or what `signal` was aborted with
   */
  async open(connection: Connection, request: JobRequest, signal: AbortSignal): Promise<RequesterChannel> {
    const node = connection.remotePeer.toString();
    const late = AbortSignal.timeout(JOB.openTimeoutMs);
    let stream: Stream;
    try {
      stream = await openStream(connection, JOB_PROTOCOL, AbortSignal.any([signal, late]));
    } catch (thrown) {
      signal.throwIfAborted();
      throw thrown;
    }
    const channel = this.#requesterEnd(node, stream);
    try {
      await this.#send(channel, request, signal);
    } catch (thrown) {
      const error = toGoGridError(thrown);
      channel.abort(error);
      throw error;
    }
    return channel;
  }

  #requesterEnd(node: NodeId, stream: Stream): FrameChannel<FromRequester, ToRequester> {
    let seq = 0;
    return new FrameChannel<FromRequester, ToRequester>(
      stream,
      {
        schema: toRequester,
        what: 'a job frame',
        sendWindowBytes: JOB.requestWindowBytes,
        receiveWindowBytes: JOB.windowBytes,
        isLast: (message) => LAST.has(message.type),
        check: (message) => {
          if (message.type === 'chunk' && message.seq !== seq++) {
            throw new GoGridError({
              code: 'protocol_violation',
              message: `chunk ${message.seq} instead of ${seq - 1}`,
            });
          }
        },
      },
      this.#channelDeps(node),
    );
  }

  async #send(channel: Channel<FromRequester, unknown>, request: JobRequest, signal: AbortSignal): Promise<void> {
    const { input, resume, ...head } = request;
    const bytes = encodeMessage({ input, resume });
    if (bytes.length > JOB.maxRequestBytes) {
      throw new GoGridError({
        code: 'payload_too_large',
        message: `the request has ${bytes.length} bytes, over ${JOB.maxRequestBytes}`,
      });
    }
    if (bytes.length <= JOB.requestPartBytes) {
      channel.send(request);
      return;
    }
    channel.send({ ...head, bodyBytes: bytes.length });
    for (let at = 0; at < bytes.length; at += JOB.requestPartBytes) {
      await this.#drained(channel, signal);
      channel.send({ type: 'part', data: bytes.slice(at, at + JOB.requestPartBytes) });
    }
  }

  /** @throws GoGridError `peer_unreachable` when the provider takes nothing for too long */
  async #drained(channel: Channel<FromRequester, unknown>, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (channel.writable) return;
    const stalled = AbortSignal.timeout(JOB.openTimeoutMs);
    try {
      await abortable(channel.drained(), AbortSignal.any([signal, stalled]));
    } catch (cause) {
      signal.throwIfAborted();
      throw new GoGridError({ code: 'peer_unreachable', message: 'the provider does not take the request', cause });
    }
    // A stream that ended is drained too; its reason comes with `receive`, which the job flow calls next.
  }

  /* ---- the provider's end ---- */

  /** Serves one stream of an admitted peer; never rejects. */
  async serve(stream: Stream, connection: Connection): Promise<void> {
    const node = connection.remotePeer.toString();
    if (!this.#enter(node, stream)) {
      stream.abort(new GoGridError({ code: 'overloaded', message: `more than ${JOB.maxOpenPerPeer} job streams` }));
      return;
    }
    const channel = new FrameChannel<ToRequester, FromRequester>(
      stream,
      {
        schema: fromRequester,
        what: 'a job frame',
        sendWindowBytes: JOB.windowBytes,
        receiveWindowBytes: JOB.requestWindowBytes,
        check: requestOrder(),
      },
      this.#channelDeps(node),
    );
    const held = { bytes: 0 };
    try {
      const request = await this.#takeRequest(node, channel, held);
      if (request === undefined) return;
      await this.#deps.onJob(node, request, channel as unknown as ProviderChannel);
    } catch (thrown) {
      const error = toGoGridError(thrown);
      if (error.code === 'internal') logDefect(this.#deps.log, error);
      channel.abort(error);
    } finally {
      this.#incomingBytes -= held.bytes;
    }
  }

  /** Counts the stream until it is closed. */
  #enter(node: NodeId, stream: Stream): boolean {
    const open = this.#openPerPeer.get(node) ?? 0;
    if (open >= JOB.maxOpenPerPeer) return false;
    this.#openPerPeer.set(node, open + 1);
    stream.addEventListener(
      'close',
      () => {
        const left = (this.#openPerPeer.get(node) ?? 1) - 1;
        if (left > 0) this.#openPerPeer.set(node, left);
        else this.#openPerPeer.delete(node);
      },
      { once: true },
    );
    return true;
  }

  /**
   * The request, whole; undefined when it was refused, or its sender left before it was whole.
   * @param held takes the bytes of a large one: they count until its job is over, since it waits in memory so long
   */
  async #takeRequest(
    node: NodeId,
    channel: FrameChannel<ToRequester, FromRequester>,
    held: { bytes: number },
  ): Promise<JobRequest | undefined> {
    const first = await within(JOB.openTimeoutMs, channel, this.#deps.clock);
    if (first?.type !== 'request') {
      channel.close();
      return undefined;
    }
    if ('input' in first) return first;
    const request: LargeRequest = first;
    if (this.#incomingBytes + request.bodyBytes > JOB.maxIncomingRequestBytes) {
      this.#deps.log.debug({ node }, 'a large request was refused: too many at once');
      channel.send({ type: 'reject', code: 'overloaded', message: 'too many large requests at once' });
      channel.close();
      return undefined;
    }
    held.bytes = request.bodyBytes;
    this.#incomingBytes += held.bytes;
    const slow = new GoGridError({ code: 'peer_unreachable', message: 'a large request took too long to arrive' });
    const timer = this.#deps.clock.after(JOB.requestWholeMs, () => channel.abort(slow));
    try {
      return await this.#takeParts(channel, request);
    } finally {
      timer.cancel();
    }
  }

  async #takeParts(
    channel: FrameChannel<ToRequester, FromRequester>,
    { bodyBytes, ...head }: LargeRequest,
  ): Promise<JobRequest | undefined> {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    while (bytes < bodyBytes) {
      const message = await within(JOB.openTimeoutMs, channel, this.#deps.clock);
      if (message?.type !== 'part') {
        channel.close();
        return undefined;
      }
      parts.push(message.data);
      bytes += message.data.length;
    }
    const body = decodeFrame(requestBody, Buffer.concat(parts), 'the body of a job request');
    return { ...head, ...body };
  }

  #channelDeps(node: NodeId) {
    return { clock: this.#deps.clock, onViolation: (error: GoGridError) => this.#deps.onViolation(node, error) };
  }
}

/** One request, then just as many bytes of parts as it says, then at most a cancel. */
function requestOrder(): (message: FromRequester) => void {
  let awaitedBytes: number | undefined;
  return (message) => {
    if (message.type === 'request') {
      if (awaitedBytes !== undefined) throw violation('a second request on one job stream');
      awaitedBytes = 'input' in message ? 0 : message.bodyBytes;
    } else if (message.type === 'part') {
      const { length } = message.data;
      if (length === 0 || length > (awaitedBytes ?? 0)) throw violation('a part that no request has announced');
      awaitedBytes = (awaitedBytes ?? 0) - length;
    } else if (awaitedBytes === undefined) {
      throw violation('a cancel before the request');
    }
  };
}

function violation(message: string): GoGridError {
  return new GoGridError({ code: 'protocol_violation', message });
}
