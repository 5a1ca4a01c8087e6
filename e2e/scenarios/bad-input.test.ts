/** What is wrong is refused with a sentence, and the node lives on. */

import { mkdir, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { ask, openai, streamChat } from '../harness/clients.ts';
import type { Environment } from '../harness/environment.ts';
import { answerTo, generations } from '../harness/expected.ts';
import { scenario, sharedStage } from '../harness/stage.ts';

const BUDGET = { within: 20_000 };
const MEBIBYTE = 1024 * 1024;

describe('a running node', () => {
  const shared = sharedStage('bad input', async (stage) => {
    const engine = await stage.engine();
    return { engine, node: await stage.node({ engineUrl: engine.url }) };
  });
  const send = (path: string, body: string) => fetch(shared().node.api + path, { method: 'POST', body });

  const chat = (change: object) => JSON.stringify({ model: 'words', messages: ask('hi'), ...change });

  test.each([
    ['broken JSON', '{"model": "words", "messages": [', 400, /not JSON.*position/],
    ['an empty body', '', 400, /empty/],
    ['no object', '"words"', 400, /object/],
    ['no model', JSON.stringify({ messages: ask('hi') }), 400, /model/],
    ['a number for a text', chat({ model: 7 }), 400, /model.*string/],
    ['a text for a list', chat({ messages: 'hi' }), 400, /messages/],
    ['a message without a role', chat({ messages: [{ content: 'hi' }] }), 400, /messages\[0\]\.role/],
    ['a text for an object', chat({ options: 'hot', stream_options: 'hot' }), 400, /options/],
    ['an infinite number', chat({}).replace('"messages"', '"temperature":1e999,"messages"'), 400, /number/],
    ['deep nesting', chat({ tools: JSON.parse('['.repeat(200) + ']'.repeat(200)) }), 400, /nest/],
    ['an unknown model', chat({ model: 'nobody' }), 404, /model 'nobody' not found/],
    ['an impossible model name', chat({ model: '../../etc/passwd\n' }), 400, /model/],
  ])('refuses %s, in both dialects', async (_, body, status, sentence) => {
    const openAi = await send('/v1/chat/completions', body);
    const { error } = (await openAi.json()) as { error: { message: string; type: string } };
    expect({ status: openAi.status, message: error.message }).toEqual({
      status,
      message: expect.stringMatching(sentence),
    });
    expect(error.type).toMatch(/_error$/);
    const native = await send('/api/chat', body);
    expect(native.status).toBe(status);
    expect(await native.json()).toMatchObject({ error: expect.stringMatching(sentence) });
  });

  test.each([
    ['/v1/chat/completions', true],
    ['/v1/chat/completions', false],
    ['/api/chat', true],
  ])('refuses 70 MiB at %s, with its size told before: %s', async (path, known) => {
    const piece = Buffer.alloc(MEBIBYTE, ' ');
    const pieces = new ReadableStream({
      start(controller) {
        for (let index = 0; index < 70; index++) controller.enqueue(piece);
        controller.close();
      },
    });
    const body = known ? Buffer.alloc(70 * MEBIBYTE, ' ') : pieces;
    const init = { method: 'POST', body, duplex: 'half', headers: { 'content-type': 'application/json' } };
    const response = await fetch(shared().node.api + path, init as RequestInit);
    expect(response.status).toBe(413);
    expect(await response.text()).toMatch(/64 MiB|67108864/);
  });

  test.each([
    ['GET', '/jobs', 401, {}],
    ['GET', '/jobs', 401, { authorization: 'Bearer wrong' }],
    ['GET', '/no/such/path', 401, {}],
    ['POST', '/jobs/x/cancel', 401, {}],
    ['GET', '/v1/no-such', 404, {}],
    ['GET', '/v1/models', 403, { host: 'evil.example' }],
    ['GET', '/v1/models', 403, { origin: 'https://evil.example' }],
    ['GET', '/jobs', 403, { origin: 'http://localhost:3000' }],
  ])('%s %s is answered with %i', async (method, path, status, headers) => {
    const { node } = shared();
    const { hostname, port } = new URL(node.api);
    // Fetch would not let the Host header be another.
    const answer = await new Promise<number | undefined>((resolve, reject) => {
      request({ hostname, port, method, path, headers }, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end();
    });
    // Without a key nobody learns which paths exist.
    expect(path === '/v1/no-such' ? [401, 404] : [status]).toContain(answer);
  });

  test('tells the owner of an unknown path, job, peer', async () => {
    const { node } = shared();
    for (const path of ['/no/such', '/jobs/nobody', '/mesh/peers/nobody']) {
      const response = await node.fetch(path);
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ error: { code: expect.any(String), message: expect.any(String) } });
    }
    expect((await node.fetch('/jobs?limit=zebra')).status).toBe(400);
    expect((await node.fetch('/logs?level=loud')).status).toBe(400);
  });

  test('survives bytes that are no HTTP', async () => {
    const { hostname, port } = new URL(shared().node.api);
    for (const rubbish of ['\x16\x03\x01\x02\x00', 'GET\n\n', `GET /${'a'.repeat(100_000)} HTTP/1.1\r\n\r\n`]) {
      const socket = connect(Number(port), hostname);
      socket.on('error', () => undefined);
      socket.write(rubbish);
      socket.end();
      await new Promise((resolve) => socket.resume().on('close', resolve));
    }
  });

  test('lives on after all of it', async () => {
    const { node, engine } = shared();
    const content = 'still there? words=10';
    expect((await streamChat(openai(node), { content })).text).toBe(answerTo(content));
    expect(await generations(engine), 'nothing of it reached the engine').toHaveLength(1);
  });
});

