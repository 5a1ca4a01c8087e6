/** `gogrid peers friend | unfriend`: who may see prompts of the privacy tier `friends`. */

import type { Peer, PeerList } from '../contract/control.ts';
import type { FriendList } from '../contract/privacy.ts';
import { type Call, printJson } from './command.ts';
import { findOne } from './find.ts';
import { connect, type NodeClient } from './node-client.ts';
import { commandFor, nameOf } from './peers-accept.ts';
import { shortId } from './text.ts';

type Friends = FriendList['friends'];

export async function friend(call: Call, text: string): Promise<number> {
  const node = await connect(call.home);
  const [{ peers }, { friends }] = await Promise.all([peersOf(node), friendsOf(node)]);
  const peer = findOne(peers, text, (each) => ({ id: each.peerId, name: each.name }), 'peer', 'peer_not_found');
  const answer = peer.friend ? undefined : await replace(node, [...friends, peer]);
  if (call.json) {
    printJson(call, answer ?? (await friendsOf(node)));
    return 0;
  }
  const name = nameOf(peer);
  const head =
    answer === undefined
      ? `${name} is a friend already.`
      : `${name} is a friend: it may see prompts of the privacy tier \`friends\`. Whoever runs a model reads the prompt.`;
  call.world.stdout.write(`${head}\n${unready(call, peer)}`);
  return 0;
}

export async function unfriend(call: Call, text: string): Promise<number> {
  const node = await connect(call.home);
  const { friends } = await friendsOf(node);
  const gone = findOne(friends, text, (each) => ({ id: each.peerId, name: each.name }), 'friend', 'peer_not_found');
  const answer = await replace(
    node,
    friends.filter(({ peerId }) => peerId !== gone.peerId),
  );
  if (call.json) printJson(call, answer);
  else
    call.world.stdout.write(
      `${nameOf(gone)} is no friend any more: prompts of the tier \`friends\` do not go to it.\n`,
    );
  return 0;
}

/** Friends that the list of peers does not show, because they are away. */
export async function friendsAway(node: NodeClient, peers: readonly Peer[]): Promise<string> {
  const { friends } = await friendsOf(node);
  const listed = new Set(peers.map(({ peerId }) => peerId));
  const away = friends.filter(({ peerId }) => !listed.has(peerId));
  if (away.length === 0) return '';
  const names = away.map((each) =>
    each.name === '' ? shortId(each.peerId) : `${nameOf(each)} (${shortId(each.peerId)})`,
  );
  return `\nFriends that are away: ${names.join(', ')}\n`;
}

function unready(call: Call, peer: Peer): string {
  if (peer.admitted) return '';
  if (peer.status === 'blocked') return `It is blocked, so nothing goes to it: ${commandFor(call, 'unblock', peer)}\n`;
  return `It is not admitted, so nothing goes to it yet: ${commandFor(call, 'accept', peer)}\n`;
}

function peersOf(node: NodeClient): Promise<PeerList> {
  return node.ask<PeerList>({ path: '/mesh/peers' });
}

function friendsOf(node: NodeClient): Promise<FriendList> {
  return node.ask<FriendList>({ path: '/privacy/friends' });
}

function replace(node: NodeClient, friends: readonly Pick<Friends[number], 'peerId'>[]): Promise<FriendList> {
  const ids = friends.map(({ peerId }) => peerId);
  return node.ask<FriendList>({ method: 'PUT', path: '/privacy/friends', body: { friends: ids } });
}
