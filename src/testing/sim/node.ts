/** One simulated node: a machine with a disk and a key, on which its program runs, ends, and starts again. */

import type { Openers } from '../../capabilities/directory.ts';
import type { ProviderChannel } from '../../jobs/ports.ts';
import { MESH } from '../../limits/mesh.ts';
import type { NodeId } from '../../protocol/ids.ts';
import type { JobRequest } from '../../protocol/job.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { type NumberDisk, numbersOn } from '../kept-number.ts';
import { WordEngine } from '../word-engine.ts';
import type { Discovery } from './discovery.ts';
import type { Disk } from './history.ts';
import { idOf, signerOf } from './keys.ts';
import type { SimNetwork } from './network.ts';
import type { NodePlan } from './plan.ts';
import { Process } from './process.ts';
import { buildProgram, networkId, type Program } from './program.ts';
import { wordsOf } from './prompts.ts';
import { type Random, randomOf } from './random.ts';
import type { World } from './world.ts';

/** What the laws want to hear of a node while it runs. */
export interface Watcher {
  /** A provider has a request of a job in its hands. Returns the channel that the provider gets. */
  asked(node: SimNode, from: NodeId, request: JobRequest, channel: ProviderChannel): ProviderChannel;
  /** An engine runs a job. */
  runs(node: SimNode, process: Process, job: number): { wrote(tokens: number): void; ended(): void };
}

export interface NodeParts {
  readonly world: World;
  readonly network: SimNetwork;
  readonly discovery: Discovery;
  readonly watcher: Watcher;
  readonly open: Openers;
  readonly seed: number;
}

export class SimNode {
  readonly index: number;
  readonly id: NodeId;
  readonly plan: NodePlan;
  readonly disk: Disk = new Map();
  readonly #numberDisk: NumberDisk = { number: 0 };
  /** The number of the last beat that it sent, in whatever run of its program. */
  #lastBeat = -1;
  program: Program | undefined;
  /** How many times slower its engine is now. */
  slowness = 1;
  clockJumpMs = 0;
  readonly #parts: NodeParts;
  readonly #random: Random;

  constructor(index: number, plan: NodePlan, parts: NodeParts) {
    this.index = index;
    this.plan = plan;
    this.id = idOf(index);
    this.#parts = parts;
    this.#random = randomOf(parts.seed, `node ${index}`);
  }

  /** Starts its program: with what the disk has kept, and nothing else. */
  start(): void {
    const { world, network, discovery, watcher, open } = this.#parts;
    const process = new Process(this.index, world, () => this.plan.skewMs + this.clockJumpMs);
    this.program = buildProgram({
      index: this.index,
      id: this.id,
      signer: signerOf(this.index),
      plan: this.plan,
      disk: this.disk,
      process,
      network,
      discovery,
      engine: this.#engine(process),
      random: this.#random,
      log: this.#logger(),
      open,
      isFriend: (node) => this.plan.friends.some((friend) => idOf(friend) === node),
      asked: (from, request, channel) => watcher.asked(this, from, request, channel),
      runs: (job) => watcher.runs(this, process, job),
      numbers: numbersOn(this.#numberDisk, process.clock),
      sends: (beat) => this.#checkBeat(open.beat(networkId, beat).sequence),
      noteGone: (node) => world.note(this.index, undefined, `forgets ${node}`),
    });
  }

  /** Its program is gone. @param hasPower whether its machine is still there to say so */
  end(hasPower: boolean): void {
    const { program } = this;
    if (program === undefined) return;
    this.program = undefined;
    this.#parts.network.detach(program.process, hasPower);
    program.process.die();
  }

  /** Meets others, as after a start: up to three are asked for their directory. */
  join(peers: readonly number[]): void {
    const { program } = this;
    if (program === undefined) return;
    for (const peer of peers.slice(0, MESH.joinAskPeers)) {
      void this.#parts.discovery.ask(program.host, peer, 'all').catch(() => undefined);
    }
  }

  /** Others hear only what has a greater number than all they have heard, whatever its clock was set to. */
  #checkBeat(sequence: number): void {
    if (sequence <= this.#lastBeat) {
      this.#parts.world.violate('numbers-grow', `beat ${sequence} after ${this.#lastBeat}`, this.index);
    }
    this.#lastBeat = sequence;
  }

  #engine(process: Process): WordEngine {
    const { models, gapMs, loadMs, prefillMs, stopMs, perChunk, spaceBehind } = this.plan;
    const pace = {
      clock: process.clock,
      loadMs,
      prefillMs,
      stopMs,
      gapMs: () => gapMs * this.slowness * this.#random.between(0.5, 1.5),
    };
    return new WordEngine({ models, perChunk, spaceBehind, words: wordsOf, pace });
  }

  /** A defect of the real code is a violation like any other. */
  #logger(): Logger {
    const nothing = () => {};
    const error: Logger['error'] = (fields, message) =>
      this.#parts.world.violate('no-defect', `${message}: ${JSON.stringify(fields)}`, this.index);
    const logger: Logger = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error, child: () => logger };
    return logger;
  }
}
