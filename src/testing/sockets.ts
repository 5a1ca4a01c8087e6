/** Raw HTTP of tests that care about sockets. */

import { type Agent, request as httpRequest } from 'node:http';

/** Sends a POST through an agent's connections, notes them in `sockets`, and gives the body of the answer. */
export function askWith(
  agent: Agent,
  port: number,
  path: string,
  body: string,
  sockets: Set<unknown>,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ port, host: '127.0.0.1', path, method: 'POST', agent }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part) => {
        text += part;
      });
      response.on('end', () => resolve(text));
      response.on('error', reject);
    });
    sent.on('socket', (socket) => sockets.add(socket));
    sent.on('error', reject);
    sent.end(body);
  });
}
