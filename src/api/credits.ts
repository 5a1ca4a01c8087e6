/** The credits of this node's account on the control surface. */

import type { FastifyInstance } from 'fastify';
import { creditHistoryQuery, transferOrder } from '../contract/credits.ts';
import { isSameName } from '../contract/names.ts';
import { GoGridError } from '../errors.ts';
import { CREDITS } from '../limits/api.ts';
import { isNodeId, type NodeId } from '../protocol/ids.ts';
import { fieldError, readBody, readJson } from './body.ts';
import type { Credits, KnownAccounts, Runtime } from './ports.ts';

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
    // A mesh without credits says so first, whatever was sent.
    const accounts = credits.accounts();
    const { to, amountMicrocredits, memo, requestId, unknownAccount } = readBody(transferOrder, await readJson(raw));
    const account = receiver(runtime, to);
    if (unknownAccount !== true) expectKnown(account, accounts, runtime);
    return credits.transfer({
      to: account,
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
  if (to === self) throw isSelf();
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
  if (byId.size === 1 && only === self) throw isSelf();
  if (byId.size === 1 && byId.get(only) === to) return only;
  throw fieldError(
    'to',
    `'${to.slice(0, 80)}' may be ${byId.size > 1 ? 'more than one machine' : 'another machine'}`,
    `say which one by its peerId: ${[...byId.keys()].slice(0, 5).join(', ')}`,
  );
}

function isSelf(): GoGridError {
  return fieldError('to', 'that is this node itself', 'credits cannot be sent to oneself');
}

/**
 * An id has no checksum: with one letter changed it is an account that nobody has the key of.
 * @throws GoGridError `peer_not_found`
 */
function expectKnown(account: NodeId, accounts: KnownAccounts, runtime: Runtime): void {
  const peers = [...runtime.peers(), ...runtime.away()].map(({ peerId }) => peerId);
  if (peers.includes(account) || accounts.has(account)) return;
  const meant = nearestId(account, peers) ?? nearestId(account, accounts.all());
  const guess = meant === undefined ? '' : `did you mean ${meant}? `;
  throw new GoGridError({
    code: 'peer_not_found',
    message: `to: ${account} is unknown here: no such machine was seen, and the ledger has nothing of that account`,
    hint: `${guess}What goes to an id that nobody has the key of is lost; if it is right, send it with unknownAccount: true`,
    data: { field: 'to' },
  });
}

function nearestId(typed: NodeId, known: Iterable<NodeId>): NodeId | undefined {
  let compared = 0;
  for (const id of known) {
    if (compared++ >= CREDITS.maxCompared) return undefined;
    if (id.length === typed.length && differing(id, typed) <= CREDITS.maxMistypedLetters) return id;
  }
  return undefined;
}

function differing(one: string, other: string): number {
  let count = 0;
  for (let at = 0; at < one.length; at++) if (one[at] !== other[at]) count++;
  return count;
}
