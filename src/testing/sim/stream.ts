/**
 * A job's stream between two simulated processes, which behaves as `network/frame-channel.ts` over libp2p does: ordered,
 * under an acknowledged window, half closed by `close`, reset by `abort`, broken when its connection breaks.
 */

import { GoGridError, toGoGridError } from '../../errors.ts';
import type { Channel, ProviderChannel, RequesterChannel } from '../../jobs/ports.ts';
import type { ToRequester } from '../../protocol/job.ts';
import type { Connection } from './connection.ts';
import type { Process } from './process.ts';

/** After these a provider may close; a close that comes earlier is a failure. As in `network/jobs.ts`. */
const LAST: ReadonlySet<string> = new Set<ToRequester['type']>(['busy', 'reject', 'end', 'error', 'handOver']);
/** What a frame weighs besides its text. */
const FRAME_BYTES = 40;

/** Opens a stream on a connection. The provider's end is handed to whoever takes the request when it has arrived. */
export function openStream(
  connection: Connection,
  requester: Process,
  provider: Process,
  windowBytes: number,
): { requester: RequesterChannel; provider: ProviderChannel } {
  const near = new End<never, never>(connection, requester, windowBytes, true);
  const far = new End<never, never>(connection, provider, windowBytes, false);
  near.other = far;
  far.other = near;
  connection.streams.add(near).add(far);
  return { requester: near as unknown as RequesterChannel, provider: far as unknown as ProviderChannel };
}

export class End<Out, In> implements Channel<Out, In> {
  /** Set by `openStream` before anybody else sees this end. */
  other!: End<In, Out>;
  heardAt: number;
  readonly process: Process;
  readonly #connection: Connection;
  readonly #windowBytes: number;
  readonly #needsLast: boolean;
  readonly #inbox: { readonly message: In; readonly bytes: number }[] = [];
  #waiting: PromiseWithResolvers<In | undefined> | undefined;
  #drain: PromiseWithResolvers<void> | undefined;
  #sentBytes = 0;
  #sentAckedBytes = 0;
  #consumedBytes = 0;
  #ackedBytes = 0;
  #nextSeq = 0;
  /** The other side has said its last message. */
  #complete = false;
  #endedInOrder = false;
  #closed = false;
  #broken: GoGridError | undefined;

  constructor(connection: Connection, process: Process, windowBytes: number, needsLast: boolean) {
    this.#connection = connection;
    this.process = process;
    this.#windowBytes = windowBytes;
    this.#needsLast = needsLast;
    this.heardAt = process.clock.elapsed();
  }

  get writable(): boolean {
    return !this.#closed && this.#sentBytes - this.#sentAckedBytes < this.#windowBytes;
  }

  send(message: Out): void {
    if (this.#closed) return;
    const bytes = FRAME_BYTES + textLength(message);
    this.#sentBytes += bytes;
    this.#connection.send(this.process, () => this.other.#take(message, bytes));
  }

  drained(): Promise<void> {
    if (this.writable || this.#closed) return Promise.resolve();
    this.#drain ??= Promise.withResolvers<void>();
    return this.#drain.promise;
  }

  receive(): Promise<In | undefined> {
    const next = this.#inbox.shift();
    if (next !== undefined) {
      this.#consume(next.bytes);
      return Promise.resolve(next.message);
    }
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    if (this.#endedInOrder) return Promise.resolve(undefined);
    this.#waiting ??= Promise.withResolvers<In | undefined>();
    return this.#waiting.promise;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wakeWriter();
    this.#connection.send(this.process, () => this.other.#onEnd());
    this.#forgetWhenOver();
  }

  abort(reason: Error): void {
    this.#inbox.length = 0;
    const told = this.#closed && this.#ended;
    this.#break(toGoGridError(reason));
    if (!told) this.#connection.send(this.process, () => this.other.connectionBroke());
  }

  /** The connection beneath is gone, or the other side has reset the stream. */
  connectionBroke(): void {
    if (this.#complete || this.#ended) this.#finish();
    else this.#break(new GoGridError({ code: 'provider_lost', message: 'the stream broke' }));
  }

  #take(message: In, bytes: number): void {
    if (this.#ended) return;
    this.heardAt = this.process.clock.elapsed();
    if (this.#complete) return;
    if (!this.#checkOrder(message)) return;
    this.#complete = this.#needsLast && LAST.has(typeOf(message));
    const waiting = this.#waiting;
    if (waiting === undefined) {
      this.#inbox.push({ message, bytes });
      return;
    }
    this.#waiting = undefined;
    this.#consume(bytes);
    waiting.resolve(message);
  }

  #checkOrder(message: In): boolean {
    const { seq } = message as { seq?: number };
    if (typeOf(message) !== 'chunk' || seq === this.#nextSeq++) return true;
    this.abort(
      new GoGridError({ code: 'protocol_violation', message: `chunk ${seq} instead of ${this.#nextSeq - 1}` }),
    );
    return false;
  }

  #consume(bytes: number): void {
    this.#consumedBytes += bytes;
    if (this.#closed || this.#ended || this.#consumedBytes - this.#ackedBytes < this.#windowBytes / 4) return;
    const acked = this.#consumedBytes;
    this.#ackedBytes = acked;
    this.#connection.send(this.process, () => this.other.#takeAck(acked));
  }

  #takeAck(bytes: number): void {
    if (this.#ended) return;
    this.heardAt = this.process.clock.elapsed();
    this.#sentAckedBytes = bytes;
    if (this.writable) this.#wakeWriter();
  }

  get #ended(): boolean {
    return this.#endedInOrder || this.#broken !== undefined;
  }

  /** The other side has closed its half. */
  #onEnd(): void {
    if (this.#ended) return;
    if (this.#complete || !this.#needsLast) this.#finish();
    else
      this.#break(
        new GoGridError({ code: 'provider_lost', message: 'the other side closed the stream without an end' }),
      );
  }

  #finish(): void {
    this.#endedInOrder = true;
    this.#waiting?.resolve(undefined);
    this.#waiting = undefined;
    this.#wakeWriter();
    this.#forgetWhenOver();
  }

  #break(error: GoGridError): void {
    this.#closed = true;
    if (!this.#ended) {
      this.#broken = error;
      this.#waiting?.reject(error);
      this.#waiting = undefined;
    }
    this.#wakeWriter();
    this.#forgetWhenOver();
  }

  #wakeWriter(): void {
    this.#drain?.resolve();
    this.#drain = undefined;
  }

  #forgetWhenOver(): void {
    if (this.#closed && this.#ended) this.#connection.streams.delete(this);
  }
}

function typeOf(message: unknown): string {
  return (message as { type: string }).type;
}

function textLength(message: unknown): number {
  return (message as { text?: string }).text?.length ?? 0;
}
