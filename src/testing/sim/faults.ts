/** What goes wrong, done to the nodes and the network as the plan says. */

import type { Client } from './client.ts';
import type { SimNetwork } from './network.ts';
import type { SimNode } from './node.ts';
import type { FaultPlan } from './plan.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

export interface FaultStage {
  readonly world: World;
  readonly network: SimNetwork;
  readonly nodes: readonly SimNode[];
  readonly random: Random;
  /** Clients of a node that still wait. */
  readonly clientsAt: (node: number) => readonly Client[];
  /** Ids of the jobs of peers that run at a node. */
  readonly foreignJobsAt: (node: number) => readonly string[];
}

export function inflict(fault: FaultPlan, stage: FaultStage): void {
  const { world, network } = stage;
  switch (fault.kind) {
    case 'reset':
      world.note(undefined, undefined, `FAULT connections between n${fault.from} and n${fault.to} are reset`);
      network.reset(fault.from, fault.to);
      break;
    case 'cut':
      cut(fault, stage);
      break;
    default:
      inflictNode(fault, stage);
  }
}

function cut(fault: Extract<FaultPlan, { kind: 'cut' }>, { world, network }: FaultStage): void {
  const { side, other, oneWay, ms } = fault;
  const ways = side.flatMap((a) =>
    other.flatMap((b) =>
      oneWay
        ? [[a, b]]
        : [
            [a, b],
            [b, a],
          ],
    ),
  ) as [number, number][];
  const arrow = oneWay ? '→' : '↔';
  const what = `[${side.map((n) => `n${n}`).join(' ')}] ${arrow} [${other.map((n) => `n${n}`).join(' ')}]`;
  world.note(undefined, undefined, `FAULT cut ${what} for ${Math.round(ms)} ms`);
  for (const [from, to] of ways) network.cut(from, to);
  world.clock.after(ms, () => {
    world.note(undefined, undefined, `HEALED ${what}`);
    for (const [from, to] of ways) network.heal(from, to);
  });
}

function inflictNode(fault: Exclude<FaultPlan, { kind: 'reset' | 'cut' }>, stage: FaultStage): void {
  const { world, network, nodes, foreignJobsAt } = stage;
  const node = nodes[fault.node];
  const program = node?.program;
  if (node === undefined || program === undefined) return;
  const note = (text: string) => world.note(fault.node, undefined, text);
  const { process } = program;
  const later = (ms: number, action: () => void) => world.clock.after(ms, action);
  switch (fault.kind) {
    case 'kill':
    case 'power':
      note(
        `FAULT ${fault.kind === 'kill' ? 'the process is killed' : 'the machine loses its power'} for ${Math.round(fault.downMs)} ms`,
      );
      node.end(fault.kind === 'kill');
      later(fault.downMs, () => restart(node, stage));
      break;
    case 'stop':
      if (process.state !== 'running') return;
      note(`FAULT stopped for ${Math.round(fault.ms)} ms`);
      process.stop();
      network.stopped(process);
      later(fault.ms, () => {
        if (process.state === 'stopped') note('goes on');
        process.goOn();
      });
      break;
    case 'slow':
      note(`FAULT ${fault.times.toFixed(1)} times slower for ${Math.round(fault.ms)} ms`);
      node.slowness = fault.times;
      process.lagMs = fault.lagMs;
      later(fault.ms, () => {
        node.slowness = 1;
        process.lagMs = 0;
      });
      break;
    case 'drain':
      drain(node, fault, stage);
      break;
    case 'pause':
      note('FAULT pauses');
      process.deliver(() => program.provider.handJobsOver('pause'));
      break;
    case 'clock':
      note(`FAULT its clock jumps by ${Math.round(fault.jumpMs)} ms`);
      node.clockJumpMs += fault.jumpMs;
      break;
    case 'engine':
      note(`FAULT the next run: ${fault.fault.how} after ${fault.fault.afterTokens} tokens`);
      program.engine.faults.push(fault.fault);
      break;
    case 'engine-gone':
      note(`FAULT the engine is gone for ${Math.round(fault.ms)} ms`);
      process.deliver(() => {
        program.engine.reachable = false;
      });
      later(fault.ms, () =>
        process.deliver(() => {
          program.engine.reachable = true;
        }),
      );
      break;
    case 'send-away': {
      const [job] = foreignJobsAt(fault.node);
      if (job === undefined) return;
      note('FAULT its user ends a job of a peer');
      process.deliver(() => void program.book.cancel(job));
      break;
    }
  }
}

/** As `node.ts` stops: nothing new, running jobs are given back, clients have their time, then it says goodbye. */
function drain(node: SimNode, fault: Extract<FaultPlan, { kind: 'drain' }>, stage: FaultStage): void {
  const { world, clientsAt } = stage;
  const { program } = node;
  if (program === undefined || program.mood.phase === 'draining') return;
  const { process, provider, announcer, mood } = program;
  world.note(
    node.index,
    undefined,
    `FAULT drains for ${Math.round(fault.graceMs)} ms, away for ${Math.round(fault.downMs)} ms`,
  );
  process.deliver(() => {
    mood.phase = 'draining';
    announcer.loadChanged();
    provider.drain();
    const over = new AbortController();
    const end = process.clock.after(fault.graceMs, () => {
      for (const client of clientsAt(node.index)) client.hangUp();
      over.abort();
    });
    const clientsOver = process.clock.after(fault.graceMs + 1, () => undefined);
    void provider.finish(over.signal).then(() => {
      end.cancel();
      clientsOver.cancel();
      for (const client of clientsAt(node.index)) client.hangUp();
      // One round of the loop more, for the last words.
      process.clock.after(10, () => {
        for (const stop of program.stops) stop();
        world.note(node.index, undefined, 'has stopped');
        if (node.program === program) node.end(true);
        world.clock.after(fault.downMs, () => restart(node, stage));
      });
    });
  });
}

function restart(node: SimNode, { world, nodes, random }: FaultStage): void {
  if (node.program !== undefined) return;
  world.note(node.index, undefined, 'starts again');
  node.start();
  node.join(
    random.some(
      nodes.filter((other) => other !== node && other.program !== undefined).map(({ index }) => index),
      3,
    ),
  );
}
