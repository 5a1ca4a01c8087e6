/** What reaches the API over real sockets, and how it copes: bodies, headers, slow readers. Its own end stands in stopping.test.ts. */

import { Agent } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { JobOutput } from '../jobs/output.ts';
import { API } from '../limits/api.ts';
import { ask, done, placed, recording, type SmallApi, says, smallApi, yields } from '../testing/small-api.ts';
import { askWith } from '../testing/sockets.ts';
import type { ApiDeps } from './server.ts';

const MIB = 1024 * 1024;
const chat = JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: 'hi' }] });
const generate = JSON.stringify({ model: 'tiny', prompt: 'hi' });
let small: SmallApi;

afterEach(() => small.api.stop(0));

async function start(deps: Partial<ApiDeps> = {}): Promise<number> {
  small = await smallApi({}, deps);
  return small.port;
}

describe('bodies', () => {
  it.each([
    undefined,
    'application/x-www-form-urlencoded',
    'text/plain',
    'application/json; charset=utf-8',
    'garbage',
    '',
  ])('are read as JSON under the content type %j', async (type) => {
    const port = await start();
    const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type };
    expect((await ask(port, '/api/chat', { method: 'POST', headers, body: chat })).status).toBe(200);
    expect((await ask(port, '/v1/chat/completions', { method: 'POST', headers, body: chat })).status).toBe(200);
  });

  it.each([
    ['{"model": "tiny",}', 17, 1, 18],
    ['{"model":\n "tiny"\n "x": 1}', 19, 3, 2],
    ['{"model": "tiny"', 16, 1, 17],
    ['hello', 0, 1, 1],
    ["{'model': 1}", 1, 1, 2],
    ['{"a": "line\nbreak"}', 11, 1, 12],
    ['[1, 2] tail', 7, 1, 8],
  ])('that break are told where: %j', async (body, position, line, column) => {
    const port = await start();
    for (const path of ['/api/chat', '/v1/chat/completions']) {
      const answer = await ask(port, path, { method: 'POST', body });
      expect(answer.status).toBe(400);
      expect(answer.text).toContain(`at position ${position} (line ${line}, column ${column})`);
    }
  });

  it('that are empty, or no object, are told so', async () => {
    const port = await start();
    for (const headers of [{}, { 'content-type': 'application/json' }] as Record<string, string>[]) {
      const answer = await ask(port, '/api/generate', { method: 'POST', headers });
      expect(answer).toMatchObject({ status: 400, text: '{"error":"body: it is empty (send a JSON object)"}' });
    }
    for (const body of ['5', '"x"', '[]', 'null', 'true']) {
      const answer = await ask(port, '/v1/embeddings', { method: 'POST', body });
      expect(answer.status).toBe(400);
      expect(JSON.parse(answer.text).error.message).toContain('body: expected an object');
    }
  });

  it('of several MiB pass', async () => {
    const { run, specs } = recording(says('x'));
    const port = await start({ runJob: run });
    const image = Buffer.alloc(6 * MIB, 7).toString('base64');
    const content = [
      { type: 'text', text: 'what is this' },
      { type: 'image_url', image_url: { url: `data:image/png;base64,${image}` } },
    ];
    const body = JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content }] });
    expect((await ask(port, '/v1/chat/completions', { method: 'POST', body })).status).toBe(200);
    expect(specs[0]?.input).toMatchObject({ messages: [{ role: 'user', content: 'what is this', images: [image] }] });
  });

  it('that are too large are refused, and the sender gets to read why', async () => {
    const port = await start();
    const body = Buffer.alloc(70 * MIB, 0x20);
    for (const headers of [{ 'content-length': String(body.length) }, { 'transfer-encoding': 'chunked' }]) {
      const answer = await ask(port, '/v1/chat/completions', { method: 'POST', body, headers });
      expect(answer.status).toBe(413);
      expect(JSON.parse(answer.text).error).toMatchObject({ type: 'invalid_request_error', code: 'payload_too_large' });
    }
    const byFetch = await fetch(`${small.url}/api/chat`, { method: 'POST', body });
    expect(byFetch.status).toBe(413);
    expect(await byFetch.json()).toMatchObject({ error: expect.stringContaining('64 MiB') });
  });

  it('that are compressed are refused in words', async () => {
    const port = await start();
    const headers = { 'content-encoding': 'zstd' };
    const answer = await ask(port, '/api/chat', { method: 'POST', headers, body: chat });
    expect(answer).toMatchObject({ status: 400, text: expect.stringContaining('compressed') });
  });

  it('that nest without end are refused', async () => {
    const port = await start();
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    const answer = await ask(port, '/api/chat', { method: 'POST', body: `{"model":"tiny","tools":${deep}}` });
    expect(answer).toMatchObject({ status: 400, text: expect.stringContaining('deep') });
  });
});

