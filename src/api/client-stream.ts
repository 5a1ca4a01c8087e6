/**
 * A streamed answer on its way to one client. A client that reads slowly holds the job back, one that stops reading loses
 * it, and one that waits gets signs of life.
 */

import type { OutgoingHttpHeaders } from 'node:http';
import type { Clock, Timer } from '../clock.ts';
import type { GoGridError } from '../errors.ts';
import { API } from '../limits/api.ts';
import type { ErrorAnswer } from './dialect.ts';
import type { Exchange } from './exchange.ts';

/** What a surface's stream looks like where no answer is in it. */
export interface StreamFrame {
  readonly contentType: string;
  /** A sign of life that clients read over. */
  keepAlive(): string;
  /** The error in the middle of a stream. */
  error(error: GoGridError): string;
  /** The error instead of the stream. */
  errorAnswer(error: GoGridError): ErrorAnswer;
  /** Whether only a cut connection tells clients that the answer is not complete. */
  readonly cutAfterError: boolean;
}

/**
 * The first text leaves at once, together with the headers. What follows is gathered until the program has read all that
 * came in with it, so that chunks which arrived together leave together, in one write.
 */
export class ClientStream {
  /** Sent with the first byte. */
  readonly headers: OutgoingHttpHeaders = {};
  readonly #exchange: Exchange;
  readonly #frame: StreamFrame;
  readonly #clock: Clock;
  #timer: Timer;
  #writtenAt: number;
  #gathered = '';

  constructor(exchange: Exchange, frame: StreamFrame, clock: Clock) {
    this.#exchange = exchange;
    this.#frame = frame;
    this.#clock = clock;
    this.#writtenAt = clock.elapsed();
    this.#timer = clock.after(API.headersWithinMs, () => this.#tick());
  }

  /** Writes text of the stream. While `full` after it, wait for `drained`. */
  write(text: string): void {
    const { response, gone } = this.#exchange;
    if (gone) return;
    if (!response.headersSent) {
      this.#begin();
      response.write(text);
      return;
    }
    if (this.#gathered === '') setImmediate(this.#flush);
    this.#gathered += text;
    if (this.#gathered.length > API.maxGatheredChars) this.#flush();
  }

  get full(): boolean {
    const { response } = this.#exchange;
    return response.writableNeedDrain || response.socket?.writableNeedDrain === true;
  }

  /** Resolves when the client has read enough for more, or is gone. */
  drained(): Promise<void> {
    const { response } = this.#exchange;
    const { socket } = response;
    if (!this.full || this.#exchange.gone || socket === null) return Promise.resolve();
    return new Promise((resolve) => {
      const stalled = this.#clock.after(API.stalledClientMs, () => response.destroy());
      const done = () => {
        stalled.cancel();
        socket.off('drain', done);
        response.off('close', done);
        resolve();
      };
      socket.once('drain', done);
      response.once('close', done);
    });
  }

  /** Ends the stream in order, with its last text. */
  end(text: string): void {
    this.release();
    if (this.#exchange.gone) return;
    if (!this.#exchange.response.headersSent) this.#begin();
    this.#exchange.response.end(this.#take() + text);
  }

  /** Ends the stream so that no client takes it for complete. */
  fail(error: GoGridError): void {
    this.release();
    const { response, gone } = this.#exchange;
    if (gone) return;
    if (!response.headersSent) {
      const answer = this.#frame.errorAnswer(error);
      response.writeHead(answer.status, { ...answer.headers, ...this.headers });
      response.end(answer.body);
      return;
    }
    const text = this.#take() + this.#frame.error(error);
    if (!this.#frame.cutAfterError) {
      response.end(text);
      return;
    }
    const cut = () => response.destroy();
    response.write(text, () => this.#clock.after(API.errorLinePauseMs, cut));
    // For a client that does not even read the error.
    this.#clock.after(API.stalledClientMs, cut);
  }

  /** No more comes of it, whatever happened. */
  release(): void {
    this.#timer.cancel();
  }

  #begin(): void {
    this.#writtenAt = this.#clock.elapsed();
    this.#exchange.response.writeHead(200, {
      'content-type': this.#frame.contentType,
      'cache-control': 'no-cache',
      ...this.headers,
    });
  }

  #take(): string {
    const text = this.#gathered;
    this.#gathered = '';
    return text;
  }

  /**
   * A chunk of HTTP/1.1 (RFC 9112, 7.1) is made here and goes to the socket: `response.write` makes four writes of it and
   * costs twice as much (measured: 2.8 of 7 µs a chunk).
   */
  readonly #flush = (): void => {
    const { response, gone } = this.#exchange;
    if (gone || response.writableEnded || this.#gathered === '') return;
    const text = this.#take();
    this.#writtenAt = this.#clock.elapsed();
    const { socket } = response;
    // Without a socket an earlier answer on the connection is not complete: Node keeps this one back.
    if (!response.chunkedEncoding || socket === null) response.write(text);
    else socket.write(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
  };

  /** One timer a stream: it looks how long nothing was written and sleeps for the rest. */
  #tick(): void {
    if (this.#exchange.gone) return;
    const quietMs = this.#clock.elapsed() - this.#writtenAt;
    const due = quietMs >= API.keepAliveEveryMs;
    if (due && !this.full) this.write(this.#frame.keepAlive());
    this.#timer = this.#clock.after(due ? API.keepAliveEveryMs : API.keepAliveEveryMs - quietMs, () => this.#tick());
  }
}
