/** `gogrid peers`: the other nodes, and those that wait at the door. */

import type { Identity, Peer, PeerList } from '../contract/control.ts';
import { usage } from './arguments.ts';
import { type Call, printJson, sheetOf } from './command.ts';
import { findOne } from './find.ts';
import { machineName, withId } from './machine-names.ts';
import { connect, type NodeClient } from './node-client.ts';
import { accept, block, commandFor, unblock, wordFor } from './peers-accept.ts';
import { friend, friendsAway, unfriend } from './peers-friends.ts';
import { spelled } from './program.ts';
import { type Cell, type Column, renderFacts, renderTable } from './table.ts';
import { formatAgo, formatBytes, idText, printable, shortId } from './text.ts';

export async function run(call: Call): Promise<number> {
  const [action = 'list', id, ...more] = call.words;
  if (action === 'list' && id === undefined) return list(call);
  const act = ACTIONS[action];
  if (act === undefined) throw usage(`peers cannot '${call.words.join(' ')}'`, 'peers');
  if (id === undefined || more.length > 0) throw usage(`peers ${action} wants the id or the name of one peer`, 'peers');
  return act(call, id);
}

async function list(call: Call): Promise<number> {
  const { stdout } = call.world;
  const node = await connect(call.home);
  const answer = await node.ask<PeerList>({ path: '/mesh/peers' });
  if (call.json) {
    printJson(call, answer);
    return 0;
  }
  const admitted = answer.peers.filter((peer) => !isOutside(peer));
  const outside = answer.peers.filter(isOutside);
  const waiting = outside.filter(({ status }) => status === 'waiting');
  // Somebody has to do something about these; the others just work.
  if (waiting.length > 0) {
    const own = await node.ask<Identity>({ path: '/identity' });
    const text = spelled(waitingText(call, waiting, own), call.world.program);
    stdout.write(`${text}${admitted.length > 0 ? '\n' : ''}`);
  }
  if (admitted.length > 0) stdout.write(peerTable(call, admitted));
  else if (waiting.length === 0) {
    stdout.write('No other node is in the mesh. docs/getting-started.md shows how to join a second machine.\n');
  }
  stdout.write(await friendsAway(node, answer.peers));
  const blocked = outside.filter(({ status }) => status === 'blocked');
  for (const peer of blocked) {
    stdout.write(`\nBlocked: ${withId(peer)}, undo with ${commandFor(call, 'unblock', peer, blocked)}\n`);
  }
  return 0;
}

/** A peer that has not been let in, here or there. */
function isOutside({ status }: Peer): boolean {
  return status === 'waiting' || status === 'blocked';
}

/** Machines that wait: who they are, which words they must show, and what to do next. */
export function waitingText(call: Call, waiting: readonly Peer[], own: Pick<Identity, 'name' | 'peerId'>): string {
  const one = waiting.length === 1;
  const head = one ? 'One machine waits to be accepted.' : `${waiting.length} machines wait to be accepted.`;
  const lines = [`${head} Until both sides have accepted, neither uses or serves the other.`];
  for (const peer of waiting) {
    const { words, waitsFor, peerId, addresses } = peer;
    const from = addresses[0] === undefined ? '' : `, ${printable(hostOf(addresses[0]))}`;
    lines.push('', `  ${call.paint('bold', machineName(peer))}  ${shortId(peerId)}${from}`);
    if (words !== null) lines.push(`    words  ${words}`);
    else if (waitsFor !== 'there') lines.push('    words  being made: look again in a moment');
    if (waitsFor !== 'there') lines.push(`    here   ${commandFor(call, 'accept', peer, waiting)}`);
    if (waitsFor !== 'here') lines.push(`    there  gogrid peers accept ${wordFor(own)}`);
  }
  return `${lines.join('\n')}\n`;
}

/**
 * Where a machine is that waits, of the multiaddr of its connection: the port of one that came in is not the port on which it
 * can be reached, and it has announced no other so far.
 */
function hostOf(address: string): string {
  return /^\/(?:ip4|ip6|dns[46]?)\/([^/]+)/.exec(address)?.[1] ?? address;
}

const PEER_COLUMNS: readonly Column[] = [
  { title: 'NAME', shrinks: true },
  { title: 'PEER' },
  { title: 'STATUS' },
  { title: 'ROUTE' },
  { title: 'LATENCY', align: 'right' },
  { title: 'JOBS', align: 'right' },
  { title: 'MODELS', shrinks: true },
];

