/**
 * One end of a libp2p stream that carries frames: a `Channel`, as the job flows declare it. Messages wait in a bounded
 * inbox until they are consumed, and what was consumed is acknowledged, so that a slow reader holds the writer back.
 *
 * libp2p's own ways of reading are not used: `for await` and `pause()` lose data or have no back-pressure.
 */

import type { Stream } from '@libp2p/interface';
import type { z } from 'zod';
import type { Clock } from '../clock.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import type { Channel } from '../jobs/ports.ts';
import { JOB } from '../limits/jobs.ts';
import { FRAME } from '../limits/mesh.ts';
import { streamAck } from '../protocol/job.ts';
import { checkMessage, decodeMessage, encodeFrame, FrameReader } from './frames.ts';

export interface FrameChannelOptions<In> {
  /** What a message of the other side may be. */
  readonly schema: z.ZodType<In>;
  /** For error texts, such as `a job frame`. */
  readonly what: string;
  /** Bytes this side sends before it waits for an `ack`. */
  readonly sendWindowBytes: number;
  /** Bytes the other side may send before it waits for an `ack`. */
  readonly receiveWindowBytes: number;
  /**
   * Whether the other side may close after this message. Without one it may close at any time; with one, a close that
   * comes earlier is a failure.
   */
  readonly isLast?: (message: In) => boolean;
  /** A check that needs the messages before; throws `protocol_violation`. */
  readonly check?: (message: In) => void;
}

export interface FrameChannelDeps {
  readonly clock: Clock;
  /** The other side sent what no honest node sends. */
  readonly onViolation: (error: GoGridError) => void;
}

interface Received<In> {
  readonly message: In;
  readonly bytes: number;
}

export class FrameChannel<Out, In> implements Channel<Out, In> {
  heardAt: number;
  readonly #stream: Stream;
  readonly #options: FrameChannelOptions<In>;
  readonly #deps: FrameChannelDeps;
  readonly #reader = new FrameReader(FRAME.maxBytes);

  readonly #inbox: Received<In>[] = [];
  #inboxBytes = 0;
  #consumedBytes = 0;
  #ackedBytes = 0;
  #waiting: PromiseWithResolvers<In | undefined> | undefined;
  /** The other side has said its last message. */
  #complete = false;
  /** How the receiving half ended: in order, or broken. */
  #endedInOrder = false;
  #broken: GoGridError | undefined;

  #outgoing: Uint8Array[] = [];
  #sentBytes = 0;
  #sentAckedBytes = 0;
  #drain: PromiseWithResolvers<void> | undefined;
  #closed = false;

