/** `gogrid peers accept | block | unblock`: what a person decides about the machines beside this one. */

import type { Identity, Peer, PeerDecision, PeerList } from '../contract/control.ts';
import { GoGridError } from '../errors.ts';
import { CLI } from '../limits/program.ts';
import { type Call, printJson } from './command.ts';
import { findOne } from './find.ts';
import { machineName, withId } from './machine-names.ts';
import { connect, type NodeClient } from './node-client.ts';
import { spelled } from './program.ts';
import { canAsk, confirmed } from './question.ts';
import { shellWord } from './text.ts';
import type { Home, World } from './world.ts';

/** Accepts a machine that waits. Whoever types the id of one that is not connected accepts it for when it comes. */
export async function accept(call: Call, text: string): Promise<number> {
  const node = await connect(call.home);
  const compares = !call.flags.has('yes');
  const found = await findToAccept(node, text);
  const peer = compares ? await withWords(call, node, found) : found;
  const name = machineName(peer);
  if (peer.admitted) {
    if (call.json) printJson(call, { ...decided(peer) });
    else call.world.stdout.write(`${name} and this machine work together already.\n`);
    return 0;
  }
  // What waits for the other side alone is accepted here already.
  if (compares && peer.waitsFor !== 'there') {
    if (peer.words === null) throw withoutWords(call, peer, text);
    if (!canAsk(call)) throw mustCompare(call, peer, text);
    call.world.stdout.write(`${withId(peer)} shows these words if it is the right machine:\n\n`);
    call.world.stdout.write(`    ${call.paint('bold', peer.words)}\n\n`);
    if (!(await confirmed(call, 'Does the other machine show the same words? [y/N] '))) {
      call.world.stdout.write(
        `Nothing was changed. If its words are others, it is not that machine: ${commandFor(call, 'block', peer)}\n`,
      );
      return 1;
    }
  }
  await node.ask<PeerDecision>({ method: 'POST', path: '/mesh/accept', body: { peer: peer.peerId } });
  const outcome = await settled(call, node, peer);
  if (call.json) {
    printJson(call, decided(outcome));
    return 0;
  }
  const own = await node.ask<Identity>({ path: '/identity' });
  const more = outcome.admitted
    ? `${name} and this machine now work together.`
    : `${name} is accepted here. It waits for the other side: run there: ${spelled(`gogrid peers accept ${wordFor(own)}`, call.world.program)}`;
  call.world.stdout.write(`${more}\n`);
  return 0;
}

export async function block(call: Call, text: string): Promise<number> {
  const node = await connect(call.home);
  const { peers } = await node.ask<PeerList>({ path: '/mesh/peers' });
  const peer = find(peers, text);
  const answer = await node.ask<PeerDecision>({ method: 'POST', path: '/mesh/block', body: { peer: peer.peerId } });
  if (call.json) printJson(call, answer);
  else {
    call.world.stdout.write(
      `${machineName(peer)} is blocked: it is not used, not served, and not let in.\nTo undo: ${commandFor(call, 'unblock', peer)}\n`,
    );
  }
  return 0;
}

export async function unblock(call: Call, text: string): Promise<number> {
  const node = await connect(call.home);
  const { peers } = await node.ask<PeerList>({ path: '/mesh/peers' });
  const blocked = peers.filter(({ status }) => status === 'blocked');
  const peer = find(blocked, text, 'no blocked machine is called so; `gogrid peers` lists them');
  const answer = await node.ask<PeerDecision>({ method: 'POST', path: '/mesh/unblock', body: { peer: peer.peerId } });
  if (call.json) printJson(call, answer);
  else
    call.world.stdout.write(
      `${machineName(peer)} is not blocked any more. It has to be accepted again where you are asked.\n`,
    );
  return 0;
}

/** The command that decides about a peer: by its name where that says it all. */
export function commandFor(
  { world, home }: { readonly world: Pick<World, 'program'>; readonly home: Pick<Home, 'flags'> },
  action: string,
  peer: Pick<Peer, 'name' | 'peerId'>,
  all: readonly Peer[] = [],
): string {
  const isOnly = all.filter(({ name }) => name === peer.name).length < 2;
  return `${world.program} peers ${action} ${isOnly ? wordFor(peer) : idWord(peer)}${home.flags}`;
}

