/** A provider at rest: nothing in its engine, no slot taken, nobody in its queue. */

import type { Mesh } from './mesh.ts';
import { until } from './until.ts';

/** `JOB.cancelWithinMs` is 100; the rest is for a machine that is busy with other things. */
export const AT_ONCE_MS = 1000;

export async function isFree(mesh: Mesh, index: number): Promise<boolean> {
  const { queue } = await mesh.node(index).status();
  return queue.depth === 0 && queue.running === 0 && (await mesh.engine(index).report()).totals.open === 0;
}

export async function untilFree(mesh: Mesh, index: number, within = AT_ONCE_MS): Promise<void> {
  await until(() => isFree(mesh, index), { what: `${mesh.node(index).name} to have nothing to do`, within });
}

/** No job of this node is on its way any more. */
export async function untilQuiet(mesh: Mesh, index: number, within = AT_ONCE_MS): Promise<void> {
  const node = mesh.node(index);
  const quiet = async () => {
    const { jobs } = await node.status();
    return jobs.running === 0 && jobs.queued === 0;
  };
  await until(quiet, { what: `${node.name} to have no job open`, within });
}
