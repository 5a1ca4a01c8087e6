/** The friends of this node's user: who may see prompts of the privacy tier `friends`. */

import type { FastifyInstance } from 'fastify';
import { type FriendList, friendChoice } from '../contract/privacy.ts';
import { isNodeId, type NodeId } from '../protocol/ids.ts';
import { fieldError, readBody, readJson } from './body.ts';
import type { Friends, Runtime } from './ports.ts';

export interface PrivacyDeps {
  readonly runtime: Runtime;
  readonly friends: Friends;
}

export function privacyRoutes(app: FastifyInstance, deps: PrivacyDeps): void {
  app.get('/privacy/friends', () => friendList(deps));
  app.put('/privacy/friends', async ({ raw }) => {
    const chosen = chosenIn(await readJson(raw), deps.runtime.identity().peerId);
    const names = namesIn(deps);
    await deps.friends.replace(chosen.map((node) => ({ node, name: names.get(node) ?? '' })));
    return friendList(deps);
  });
}

function friendList(deps: PrivacyDeps): FriendList {
  const names = namesIn(deps);
  const friends = deps.friends.list().map(({ node, name }) => ({ peerId: node, name: names.get(node) ?? name }));
  return { friends, total: friends.length };
}

/** What each peer calls itself, as it says now, or as it said when it became a friend. */
function namesIn({ runtime, friends }: PrivacyDeps): Map<string, string> {
  const before = friends.list().map(({ node, name }) => [node, name] as const);
  const now = runtime.peers().map(({ peerId, name }) => [peerId, name] as const);
  return new Map([...before, ...now].filter(([, name]) => name !== ''));
}

/** @throws GoGridError `invalid_request` naming the item that is no other node */
function chosenIn(body: unknown, self: string): NodeId[] {
  const { friends } = readBody(friendChoice, body);
  for (const [index, peer] of friends.entries()) {
    const field = `friends[${index}]`;
    if (!isNodeId(peer)) {
      const hint = 'GET /mesh/peers lists those that are known, with their peerId';
      throw fieldError(field, `'${peer.slice(0, 80)}' is not the id of a node`, hint);
    }
    if (peer === self)
      throw fieldError(field, 'that is this node itself', 'leave it out: this node sees its own prompts');
  }
  return [...new Set(friends)];
}