/**
 * What names a machine in a command: its name, or the end of its id where the name might be read as a flag, as several words
 * or as something for the shell.
 */
export function wordFor(peer: Pick<Peer, 'name' | 'peerId'>): string {
  const isPlain = /^[\p{L}\p{N}][\p{L}\p{N} ._-]*$/u.test(peer.name);
  // A name as long as an id may be the id of another machine, which would be meant then.
  return isPlain && peer.name.length < peer.peerId.length ? shellWord(peer.name) : idWord(peer);
}

function idWord({ peerId }: Pick<Peer, 'peerId'>): string {
  return peerId.slice(-8);
}

/** Those that wait go first: a stranger that took the name of a friend is the one that is meant here. */
async function findToAccept(node: NodeClient, text: string): Promise<Peer> {
  const { peers } = await node.ask<PeerList>({ path: '/mesh/peers' });
  const waiting = peers.filter(({ status }) => status === 'waiting');
  try {
    return find(waiting, text);
  } catch (thrown) {
    if (!(thrown instanceof GoGridError) || thrown.code !== 'peer_not_found') throw thrown;
    return find(peers, text, 'no machine that waits is called so; `gogrid peers` lists them');
  }
}

function find(peers: readonly Peer[], text: string, hint?: string): Peer {
  try {
    return findOne(peers, text, (peer) => ({ id: peer.peerId, name: peer.name }), 'peer', 'peer_not_found');
  } catch (thrown) {
    if (!(thrown instanceof GoGridError) || thrown.code !== 'peer_not_found' || hint === undefined) throw thrown;
    throw new GoGridError({ code: 'peer_not_found', message: thrown.message, hint });
  }
}

/** The words of a machine that has only just come are being made. */
async function withWords(call: Call, node: NodeClient, peer: Peer): Promise<Peer> {
  let now = peer;
  for (let waited = 0; now.status === 'waiting' && now.words === null; waited += CLI.peerLookMs) {
    if (waited >= CLI.wordsWaitMs) break;
    await call.world.wait(CLI.peerLookMs);
    now = (await look(node, peer)) ?? now;
  }
  return now;
}

/** Both sides talk about it at once: a moment later it is known what came of it. */
async function settled(call: Call, node: NodeClient, peer: Peer): Promise<Peer> {
  let now = peer;
  for (let waited = 0; waited < CLI.acceptWaitMs && !now.admitted; waited += CLI.peerLookMs) {
    // The other side has not accepted: it will not say so in the next second either.
    if (waited > 0 && now.waitsFor === 'there' && peer.waitsFor !== 'here') break;
    await call.world.wait(CLI.peerLookMs);
    now = (await look(node, peer)) ?? now;
  }
  return now;
}

async function look(node: NodeClient, { peerId }: Peer): Promise<Peer | undefined> {
  const { peers } = await node.ask<PeerList>({ path: '/mesh/peers' });
  return peers.find((peer) => peer.peerId === peerId);
}

function decided({ peerId, name, admitted, words, waitsFor }: Peer): PeerDecision {
  return { peerId, name, admitted, words, waitsFor };
}

function mustCompare(call: Call, peer: Peer, text: string): GoGridError {
  return new GoGridError({
    code: 'usage',
    message: `nobody is here to compare the words of ${machineName(peer)}: ${peer.words}`,
    hint: `when the other machine shows the same: ${call.world.program} peers accept ${shellWord(text)} --yes${call.home.flags}`,
  });
}

/** Nothing shows that it is the right machine: accepting it would be believing its name. */
function withoutWords(call: Call, peer: Peer, text: string): GoGridError {
  const name = machineName(peer);
  const why: Partial<Record<Peer['status'], string>> = {
    blocked: `${name} is blocked, so it is not connected and has no words to compare`,
    waiting: `the words of ${name} are not made yet, so they cannot be compared`,
  };
  const first =
    peer.status === 'blocked' ? `${commandFor(call, 'unblock', peer)}, then try again` : 'try again in a moment';
  return new GoGridError({
    code: 'usage',
    message: `${why[peer.status] ?? `${name} is not connected, so there are no words to compare`}; nothing was changed`,
    hint: `${first}; to accept it without comparing: ${call.world.program} peers accept ${shellWord(text)} --yes${call.home.flags}`,
  });
}
