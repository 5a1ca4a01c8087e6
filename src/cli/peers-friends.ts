/** `gogrid peers friend | unfriend`: who may see prompts of the privacy tier `friends`. */

import type { Peer, PeerList } from '../contract/control.ts';
import { isSameName } from '../contract/names.ts';
import type { FriendList } from '../contract/privacy.ts';
import { GoGridError } from '../errors.ts';
import { type Call, printJson } from './command.ts';
import { findOne } from './find.ts';
import { machineName, type NamedMachine, withId } from './machine-names.ts';
import { connect, type NodeClient } from './node-client.ts';
import { commandFor } from './peers-accept.ts';

export async function friend(call: Call, text: string): Promise<number> {
  const node = await connect(call.home);
  const [{ peers, away }, { friends }] = await Promise.all([peersOf(node), friendsOf(node)]);
  const peer = findOne(peers, text, named, 'peer', 'peer_not_found');
  // What was typed is a name, which anybody may take: also of somebody who is away and was meant.
  if (isSameName(text, peer.name)) expectOnly(peer, [...peers, ...away, ...friends]);
  if (peer.status === 'blocked') throw isBlocked(call, peer);
  const answer = peer.friend ? undefined : await node.ask<FriendList>({ method: 'PUT', path: pathOf(peer) });
  if (call.json) {
    printJson(call, answer ?? (await friendsOf(node)));
    return 0;
  }
  const head =
    answer === undefined
      ? `${withId(peer)} is a friend already.`
      : `${withId(peer)} is a friend: it may see prompts of the privacy tier \`friends\`. Whoever runs a model reads the prompt.`;
  call.world.stdout.write(`${head}\n${unready(call, peer)}`);
  return 0;
}

export async function unfriend(call: Call, text: string): Promise<number> {
  const node = await connect(call.home);
  const { friends } = await friendsOf(node);
  const gone = findOne(friends, text, named, 'friend', 'peer_not_found');
  const answer = await node.ask<FriendList>({ method: 'DELETE', path: pathOf(gone) });
  if (call.json) printJson(call, answer);
  else
    call.world.stdout.write(
      `${withId(gone)} is no friend any more: prompts of the tier \`friends\` do not go to it.\n`,
    );
  return 0;
}

/** Friends that the list of peers does not show, because they are away. */
export async function friendsAway(node: NodeClient, peers: readonly Peer[]): Promise<string> {
  const { friends } = await friendsOf(node);
  const listed = new Set(peers.map(({ peerId }) => peerId));
  const away = friends.filter(({ peerId }) => !listed.has(peerId));
  return away.length === 0 ? '' : `\nFriends that are away: ${away.map(withId).join(', ')}\n`;
}

/** @throws GoGridError `usage` when another machine is called so too */
function expectOnly(peer: NamedMachine, known: readonly NamedMachine[]): void {
  const others = known.filter(({ peerId, name }) => peerId !== peer.peerId && isSameName(name, peer.name));
  if (others.length === 0) return;
  const ids = [...new Set([peer, ...others].map(({ peerId }) => peerId))];
  throw new GoGridError({
    code: 'usage',
    message: `${ids.length} machines are called '${machineName(peer)}', and one is here now`,
    hint: `say which one by its id: ${ids.slice(0, 5).join(', ')}`,
  });
}

function isBlocked(call: Call, peer: Peer): GoGridError {
  return new GoGridError({
    code: 'usage',
    message: `${withId(peer)} is blocked, so nothing goes to it`,
    hint: `first: ${commandFor(call, 'unblock', peer)}`,
  });
}

function unready(call: Call, peer: Peer): string {
  return peer.admitted ? '' : `It is not admitted, so nothing goes to it yet: ${commandFor(call, 'accept', peer)}\n`;
}

function named({ peerId, name }: NamedMachine) {
  return { id: peerId, name };
}

function pathOf({ peerId }: NamedMachine): string {
  return `/privacy/friends/${encodeURIComponent(peerId)}`;
}

function peersOf(node: NodeClient): Promise<PeerList> {
  return node.ask<PeerList>({ path: '/mesh/peers' });
}

function friendsOf(node: NodeClient): Promise<FriendList> {
  return node.ask<FriendList>({ path: '/privacy/friends' });
}