describe('a node that cannot start', () => {
  const up = {
    GOGRID_API_PORT: '0',
    GOGRID_NETWORK_PORT: '0',
    GOGRID_ENGINE_KIND: 'none',
    GOGRID_NETWORK_MDNS: 'false',
  };

  const configurations: [string, string, Environment, number, RegExp[]][] = [
    ['a broken file', '[api\nport = 1\n', {}, 2, [/config\.toml/, /line \d/]],
    ['a misspelt key', '[api]\nprot = 5000\n', {}, 2, [/prot/, /port/]],
    ['a misspelt section', '[apii]\nport = 5000\n', {}, 2, [/apii/, /\bapi\b/]],
    ['a wrong type', '[api]\nport = "high"\n', {}, 2, [/api\.port/, /high/]],
    ['a file of a newer version', 'version = 99\n', {}, 2, [/version/, /99/]],
    ['a misspelt variable', '', { GOGRID_API_PROT: '5000' }, 2, [/GOGRID_API_PROT/, /GOGRID_API_PORT/]],
    ['a wrong variable', '', { GOGRID_WORKER_MAX_CONCURRENT_JOBS: 'many' }, 2, [/MAX_CONCURRENT_JOBS/, /many/]],
    [
      'a setting that is not built yet',
      '',
      { GOGRID_NETWORK_ACCEPT: 'members' },
      2,
      [/network\.accept|ACCEPT/, /not built|built yet/],
    ],
    ['a bootstrap that is no address', '', { GOGRID_NETWORK_BOOTSTRAP: 'somewhere' }, 2, [/BOOTSTRAP/, /somewhere/]],
  ];
  for (const [what, file, env, code, sentences] of configurations) {
    scenario(`says what is wrong with ${what}`, BUDGET, async (stage) => {
      const home = path.join(stage.folder, 'home');
      await mkdir(home);
      if (file !== '') await writeFile(path.join(home, 'config.toml'), file);
      for (const json of [[], ['--json']]) {
        const ended = await stage.gogrid(['up', '--home', home, ...json], { env: { ...up, ...env } });
        for (const sentence of sentences) expect(ended.stderr).toMatch(sentence);
        expect(ended).toMatchObject({ code, stdout: '' });
        expect(ended.stderr).not.toMatch(/\n\s+at .*:\d+/);
      }
    });
  }

  scenario('refuses a home that another node uses', BUDGET, async (stage) => {
    const node = await stage.node();
    const ended = await stage.gogrid(['up', '--home', node.home, '--json'], { env: up });
    expect(ended).toMatchObject({ code: 4, stdout: '' });
    expect(ended.stderr).toContain(String(node.pid));
    expect(await node.runtime()).toMatchObject({ version: expect.any(String) });
    // After a crash the home is free: what locks it dies with the process.
    await node.kill();
    const again = await stage.node({ name: node.name });
    expect(again.peerId).toBe(node.peerId);
  });

  scenario('names who holds the API port', BUDGET, async (stage) => {
    const node = await stage.node();
    const engine = await stage.engine();
    const stranger = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await new Promise((resolve) => stranger.once('listening', resolve));
    const strangerPort = (stranger.address() as { port: number }).port;
    const holders = [
      [new URL(node.api).port, /gogrid/i],
      [String(engine.port), /ollama/i],
      [String(strangerPort), /another program|something else|in use/i],
    ] as const;
    for (const [port, name] of holders) {
      const home = path.join(stage.folder, `home-${port}`);
      const ended = await stage.gogrid(['up', '--home', home], { env: { ...up, GOGRID_API_PORT: port } });
      expect(ended.code).toBe(1);
      expect(ended.stderr).toContain(port);
      expect(ended.stderr).toMatch(name);
    }
    stranger.close();
    expect(await node.runtime()).toMatchObject({ version: expect.any(String) });
  });

  scenario('says that a home cannot be written', BUDGET, async (stage) => {
    const file = path.join(stage.folder, 'file');
    await writeFile(file, 'not a folder');
    for (const home of [file, path.join(file, 'home')]) {
      const ended = await stage.gogrid(['up', '--home', home], { env: up });
      expect(ended.code).toBe(1);
      expect(ended.stderr).toContain(file);
      expect(ended.stderr).not.toMatch(/\n\s+at .*:\d+/);
    }
  });
});
