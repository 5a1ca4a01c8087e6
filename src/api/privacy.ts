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

interface ById {
  readonly Params: { readonly id: string };
}

export function privacyRoutes(app: FastifyInstance, deps: PrivacyDeps): void {
  const { friends } = deps;
  app.get('/privacy/friends', () => friendList(deps));
  app.put('/privacy/friends', async ({ raw }) => {
    const { friends: chosen } = readBody(friendChoice, await readJson(raw));
    const mayBeFriend = rule(deps);
    const nodes = chosen.map((peer, index) => mayBeFriend(peer, `friends[${index}]`));
    const names = namesIn(deps);
    await friends.replace([...new Set(nodes)].map((node) => ({ node, name: names.get(node) ?? '' })));
    return friendList(deps);
  });
  // One at a time: whoever reads the list, changes it and writes it back undoes what others did meanwhile.
  app.put<ById>('/privacy/friends/:id', async ({ params }) => {
    const node = rule(deps)(params.id, 'id');
    await friends.add({ node, name: namesIn(deps).get(node) ?? '' });
    return friendList(deps);
  });
  app.delete<ById>('/privacy/friends/:id', async ({ params }) => {
    const node = nodeIn(params.id, 'id');
    await friends.remove(node);
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

/**
 * Who may be a friend; its result throws GoGridError `invalid_request` naming the field. A block that came in meanwhile wins:
 * its user said the last word.
 */
function rule({ runtime }: PrivacyDeps): (text: string, field: string) => NodeId {
  const { peerId: self } = runtime.identity();
  const blocked = new Set(runtime.peers().flatMap(({ peerId, status }) => (status === 'blocked' ? [peerId] : [])));
  return (text, field) => {
    const node = nodeIn(text, field);
    if (node === self)
      throw fieldError(field, 'that is this node itself', 'leave it out: this node sees its own prompts');
    if (blocked.has(node)) throw fieldError(field, `'${node}' is blocked`, 'unblock it first: gogrid peers unblock');
    return node;
  };
}

/** @throws GoGridError `invalid_request` naming the field */
function nodeIn(text: string, field: string): NodeId {
  if (isNodeId(text)) return text;
  const hint = 'GET /mesh/peers lists those that are known, with their peerId';
  throw fieldError(field, `'${text.slice(0, 80)}' is not the id of a node`, hint);
}
