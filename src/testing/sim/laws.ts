/** The laws of a history that are about nodes: checked while it runs, and when it is over. */

import type { ProviderChannel } from '../../jobs/ports.ts';
import type { NodeId } from '../../protocol/ids.ts';
import type { JobRequest } from '../../protocol/job.ts';
import { ExclusiveRuns } from './exclusive.ts';
import { Floors } from './floors.ts';
import type { LawParts } from './law-parts.ts';
import type { SimNode, Watcher } from './node.ts';
import type { Process } from './process.ts';
import { jobOf } from './prompts.ts';
import { ProviderLaws } from './provider-laws.ts';
import type { World } from './world.ts';

export class Laws implements Watcher {
  readonly floors: Floors;
  readonly #parts: LawParts;
  readonly #exclusive: ExclusiveRuns;
  readonly #providers: ProviderLaws;
  /** By index of the job: who had its prompt in hand. */
  readonly #seenBy = new Map<number, Set<NodeId>>();

  constructor(parts: LawParts) {
    this.#parts = parts;
    this.floors = new Floors(parts.world);
    this.#exclusive = new ExclusiveRuns(parts);
    this.#providers = new ProviderLaws(parts, this.floors);
  }

  asked(node: SimNode, from: NodeId, request: JobRequest, channel: ProviderChannel): ProviderChannel {
    const job = jobOf(request.input);
    this.#checkPrivacy(node, from, job);
    this.#seenBy.set(job, (this.#seenBy.get(job) ?? new Set()).add(node.id));
    const asked = from === node.id ? 'asked by its own user' : `asked by n${this.#parts.indexOf(from)}`;
    if (request.resume !== undefined) this.#parts.world.count('asked to go on');
    const resumes = request.resume === undefined ? '' : `, to go on behind token ${request.resume.tokens}`;
    this.#parts.world.note(node.index, job, `${asked}${resumes}`);
    return this.floors.watch(node, this.#parts.indexOf(from), job, request, channel);
  }

  runs(node: SimNode, process: Process, job: number) {
    const { world } = this.#parts;
    const run = this.#exclusive.begins(node, process, job);
    const { floor, account, ended } = this.floors.runs(process, job);
    world.note(node.index, job, 'engine starts');
    let tokens = 0;
    return {
      wrote: (count: number) => {
        tokens += count;
        if (floor !== undefined && account >= 0 && account !== node.index)
          this.#providers.served(floor, account, count);
      },
      ended: () => {
        world.note(node.index, job, `engine ends after ${tokens} tokens`);
        ended();
        run.ends();
      },
    };
  }

  /** Nodes that had the prompt of a job in their hands. */
  seenBy(job: number): Iterable<NodeId> {
    return this.#seenBy.get(job) ?? [];
  }

  /** A client has the end of its job. */
  jobEnded(job: number): void {
    this.#exclusive.ended(job);
  }

  /** Holds after every event, of every node that did something in it. */
  checkNode({ index, program, plan }: SimNode): void {
    if (program === undefined) return;
    const { depth } = program.requester.waiting;
    if (depth > plan.maxWaiting) {
      this.#parts.world.violate('bounds', `${depth} jobs in a waiting line of ${plan.maxWaiting}`, index);
    }
    this.#providers.check(index);
  }

  #checkPrivacy(node: SimNode, from: NodeId, index: number): void {
    const { plan, world, indexOf } = this.#parts;
    const job = plan.jobs.find((candidate) => candidate.index === index);
    if (job === undefined || from === node.id) return;
    const friends = plan.nodes[indexOf(from)]?.friends ?? [];
    const may = job.privacy === 'mesh' || (job.privacy === 'friends' && friends.includes(node.index));
    if (!may)
      world.violate('privacy', `a prompt for '${job.privacy}' of n${indexOf(from)} came here`, node.index, index);
  }
}

/** Holds when every job is over and everybody has had time to notice. */
export function checkLeftOvers(node: SimNode, world: World): void {
  const { program, index } = node;
  if (program === undefined) return;
  const { provider, requester, book, engine } = program;
  const left = (what: string) => world.violate('nothing-left', what, index);
  const { depth, running } = provider.load;
  if (running > 0 || depth > 0) left(`${running} jobs run and ${depth} wait at the provider`);
  if (engine.active > 0) left(`${engine.active} runs of the engine`);
  if (requester.waiting.depth > 0) left(`${requester.waiting.depth} jobs in the waiting line`);
  const totals = book.totals();
  if (totals.running > 0 || totals.queued > 0) left(`the book has ${totals.running} running, ${totals.queued} queued`);
}