describe('addresses and headers', () => {
  it.each(['//api//tags', '/api/tags/', '/api/tags?x=1', '/api/tags/?x=1'])('%s is /api/tags', async (path) => {
    const port = await start();
    expect(await ask(port, path)).toMatchObject({ status: 200, text: expect.stringContaining('tiny:latest') });
  });

  it('answers on both loopback addresses', async () => {
    const port = await start();
    for (const address of ['127.0.0.1', '::1']) {
      expect((await ask(port, '/api/version', { address })).status).toBe(200);
    }
  });

  it('HEAD has the headers of GET, and no body', async () => {
    const port = await start();
    for (const path of ['/', '/api/version', '/api/tags']) {
      const head = await ask(port, path, { method: 'HEAD' });
      const get = await ask(port, path);
      expect(head).toMatchObject({ status: 200, text: '' });
      expect(head.headers['content-length']).toBe(String(Buffer.byteLength(get.text)));
    }
  });

  it('headers beyond the bound are refused in words', async () => {
    const port = await start();
    for (const headers of [
      { 'x-big': 'y'.repeat(20_000) },
      Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`x-${i}`, 'y'])),
    ]) {
      const answer = await ask(port, '/api/version', { headers });
      expect(answer.status).toBe(431);
      expect(JSON.parse(answer.text).error).toMatchObject({ code: 'headers_too_large' });
    }
  });

  it('no number of headers hides the origin', async () => {
    const port = await start();
    const many = Object.fromEntries(Array.from({ length: 1900 }, (_, i) => [`${i}`, '1']));
    const answer = await ask(port, '/api/version', { headers: { ...many, origin: 'https://evil.com' } });
    expect(answer.status).toBe(403);
  });
});

