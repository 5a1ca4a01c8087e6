/**
 * The hot path to Ollama: one POST, and its answer as lines, over `node:http`.
 *
 * Everything that came in since the last call is handed over at once, so that a fast engine costs one turn of the
 * consumer for many tokens; a consumer that does not ask holds the socket, and with it the engine, back. Fetch is not
 * used: it gives up after 300 s without headers, which a cold load or a long prompt can need.
 */

import http from 'node:http';
import https from 'node:https';
import { type Clock, every, type Timer } from '../../clock.ts';
import { GoGridError, reasonOf } from '../../errors.ts';
import { ENGINE } from '../../limits/engine.ts';
import { failed, fromConnection, fromOllama, unavailable } from './failures.ts';

const NEWLINE = 10;

/** Connections to one daemon. */
export interface Wire {
  readonly url: string;
  readonly clock: Clock;
  request(path: string, bodyBytes: number): http.ClientRequest;
  /** Closes every connection, those in use too. */
  close(): void;
}

/**
 * @param url such as `http://127.0.0.1:11434`, perhaps with a path before `/api`
 * @throws GoGridError `invalid_config` when it is no http(s) URL
 */
export function openWire(url: string, clock: Clock): Wire {
  const base = URL.canParse(url) ? new URL(url) : undefined;
  if (base === undefined || !/^https?:$/.test(base.protocol)) {
    throw new GoGridError({
      code: 'invalid_config',
      message: `engine.ollama_url: '${url}' is not an http:// or https:// address`,
      hint: 'such as http://127.0.0.1:11434',
    });
  }
  const speaks = base.protocol === 'https:' ? https : http;
  const agent = new speaks.Agent({ keepAlive: true, maxFreeSockets: ENGINE.maxFreeSockets });
  const prefix = base.pathname.replace(/\/+$/, '');
  const options = { agent, method: 'POST', host: base.hostname.replace(/^\[|\]$/g, ''), port: base.port };
  return {
    url: `${base.protocol}//${base.host}${prefix}`,
    clock,
    request: (path, bodyBytes) =>
      speaks.request({
        ...options,
        path: prefix + path,
        headers: { 'content-type': 'application/json', 'content-length': bodyBytes },
      }),
    close: () => agent.destroy(),
  };
}

export interface LineStreamOptions {
  readonly path: string;
  /** JSON. */
  readonly body: string;
  /** For messages. */
  readonly model: string;
  readonly maxLineBytes: number;
  /** Longest silence behind the first line, milliseconds. */
  readonly stallMs: number;
  /** Longest wait for the first line, milliseconds. */
  readonly firstLineMs: number;
}

/** One request and its answer. `next` is called again only when it has answered. */
export class LineStream {
  readonly #wire: Wire;
  readonly #options: LineStreamOptions;
  readonly #signal: AbortSignal;
  readonly #watch: Timer;
  readonly #onAbort = () => this.#fail(reasonOf(this.#signal));
  #request: http.ClientRequest;
  #response: http.IncomingMessage | undefined;
  /** What came in and was not handed over; the last part of a line may be at its end. */
  #pieces: Buffer[] = [];
  #bytes = 0;
  #hasLine = false;
  #anyLine = false;
  #held = false;
  #ended = false;
  #failure: GoGridError | undefined;
  #waiting: PromiseWithResolvers<readonly string[] | undefined> | undefined;
  #waitingSince: number;

