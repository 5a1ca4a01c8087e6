/** What goes wrong, done to the nodes and the mesh as the plan says. */

import type { World } from '../sim/world.ts';
import type { SimMesh } from './mesh.ts';
import type { SimNode } from './node.ts';
import type { FaultPlan } from './plan.ts';

export interface FaultStage {
  readonly world: World;
  readonly links: SimMesh;
  readonly nodes: SimNode[];
  /** Starts a second machine with the disk and the key of a node. */
  readonly clone: (of: SimNode) => void;
  /** The disk of a node became an older one. */
  readonly restored: (node: SimNode) => Promise<void>;
}

/** What has to be done long before a fault: a backup is made before it is restored. */
export function prepare(fault: FaultPlan, { world, nodes }: FaultStage): void {
  if (fault.kind !== 'restore') return;
  world.clock.after(Math.max(0, fault.at - fault.ageMs), () => nodes[fault.node]?.backUp(fault.index));
}

export function inflict(fault: FaultPlan, stage: FaultStage): void {
  stage.world.count(`faults: ${fault.kind}`);
  if (fault.kind === 'cut') {
    cut(fault, stage);
    return;
  }
  const { world, nodes, restored, clone } = stage;
  const node = nodes[fault.node];
  const process = node?.process;
  if (node === undefined || process === undefined) return;
  const note = (text: string) => world.note(fault.node, undefined, `FAULT ${text}`);
  const startAgain = (ms: number) =>
    world.clock.after(ms, () => {
      world.note(node.place, undefined, 'starts again');
      node.start();
    });
  switch (fault.kind) {
    case 'kill':
    case 'power':
      note(
        `${fault.kind === 'kill' ? 'the process is killed' : 'the power is gone'} for ${Math.round(fault.downMs)} ms`,
      );
      node.end(fault.kind === 'kill');
      startAgain(fault.downMs);
      break;
    case 'drain':
      note(`stops in order, for ${Math.round(fault.downMs)} ms`);
      process.deliver(() => {
        void node.stop().then(() => startAgain(fault.downMs));
      });
      break;
    case 'stop':
      if (process.state !== 'running') return;
      note(`stopped for ${Math.round(fault.ms)} ms`);
      process.stop();
      world.clock.after(fault.ms, () => process.goOn());
      break;
    case 'restore':
      note(`its disk becomes what it was ${Math.round(fault.ageMs)} ms ago, after ${Math.round(fault.downMs)} ms`);
      node.end(true);
      if (node.restore(fault.index)) void restored(node);
      startAgain(fault.downMs);
      break;
    case 'clone':
      note('is cloned');
      clone(node);
      break;
    case 'clock':
      note(`its clock jumps by ${Math.round(fault.jumpMs)} ms`);
      node.clockJumpMs += fault.jumpMs;
  }
}

function cut(fault: Extract<FaultPlan, { kind: 'cut' }>, { world, links }: FaultStage): void {
  const { side, other, oneWay, ms } = fault;
  const there = side.flatMap((a) => other.map((b) => [a, b] as const));
  const ways = oneWay ? there : [...there, ...there.map(([a, b]) => [b, a] as const)];
  const names = (nodes: readonly number[]) => nodes.map((node) => `n${node}`).join(' ');
  const what = `[${names(side)}] ${oneWay ? '→' : '↔'} [${names(other)}]`;
  world.note(undefined, undefined, `FAULT cut ${what} for ${Math.round(ms)} ms`);
  for (const [from, to] of ways) links.cut(from, to);
  world.clock.after(ms, () => {
    world.note(undefined, undefined, `HEALED ${what}`);
    for (const [from, to] of ways) links.heal(from, to);
  });
}
