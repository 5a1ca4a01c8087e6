/** Where the API listens, and what it says when it cannot. */

import { createServer, type Server } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ask, smallApi } from '../testing/small-api.ts';

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of cleanUp.splice(0)) await close();
});

async function api(options: { host?: string; port?: number } = {}) {
  const small = await smallApi(options);
  cleanUp.push(() => small.api.stop(0));
  return small;
}

describe('a port that is taken', () => {
  it('by another node is named so', async () => {
    const { port } = await api();
    await expect(api({ port })).rejects.toMatchObject({
      code: 'port_in_use',
      message: `api.port: 127.0.0.1:${port} is in use by a GoGrid node, perhaps your own`,
      hint: expect.stringContaining('GOGRID_API_PORT'),
    });
  });

  it('by Ollama is named so', async () => {
    const port = await occupy(
      '127.0.0.1',
      createServer((_request, response) => response.end('Ollama is running')),
    );
    await expect(api({ port })).rejects.toThrow('in use by Ollama');
  });

  it('by another web server, or by something silent, is named so', async () => {
    const web = await occupy(
      '127.0.0.1',
      createServer((_request, response) => response.end('hello')),
    );
    await expect(api({ port: web })).rejects.toThrow('in use by another web server');
    const silent = createTcpServer((socket) => socket.resume()) as Server;
    await expect(api({ port: await occupy('127.0.0.1', silent) })).rejects.toThrow('in use by another program');
  });

  it('on [::1] alone counts too, since localhost may mean it', async () => {
    const port = await occupy(
      '::1',
      createServer((_request, response) => response.end('hello')),
    );
    await expect(api({ port })).rejects.toMatchObject({
      code: 'port_in_use',
      message: expect.stringContaining(`[::1]:${port}`),
    });
    // The half that was open is closed again.
    await expect(ask(port, '/', { address: '127.0.0.1' })).rejects.toThrow('ECONNREFUSED');
  });
});

it('an address that is not of this machine is named', async () => {
  await expect(api({ host: '192.0.2.1' })).rejects.toMatchObject({
    code: 'invalid_config',
    message: "api.host: '192.0.2.1' is not an address of this machine",
  });
});

it.each([
  ['127.0.0.1', /^http:\/\/127\.0\.0\.1:\d+$/],
  ['localhost', /^http:\/\/127\.0\.0\.1:\d+$/],
  ['::1', /^http:\/\/\[::1\]:\d+$/],
  ['0.0.0.0', /^http:\/\/127\.0\.0\.1:\d+$/],
])('on %s it tells where', async (host, url) => {
  const small = await api({ host });
  expect(small.url).toMatch(url);
  const address = host === '::1' ? '::1' : '127.0.0.1';
  expect((await ask(small.port, '/', { address })).status).toBe(200);
});

it('refuses a key that could be found by trying', async () => {
  await expect(smallApi({ key: 'short' })).rejects.toThrow('key');
});

function occupy(host: string, server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, host, () => {
      cleanUp.push(
        () =>
          new Promise((done) => {
            server.closeAllConnections?.();
            server.close(done);
          }),
      );
      resolve((server.address() as { port: number }).port);
    });
  });
}
