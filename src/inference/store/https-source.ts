/**
 * One file from a web server, gone on with where it stopped (RFC 9110, 13.1.5 and 14): `Range` asks for the rest, `If-Range`
 * for the whole when it is another file by now, and a server that ignores both sends it from the beginning.
 */

import http from 'node:http';
import https from 'node:https';
import type { Clock } from '../../clock.ts';
import { STORE } from '../../limits/engine.ts';
import type { HttpsSource } from './catalogue.ts';
import { cancelled, SourceFailed } from './failures.ts';
import { type PartNote, readNote, writeNote } from './notes.ts';
import type { PartFile } from './part-file.ts';
import { pause } from './pause.ts';

export interface HttpsFetch {
  readonly source: HttpsSource;
  /** Of the whole file. */
  readonly totalBytes: number;
  readonly silenceMs: number;
  /** Pauses before further connections while none brings anything; behind the last one it gives up. */
  readonly retryAfterMs: readonly number[];
  /** For proxies: `HTTPS_PROXY`, `NO_PROXY` and their kin. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called whenever the part file has grown. */
  onBytes(bytes: number): void;
}

/**
 * Fetches what `part` lacks. The file is then as long as it should be; whether it is the right one the digest tells.
 * @throws SourceFailed, or the system's error; what came stays in `part`
 */
export async function fetchHttps(part: PartFile, fetch: HttpsFetch): Promise<void> {
  let cameOnce = false;
  let emptied = false;
  for (let tries = 0, barren = 0; ; tries++) {
    const before = part.bytes;
    const ended = await fetchOnce(part, fetch);
    if (part.bytes === fetch.totalBytes) return;
    if (ended.emptied && !emptied) {
      emptied = true;
      continue;
    }
    // What has been sending is worth another connection, and a moment of patience; what never did is not.
    const came = part.bytes > before;
    cameOnce ||= came;
    barren = came ? 0 : barren + 1;
    const pauseMs = fetch.retryAfterMs[barren];
    if (!cameOnce || pauseMs === undefined || tries >= STORE.maxResumes) throw ended.reason;
    if (pauseMs > 0) await pause(fetch.clock, pauseMs, fetch.signal);
  }
}

/** How one answer ended. */
interface Ended {
  /** What was there could not be gone on with and was dropped: the whole is to be asked for. */
  readonly emptied: boolean;
  /** Why the file is not whole, where it is not. */
  readonly reason: unknown;
}

/** The connection could not be had, or broke. */
class Broken extends Error {}

function broken(thrown: unknown): Broken {
  return new Broken('the connection broke', { cause: thrown });
}

async function fetchOnce(part: PartFile, fetch: HttpsFetch): Promise<Ended> {
  const { source, totalBytes, signal } = fetch;
  if (signal.aborted) throw cancelled(signal);
  const watch = new SilenceWatch(fetch);
  try {
    const note = part.bytes > 0 ? await readNote(part.path) : undefined;
    const answer = await open(source.url, rangeHeaders(part, note, source), fetch, watch);
    try {
      const emptied = !(await prepare(part, answer.response, fetch));
      if (!emptied) await readInto(part, answer, totalBytes, watch, fetch);
      const reason = new SourceFailed(`it sent ${part.bytes} bytes instead of ${totalBytes}`);
      if (!emptied && part.bytes < totalBytes && isWholeAnswer(answer.response)) {
        // A page of somebody between, such as a network that wants a login: no beginning of the file.
        await part.restart();
        throw reason;
      }
      return { emptied, reason };
    } finally {
      answer.response.destroy();
    }
  } catch (thrown) {
    if (signal.aborted) throw cancelled(signal);
    if (watch.failure !== undefined) throw watch.failure;
    // The disk has errors too, and they are final.
    if (thrown instanceof Broken) return { emptied: false, reason: thrown.cause };
    throw thrown;
  } finally {
    watch.stop();
  }
}

function rangeHeaders(part: PartFile, note: PartNote | undefined, source: HttpsSource): http.OutgoingHttpHeaders {
  if (part.bytes === 0) return {};
  const etag = note?.url === source.url ? note.etag : undefined;
  return { range: `bytes=${part.bytes}-`, ...(etag !== undefined && { 'if-range': etag }) };
}

/** Follows redirects. @returns an answer that is none */
async function open(
  start: string,
  headers: http.OutgoingHttpHeaders,
  fetch: HttpsFetch,
  watch: SilenceWatch,
): Promise<Answer> {
  let url = new URL(start);
  for (let redirects = 0; ; redirects++) {
    const answer = await request(url, headers, fetch, watch);
    const { response } = answer;
    const { location } = response.headers;
    const status = response.statusCode ?? 0;
    if (![301, 302, 303, 307, 308].includes(status) || location === undefined) return answer;
    response.destroy();
    if (redirects >= STORE.maxRedirects) throw new SourceFailed(`it redirects more than ${STORE.maxRedirects} times`);
    const next = URL.parse(location, url.href);
    if (next === null || !/^https?:$/.test(next.protocol)) throw new SourceFailed('it redirects to nowhere');
    if (url.protocol === 'https:' && next.protocol !== 'https:') {
      throw new SourceFailed('it redirects to a connection that is not encrypted');
    }
    url = next;
  }
}