describe('streams', () => {
  it('leave a connection that the next request can use', async () => {
    const pieces = Array.from({ length: 50 }, (_, i) => `piece ${i} é😀\r\n`);
    const port = await start({
      runJob: async function* run() {
        yield placed;
        for (const text of pieces) {
          await new Promise((resolve) => setImmediate(resolve));
          yield { type: 'chunk', tokens: 1, text };
        }
        yield done;
      },
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const sockets = new Set<unknown>();
    for (const path of ['/api/chat', '/v1/chat/completions', '/api/generate', '/api/chat']) {
      const body = path === '/api/generate' ? generate : JSON.stringify({ ...JSON.parse(chat), stream: true });
      const text = await askWith(agent, port, path, body, sockets);
      const told = [...text.matchAll(/"(?:content|response)":("(?:[^"\\]|\\.)*")/g)].map(([, json]) =>
        JSON.parse(json ?? ''),
      );
      expect(told.join('')).toBe(pieces.join(''));
      expect(text).toContain(path.startsWith('/v1') ? 'data: [DONE]' : '"done":true');
    }
    expect(sockets.size).toBe(1);
    agent.destroy();
  });

  it('keep their order when requests are sent behind each other on one connection', async () => {
    let count = 0;
    const second = Promise.withResolvers<void>();
    const port = await start({
      runJob: async function* run() {
        const own = ++count;
        yield placed;
        // The answer to the second request is whole before the first has begun.
        if (own === 1) await second.promise;
        for (let i = 0; i < 3; i++) yield { type: 'chunk', tokens: 1, text: `<${own}.${i}>` };
        if (own === 2) second.resolve();
        yield done;
      },
    });
    const one = `POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${generate.length}\r\n\r\n${generate}`;
    const text = await readUntil(
      connect(port, '127.0.0.1'),
      `${one}${one}`,
      (all) => all.split('"done":true').length === 3,
    );
    expect([...text.matchAll(/<\d\.\d>/g)].join('')).toBe('<1.0><1.1><1.2><2.0><2.1><2.2>');
  });

  it('reach a client of HTTP/1.0, which knows no chunks', async () => {
    const port = await start({ runJob: says('a', 'b', 'c') });
    const head = `POST /api/generate HTTP/1.0\r\nHost: localhost\r\nContent-Length: ${generate.length}\r\n\r\n`;
    const text = await readUntil(connect(port, '127.0.0.1'), head + generate, () => false);
    const lines = text
      .slice(text.indexOf('\r\n\r\n') + 4)
      .trimEnd()
      .split('\n');
    expect(lines.map((line) => JSON.parse(line).response).join('')).toBe('abc');
  });

  it('hold the job back while the client does not read', async () => {
    let made = 0;
    let finished = false;
    const total = 4_000;
    const text = 'x'.repeat(10_000);
    const port = await start({
      runJob: async function* run() {
        yield placed;
        for (; made < total; made++) yield { type: 'chunk', tokens: 1, text };
        finished = true;
        yield done;
      },
    });
    const socket = connect(port, '127.0.0.1');
    socket.pause();
    socket.write(
      `POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${generate.length}\r\n\r\n${generate}`,
    );
    // It stops by itself, when what lies between here and there is full.
    let before = -1;
    await expect
      .poll(
        () => {
          const stands = made > 0 && made === before;
          before = made;
          return stands;
        },
        { interval: 200, timeout: 5_000 },
      )
      .toBe(true);
    expect(finished).toBe(false);
    expect(made).toBeLessThan(total);

    let bytes = 0;
    socket.on('data', (data) => {
      bytes += data.length;
    });
    socket.resume();
    await expect.poll(() => bytes >= total * text.length && finished, { timeout: 5_000 }).toBe(true);
    socket.destroy();
  });

  it('end their jobs when the client goes, whatever it was waiting for', async () => {
    const outputs: JobOutput[][] = [[], [placed], [placed, { type: 'chunk', tokens: 1, text: 'x' }]];
    for (const before of outputs) {
      const { run, signals } = recording(async function* hang(_spec, signal) {
        yield* before;
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      });
      const port = await start({ runJob: run });
      const socket = connect(port, '127.0.0.1');
      socket.write(
        `POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${generate.length}\r\n\r\n${generate}`,
      );
      await expect.poll(() => signals.length).toBe(1);
      const gone = performance.now();
      socket.destroy();
      await expect.poll(() => signals[0]?.aborted, { interval: 1 }).toBe(true);
      expect(performance.now() - gone).toBeLessThan(100);
      await small.api.stop(0);
    }
  });

  it('does not begin a job whose client went before its body had come', async () => {
    const { run, specs } = recording(says('x'));
    const port = await start({ runJob: run });
    const socket = connect(port, '127.0.0.1');
    socket.write('POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"model":');
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.destroy();
    expect((await ask(port, '/api/version')).status).toBe(200);
    expect(specs).toHaveLength(0);
  });
});

describe('an error inside', () => {
  it('is answered, and logged without a word of the prompt', async () => {
    const logged: unknown[] = [];
    const log = {
      trace: () => {},
      debug: () => {},
      info: () => {},
      warn: () => {},
      error: (fields: object, message: string) => logged.push({ ...fields, message }),
      child: () => log,
    };
    const port = await start({ log, runJob: yields([placed], new TypeError('secret prompt is not a function')) });
    for (const path of ['/api/chat', '/v1/chat/completions']) {
      expect(await ask(port, path, { method: 'POST', body: chat })).toMatchObject({ status: 500 });
    }
    expect(logged).toHaveLength(2);
    expect(logged[0]).toMatchObject({ name: 'TypeError', message: 'a defect' });
    expect(JSON.stringify(logged)).not.toContain('secret');
  });
});

it('is bounded as the limits say', () => {
  expect(API.maxBodyBytes).toBe(64 * MIB);
  expect(API.headersTimeoutMs).toBeLessThanOrEqual(API.requestTimeoutMs);
});

/** Everything that comes back until `enough`, or until the other side closes. */
function readUntil(socket: Socket, bytes: string, enough: (text: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    socket.write(bytes);
    socket.on('data', (data) => {
      text += data.toString('utf8');
      if (enough(text)) socket.destroy();
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
}
