/** Errors below the routes: of HTTP itself, of Fastify, of bodies that are too large, and defects of our own. */

import { type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { GoGridError } from '../errors.ts';
import { API } from '../limits.ts';
import type { Logger } from '../telemetry/logger.ts';
import { errorAnswer } from './dialect.ts';

/** Fastify's own errors in our words. */
export function fromFastify(thrown: unknown): GoGridError | undefined {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new GoGridError({
        code: 'payload_too_large',
        message: `body: it is larger than ${API.maxBodyBytes} bytes (${API.maxBodyBytes / 1024 ** 2} MiB)`,
        hint: 'send smaller images, or fewer messages',
      });
    case 'FST_ERR_BAD_URL':
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new GoGridError({
        code: 'not_found',
        message: 'this is no path of this node',
        hint: 'GET /openapi.json lists what there is',
      });
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new GoGridError({
        code: 'invalid_request',
        message: 'content-type: it cannot be read',
        hint: 'send application/json',
      });
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
    case 'ECONNRESET':
      return new GoGridError({
        code: 'invalid_request',
        message: 'body: it is not as long as Content-Length says',
        hint: 'send the body whole',
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
  // An answer that is on its way may not get another in its middle.
  const busy = (socket as Socket & { _httpMessage?: unknown })._httpMessage != null;
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

/** Where it broke, and no message: that may hold text of a prompt. */
export function logDefect(log: Logger, error: GoGridError): void {
  const { cause } = error;
  const stack = cause instanceof Error ? (cause.stack ?? '') : '';
  const frames = stack.split('\n').filter((line) => line.startsWith('    at '));
  log.error({ name: cause instanceof Error ? cause.name : typeof cause, frames: frames.slice(0, 10) }, 'a defect');
}
