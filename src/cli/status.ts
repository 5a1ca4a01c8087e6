/** `gogrid status` */

import type { Identity, NodeStatusAnswer } from '../contract/control.ts';
import { usage } from './arguments.ts';
import { type Call, printJson, sheetOf } from './command.ts';
import { connect } from './node-client.ts';
import { type Cell, renderFacts } from './table.ts';
import { formatDuration, type Style } from './text.ts';

export async function run(call: Call): Promise<number> {
  if (call.words.length > 0) throw usage(`status takes no '${call.words[0]}'`, 'status');
  const node = await connect(call.home);
  const status = await node.ask<NodeStatusAnswer>({ path: '/status' });
  if (call.json) {
    printJson(call, status);
    return 0;
  }
  const identity = await node.ask<Identity>({ path: '/identity' });
  call.world.stdout.write(renderFacts(statusFacts(status, identity, node.api), sheetOf(call)));
  return 0;
}

const STATE_STYLES: Readonly<Record<string, Style>> = {
  busy: 'green',
  idle: 'green',
  error: 'red',
  disconnected: 'red',
  paused: 'yellow',
  throttled: 'yellow',
};

/** What a person wants to know of the node, in that order. */
export function statusFacts(status: NodeStatusAnswer, identity: Identity, api: string): (readonly [string, Cell])[] {
  const { engine, jobs, tokens, queue } = status;
  const style = STATE_STYLES[status.state];
  const state = `${status.state}, up ${formatDuration(status.uptimeSecs)}`;
  const addresses = identity.addresses.length > 0 ? identity.addresses : ['none: no other node can reach this one'];
  return [
    ['state', style === undefined ? state : { text: state, style }],
    ['name', status.name],
    ['peer id', status.peerId],
    ['API', api],
    ['engine', `${engine.kind}${engine.version === '' ? '' : ` ${engine.version}`}, ${engine.state}`],
    ...(engine.hint === undefined ? [] : ([['', { text: engine.hint, style: 'yellow' }]] as const)),
    ['models', `${status.models} here, ${status.meshModels} in the mesh`],
    ['peers', String(status.peers)],
    [
      'jobs',
      `${jobs.running} running, ${jobs.queued} waiting, ${jobs.completed} done, ${jobs.failed} failed, ${jobs.cancelled} cancelled`,
    ],
    ['tokens', `${tokens.in} read, ${tokens.out} written, ${tokens.perSecond.toFixed(1)} a second now`],
    ['queue', `${queue.depth} waiting, ${queue.running} of ${queue.slots} slots in use, room for ${queue.room} more`],
    ['network', identity.network],
    ...addresses.map((address, index) => [index === 0 ? 'addresses' : '', address] as const),
    ['version', status.version],
  ];
}