  constructor(stream: Stream, options: FrameChannelOptions<In>, deps: FrameChannelDeps) {
    this.#stream = stream;
    this.#options = options;
    this.#deps = deps;
    this.heardAt = deps.clock.elapsed();
    stream.addEventListener('message', (event) => this.#take(event.data));
    stream.addEventListener('end', () => this.#onEnd());
    stream.addEventListener('close', (event) => this.#onEnd(event.error));
    // The stream may have ended before anybody listened.
    if (stream.readableEnded || (stream.status !== 'open' && stream.readBufferLength === 0)) this.#onEnd();
  }

  /* ---- sending ---- */

  get writable(): boolean {
    return !this.#closed && this.#sentBytes - this.#sentAckedBytes < this.#options.sendWindowBytes;
  }

  send(message: Out): void {
    if (this.#closed) return;
    try {
      const frame = encodeFrame(message);
      this.#sentBytes += frame.length;
      this.#write(frame);
    } catch (thrown) {
      this.#break(toGoGridError(thrown));
    }
  }

  drained(): Promise<void> {
    if (this.writable || this.#closed) return Promise.resolve();
    this.#drain ??= Promise.withResolvers<void>();
    return this.#drain.promise;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wakeWriter();
    this.#flush();
    void this.#closeStream();
  }

  abort(reason: Error): void {
    this.#inbox.length = 0;
    this.#break(toGoGridError(reason));
  }

  /**
   * Frames of one turn of the event loop go out as one: each on its own costs a system call here, and a window update of
   * Yamux there. Past the window too: acknowledgements are not held back by what they release.
   */
  #write(frame: Uint8Array): void {
    this.#outgoing.push(frame);
    if (this.#outgoing.length === 1) process.nextTick(() => this.#flush());
  }

  #flush(): void {
    const frames = this.#outgoing;
    this.#outgoing = [];
    const [first] = frames;
    if (first === undefined || this.#stream.writeStatus !== 'writable') return;
    try {
      this.#stream.send(frames.length === 1 ? first : Buffer.concat(frames));
    } catch (thrown) {
      this.#break(toGoGridError(thrown));
      return;
    }
    // The window bounds what waits here, unless a writer ignores it: that one must not fill the memory.
    if (this.#stream.writeBufferLength > FRAME.maxBacklogBytes) {
      const message = `a writer ignores that ${this.#options.what} is not writable`;
      this.#break(new GoGridError({ code: 'internal', message }));
    }
  }

  async #closeStream(): Promise<void> {
    const stream = this.#stream;
    const signal = AbortSignal.timeout(FRAME.closeTimeoutMs);
    try {
      await stream.close({ signal });
    } catch {
      stream.abort(new Error('the stream could not be closed in time'));
    }
    // A stream is freed when both sides have closed it; one that the other side keeps open is reset.
    const timer = this.#deps.clock.after(FRAME.closeTimeoutMs, () =>
      stream.abort(new Error('closed by one side only')),
    );
    if (stream.status !== 'open') timer.cancel();
    else stream.addEventListener('close', () => timer.cancel(), { once: true });
  }

  /* ---- receiving ---- */

  receive(): Promise<In | undefined> {
    const next = this.#inbox.shift();
    if (next !== undefined) {
      this.#inboxBytes -= next.bytes;
      this.#consume(next.bytes);
      return Promise.resolve(next.message);
    }
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    if (this.#endedInOrder) return Promise.resolve(undefined);
    this.#waiting ??= Promise.withResolvers<In | undefined>();
    return this.#waiting.promise;
  }

  #take(data: Uint8Array | Iterable<Uint8Array>): void {
    if (this.#ended) return;
    this.heardAt = this.#deps.clock.elapsed();
    try {
      for (const bytes of data instanceof Uint8Array ? [data] : data) {
        for (const body of this.#reader.push(bytes)) this.#takeFrame(body);
      }
    } catch (thrown) {
      this.#break(toGoGridError(thrown));
    }
  }

  #takeFrame(body: Uint8Array): void {
    const { schema, what, check, isLast, receiveWindowBytes } = this.#options;
    const value = decodeMessage(body, what);
    if (typeof value === 'object' && value !== null && 'type' in value && value.type === 'ack') {
      this.#takeAck(checkMessage(streamAck, value, what).bytes);
      return;
    }
    const message = checkMessage(schema, value, what);
    // A sign of life may overtake nothing, but it may follow the last message.
    if (this.#complete) return;
    check?.(message);
    this.#complete = isLast?.(message) === true;
    const bytes = frameBytes(body.length);
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      this.#consume(bytes);
      waiting.resolve(message);
      return;
    }
    // Beyond its window a writer may send one frame, and small ones such as progress, which nothing holds back.
    if (this.#inboxBytes + bytes > receiveWindowBytes + FRAME.maxBytes + FRAME.unheldBytes) {
      throw violation(`${what} beyond the window`);
    }
    this.#inbox.push({ message, bytes });
    this.#inboxBytes += bytes;
  }

  #takeAck(bytes: number): void {
    if (bytes < this.#sentAckedBytes || bytes > this.#sentBytes) throw violation('an ack of bytes that were not sent');
    this.#sentAckedBytes = bytes;
    if (this.writable) this.#wakeWriter();
  }

  #consume(bytes: number): void {
    this.#consumedBytes += bytes;
    if (this.#closed || this.#ended) return;
    if (this.#consumedBytes - this.#ackedBytes < JOB.ackEveryBytes) return;
    this.#ackedBytes = this.#consumedBytes;
    try {
      this.#write(encodeFrame({ type: 'ack', bytes: this.#consumedBytes }));
    } catch (thrown) {
      this.#break(toGoGridError(thrown));
    }
  }

  /* ---- the end ---- */

  get #ended(): boolean {
    return this.#endedInOrder || this.#broken !== undefined;
  }

  #onEnd(cause?: Error): void {
    if (this.#ended) return;
    const { isLast } = this.#options;
    // A connection that goes away looks like a close in order, but for the stream's status.
    const inOrder = this.#stream.status === 'open' && cause === undefined && this.#reader.buffered === 0;
    if (this.#complete || (inOrder && isLast === undefined)) {
      this.#endedInOrder = true;
      this.#waiting?.resolve(undefined);
      this.#waiting = undefined;
    } else {
      const message = inOrder
        ? 'the other side closed the stream without an end'
        : 'the connection to the other machine broke';
      this.#break(new GoGridError({ code: 'provider_lost', message, cause }));
    }
  }

  /** Ends both halves at once. */
  #break(error: GoGridError): void {
    this.#closed = true;
    if (!this.#ended) {
      this.#broken = error;
      this.#waiting?.reject(error);
      this.#waiting = undefined;
      if (error.code === 'protocol_violation') this.#deps.onViolation(error);
    }
    this.#wakeWriter();
    this.#stream.abort(error);
  }

  #wakeWriter(): void {
    this.#drain?.resolve();
    this.#drain = undefined;
  }
}

/** Bytes of a whole frame: its body and its length in front. */
function frameBytes(bodyBytes: number): number {
  let bytes = bodyBytes + 1;
  for (let rest = bodyBytes >>> 7; rest > 0; rest >>>= 7) bytes++;
  return bytes;
}

function violation(message: string): GoGridError {
  return new GoGridError({ code: 'protocol_violation', message });
}
