/** The control surface: every path of the contract is served, answers as the contract says, and is described. */

import { createRequire } from 'node:module';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LogLine } from '../contract/control.ts';
import { type ControlRoute, controlRoutes } from '../contract/routes.ts';
import { API } from '../limits/api.ts';
import { nodeIdOf } from '../protocol/ids.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import type { LogLevel } from '../telemetry/logger.ts';
import { FOUNDER, Writer } from '../testing/ledger/authors.ts';
import { ask, type SmallApi, smallApi, testJobId, testKey, testPeer } from '../testing/small-api.ts';
import { type SmallLedger, smallLedger } from '../testing/small-ledger.ts';

const headers = { authorization: `Bearer ${testKey}` };
let small: SmallApi;
let ledger: SmallLedger;
let say: (line: LogLine) => void = () => {};
let followers = 0;
const tails: [number, LogLevel][] = [];

beforeAll(async () => {
  ledger = await smallLedger();
  const grant = new Writer(ledger.mesh, FOUNDER).transfer('A', 1_000n);
  await ledger.take(grant);
  await ledger.author.accept(grant);
  small = await smallApi(
    {},
    {
      credits: ledger.credits,
      ledger: ledger.ledger,
      logs: {
        tail: async (count, level) => {
          tails.push([count, level]);
          return [{ time: 1, level: 'info', message: 'first', code: 'x' }];
        },
        follow: (_level, listener) => {
          followers++;
          say = listener;
          return () => {
            followers--;
          };
        },
      },
    },
  );
});
afterAll(async () => {
  await small.api.stop(0);
  await ledger.stop();
});

async function json(
  path: string,
  method = 'GET',
  sent?: object,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const asked = { method, headers, ...(sent !== undefined && { body: JSON.stringify(sent) }) };
  const { status, text } = await ask(small.port, path, asked);
  return { status, body: JSON.parse(text) };
}

describe('the contract', () => {
  const ids: Record<string, string> = {
    '/jobs': testJobId,
    '/mesh/peers': testPeer.peerId,
    '/agent-mesh/peers': testPeer.peerId,
    '/privacy/friends': nodeIdOf(signerFromSeed(new Uint8Array(32)).publicKey),
  };

  const peer = nodeIdOf(signerFromSeed(new Uint8Array(32)).publicKey);
  const bodies: Record<string, object> = {
    '/model/pull': { model: 'tiny', stream: false },
    '/credits/transfer': { to: peer, amountMicrocredits: '1', unknownAccount: true },
    '/mesh/accept': { peer },
    '/mesh/block': { peer },
    '/mesh/unblock': { peer },
    '/network/reissue': { bootstrap: [] },
    '/privacy/friends': { friends: [peer] },
    '/route/explain': { model: 'tiny', messages: [{ role: 'user', content: 'hi' }] },
  };

  // Events have no end; events.test.ts reads them.
  const ending = (controlRoutes as readonly ControlRoute[]).filter(({ events }) => events !== true);

  it.each(ending.map((route) => [route.method, route.path, route] as const))('%s %s', async (method, path, route) => {
    const filled = path.replace(/(.*?)\/\{id\}/, (_all, before: string) => `${before}/${ids[before]}`);
    const { status, body } = await json(filled, method, bodies[path]);
    expect(status).toBe(200);
    // Strict at every level: what the contract does not name would be a shape that nobody documented.
    expect(route.answer.safeParse(body)).toMatchObject({ success: true, data: body });
  });

  it('is what /openapi.json describes, with the inference surface beside it', async () => {
    const { body } = await json('/openapi.json');
    const paths = body.paths as Record<string, Record<string, { responses: object; security?: unknown }>>;
    for (const { method, path } of controlRoutes) expect(paths[path]?.[method.toLowerCase()]).toBeDefined();
    for (const path of ['/v1/chat/completions', '/api/chat', '/api/tags', '/v1/models/{id}']) {
      expect(paths[path], path).toBeDefined();
    }
    expect(paths['/health']?.get?.security).toEqual([]);
    expect(JSON.stringify(paths['/jobs'])).toContain('"name":"limit","in":"query"');
    expect(JSON.stringify(paths['/status'])).toContain('milliseconds since 1970');
  });

  it('describes no path that is not there', async () => {
    const { body } = await json('/openapi.json');
    for (const [path, methods] of Object.entries(body.paths as Record<string, object>)) {
      for (const method of Object.keys(methods)) {
        if (path === '/events') continue;
        const { status, text } = await ask(small.port, path.replace('{id}', 'x'), {
          method: method.toUpperCase(),
          headers,
          body: method === 'post' ? '{}' : '',
        });
        expect(text.includes('there is no'), `${method} ${path} ${status}`).toBe(false);
      }
    }
  });
});

