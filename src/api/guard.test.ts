/** Who may call what, over real sockets: hosts, origins, keys, and what strangers can find out. */

import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Ask, ask, recording, type SmallApi, says, smallApi, testKey } from '../testing/small-api.ts';

const chat = { method: 'POST', body: JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: 'hi' }] }) };
const withKey = { headers: { authorization: `Bearer ${testKey}` } };

const inferencePaths: readonly [string, Ask][] = [
  ['/api/version', {}],
  ['/api/tags', {}],
  ['/api/ps', {}],
  ['/v1/models', {}],
  ['/v1/models/tiny', {}],
  ['/api/show', { method: 'POST', body: '{"model":"tiny"}' }],
  ['/api/chat', chat],
  ['/v1/chat/completions', chat],
];
const controlPaths = [
  '/health/runtime',
  '/status',
  '/identity',
  '/mesh/peers',
  '/model/list',
  '/model/pull/progress',
  '/jobs',
  '/logs',
  '/openapi.json',
];

describe('on loopback', () => {
  let small: SmallApi;
  beforeAll(async () => {
    small = await smallApi({
      allowedHosts: ['gogrid.example.org'],
      allowedOrigins: ['https://app.example.org', 'https://*.team.example'],
    });
  });
  afterAll(() => small.api.stop(0));

  it.each(inferencePaths)(
    'answers %s without a key, with a wrong one, and with an empty one',
    async (path, request) => {
      for (const headers of [
        {},
        { authorization: 'Bearer nonsense' },
        { authorization: 'Bearer ' },
        { 'x-api-key': 'x' },
      ]) {
        expect((await ask(small.port, path, { ...request, headers })).status).toBe(200);
      }
    },
  );

  it.each(controlPaths)('answers %s with the key alone', async (path) => {
    expect((await ask(small.port, path, withKey)).status).toBe(200);
    expect((await ask(small.port, path, { headers: { 'x-api-key': testKey } })).status).toBe(200);
    for (const authorization of [
      undefined,
      'Bearer',
      `Bearer ${testKey}0`,
      `Basic ${testKey}`,
      testKey,
      `Bearer ${testKey.slice(1)}`,
    ]) {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
      expect((await ask(small.port, path, { headers })).status).toBe(401);
    }
    expect((await ask(small.port, path, { headers: { 'x-api-key': '' } })).status).toBe(401);
  });

  it('tells who mistypes an open path of the right one, and of no other', async () => {
    for (const [path, meant] of [
      ['/v1/chat/completion', '/v1/chat/completions'],
      ['/api/tagz', '/api/tags'],
      ['/v1/model', '/v1/models'],
    ] as const) {
      const { status, text } = await ask(small.port, path, { method: 'POST' });
      expect(status).toBe(404);
      expect(text).toContain(`there is no POST ${path} here`);
      expect(text).toContain(`did you mean ${meant}?`);
    }
    const { status, text } = await ask(small.port, '/v1/responses', {
      method: 'POST',
      headers: { authorization: 'Bearer x' },
    });
    expect(status).toBe(404);
    expect(JSON.parse(text).error).toMatchObject({
      type: 'not_found_error',
      message: expect.stringMatching(/^there is no POST \/v1\/responses here \(there are .*\/v1\/chat\/completions/),
    });
    expect(text).not.toContain('/api/');
    expect(JSON.parse((await ask(small.port, '/api/chat')).text).error).toBe(
      'there is no GET /api/chat here (it takes POST)',
    );
    for (const path of ['/statu', '/v1/something/else/entirely', '/doctr']) {
      expect((await ask(small.port, path)).text).not.toContain('did you mean');
    }
  });

  it('is open at / and /health only', async () => {
    expect((await ask(small.port, '/')).text).toBe('Ollama is running');
    expect(await ask(small.port, '/', { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
    expect((await ask(small.port, '/health')).text).toBe('{"status":"ok"}');
  });

  it('does not tell a stranger which paths exist', async () => {
    const shown = ({ status, text, headers }: Awaited<ReturnType<typeof ask>>) => {
      const { date: _, ...rest } = headers;
      return { status, text, rest };
    };
    const existing = shown(await ask(small.port, '/status'));
    for (const [path, request] of [
      ['/nothing', {}],
      ['/statusx', {}],
      ['/status', { method: 'POST', body: '{' }],
      ['/jobs/1/cancel', { method: 'POST' }],
      ['/jobs/1', {}],
      ['/keys', { method: 'DELETE' }],
      ['/%zz', {}],
      ['/status', { headers: { authorization: 'Bearer wrong' } }],
    ] satisfies [string, Ask][]) {
      expect(shown(await ask(small.port, path, request)), path).toEqual(existing);
    }
    expect(existing.text).toContain('no such path, or it needs a key');
  });

  it('answers unknown paths in the dialect of the surface, once the key is right', async () => {
    expect(JSON.parse((await ask(small.port, '/nothing', withKey)).text).error.code).toBe('not_found');
    expect(JSON.parse((await ask(small.port, '/v1/nothing', withKey)).text).error.type).toBe('not_found_error');
    expect(JSON.parse((await ask(small.port, '/api/nothing', withKey)).text).error).toMatch(/^there is no GET/);
    expect((await ask(small.port, '/api/%zz', withKey)).status).toBe(404);
  });

  it.each([
    '127.0.0.1',
    '127.0.0.1:9999',
    '127.9.9.9',
    'localhost',
    'LOCALHOST:80',
    'localhost.',
    '[::1]:4301',
    '0.0.0.0:4301',
    'testbox',
    'TestBox:4301',
    'a.localhost',
    'nas.local',
    'host.docker.internal:4301',
    'gogrid.example.org',
  ])('answers to the name %s', async (host) => {
    expect((await ask(small.port, '/api/version', { headers: { host } })).status).toBe(200);
    expect((await ask(small.port, '/status', { headers: { host, ...withKey.headers } })).status).toBe(200);
  });

  it.each([
    'evil.com',
    'evil.com:4301',
    'localhost.evil.com',
    '127.0.0.1.evil.com',
    '127.0.0.1.nip.io',
    'evillocalhost',
    'local',
    'internal',
    'x.locals',
    'localhost@evil.com',
    'evil.com@localhost',
    'evil.com#.local',
    'evil.com/.local',
    'a b.local',
    '192.168.1.1',
    '8.8.8.8',
    '2130706433',
    '0x7f.1',
    '127.1',
    '[::2]',
    '[fe80::1]:80',
    'testbox.evil.com',
    ':80',
    '..local',
    '-.local',
    'a'.repeat(300),
  ])('does not answer to the name %s', async (host) => {
    for (const path of ['/', '/health', '/api/version', '/v1/models', '/nothing']) {
      const answer = await ask(small.port, path, { headers: { host } });
      expect(answer.status).toBe(403);
      expect(answer.text).not.toContain('running');
    }
    expect((await ask(small.port, '/status', { headers: { host, ...withKey.headers } })).status).toBe(403);
  });

  it('does not answer without a name', async () => {
    expect(await raw(small.port, 'GET /api/version HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 403 /);
    expect(await raw(small.port, 'GET /api/version HTTP/1.1\r\nConnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    const absolute = 'GET http://127.0.0.1/api/version HTTP/1.1\r\nHost: evil.com\r\nConnection: close\r\n\r\n';
    expect(await raw(small.port, absolute)).toMatch(/^HTTP\/1\.1 403 /);
  });

  it.each([
    'http://localhost',
    'http://localhost:3000',
    'https://localhost:8443',
    'http://127.0.0.1:8080',
    'http://0.0.0.0',
    'http://[::1]:5173',
    'app://obsidian.md',
    'tauri://localhost',
    'file://',
    'vscode-webview://1abc',
    'vscode-file://vscode-app',
    'https://app.example.org',
    'https://a.b.team.example',
  ])('lets pages of %s use the inference surface', async (origin) => {
    for (const [path, request] of inferencePaths) {
      const answer = await ask(small.port, path, { ...request, headers: { origin } });
      expect(answer.status).toBe(200);
      expect(answer.headers['access-control-allow-origin']).toBe(origin);
      expect(answer.headers.vary).toContain('Origin');
      expect(answer.headers['access-control-expose-headers']).toContain('x-gogrid-job');
      expect(answer.headers['access-control-allow-credentials']).toBeUndefined();
    }
    const preflight = await ask(small.port, '/v1/chat/completions', {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type,x-stainless-os,x-evil',
      },
    });
    expect(preflight).toMatchObject({ status: 204, text: '' });
    expect(preflight.headers['access-control-allow-origin']).toBe(origin);
    expect(preflight.headers['access-control-allow-methods']).toContain('POST');
    const allowed = String(preflight.headers['access-control-allow-headers']);
    for (const name of ['authorization', 'content-type', 'x-stainless-os', 'x-api-key', 'openai-beta']) {
      expect(allowed).toContain(name);
    }
    expect(allowed).not.toContain('x-evil');
    // Never the control surface, not even with the key.
    const control = await ask(small.port, '/status', { headers: { origin, ...withKey.headers } });
    expect(control.status).toBe(403);
    expect(control.headers['access-control-allow-origin']).toBeUndefined();
  });

  it.each([
    'null',
    'https://evil.com',
    'http://localhost.evil.com',
    'http://evil.com:80@localhost',
    'http://localhost:x',
    'http://localhost:3000/',
    'http://tauri.localhost',
    'chrome-extension://abc',
    'moz-extension://abc',
    'http://192.168.1.5',
    'https://app.example.org.evil.com',
    'https://xapp.example.org',
    'https://team.example',
    'http://localhost, https://evil.com',
    '',
  ])('keeps pages of %j out', async (origin) => {
    for (const [path, request] of [...inferencePaths, ['/', {}], ['/health', {}], ['/nothing', {}]] as [
      string,
      Ask,
    ][]) {
      const answer = await ask(small.port, path, { ...request, headers: { origin } });
      expect(answer.status, path).toBe(403);
      expect(answer.headers['access-control-allow-origin']).toBeUndefined();
    }
    const headers = { origin, 'access-control-request-method': 'POST' };
    expect((await ask(small.port, '/api/chat', { method: 'OPTIONS', headers })).status).toBe(403);
  });

  it('lets a page that the node itself served use everything, with the key', async () => {
    const origin = `http://127.0.0.1:${small.port}`;
    expect((await ask(small.port, '/status', { headers: { origin, ...withKey.headers } })).status).toBe(200);
    expect((await ask(small.port, '/status', { headers: { origin } })).status).toBe(401);
  });

  it('refuses before it reads the body', async () => {
    // The body never comes; the answer does.
    const head = `POST /api/chat HTTP/1.1\r\nHost: evil.com\r\nContent-Length: 1000\r\n\r\n`;
    expect(await raw(small.port, head)).toMatch(/^HTTP\/1\.1 403 /);
    const noKey = `POST /jobs/1/cancel HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n`;
    expect(await raw(small.port, noKey)).toMatch(/^HTTP\/1\.1 401 /);
  });

  it.each([
    'POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef',
    'POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
    'POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: +5\r\n\r\nabcde',
    'GET /status HTTP/1.1\r\nHost : localhost\r\n\r\n',
    'NONSENSE\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  ])('refuses what two programs could read in two ways: %j', async (bytes) => {
    const answer = await raw(small.port, bytes);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))).error.code).toBe('invalid_request');
  });
});

describe('where a key is required', () => {
  let small: SmallApi;
  afterEach(() => small.api.stop(0));

  it.each([{ requireKey: true }, { host: '0.0.0.0' }, { host: '0.0.0.0', requireKey: false }])(
    '%j',
    async (options) => {
      small = await smallApi(options);
      for (const [path, request] of inferencePaths) {
        expect((await ask(small.port, path, request)).status, path).toBe(401);
        expect((await ask(small.port, path, { ...request, ...withKey })).status, path).toBe(200);
        expect((await ask(small.port, path, { ...request, headers: { 'x-api-key': testKey } })).status, path).toBe(200);
      }
      expect((await ask(small.port, '/')).status).toBe(200);
      expect((await ask(small.port, '/health')).status).toBe(200);
      // A browser sends no key with its preflight.
      const headers = { origin: 'http://localhost:1', 'access-control-request-method': 'POST' };
      expect((await ask(small.port, '/api/chat', { method: 'OPTIONS', headers })).status).toBe(204);
      expect((await ask(small.port, '/api/chat', { method: 'OPTIONS' })).status).toBe(401);
      expect((await ask(small.port, '/status', { method: 'OPTIONS', headers })).status).toBe(403);
    },
  );

  it('says of a path that everybody knows that it needs the key, and where that is', async () => {
    small = await smallApi({ host: '0.0.0.0' });
    for (const [path, request] of inferencePaths) {
      const { text } = await ask(small.port, path, request);
      expect(text).toContain(`${path} needs the key of this node (send`);
      expect(text).toContain('the one line of api.key');
    }
    // Others look alike, whether they exist or not.
    for (const path of ['/v1/responses', '/api/nothing', '/status', '/nothing']) {
      const { status, text } = await ask(small.port, path);
      expect(status).toBe(401);
      expect(text).toContain('no such path, or it needs a key');
    }
  });

  it("says so in the field that Ollama's command line shows", async () => {
    small = await smallApi({ requireKey: true });
    const { error, status } = JSON.parse((await ask(small.port, '/api/tags')).text);
    expect(error).toContain('Authorization: Bearer');
    expect(status).toBe(error);
  });

  it('no job runs for who has none', async () => {
    const { run, specs } = recording(says('x'));
    small = await smallApi({ requireKey: true }, { runJob: run });
    await ask(small.port, '/api/chat', chat);
    expect(specs).toHaveLength(0);
  });
});

/** Sends these bytes, and reads until the other side closes or has sent one answer. */
function raw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
    let text = '';
    socket.on('data', (data) => {
      text += data.toString('latin1');
      const head = text.indexOf('\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1]);
      if (head >= 0 && text.length >= head + 4 + length) socket.destroy();
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
}
