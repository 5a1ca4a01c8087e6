/** `gogrid status` */

import type { Identity, ModelList, NodeStatusAnswer, Peer, PeerList } from '../contract/control.ts';
import { usage } from './arguments.ts';
import { type Call, printJson, sheetOf } from './command.ts';
import { machineName } from './machine-names.ts';
import { connect } from './node-client.ts';
import { spelled } from './program.ts';
import { type Cell, renderFacts } from './table.ts';
import { formatDuration, formatSpan, listed, type Style } from './text.ts';

export async function run(call: Call): Promise<number> {
  if (call.words.length > 0) throw usage(`status takes no '${call.words[0]}'`, 'status');
  const node = await connect(call.home);
  const status = await node.ask<NodeStatusAnswer>({ path: '/status' });
  if (call.json) {
    printJson(call, status);
    return 0;
  }
  const [identity, { peers }, { models }] = await Promise.all([
    node.ask<Identity>({ path: '/identity' }),
    node.ask<PeerList>({ path: '/mesh/peers' }),
    node.ask<ModelList>({ path: '/model/list' }),
  ]);
  const here = models.filter(({ local }) => local).map(({ name }) => name);
  const facts = statusFacts({ status, identity, peers, here, api: node.api, flags: call.home.flags });
  call.world.stdout.write(spelled(renderFacts(facts, sheetOf(call)), call.world.program));
  return 0;
}

const STATE_STYLES: Readonly<Record<string, Style>> = {
  busy: 'green',
  idle: 'green',
  error: 'red',
  disconnected: 'red',
  paused: 'yellow',
  throttled: 'yellow',
  draining: 'yellow',
};

/** Names that one line of a terminal takes. */
const MOST_NAMES = 3;

export interface StatusParts {
  readonly status: NodeStatusAnswer;
  readonly identity: Identity;
  readonly peers: readonly Peer[];
  /** Names of the models that this machine runs. */
  readonly here: readonly string[];
  readonly api: string;
  /** To be put behind `gogrid` so that the same home is meant. */
  readonly flags: string;
}

/** What a person wants to know of the node, in that order; what is long and seldom wanted comes last. */
export function statusFacts({ status, identity, peers, here, api, flags }: StatusParts): (readonly [string, Cell])[] {
  const { engine, jobs, tokens, queue, waiting } = status;
  const style = STATE_STYLES[status.state];
  const state = `${status.state}, up ${formatDuration(status.uptimeSecs)}`;
  const addresses = status.addresses.length > 0 ? status.addresses : ['none: no other node can reach this one'];
  const advice = [status.reason, engine.hint].filter((each) => each !== undefined);
  return [
    ['state', style === undefined ? state : { text: state, style }],
    ...[...new Set(advice)].map((text): readonly [string, Cell] => ['', { text, style: 'yellow' }]),
    ['name', status.name],
    ['API', api],
    ['engine', `${engine.kind}${engine.version === '' ? '' : ` ${engine.version}`}, ${engine.state}`],
    ['models', modelsText(status, here)],
    ['mesh', `${identity.network}, ${status.peers === 1 ? '1 peer' : `${status.peers} peers`}`],
    ...peerFacts(peers, flags),
    ['jobs', `${jobs.running} running, ${jobs.queued} waiting`],
    ['', `${jobs.completed} done, ${jobs.failed} failed, ${jobs.cancelled} cancelled since the start`],
    ['queue', queueText(queue)],
    ...(queue.estimateMs < 1_000
      ? []
      : [['', `a job that comes now runs in about ${formatSpan(queue.estimateMs)}`] as const]),
    ...(waiting.depth === 0 ? [] : [['in the mesh', { text: meshText(waiting), style: 'yellow' }] as const]),
    ['tokens', `${tokens.in} read, ${tokens.out} written, ${tokens.perSecond.toFixed(1)} a second now`],
    ['version', status.version],
    ['peer id', status.peerId],
    ...addresses.map((address, index) => [index === 0 ? 'addresses' : '', address] as const),
  ];
}

/** What waits on this machine, whoever asked, by the lane that it waits in. */
function queueText({ running, slots, depth, room, lanes }: NodeStatusAnswer['queue']): string {
  const left = Math.max(0, room - lanes.paid - lanes.free);
  const whose = [`${lanes.owner} yours`, `${lanes.paid} of peers`, `${lanes.free} of peers without credits`];
  const by = whose.filter((text) => !text.startsWith('0 '));
  const more = left === 0 ? 'no more' : `${left} more`;
  return `${running} of ${slots} slots in use, ${depth} waiting${by.length === 0 ? '' : ` (${by.join(', ')})`}, room for ${more} of peers`;
}

function meshText({ depth, models }: NodeStatusAnswer['waiting']): string {
  const jobs = depth === 1 ? '1 job of yours waits' : `${depth} jobs of yours wait`;
  return `${jobs}, since no machine takes another one now${models.length === 0 ? '' : `: ${listed(models, MOST_NAMES)}`}`;
}

function modelsText({ models, meshModels }: NodeStatusAnswer, here: readonly string[]): string {
  const inMesh = `${meshModels} in the mesh`;
  if (models === 0 || here.length === 0) return `none here, ${inMesh}`;
  return `${listed(here, MOST_NAMES)} here, ${inMesh}`;
}

function peerFacts(peers: readonly Peer[], flags: string): (readonly [string, Cell])[] {
  const inside = peers.filter(({ admitted }) => admitted).map((peer) => `${machineName(peer)} (${peer.status})`);
  const outside = peers.filter(({ status }) => status === 'waiting').map(machineName);
  const text = `${listed(outside, MOST_NAMES)} not accepted yet: gogrid peers${flags}`;
  return [
    ...(inside.length === 0 ? [] : [['', listed(inside, MOST_NAMES)] as const]),
    ...(outside.length === 0 ? [] : [['', { text, style: 'yellow' }] as const]),
  ];
}