describe('what is not there', () => {
  it.each([
    ['/jobs/nope', 'GET', 'job_not_found'],
    ['/jobs/nope/cancel', 'POST', 'job_not_found'],
    ['/mesh/peers/nope', 'GET', 'peer_not_found'],
    ['/agent-mesh/peers/nope', 'GET', 'peer_not_found'],
    ['/nope', 'GET', 'not_found'],
    ['/status', 'POST', 'not_found'],
  ])('%s %s', async (path, method, code) => {
    expect(await json(path, method)).toMatchObject({
      status: 404,
      body: { error: { code, hint: expect.any(String) } },
    });
  });
});

describe('queries', () => {
  it.each([
    ['/jobs?limit=0', 'limit: expected at least 1, got "0"'],
    ['/jobs?limit=1001', 'limit'],
    ['/jobs?limit=x', 'limit: expected a number, got "x"'],
    ['/logs?level=loud', 'level: expected one of "trace", "debug", "info", "warn", "error", got "loud"'],
    ['/logs?lines=20000', 'lines'],
    ['/logs?follow=perhaps', 'follow'],
  ])('%s is told what is wrong', async (path, text) => {
    expect(await json(path)).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringContaining(text) } },
    });
  });

  it('pass on what they ask', async () => {
    tails.length = 0;
    await json('/logs?lines=7&level=warn');
    await json('/logs');
    expect(tails).toEqual([
      [7, 'warn'],
      [API.defaultLogLines, 'trace'],
    ]);
  });
});

describe('following the log', () => {
  it('gives one line of JSON each, and leaves when the client does', async () => {
    const abort = new AbortController();
    const response = await fetch(`${small.url}/logs?follow=true`, { headers, signal: abort.signal });
    expect(response.headers.get('content-type')).toBe('application/x-ndjson');
    await expect.poll(() => followers).toBe(1);
    say({ time: 2, level: 'warn', message: 'second' });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (text.split('\n').length < 3) text += (await reader?.read())?.value ?? '';
    expect(
      text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { time: 1, level: 'info', message: 'first', code: 'x' },
      { time: 2, level: 'warn', message: 'second' },
    ]);
    abort.abort();
    await expect.poll(() => followers).toBe(0);
  });

  it('leaves lines out, and says how many, when the client is too slow', async () => {
    const response = await fetch(`${small.url}/logs?follow=true`, { headers });
    await expect.poll(() => followers).toBe(1);
    const long = 'x'.repeat(100_000);
    let said = 0;
    for (; said < 200; said++) say({ time: said, level: 'info', message: long });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    let told: string | undefined;
    while (told === undefined) {
      text += (await reader?.read())?.value ?? '';
      say({ time: said++, level: 'info', message: 'more' });
      told = /(\d+) lines left out/.exec(text)?.[1];
    }
    expect(Number(told)).toBeGreaterThan(10);
    await reader?.cancel();
    await expect.poll(() => followers).toBe(0);
  });
});

it('answers /health/runtime in under a millisecond (G56)', async () => {
  const times: number[] = [];
  for (let i = 0; i < 200; i++) {
    const started = performance.now();
    await ask(small.port, '/health/runtime', { headers });
    times.push(performance.now() - started);
  }
  // The whole round trip with a connection of its own; the median, since machines are noisy.
  expect(times.toSorted((a, b) => a - b)[100]).toBeLessThan(5);
});

it('starts without the compilers of Fastify, which cost more than all the rest', () => {
  const loaded = Object.keys(createRequire(import.meta.url).cache).map((file) => file.replaceAll('\\', '/'));
  expect(loaded.some((file) => file.includes('/node_modules/fastify/'))).toBe(true);
  expect(loaded.filter((file) => /node_modules\/(ajv|@fastify\/ajv-compiler)\//.test(file))).toEqual([]);
});
