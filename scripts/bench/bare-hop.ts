/**
 * The floor of a hop: bytes from the engine over a bare libp2p stream to an HTTP client, merged as they come. It looks at
 * nothing, checks nothing, and knows no second provider.
 *
 * `node bare-hop.ts far <engine url>` prints its multiaddr; `node bare-hop.ts near <multiaddr>` prints its HTTP port.
 */

import { Agent, createServer, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Stream } from '@libp2p/interface';
import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';

const PROTOCOL = '/gogrid-bench/1';
const [role, target = ''] = process.argv.slice(2);
const host = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
});

/** Everything of one turn of the event loop leaves in one write. */
class Merged {
  readonly #write: (bytes: Buffer) => void;
  #pieces: Buffer[] = [];

  constructor(write: (bytes: Buffer) => void) {
    this.#write = write;
  }

  push(piece: Buffer): void {
    this.#pieces.push(piece);
    if (this.#pieces.length === 1) setImmediate(() => this.flush());
  }

  flush(): void {
    if (this.#pieces.length > 0) this.#write(Buffer.concat(this.#pieces));
    this.#pieces = [];
  }
}

async function far(): Promise<void> {
  const engine = new URL(target);
  const agent = new Agent({ keepAlive: true });
  const answer = (stream: Stream) => {
    const path = '/api/chat';
    const onward = send({ agent, host: engine.hostname, port: engine.port, method: 'POST', path }, (from) => {
      const merged = new Merged((bytes) => {
        if (!stream.send(bytes)) from.pause();
      });
      stream.addEventListener('drain', () => from.resume());
      from.on('data', (piece: Buffer) => merged.push(piece));
      from.on('end', () => {
        merged.flush();
        void stream.close();
      });
    });
    stream.addEventListener('message', ({ data }) => onward.write(data.subarray()));
    stream.addEventListener('end', () => onward.end());
  };
  await host.handle(PROTOCOL, answer);
  console.log(String(host.getMultiaddrs()[0]));
}

async function near(): Promise<void> {
  const connection = await host.dial(multiaddr(target));
  const server = createServer(async (request, response) => {
    const stream = await connection.newStream(PROTOCOL);
    const merged = new Merged((bytes) => response.write(bytes));
    stream.addEventListener('message', ({ data }) => merged.push(Buffer.from(data.subarray())));
    stream.addEventListener('end', () => {
      merged.flush();
      response.end();
    });
    for await (const piece of request) stream.send(piece);
    await stream.close();
  });
  server.keepAliveTimeout = 600_000;
  server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
}

await (role === 'far' ? far() : near());
