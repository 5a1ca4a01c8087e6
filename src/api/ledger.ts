/** The ledger on the control surface: what this node holds, a check of all of it, and all of it to take along. */

import type { FastifyInstance } from 'fastify';
import { ledgerEntriesQuery } from '../contract/credits.ts';
import { toGoGridError } from '../errors.ts';
import { API } from '../limits/api.ts';
import { isNodeId } from '../protocol/ids.ts';
import { fieldError, readBody } from './body.ts';
import type { Exchange, Exchanges } from './exchange.ts';
import type { LedgerAccess } from './ports.ts';

export interface LedgerDeps {
  readonly ledger: LedgerAccess;
  readonly exchanges: Exchanges;
}

export function ledgerRoutes(app: FastifyInstance, { ledger, exchanges }: LedgerDeps): void {
  app.get('/ledger/head', () => ledger.head());
  app.get('/ledger/verify', () => ledger.verify());
  app.get('/ledger/entries', async (request, reply) => {
    const { author, from, limit, stream } = readBody(ledgerEntriesQuery, request.query);
    if (author !== undefined && !isNodeId(author)) throw notAnAccount(author);
    if (!stream) return ledger.entries(author, from, limit);
    const lines = ledger.exportLines()[Symbol.asyncIterator]();
    // Before anything is sent: an export that cannot begin is an error like any other.
    const first = await lines.next();
    const exchange = exchanges.open(reply.raw, 'endless');
    reply.hijack();
    await sendLines(exchange, first, lines);
    return reply;
  });
}

/** Sends line after line, as fast as the client reads; one that is not whole is cut off, and its reader notices. */
async function sendLines(
  exchange: Exchange,
  first: IteratorResult<string>,
  lines: AsyncIterator<string>,
): Promise<void> {
  const { response, signal } = exchange;
  let gathered = '';
  try {
    signal.throwIfAborted();
    response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-cache' });
    for (let next = first; next.done !== true; next = await lines.next()) {
      gathered += `${next.value}\n`;
      if (gathered.length < API.maxGatheredChars) continue;
      // Whoever hung up while a line was made reads no more, and his connection never drains.
      signal.throwIfAborted();
      if (!response.write(gathered)) await drained(response, signal);
      gathered = '';
    }
    signal.throwIfAborted();
    response.end(gathered);
  } catch (thrown) {
    const { code, message } = exchange.endedBy ?? toGoGridError(thrown);
    if (!response.destroyed)
      response.write(`${gathered}${JSON.stringify({ error: { code, message } })}\n`, () => response.destroy());
  } finally {
    await lines.return?.();
  }
}

function drained(response: Exchange['response'], signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    response.once('drain', done);
    signal.addEventListener('abort', done, { once: true });
  });
}

function notAnAccount(author: string) {
  return fieldError(
    'author',
    `'${author.slice(0, 80)}' is not the PeerId of an account`,
    'GET /identity shows this one',
  );
}
