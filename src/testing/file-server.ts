/** A web server with one file, which can be told to misbehave. */

import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FileServer {
  /** Of the file. */
  readonly url: string;
  /** The headers of every request so far. */
  readonly requests: readonly IncomingHttpHeaders[];
  /** How it answers from now on. */
  behave(behaviour: Partial<Behaviour>): void;
  /** Cuts every connection there is. */
  cut(): void;
  close(): Promise<void>;
}

export interface Behaviour {
  /** Sends this many bytes of each answer and cuts the connection. */
  readonly cutAfter: number | undefined;
  /** Sends this many bytes and then nothing more. */
  readonly hangAfter: number | undefined;
  readonly ignoresRange: boolean;
  readonly etag: string | undefined;
  readonly content: Buffer;
  /** Answers instead of all that. */
  readonly instead: ((response: ServerResponse, path: string) => void) | undefined;
}

/** Starts it; whoever starts it closes it. */
export async function fileServer(content: Buffer): Promise<FileServer> {
  let behaviour: Behaviour = {
    cutAfter: undefined,
    hangAfter: undefined,
    ignoresRange: false,
    etag: '"one"',
    content,
    instead: undefined,
  };
  const requests: IncomingHttpHeaders[] = [];
  const server: Server = createServer((request, response) => {
    requests.push(request.headers);
    if (behaviour.instead === undefined) answer(request.headers, response, behaviour);
    else behaviour.instead(response, request.url ?? '');
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.gguf`,
    requests,
    behave(change) {
      behaviour = { ...behaviour, ...change };
    },
    cut: () => server.closeAllConnections(),
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

function answer(headers: IncomingHttpHeaders, response: ServerResponse, behaviour: Behaviour): void {
  const { content, etag, ignoresRange, cutAfter, hangAfter } = behaviour;
  const fresh = headers['if-range'] === undefined || headers['if-range'] === etag;
  const from = ignoresRange || !fresh ? 0 : Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
  if (from >= content.length && from > 0) {
    response.writeHead(416).end();
    return;
  }
  const body = content.subarray(from);
  response.writeHead(from > 0 ? 206 : 200, {
    'content-length': body.length,
    ...(etag !== undefined && { etag }),
    ...(from > 0 && { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` }),
  });
  const stop = cutAfter ?? hangAfter;
  if (stop === undefined || stop >= body.length) {
    response.end(body);
    return;
  }
  response.flushHeaders();
  response.write(body.subarray(0, stop), () => {
    // Behind the bytes, which would else be lost with the connection.
    if (cutAfter !== undefined) setImmediate(() => response.destroy());
  });
}
