/** Runs one history from its plan to its end. */

import type { Openers } from '../../capabilities/directory.ts';
import { openBeat } from '../../protocol/beat.ts';
import { openProfile } from '../../protocol/profile.ts';
import { caughtBy } from './caught.ts';
import { Client } from './client.ts';
import { Discovery } from './discovery.ts';
import { inflict } from './faults.ts';
import { idOf } from './keys.ts';
import { checkLeftOvers, Laws } from './laws.ts';
import { LineLaws } from './lines.ts';
import { SimNetwork } from './network.ts';
import { SimNode } from './node.ts';
import type { Plan } from './plan.ts';
import type { Program } from './program.ts';
import { randomOf } from './random.ts';
import { checkRecords } from './records.ts';
import type { TraceLine } from './trace.ts';
import { type Violation, World } from './world.ts';

export interface Result {
  readonly plan: Plan;
  readonly violation: Violation | undefined;
  /** Of everything that happened. */
  readonly hash: string;
  /** Empty unless somebody wants to read them. */
  readonly lines: readonly TraceLine[];
  readonly events: number;
  readonly virtualMs: number;
  /** How the jobs ended, by kind or code. */
  readonly outcomes: ReadonlyMap<string, number>;
  /** What happened how often. */
  readonly tally: ReadonlyMap<string, number>;
}

/** After the last fault: every job ends within this time, besides what the engines need for all of them. */
const SETTLE_MS = 400_000;
/** After the last job: streams are closed, transcripts forgotten. */
const QUIET_MS = 75_000;
/** After the end of every program: dials and questions that were on their way. */
const LAST_MS = 15_000;

export async function simulate(plan: Plan, keepTrace = false): Promise<Result> {
  const world = new World(keepTrace);
  const ids = plan.nodes.map((_, index) => idOf(index));
  const indexes = new Map(ids.map((id, index) => [id, index]));
  const network = new SimNetwork(world, plan, ids);
  const laws = new Laws({ world, plan, network: () => network, indexOf: (id) => indexes.get(id) ?? -1 });
  const discovery = new Discovery(network, world, plan);
  const open = openOnce();
  const nodes = plan.nodes.map(
    (node, index) => new SimNode(index, node, { world, network, discovery, watcher: laws, open, seed: plan.seed }),
  );
  world.afterEvent((index) => laws.checkNode(nodes[index] as SimNode));
  const clients: Client[] = [];
  const lines = new LineLaws({ world, plan, network, nodes, floors: laws.floors });
  lines.watch(clients);
  const leave = caughtBy(world);
  try {
    begin(plan, world, network, nodes);
    schedule(plan, { world, network, nodes, laws, lines, clients });
    const over = () => world.now >= plan.calmAt && clients.every(isOver);
    const workMs = plan.jobs.reduce((sum, { words, readerMs }) => sum + words * (60 + readerMs) + 10_000, 0);
    const ended = await world.run(plan.calmAt + SETTLE_MS + workMs, over);
    if (!ended) nameTheLost(clients, world);
    await world.run(world.now + QUIET_MS);
    finish(nodes, world);
    await world.run(world.now + LAST_MS);
    checkRecords(clients, nodes, (job) => laws.seenBy(job), world);
    for (const { index, process } of stopped(nodes)) {
      if (process.timers > 0) world.violate('nothing-left', `${process.timers} timers`, index);
    }
  } finally {
    leave();
  }
  const outcomes = new Map<string, number>();
  for (const { outcome } of clients) {
    const name = outcome === undefined ? 'gone with its node' : outcome.kind === 'done' ? 'done' : outcome.code;
    outcomes.set(name, (outcomes.get(name) ?? 0) + 1);
    world.count(`job ${name}`);
  }
  const { violation, trace, events, tally, now: virtualMs } = world;
  return { plan, violation, hash: trace.hash, lines: trace.lines, events, virtualMs, outcomes, tally };
}

