/** The export of a ledger to a client that does not stay. */

import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { fastify } from 'fastify';
import { afterEach, expect, it } from 'vitest';
import { systemClock } from '../clock.ts';
import { GoGridError } from '../errors.ts';
import { API } from '../limits/api.ts';
import { Exchanges } from './exchange.ts';
import { ledgerRoutes } from './ledger.ts';
import type { LedgerAccess } from './ports.ts';

let stop: (() => Promise<unknown>) | undefined;
afterEach(async () => {
  await stop?.();
  stop = undefined;
});

/** An export of two pages, the second of which comes when `go` is resolved. */
async function start() {
  const go = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const page = 'x'.repeat(API.maxGatheredChars);
  async function* exportLines() {
    try {
      yield page;
      await go.promise;
      for (;;) yield page;
    } finally {
      closed.resolve();
    }
  }
  const exchanges = new Exchanges();
  const app = fastify();
  ledgerRoutes(app, { ledger: { exportLines } as unknown as LedgerAccess, exchanges });
  await app.listen({ host: '127.0.0.1', port: 0 });
  stop = () => app.close();
  const { port } = app.server.address() as AddressInfo;
  return { go, closed, exchanges, port };
}

function open(port: number): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    http
      .get({ host: '127.0.0.1', port, path: '/ledger/entries?stream=true', agent: false }, resolve)
      .on('error', reject);
  });
}

it('ends when its reader hangs up while a line is made', { timeout: 5_000 }, async () => {
  const { go, closed, exchanges, port } = await start();
  const response = await open(port);
  response.on('error', () => {});
  response.destroy();
  await exchanges.empty(systemClock, 5_000);
  go.resolve();
  await closed.promise;
});

it('ends when the node stops, and says so', { timeout: 5_000 }, async () => {
  const { go, closed, exchanges, port } = await start();
  const response = await open(port);
  exchanges.endAll(new GoGridError({ code: 'shutting_down', message: 'this node is shutting down' }));
  go.resolve();
  let text = '';
  const read = async () => {
    for await (const part of response) text += part;
  };
  await expect(read()).rejects.toThrow('aborted');
  expect(text).toContain('{"error":{"code":"shutting_down"');
  await closed.promise;
});
