/** Speaks to the running node of a home, over its API, as any program would. */

import http from 'node:http';
import { GoGridError, isErrorCode, systemCode, toGoGridError } from '../errors.ts';
import { CLI } from '../limits/program.ts';
import { withHome } from './program.ts';
import type { Home } from './world.ts';

export interface ApiRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Such as `/mesh/peers`. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface ApiStream {
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Lines without their ends; leaving the loop closes the connection. */
  readonly lines: AsyncIterable<string>;
}

export interface NodeClient {
  /** Such as `http://127.0.0.1:4301`. */
  readonly api: string;
  /** @throws GoGridError with the code that the node answered, `node_not_running` when none answers */
  ask<T>(request: ApiRequest): Promise<T>;
  /** As `ask`, for an answer that comes line by line, for as long as it takes. */
  stream(request: ApiRequest): Promise<ApiStream>;
}

/**
 * Finds the node that runs in this home.
 * @throws GoGridError `node_not_running`
 */
export async function connect(home: Home): Promise<NodeClient> {
  const mark = await home.mark();
  if (mark === undefined) throw notRunning(home, '');
  if (!mark.alive) throw notRunning(home, `; the last one, process ${mark.pid}, ended without a word`);
  const key = await home.apiKey();
  const base = new URL(mark.api);

  const open = async (request: ApiRequest): Promise<http.IncomingMessage> => {
    const response = await send(base, key, request).catch((thrown: unknown) => {
      throw connectError(home, mark.pid, mark.api, thrown);
    });
    if (response.statusCode !== undefined && response.statusCode < 400) return response;
    throw answeredError(response.statusCode ?? 0, await readAll(response), home);
  };
  return {
    api: mark.api,
    async ask<T>(request: ApiRequest): Promise<T> {
      const text = await readAll(await open({ signal: AbortSignal.timeout(CLI.requestTimeoutMs), ...request }));
      try {
        return JSON.parse(text) as T;
      } catch (thrown) {
        throw new GoGridError({
          code: 'internal',
          message: `${request.path} did not answer with JSON`,
          hint: `something else than GoGrid may answer at ${mark.api}`,
          cause: thrown,
        });
      }
    },
    async stream(request: ApiRequest): Promise<ApiStream> {
      const response = await open(request);
      return { headers: response.headers as ApiStream['headers'], lines: linesOf(response) };
    },
  };
}

function send(base: URL, key: string | undefined, request: ApiRequest): Promise<http.IncomingMessage> {
  const body = request.body === undefined ? undefined : JSON.stringify(request.body);
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  const outgoing = http.request(
    {
      hostname: base.hostname.replace(/^\[|\]$/g, ''),
      port: base.port === '' ? 80 : base.port,
      path: request.path,
      method: request.method ?? 'GET',
      agent: false,
      headers: {
        ...request.headers,
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      },
      ...(request.signal === undefined ? {} : { signal: request.signal }),
    },
    resolve,
  );
  outgoing.on('error', reject);
  outgoing.end(body);
  return promise;
}

async function readAll(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > CLI.maxAnswerBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function* linesOf(response: http.IncomingMessage): AsyncIterable<string> {
  let rest = '';
  response.setEncoding('utf8');
  for await (const chunk of response as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > CLI.maxLineBytes) throw tooLarge();
    for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line;
  }
  if (rest !== '') yield rest;
}

function tooLarge(): GoGridError {
  return new GoGridError({ code: 'payload_too_large', message: 'the node answered with more than this command reads' });
}

/** The error of a command that needs a node, with the way to start one. */
export function notRunning(home: Home, detail: string): GoGridError {
  return new GoGridError({
    code: 'node_not_running',
    message: `no node is running in ${home.folder}${detail}`,
    hint: `start one with: gogrid up${home.flags}`,
  });
}

function connectError(home: Home, pid: number, api: string, thrown: unknown): GoGridError {
  const code = systemCode(thrown);
  if (code === 'ECONNREFUSED' || code === 'ECONNRESET') return notRunning(home, `; nothing answers at ${api}`);
  if (code === 'ABORT_ERR' || (thrown instanceof Error && thrown.name === 'TimeoutError')) {
    return new GoGridError({
      code: 'deadline_exceeded',
      message: `the node at ${api} (process ${pid}) did not answer within ${CLI.requestTimeoutMs / 1000} seconds`,
      hint: 'it may be overloaded or stopped in a debugger; its log tells more: gogrid logs',
    });
  }
  return toGoGridError(thrown);
}

/** The error in an answer: in the control surface's form, in Ollama's, or none at all. */
function answeredError(status: number, text: string, home: Home): GoGridError {
  const { code, message, hint } = errorIn(text) ?? {
    code: undefined,
    message: `the node answered with status ${status}`,
    hint: undefined,
  };
  if (status === 401) {
    return new GoGridError({
      code: 'unauthorized',
      message: "the node does not accept this home's API key",
      hint: `another home may use the same port, or ${home.folder}/api.key was replaced while the node ran: restart the node`,
    });
  }
  const known = code !== undefined && isErrorCode(code) ? code : codeOf(status);
  return new GoGridError({ code: known, message, ...(hint === undefined ? {} : { hint: withHome(hint, home.flags) }) });
}

interface AnsweredError {
  readonly code: string | undefined;
  readonly message: string;
  readonly hint: string | undefined;
}

/** Reads `{error: {code, message, hint?}}` or `{error: "text", code?}` of the Ollama surface; undefined when `text` is neither. */
export function errorIn(text: string): AnsweredError | undefined {
  try {
    const { error, code: ownCode } = JSON.parse(text) as { error?: unknown; code?: unknown };
    if (typeof error === 'string') return { code: textOf(ownCode), message: error, hint: undefined };
    if (typeof error !== 'object' || error === null) return undefined;
    const { code, message, hint } = error as Record<string, unknown>;
    if (typeof message !== 'string') return undefined;
    return { code: textOf(code), message, hint: textOf(hint) };
  } catch {
    return undefined;
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** What broke an answer off that had begun. @param line an event or a line of it; undefined when it is no error */
export function errorInStream(line: string): GoGridError | undefined {
  const failed = errorIn(line);
  if (failed === undefined) return undefined;
  const { code, message, hint } = failed;
  return new GoGridError({
    code: code !== undefined && isErrorCode(code) ? code : 'engine_failed',
    message,
    ...(hint !== undefined && { hint }),
  });
}

/** Errors of the Ollama surface that are of no job have no code; the status says enough for the exit code. */
function codeOf(status: number) {
  if (status === 404) return 'not_found';
  if (status === 503) return 'overloaded';
  if (status === 504) return 'deadline_exceeded';
  return status < 500 ? 'invalid_request' : 'engine_failed';
}
