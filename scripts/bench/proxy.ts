/**
 * The floor: the least that a streaming HTTP gateway written for Node can do. It looks at nothing and passes bytes on.
 *
 * `node proxy.ts <engine url>` prints its port on the first line.
 */

import { Agent, createServer, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';

const engine = new URL(process.argv[2] ?? '');
const agent = new Agent({ keepAlive: true });

const server = createServer((request, response) => {
  const { method, headers, url } = request;
  const onward = send({ agent, host: engine.hostname, port: engine.port, method, path: url, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', () => response.destroy());
  response.on('close', () => onward.destroy());
  request.pipe(onward);
});
server.keepAliveTimeout = 600_000;
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
