/** What lies between a store and a web server: TLS, and a proxy. */

import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type FileServer, fileServer } from '../../testing/file-server.ts';
import { entryOf, httpsSource, modelBytes, type SmallStore, smallStore } from '../../testing/small-store.ts';
import type { StoreOptions } from './store.ts';

const content = modelBytes(50_000);
let folder: string;
let server: FileServer;
const opened: SmallStore[] = [];

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gogrid-tls-'));
  server = await fileServer(content);
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((small) => small.close()));
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

async function fetchFrom(url: string, options: Partial<StoreOptions> = {}) {
  const entry = entryOf(content, [httpsSource(url)]);
  const small = await smallStore([entry], options);
  opened.push(small);
  return small.fetch(entry);
}

it('goes through the proxy that the environment names, and past it where that says so', async () => {
  const asked: (string | undefined)[] = [];
  const proxy = createHttp((request, response) => {
    asked.push(request.url);
    response.writeHead(200, { 'content-length': content.length }).end(content);
  });
  await new Promise<void>((resolve) => {
    proxy.listen(0, '127.0.0.1', resolve);
  });
  const http_proxy = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  try {
    await fetchFrom('http://models.invalid/model.gguf', { env: { http_proxy } });
    expect(asked).toEqual(['http://models.invalid/model.gguf']);
    await fetchFrom(server.url, { env: { http_proxy, no_proxy: '127.0.0.1' } });
    expect(asked).toHaveLength(1);
  } finally {
    proxy.closeAllConnections();
    proxy.close();
  }
});

const noOpenssl = spawnSync('openssl', ['version']).status === 0 ? undefined : 'there is no openssl to make one with';
if (noOpenssl !== undefined) process.stderr.write(`the tests with a certificate are left out: ${noOpenssl}\n`);

describe.skipIf(noOpenssl !== undefined)('a server with a certificate of its own', () => {
  let secure: Server;

  /** Answers with a redirect to `location`. */
  async function start(location: string): Promise<string> {
    const [key, cert] = [path.join(folder, 'key.pem'), path.join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-days', '1', '-nodes'];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
    spawnSync('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert]);
    secure = createHttps({ key: await readFile(key), cert: await readFile(cert) }, (_request, response) => {
      response.writeHead(302, { location }).end();
    });
    await new Promise<void>((resolve) => {
      secure.listen(0, '127.0.0.1', resolve);
    });
    return `https://127.0.0.1:${(secure.address() as AddressInfo).port}/model.gguf`;
  }
  afterEach(() => {
    secure.closeAllConnections();
    secure.close();
  });

  it('is not believed', async () => {
    const url = await start(server.url);
    await expect(fetchFrom(url)).rejects.toThrow(
      'the hub: its certificate is not trusted here (DEPTH_ZERO_SELF_SIGNED_CERT)',
    );
  });

  it('does not lead to a connection without one', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    const url = await start(server.url);
    await expect(fetchFrom(url)).rejects.toThrow('the hub: it redirects to a connection that is not encrypted');
    expect(server.requests).toHaveLength(0);
  });
});
