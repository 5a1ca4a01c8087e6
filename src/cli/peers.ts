/** `gogrid peers` */

import type { Peer, PeerList } from '../contract/control.ts';
import { usage } from './arguments.ts';
import { type Call, printJson, sheetOf } from './command.ts';
import { findOne } from './find.ts';
import { connect, type NodeClient } from './node-client.ts';
import { type Cell, type Column, renderFacts, renderTable } from './table.ts';
import { formatAgo, formatBytes, shortId } from './text.ts';

export async function run(call: Call): Promise<number> {
  const [action = 'list', id, ...more] = call.words;
  if (action === 'list' && id === undefined) return list(call);
  if (action === 'show' && id !== undefined && more.length === 0) return show(call, id);
  throw usage(
    action === 'show' ? 'peers show wants the id of one peer' : `peers cannot '${call.words.join(' ')}'`,
    'peers',
  );
}

async function list(call: Call): Promise<number> {
  const node = await connect(call.home);
  const answer = await node.ask<PeerList>({ path: '/mesh/peers' });
  if (call.json) {
    printJson(call, answer);
    return 0;
  }
  if (answer.peers.length === 0) {
    call.world.stdout.write(
      'No other node is in the mesh. docs/getting-started.md shows how to join a second machine.\n',
    );
    return 0;
  }
  call.world.stdout.write(renderTable(PEER_COLUMNS, peerRows(answer.peers), sheetOf(call)));
  return 0;
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

/** One row per peer; jobs are those running and those waiting there. */
export function peerRows(peers: readonly Peer[]): Cell[][] {
  return peers.map((peer) => [
    peer.name,
    shortId(peer.peerId),
    statusCell(peer),
    peer.route,
    peer.latencyMs === null ? '-' : `${peer.latencyMs.toFixed(peer.latencyMs < 10 ? 1 : 0)} ms`,
    `${peer.runningJobs}+${peer.queueDepth}`,
    peer.models.join(', '),
  ]);
}

function statusCell(peer: Peer): Cell {
  if (!peer.admitted) return { text: 'not admitted', style: 'yellow' };
  if (peer.status === 'idle' || peer.status === 'busy') return { text: peer.status, style: 'green' };
  return { text: peer.status, style: peer.status === 'error' ? 'red' : 'yellow' };
}

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
    ['route', peer.connected ? peer.route : `${peer.route}, not connected now`],
    ['latency', peer.latencyMs === null ? 'not measured' : `${peer.latencyMs.toFixed(1)} ms`],
    ['jobs', `${peer.runningJobs} running, ${peer.queueDepth} waiting`],
    ['hardware', `${hardware.cores} cores, ${formatBytes(hardware.memoryBytes)} memory, ${gpu}`],
    ['region', peer.region === '' ? '-' : peer.region],
    ['version', peer.version],
    ['last heard', formatAgo(peer.lastHeardAt, now)],
    ...peer.models.map((model, index) => [index === 0 ? 'models' : '', model] as const),
    ...peer.addresses.map((address, index) => [index === 0 ? 'addresses' : '', address] as const),
  ];
}
