/**
 * What holds for jobs that wait at their requester: none waits longer than it may, a line moves while somebody idle could
 * take its job, and a job does not give up while somebody healthy that it knows could run it.
 */

import { JOB } from '../../limits/jobs.ts';
import type { Client } from './client.ts';
import type { Floors } from './floors.ts';
import type { SimNetwork } from './network.ts';
import type { SimNode } from './node.ts';
import type { JobPlan, Plan } from './plan.ts';
import type { World } from './world.ts';

export interface LineParts {
  readonly world: World;
  readonly plan: Plan;
  readonly network: SimNetwork;
  readonly nodes: readonly SimNode[];
  readonly floors: Floors;
}

const LOOK_EVERY_MS = 1_000;
/** The head of a line asks again at least every so often; opening a stream to somebody who is gone takes as long again. */
const MOVES_WITHIN_MS = JOB.askAgainMaxMs + JOB.openTimeoutMs + 2_000;

export class LineLaws {
  readonly #parts: LineParts;
  /** The first in each line, and since when it is the first. */
  #heads = new Map<string, { readonly client: Client; readonly since: number }>();
  /** Since when a node could take a job at once. */
  readonly #idleSince: (number | undefined)[];

  constructor(parts: LineParts) {
    this.#parts = parts;
    this.#idleSince = parts.nodes.map(() => undefined);
  }

  /** Looks again and again at those who wait. */
  watch(clients: readonly Client[]): void {
    const { world } = this.#parts;
    const look = () => {
      this.#look(clients);
      if (world.violation === undefined) world.clock.after(LOOK_EVERY_MS, look);
    };
    world.clock.after(LOOK_EVERY_MS, look);
  }

  /** Nodes that could have run a job when it failed: healthy, known to its requester, in its tier, and for long enough. */
  couldServe({ job, program }: Client): readonly number[] {
    const { nodes, plan, network } = this.#parts;
    const from = program.process.node;
    const troubled = new Set(plan.faults.flatMap((fault) => ('node' in fault ? [fault.node] : [])));
    const netTrouble = plan.faults.some(({ kind }) => kind === 'cut' || kind === 'reset');
    if (netTrouble || troubled.has(from)) return [];
    return nodes.flatMap((node) => {
      const { index } = node;
      if (troubled.has(index) || !mayRun(job, node, from, plan) || node.program === undefined) return [];
      if (index === from) return [index];
      return isTold(job, node, program) && network.mayUse(program.process, node.id) ? [index] : [];
    });
  }

  #look(clients: readonly Client[]): void {
    const { world, nodes, plan } = this.#parts;
    for (const node of nodes) {
      this.#idleSince[node.index] = this.#isIdle(node) ? (this.#idleSince[node.index] ?? world.now) : undefined;
    }
    const heads = new Map<string, Client>();
    for (const client of clients) {
      if (client.waitsSince === undefined || client.outcome !== undefined || !client.program.process.isAlive) continue;
      const { process } = client.program;
      if (process.state !== 'running' || process.lagMs > 0) continue;
      const key = `${process.node} ${client.job.model} ${client.job.privacy}`;
      const head = heads.get(key);
      if (head === undefined || client.job.at < head.job.at) heads.set(key, client);
    }
    const before = this.#heads;
    this.#heads = new Map();
    for (const [line, client] of heads) {
      const known = before.get(line);
      const head = known?.client === client ? known : { client, since: world.now };
      this.#heads.set(line, head);
      this.#checkHead(head, plan);
    }
  }

  #checkHead({ client, since }: { readonly client: Client; readonly since: number }, plan: Plan): void {
    const { world, nodes, network } = this.#parts;
    const { job, program } = client;
    const from = program.process.node;
    for (const node of nodes) {
      const idleSince = this.#idleSince[node.index];
      if (idleSince === undefined || !mayRun(job, node, from, plan)) continue;
      // Gossip may be lost, and a node whose clock was set back is not heard until it has caught up.
      const told = node.index === from || isTold(job, node, program);
      if (!told || !network.reaches(from, node.index) || !network.reaches(node.index, from)) continue;
      if (node.index !== from && !network.mayUse(program.process, node.id)) continue;
      const ms = world.now - Math.max(idleSince, since);
      if (ms <= MOVES_WITHIN_MS) continue;
      world.violate('line-moves', `waits here while n${node.index} is idle, for ${Math.round(ms)} ms`, from, job.index);
    }
  }

  /** It runs, is not hurt, and has nothing to do. */
  #isIdle({ index, program }: SimNode): boolean {
    if (program === undefined || program.process.state !== 'running' || program.mood.phase !== 'running') return false;
    if (program.process.lagMs > 0 || program.engine.status().state !== 'ready') return false;
    // A job that its user has sent away may not come back.
    if (this.#parts.plan.faults.some((fault) => fault.kind === 'send-away' && fault.node === index)) return false;
    const floor = this.#parts.floors.at(index);
    return floor === undefined || floor.process !== program.process || (floor.asked.size === 0 && floor.onEngine === 0);
  }
}

/** What a program has heard of a node last says that it has the model and takes jobs: it can act on nothing else. */
function isTold({ model }: JobPlan, { id }: SimNode, { directory }: Client['program']): boolean {
  const known = directory.get(id);
  const takes = known?.beat.status === 'idle' || known?.beat.status === 'busy';
  return takes && known.profile.models.some(({ name }) => name === model);
}

function mayRun(job: JobPlan, { index, plan }: SimNode, from: number, { nodes }: Plan): boolean {
  if (!plan.models.includes(job.model)) return false;
  if (index === from || job.privacy === 'mesh') return true;
  return job.privacy === 'friends' && nodes[from]?.friends.includes(index) === true;
}
