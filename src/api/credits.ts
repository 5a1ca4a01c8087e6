/** The credits of this node's account on the control surface. */

import type { FastifyInstance } from 'fastify';
import { creditHistoryQuery, transferOrder } from '../contract/credits.ts';
import { GoGridError } from '../errors.ts';
import { isNodeId, type NodeId } from '../protocol/ids.ts';
import { fieldError, readBody, readJson } from './body.ts';
import type { Credits, Runtime } from './ports.ts';

export interface CreditsDeps {
  readonly runtime: Runtime;
  readonly credits: Credits;
}

export function creditRoutes(app: FastifyInstance, { runtime, credits }: CreditsDeps): void {
  app.get('/credits/balance', () => credits.balance());
  app.get('/credits/history', (request) => {
    const { before, limit } = readBody(creditHistoryQuery, request.query);
    return credits.history(before, limit);
  });
  app.get('/credits/summary', () => credits.summary());
  app.post('/credits/transfer', async ({ raw }) => {
    const { to, amountMicrocredits, memo, requestId } = readBody(transferOrder, await readJson(raw));
    return credits.transfer({
      to: receiver(runtime, to),
      amount: BigInt(amountMicrocredits),
      memo: memo ?? '',
      requestId: requestId ?? undefined,
    });
  });
}

/**
 * The account that is meant: by its id, or by the name of one machine that nobody else is called.
 * @throws GoGridError `invalid_request`, `peer_not_found`
 */
function receiver(runtime: Runtime, to: string): NodeId {
  const { peerId: self, name: ownName } = runtime.identity();
  if (to === self) throw fieldError('to', 'that is this node itself', 'credits cannot be sent to oneself');
  if (isNodeId(to)) return to;
  const known = [...runtime.peers(), ...runtime.away(), { peerId: self, name: ownName }];
  const byId = new Map(known.filter(({ name }) => isSameName(name, to)).map((each) => [each.peerId, each.name]));
  const [only] = byId.keys();
  if (only === undefined) {
    throw new GoGridError({
      code: 'peer_not_found',
      message: `to: no machine called '${to.slice(0, 80)}' is known here`,
      hint: 'send to its peerId, or take a name out of GET /mesh/peers',
    });
  }
  if (byId.size === 1 && only !== self && byId.get(only) === to) return only;
  throw fieldError(
    'to',
    `'${to.slice(0, 80)}' may be ${byId.size > 1 ? 'more than one machine' : 'another machine'}`,
    `say which one by its peerId: ${[...byId.keys()].slice(0, 5).join(', ')}`,
  );
}

/** Whether people would read two names as one: anybody may take any name. */
function isSameName(one: string, other: string): boolean {
  return folded(one) !== '' && folded(one) === folded(other);
}

function folded(name: string): string {
  return name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[\p{M}\p{Z}\p{C}\p{P}\p{S}]/gu, '');
}