interface Stage {
  readonly world: World;
  readonly network: SimNetwork;
  readonly nodes: readonly SimNode[];
  readonly laws: Laws;
  readonly lines: LineLaws;
  readonly clients: Client[];
}

/** Everybody starts, is connected to some of the others, and knows them. */
function begin(plan: Plan, world: World, network: SimNetwork, nodes: readonly SimNode[]): void {
  const random = randomOf(plan.seed, 'begin');
  for (const node of nodes) node.start();
  for (const node of nodes) {
    for (const other of random.some(nodes, 12)) {
      if (other.index <= node.index || node.program === undefined || other.program === undefined) continue;
      network.connect(node.program.process, other.program.process);
    }
    node.join(
      random
        .some(
          nodes.filter((other) => other !== node),
          3,
        )
        .map(({ index }) => index),
    );
  }
  world.note(undefined, undefined, `${nodes.length} nodes have started`);
}

function schedule(plan: Plan, { world, network, nodes, laws, lines, clients }: Stage): void {
  const faulty = plan.faults.length > 0 || plan.gossipLoss > 0;
  const late = plan.faults.some(({ kind }) => kind === 'stop' || kind === 'slow');
  for (const job of plan.jobs) {
    world.clock.after(job.at, () => {
      const program = nodes[job.node]?.program;
      if (program === undefined || program.mood.phase === 'draining') return;
      const served = plan.nodes.some(({ models }) => models.includes(job.model));
      program.process.deliver(() => {
        const client = new Client(job, program, world, {
          faulty,
          served,
          late,
          shortJobs: plan.nodes.some(({ maxJobMs }) => maxJobMs < 60_000),
          maxWaitMs: plan.nodes[job.node]?.maxWaitMs ?? 0,
          couldServe: (asking) => lines.couldServe(asking),
        });
        clients.push(client);
        void client.run().then(() => laws.jobEnded(job.index));
      });
    });
  }
  const random = randomOf(plan.seed, 'faults');
  const clientsAt = (node: number) =>
    clients.filter((client) => client.program === nodes[node]?.program && client.outcome === undefined);
  const foreignJobsAt = (node: number) => laws.floors.foreignJobsAt(node);
  for (const fault of plan.faults) {
    world.clock.after(fault.at, () => inflict(fault, { world, network, nodes, random, clientsAt, foreignJobsAt }));
  }
}

/** A client whose node is gone waits for nothing any more. */
function isOver(client: Client): boolean {
  return client.outcome !== undefined || !client.program.process.isAlive;
}

function nameTheLost(clients: readonly Client[], world: World): void {
  for (const client of clients) {
    if (isOver(client)) continue;
    const text = `it has no end ${Math.round(world.now)} ms after the beginning`;
    world.violate('no-job-lost', text, client.program.process.node, client.job.index);
  }
}

const lastPrograms = new WeakMap<SimNode, Program>();

function finish(nodes: readonly SimNode[], world: World): void {
  for (const node of nodes) {
    const { program } = node;
    if (program === undefined || world.violation !== undefined) continue;
    checkLeftOvers(node, world);
    for (const stop of program.stops) stop();
    lastPrograms.set(node, program);
  }
}

function* stopped(nodes: readonly SimNode[]) {
  for (const node of nodes) {
    const program = lastPrograms.get(node);
    if (program !== undefined) yield { index: node.index, process: program.process };
  }
}

/** Each signature is checked when it is first seen in a history, and not again by every other directory. */
function openOnce(): Openers {
  const profiles = onceByBytes(openProfile);
  const beats = onceByBytes(openBeat);
  return { profile: profiles, beat: beats };
}

function onceByBytes<T>(open: (networkId: Uint8Array, bytes: Uint8Array) => T) {
  const known = new Map<string, T>();
  return (networkId: Uint8Array, bytes: Uint8Array): T => {
    const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
    const value = known.get(key) ?? open(networkId, bytes);
    known.set(key, value);
    return value;
  };
}
