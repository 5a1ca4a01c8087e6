/** The sockets of the API: one address, and both loopback addresses where one of them was asked for. */

import { createServer, get, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { GoGridError, systemCode } from '../errors.ts';
import { API } from '../limits/api.ts';

/** Answers bytes that are no request. */
export type ClientErrorListener = (error: Error & { code?: string }, socket: Socket) => void;

export interface Listening {
  readonly servers: readonly Server[];
  readonly port: number;
}

/**
 * Makes an HTTP server with the bounds in `limits/`.
 */
export function boundedServer(onRequest: RequestListener, onClientError: ClientErrorListener): Server {
  const server = createServer(
    {
      maxHeaderSize: API.maxHeaderBytes,
      headersTimeout: API.headersTimeoutMs,
      requestTimeout: API.requestTimeoutMs,
      keepAliveTimeout: API.keepAliveTimeoutMs,
      connectionsCheckingInterval: API.timeoutCheckEveryMs,
    },
    onRequest,
  );
  server.maxConnections = API.maxConnections;
  // Node drops headers past a number of them without a word, and a dropped Origin would pass for none. Their size is bounded.
  server.maxHeadersCount = 0;
  server.on('clientError', onClientError);
  return server;
}

/**
 * Listens on `host` and `port` (0: any free one), and for a loopback host on the other family's loopback too, since
 * `localhost` may mean either.
 * @throws GoGridError `port_in_use`, `invalid_config` when the machine has no such address
 */
export async function listen(makeServer: () => Server, host: string, port: number): Promise<Listening> {
  const both = host === '127.0.0.1' || host === 'localhost';
  const address = host === 'localhost' ? '127.0.0.1' : host;
  for (let tries = 1; ; tries++) {
    const first = makeServer();
    await bind(first, address, port);
    const taken = (first.address() as AddressInfo).port;
    if (!both) return { servers: [first], port: taken };
    const second = makeServer();
    try {
      await bind(second, '::1', taken);
      return { servers: [first, second], port: taken };
    } catch (thrown) {
      // A machine without IPv6 has no [::1].
      const hasNone = ['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL'].includes(systemCode(thrown) ?? '');
      if (hasNone) return { servers: [first], port: taken };
      first.close();
      if (port === 0 && tries < API.maxPortTries) continue;
      throw thrown;
    }
  }
}

async function bind(server: Server, host: string, port: number): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, exclusive: true }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (thrown) {
    throw await bindError(thrown, host, port);
  }
}

async function bindError(cause: unknown, host: string, port: number): Promise<unknown> {
  switch (systemCode(cause)) {
    case 'EADDRINUSE': {
      const where = `${host.includes(':') ? `[${host}]` : host}:${port}`;
      const holder = await whoAnswers(host, port);
      return new GoGridError({
        code: 'port_in_use',
        message: `api.port: ${where} is in use by ${holder}`,
        hint: 'stop it, or choose another port with api.port (GOGRID_API_PORT; 0 takes any free one)',
        data: { host, port },
        cause,
      });
    }
    case 'EADDRNOTAVAIL':
      if (host === '::1') return cause;
      return new GoGridError({
        code: 'invalid_config',
        message: `api.host: '${host}' is not an address of this machine`,
        hint: 'use 127.0.0.1, or an address that this machine has',
        cause,
      });
    case 'EACCES':
      return new GoGridError({
        code: 'invalid_config',
        message: `api.port: the system does not let this user listen on port ${port}`,
        hint: 'choose a port from 1024 on',
        cause,
      });
    default:
      return cause;
  }
}

/** The program behind a port, as it answers to `GET /`. */
function whoAnswers(host: string, port: number): Promise<string> {
  const loopback = host === '0.0.0.0' ? '127.0.0.1' : host;
  return new Promise((resolve) => {
    const unknown = () => resolve('another program');
    const request = get(
      { host: loopback === '::' ? '::1' : loopback, port, path: '/', timeout: API.portProbeMs, agent: false },
      (response) => {
        if (String(response.headers.server).startsWith('GoGrid')) resolve('a GoGrid node, perhaps your own');
        response.once('data', (data: Buffer) => {
          resolve(data.toString('utf8', 0, 100).includes('Ollama is running') ? 'Ollama' : 'another web server');
          request.destroy();
        });
        response.once('end', unknown);
      },
    );
    request.once('timeout', () => request.destroy());
    request.once('error', unknown);
    request.once('close', unknown);
  });
}