/** Friends have a column where there are any: most meshes are one person's. */
function peerTable(call: Call, peers: readonly Peer[]): string {
  const { columns } = call.world.stdout;
  const hasFriends = peers.some((peer) => peer.friend);
  const rows = peerRows(peers, columns);
  if (!hasFriends) return renderTable(PEER_COLUMNS, rows, sheetOf(call));
  const marked = rows.map((row, index) => [...row.slice(0, 2), peers[index]?.friend ? 'friend' : '', ...row.slice(2)]);
  return renderTable(
    [...PEER_COLUMNS.slice(0, 2), { title: 'PRIVACY' }, ...PEER_COLUMNS.slice(2)],
    marked,
    sheetOf(call),
  );
}

/** One row per peer; jobs are those running and those waiting there. Ids are whole where `columns` is undefined. */
export function peerRows(peers: readonly Peer[], columns: number | undefined): Cell[][] {
  return peers.map((peer) => [
    peer.name,
    idText(peer.peerId, columns),
    statusCell(peer),
    peer.connected ? peer.route : '-',
    peer.latencyMs === null ? '-' : `${peer.latencyMs.toFixed(peer.latencyMs < 10 ? 1 : 0)} ms`,
    `${peer.runningJobs}+${peer.queueDepth}`,
    peer.models.join(', '),
  ]);
}

function statusCell(peer: Peer): Cell {
  if (isOutside(peer)) return { text: peer.status, style: 'yellow' };
  if (peer.status === 'unreachable') return { text: 'not reached', style: 'red' };
  if (!peer.admitted) return { text: 'not admitted', style: 'yellow' };
  if (peer.status === 'idle' || peer.status === 'busy') return { text: peer.status, style: 'green' };
  return { text: peer.status, style: peer.status === 'error' ? 'red' : 'yellow' };
}

const ACTIONS: Readonly<Record<string, ((call: Call, text: string) => Promise<number>) | undefined>> = {
  show,
  accept,
  block,
  unblock,
  friend,
  unfriend,
};

async function show(call: Call, text: string): Promise<number> {
  const node = await connect(call.home);
  const peer = await findPeer(node, text);
  if (call.json) printJson(call, peer);
  else call.world.stdout.write(renderFacts(peerFacts(peer, call.world.now()), sheetOf(call)));
  return 0;
}

async function findPeer(node: NodeClient, text: string): Promise<Peer> {
  const { peers } = await node.ask<PeerList>({ path: '/mesh/peers' });
  return findOne(peers, text, (peer) => ({ id: peer.peerId, name: peer.name }), 'peer', 'peer_not_found');
}

/** All that is known of a peer. */
export function peerFacts(peer: Peer, now: number): (readonly [string, Cell])[] {
  const { hardware } = peer;
  const gpu = hardware.gpu === '' ? 'no GPU known' : `${hardware.gpu}, ${formatBytes(hardware.vramBytes)} of its own`;
  return [
    ['name', peer.name],
    ['peer id', peer.peerId],
    ['status', statusCell(peer)],
    ['privacy', peer.friend ? 'a friend: may see prompts of the tier friends' : 'may see prompts of the tier mesh'],
    ['route', peer.connected ? `${peer.route}, ${peer.transport ?? ''}` : 'none: not connected now'],
    ...(peer.words === null ? [] : [['words', peer.words] as const]),
    ['latency', peer.latencyMs === null ? 'not measured' : `${peer.latencyMs.toFixed(1)} ms`],
    ['jobs', `${peer.runningJobs} running, ${peer.queueDepth} waiting`],
    ['hardware', `${hardware.cores} cores, ${formatBytes(hardware.memoryBytes)} memory, ${gpu}`],
    ['region', peer.region === '' ? '-' : peer.region],
    ['version', peer.version],
    ['last heard', formatAgo(peer.lastHeardAt, now)],
    ...peer.models.map((model, index) => [index === 0 ? 'models' : '', model] as const),
    ...(peer.status === 'waiting'
      ? peer.addresses.map((address) => ['comes from', hostOf(address)] as const)
      : peer.addresses.map((address, index) => [index === 0 ? 'addresses' : '', address] as const)),
  ];
}
