/** P6: from the start of a process to its place in a mesh of twenty. */

import { quantile } from './client.ts';
import { joining, type MeasuredNode, startMesh, startNode } from './nodes.ts';
import { sleep, until } from './processes.ts';
import type { Benchmark } from './report.ts';

const MESH_NODES = 20;
const JOINS = 40;
/** The mesh has found its shape, and nobody dials any more. */
const SETTLE_MS = 5_000;
const POLL_MS = 5;

interface Joined {
  readonly readyMs: number;
  readonly fullMs: number;
}

export const join: Benchmark = {
  name: 'join',
  title: `P6: joining a mesh of ${MESH_NODES} processes`,
  async run({ scale, program }) {
    const { nodes, completeAfterMs } = await startMesh(program, MESH_NODES, {});
    await sleep(SETTLE_MS);
    // The first start of a build fills V8's compile cache.
    await joinOnce(program, nodes);
    const joined: Joined[] = [];
    for (let count = 0; count < Math.ceil(JOINS * scale); count++) joined.push(await joinOnce(program, nodes));
    const ready = joined.map(({ readyMs }) => readyMs);
    const full = joined.map(({ fullMs }) => fullMs);
    const readyP50 = quantile(ready, 0.5);
    const fullP50 = quantile(full, 0.5);
    return {
      rows: [
        { step: 'process start to API ready', ...summary(ready) },
        { step: 'API ready to full directory', ...summary(joined.map(({ readyMs, fullMs }) => fullMs - readyMs)) },
        { step: 'process start to full directory', ...summary(full) },
        { step: `all ${MESH_NODES} started at once: process start to full directory`, ...summary(completeAfterMs) },
      ],
      figures: [
        {
          what: 'process start to API ready, p50',
          value: readyP50,
          unit: 'ms',
          target: 'at most 300',
          met: readyP50 <= 300,
        },
        {
          what: 'process start to full directory, p50',
          value: fullP50,
          unit: 'ms',
          target: 'at most 1500',
          met: fullP50 <= 1_500,
        },
      ],
    };
  },
};

async function joinOnce(program: string, mesh: readonly MeasuredNode[]): Promise<Joined> {
  const through = mesh[Math.floor(Math.random() * mesh.length)];
  if (through === undefined) throw new Error('a mesh without nodes');
  const node = await startNode(program, joining(through));
  const isFull = async () => {
    const known = new Set((await node.peers()).map(({ peerId }) => peerId));
    return mesh.every(({ peerId }) => known.has(peerId));
  };
  await until('a full directory', isFull, { everyMs: POLL_MS, withinMs: 60_000 });
  const fullMs = performance.now() - node.startedAt;
  await node.stop();
  return { readyMs: node.readyMs, fullMs };
}

function summary(values: readonly number[]) {
  const longest = values.length === 0 ? null : Math.max(...values);
  return { count: values.length, p50Ms: quantile(values, 0.5), p90Ms: quantile(values, 0.9), longestMs: longest };
}