  /** Sends the request at once. */
  constructor(wire: Wire, options: LineStreamOptions, signal: AbortSignal) {
    this.#wire = wire;
    this.#options = options;
    this.#signal = signal;
    this.#waitingSince = wire.clock.elapsed();
    this.#watch = every(wire.clock, ENGINE.stallCheckMs, () => this.#checkSilence());
    this.#request = this.#send(true);
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /**
   * All whole lines that came in since the last call, at least one; undefined at the end of the answer. A last line
   * without its newline counts.
   * @throws GoGridError whatever `Engine.run` throws; it has then closed the stream
   */
  next(): Promise<readonly string[] | undefined> {
    if (this.#hasLine) return Promise.resolve(this.#take());
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#ended) return Promise.resolve(this.#takeRest());
    this.#waiting = Promise.withResolvers();
    this.#waitingSince = this.#wire.clock.elapsed();
    return this.#waiting.promise;
  }

  /**
   * Ends it. An answer that is not `complete` is cut off, which frees the engine at once; of a complete one the last
   * bytes are read, so that its connection serves the next call.
   */
  close(complete: boolean): void {
    this.#watch.cancel();
    this.#signal.removeEventListener('abort', this.#onAbort);
    if (this.#ended) return;
    const response = this.#response;
    if (!complete || response === undefined) {
      this.#fail(new GoGridError({ code: 'cancelled', message: 'the call was closed' }));
      return;
    }
    const late = this.#wire.clock.after(ENGINE.drainMs, () => response.destroy());
    response.removeAllListeners('data').once('close', () => late.cancel());
    response.resume();
  }

  #send(mayRetry: boolean): http.ClientRequest {
    const { path, body } = this.#options;
    const request = this.#wire.request(path, Buffer.byteLength(body));
    request.on('response', (response) => this.#onResponse(response));
    request.on('error', (error) => {
      // A kept connection that the daemon closed in the meantime: the request never arrived, a new one carries it.
      if (mayRetry && request.reusedSocket && this.#response === undefined && this.#failure === undefined) {
        this.#request = this.#send(false);
        return;
      }
      this.#fail(fromConnection(this.#wire.url, error, this.#response !== undefined));
    });
    this.#boundConnecting(request);
    request.end(body);
    return request;
  }

  /** An address where nobody answers at all is found out long before the system's own two minutes are over. */
  #boundConnecting(request: http.ClientRequest): void {
    request.once('socket', (socket) => {
      if (!socket.connecting) return;
      const late = this.#wire.clock.after(ENGINE.controlTimeoutMs, () => this.#fail(unavailable(this.#wire.url)));
      socket.once('connect', () => late.cancel()).once('close', () => late.cancel());
    });
  }

  #onResponse(response: http.IncomingMessage): void {
    this.#response = response;
    const status = response.statusCode ?? 0;
    if (status < 200 || status >= 300) {
      this.#readError(response, status);
      return;
    }
    response.on('data', (piece: Buffer) => this.#onData(piece));
    response.on('end', () => this.#onEnd());
    response.on('error', (error) => this.#fail(fromConnection(this.#wire.url, error, true)));
    response.on('close', () => {
      if (!this.#ended) this.#fail(fromConnection(this.#wire.url, undefined, true));
    });
  }

  #onData(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (!this.#hasLine) {
      if (!piece.includes(NEWLINE)) {
        this.#onPartOfLine();
        return;
      }
      this.#hasLine = true;
      this.#anyLine = true;
    }
    if (this.#bytes > ENGINE.readAheadBytes) {
      this.#held = true;
      this.#response?.pause();
    }
    // Settled behind this turn: what the same read of the socket still brings goes with it.
    if (this.#waiting !== undefined) queueMicrotask(this.#wake);
  }

  #onPartOfLine(): void {
    const { maxLineBytes } = this.#options;
    this.#waitingSince = this.#wire.clock.elapsed();
    if (this.#bytes > maxLineBytes) this.#fail(failed(`Ollama sent a line of more than ${maxLineBytes} bytes`));
  }

  readonly #wake = () => {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    if (this.#hasLine) waiting.resolve(this.#take());
    else if (this.#failure !== undefined) waiting.reject(this.#failure);
    else if (this.#ended) waiting.resolve(this.#takeRest());
    else return;
    this.#waiting = undefined;
  };

  #onEnd(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Hands the whole lines over and keeps the beginning of the next one. */
  #take(): readonly string[] {
    const all = this.#joined();
    const end = all.lastIndexOf(NEWLINE);
    const rest = all.subarray(end + 1);
    this.#pieces = rest.length === 0 ? [] : [rest];
    this.#bytes = rest.length;
    this.#hasLine = false;
    if (this.#held) {
      this.#held = false;
      this.#response?.resume();
    }
    const text = all.toString('utf8', 0, end);
    return text.includes('\n') ? text.split('\n') : [text];
  }

  #takeRest(): readonly string[] | undefined {
    if (this.#bytes === 0) return undefined;
    const text = this.#joined().toString('utf8');
    this.#pieces = [];
    this.#bytes = 0;
    return [text];
  }

  #joined(): Buffer {
    const [first] = this.#pieces;
    return first !== undefined && this.#pieces.length === 1 ? first : Buffer.concat(this.#pieces, this.#bytes);
  }

  #readError(response: http.IncomingMessage, status: number): void {
    const { model } = this.#options;
    let text = '';
    response.setEncoding('utf8');
    const finish = () => this.#fail(fromOllama(status, errorText(text), model));
    response.on('data', (piece: string) => {
      text += piece;
      if (text.length > ENGINE.maxErrorBytes) finish();
    });
    response.on('end', finish).on('error', finish).on('close', finish);
  }

  /** Only while the consumer waits: one that does not read is not the daemon's silence. */
  #checkSilence(): void {
    if (this.#waiting === undefined && this.#anyLine) return;
    const silentMs = this.#wire.clock.elapsed() - this.#waitingSince;
    const { firstLineMs, stallMs } = this.#options;
    const secs = Math.round(silentMs / 1000);
    if (!this.#anyLine && silentMs > firstLineMs) this.#fail(failed(`Ollama did not begin to answer within ${secs} s`));
    if (this.#anyLine && silentMs > stallMs)
      this.#fail(failed(`Ollama stopped in the middle of an answer: ${secs} s of silence`));
  }

  /** The first failure counts; it cuts the connection, and the consumer learns of it behind what has come already. */
  #fail(failure: GoGridError): void {
    if (this.#failure !== undefined || this.#ended) return;
    this.#failure = failure;
    this.#request.destroy();
    this.#watch.cancel();
    this.#signal.removeEventListener('abort', this.#onAbort);
    if (failure.code === 'cancelled' || this.#signal.aborted) this.#hasLine = false;
    this.#wake();
  }
}

/** Ollama's `{"error": …}`, or whatever else stands in the body of a failure. */
function errorText(body: string): string {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === 'object' && parsed !== null && 'error' in parsed) return String(parsed.error);
  } catch {
    // A proxy's page: its text is as good as any.
  }
  return body;
}
