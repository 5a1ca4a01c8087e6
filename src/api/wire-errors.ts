/** Errors below the routes: of HTTP itself, of Fastify, of bodies that are too large, and defects of our own. */

import { type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { GoGridError } from '../errors.ts';
import { API } from '../limits/api.ts';
import { errorAnswer } from './dialect.ts';

/** Fastify's own errors in our words. */
export function fromFastify(thrown: unknown): GoGridError | undefined {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  switch (code) {
    case 'FST_ERR_BAD_URL':
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new GoGridError({
        code: 'not_found',
        message: 'this is no path of this node',
        hint: 'GET /openapi.json lists what there is',
      });
    default:
      return undefined;
  }
}

/**
 * Refuses a body that is still on its way. The sender gets to read why only if what it goes on sending is taken from the
 * wire, for a while; closing at once would reset the connection, and the answer with it.
 */
export function refuseBody(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders,
  body: string,
): void {
  response.writeHead(status, { ...headers, connection: 'close', 'content-length': Buffer.byteLength(body) });
  response.write(body);
  const timer = setTimeout(() => response.destroy(), API.refusedBodyMs);
  const end = () => {
    clearTimeout(timer);
    response.end();
  };
  request.once('end', end);
  request.once('close', end);
  request.resume();
}

/** Answers bytes that are no request, and closes the connection. */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  // An answer that is on its way may not get another in its middle; Node knows it under this name alone.
  const busy = (socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage?.headersSent === true;
  if (error.code === 'ECONNRESET' || busy || !socket.writable) {
    socket.destroy();
    return;
  }
  const { status, headers, body } = errorAnswer('control', clientError(error.code));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroySoon());
}

function clientError(code: string | undefined): GoGridError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new GoGridError({
        code: 'headers_too_large',
        message: `the headers are larger than ${API.maxHeaderBytes} bytes`,
        hint: 'send fewer or shorter headers',
      });
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new GoGridError({
        code: 'request_timeout',
        message: `the request did not arrive within ${API.requestTimeoutMs / 1000} seconds`,
        hint: 'send it in one go',
      });
    default:
      return new GoGridError({
        code: 'invalid_request',
        message: 'this is not an HTTP/1.1 request',
        hint: 'use http://, not https://, and a client that speaks HTTP',
      });
  }
}