function request(
  url: URL,
  headers: http.OutgoingHttpHeaders,
  { env, signal }: HttpsFetch,
  watch: SilenceWatch,
): Promise<Answer> {
  const speaks = url.protocol === 'https:' ? https : http;
  const agent = new speaks.Agent({ keepAlive: false, proxyEnv: { ...env } });
  return new Promise((resolve, reject) => {
    const sent = speaks.request(url, {
      agent,
      signal,
      headers: { 'user-agent': 'GoGrid', accept: '*/*', 'accept-encoding': 'identity', ...headers },
    });
    watch.ends((failure) => sent.destroy(failure));
    sent.on('response', (response) => resolve(new Answer(response)));
    sent.on('error', (error) => reject(broken(error)));
    sent.end();
  });
}

/**
 * Reads what the answer is: the rest, the whole, or no file at all.
 * @returns whether a body is to be read
 */
async function prepare(part: PartFile, response: http.IncomingMessage, fetch: HttpsFetch): Promise<boolean> {
  const { source, totalBytes } = fetch;
  const { headers, statusCode: status = 0, statusMessage = '' } = response;
  if ((headers['content-encoding'] ?? 'identity') !== 'identity')
    throw new SourceFailed('it sends the file compressed');
  if (status === 206) {
    const [, from, , total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers['content-range'] ?? '') ?? [];
    if (Number(from) !== part.bytes) throw new SourceFailed('it sends another part of the file than was asked for');
    if (total !== '*' && Number(total) !== totalBytes) throw wrongLength(Number(total), totalBytes);
    return true;
  }
  // What is there cannot be gone on with: the next round begins anew.
  if (status === 416 && part.bytes > 0) {
    await part.restart();
    return false;
  }
  if (status !== 200) throw new SourceFailed(`it answers ${status} ${statusMessage}`.trim());
  const length = headers['content-length'];
  if (length !== undefined && Number(length) !== totalBytes) throw wrongLength(Number(length), totalBytes);
  if (part.bytes > 0) await part.restart();
  // Without it the rest is asked for unconditionally, and the digest decides.
  await writeNote(part.path, { url: source.url, etag: strongTag(headers.etag) }).catch(() => undefined);
  return true;
}

/** Whether it meant to be the whole file and ended where it meant to; without chunks an end may be a cut as well. */
function isWholeAnswer({ statusCode, headers }: http.IncomingMessage): boolean {
  return statusCode === 200 && headers['transfer-encoding'] !== undefined;
}

function wrongLength(found: number, expected: number): SourceFailed {
  return new SourceFailed(`its file has ${found} bytes instead of ${expected}`);
}

/** Only a strong one says that bytes are the same (RFC 9110, 8.8.3). */
function strongTag(etag: string | undefined): string | undefined {
  return etag?.startsWith('"') === true ? etag : undefined;
}

async function readInto(
  part: PartFile,
  answer: Answer,
  totalBytes: number,
  watch: SilenceWatch,
  { onBytes }: HttpsFetch,
): Promise<void> {
  watch.ends((failure) => answer.response.destroy(failure));
  for await (const piece of answer.pieces()) {
    watch.heard(piece.length);
    if (part.bytes + piece.length > totalBytes) throw new SourceFailed('it sends more than the file has');
    await part.append(piece);
    onBytes(part.bytes);
  }
}

/**
 * An answer, read from its first moment on: Node throws away what has come and was not read when the connection breaks; here
 * it is handed over first.
 */
class Answer {
  readonly response: http.IncomingMessage;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;
  #over = false;
  #failure: unknown;
  #wake = Promise.withResolvers<void>();

  constructor(response: http.IncomingMessage) {
    this.response = response;
    response.on('data', (piece: Buffer) => {
      this.#pieces.push(piece);
      this.#bytes += piece.length;
      if (this.#bytes > STORE.readBytes) response.pause();
      this.#wake.resolve();
    });
    response.on('error', (error) => {
      this.#failure ??= error;
    });
    response.on('close', () => {
      this.#over = true;
      if (!response.complete) this.#failure ??= new SourceFailed('it cut the connection');
      this.#wake.resolve();
    });
  }

  /** The body, once. */
  async *pieces(): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece !== undefined) {
        this.#bytes -= piece.length;
        yield piece;
      } else if (this.#over) {
        if (this.#failure !== undefined) throw broken(this.#failure);
        return;
      } else {
        this.response.resume();
        await this.#wake.promise;
        this.#wake = Promise.withResolvers();
      }
    }
  }
}

/** Ends a connection over which too little comes, from the first moment on. */
class SilenceWatch {
  failure: SourceFailed | undefined;
  #bytes = 0;
  #end: (failure: Error) => void = () => {};
  #timer;
  readonly #fetch: HttpsFetch;

  constructor(fetch: HttpsFetch) {
    this.#fetch = fetch;
    this.#timer = this.#next();
  }

  heard(bytes: number): void {
    this.#bytes += bytes;
  }

  ends(end: (failure: Error) => void): void {
    this.#end = end;
    if (this.failure !== undefined) end(this.failure);
  }

  stop(): void {
    this.#timer.cancel();
  }

  #next() {
    const { clock, silenceMs } = this.#fetch;
    return clock.after(silenceMs, () => {
      if (this.#bytes >= STORE.minBytesPerSilence) {
        this.#bytes = 0;
        this.#timer = this.#next();
        return;
      }
      const secs = Math.round(silenceMs / 1000);
      this.failure = new SourceFailed(
        this.#bytes === 0 ? `it sent nothing for ${secs} s` : `it sent only ${this.#bytes} bytes in ${secs} s`,
      );
      this.#end(this.failure);
    });
  }
}
