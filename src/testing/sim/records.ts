/** What the history of each node says when all is over: every job has its end there, and it is the one that its client saw. */

import { isFinished } from '../../jobs/states.ts';
import type { NodeId } from '../../protocol/ids.ts';
import type { Client } from './client.ts';
import type { SimNode } from './node.ts';
import type { World } from './world.ts';

/** @param seenBy nodes that had the prompt of a job in their hands */
export function checkRecords(
  clients: readonly Client[],
  nodes: readonly SimNode[],
  seenBy: (job: number) => Iterable<NodeId>,
  world: World,
): void {
  for (const { index, disk } of nodes) {
    for (const { id, state, direction } of disk.values()) {
      if (!isFinished(state)) world.violate('record-true', `${direction} ${id} is still ${state} in history`, index);
    }
  }
  for (const client of clients) checkOne(client, nodes, seenBy, world);
}

function checkOne(
  { id, outcome, job, program }: Client,
  nodes: readonly SimNode[],
  seenBy: (job: number) => Iterable<NodeId>,
  world: World,
): void {
  if (outcome === undefined || id === undefined) return;
  const { node } = program.process;
  const record = nodes[node]?.disk.get(id);
  const wrong = (text: string) => world.violate('record-true', text, node, job.index);
  // What a crash came too soon for is not on the disk, or ends there as interrupted.
  const crashed = nodes[node]?.program?.process !== program.process;
  if (record === undefined || record.reason === 'interrupted') {
    if (!crashed) wrong(`history has ${record === undefined ? 'nothing' : 'an interruption'} of it`);
    return;
  }
  const code = outcome.kind === 'done' ? null : outcome.code;
  if (record.reason !== code)
    wrong(`history says ${record.state}: ${record.reason}, its client saw ${code ?? 'the end'}`);
  for (const seer of seenBy(job.index)) {
    if (!record.seenBy.includes(seer)) wrong(`${seer} has seen the prompt, and history does not say so`);
  }
}
