/**
 * The stage that a scenario plays on: a folder of its own, whatever nodes and engines it starts, and the end of all of them.
 *
 * `scenario(…)` is one test with a stage of its own; `sharedStage()` is one for all tests of a file. At the end every node
 * must go at SIGTERM with exit code 0, and no node may have logged a defect. A folder of a scenario that failed is kept, with
 * homes, logs and outputs in it, and its path is printed.
 */

import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, test } from 'vitest';
import type { FakeSettings } from '../engine/settings.ts';
import { type FakeEngine, startFakeEngine } from '../engine/start.ts';
import { type CommandOptions, type Finished, type RunningCommand, runGogrid, startGogrid } from './command.ts';
import { expectHealthy } from './findings.ts';
import { type MemberOptions, Mesh, type MeshOptions } from './mesh.ts';
import { type NodeOptions, NodeProcess } from './node-process.ts';
import { type Random, randomFrom } from './random.ts';
import { thisRun } from './run.ts';

/** Time for the nodes to end, beside the scenario's own budget. */
const TEAR_DOWN_MS = 40_000;

export class Stage {
  readonly folder: string;
  readonly random: Random;
  readonly #nodes: NodeProcess[] = [];
  readonly #engines: FakeEngine[] = [];
  readonly #commands: RunningCommand[] = [];
  readonly #ends: (() => Promise<void>)[] = [];

  constructor(name: string) {
    const { folder, seed } = thisRun();
    this.folder = path.join(folder, name.replaceAll(/[^\p{L}\p{N}]+/gu, '-').slice(0, 60));
    this.random = randomFrom(seed, name);
  }

  async open(): Promise<void> {
    await mkdir(this.folder, { recursive: true });
  }

  get nodes(): readonly NodeProcess[] {
    return this.#nodes;
  }

  async engine(settings: Partial<FakeSettings> & { port?: number } = {}): Promise<FakeEngine> {
    const engine = await startFakeEngine(settings);
    this.#engines.push(engine);
    return engine;
  }

  async node(options: Partial<NodeOptions> = {}): Promise<NodeProcess> {
    const name = options.name ?? `node-${this.#nodes.length + 1}`;
    const node = await NodeProcess.start({ folder: this.folder, ...options, name });
    this.#nodes.push(node);
    return node;
  }

  /** One member for each node, or so many without engines. */
  mesh(members: readonly MemberOptions[], options: Partial<Pick<MeshOptions, 'env' | 'within'>> = {}): Promise<Mesh> {
    const started = {
      node: (node: NodeProcess) => void this.#nodes.push(node),
      engine: (engine: FakeEngine) => void this.#engines.push(engine),
    };
    return Mesh.start({ ...options, folder: this.folder, members, started });
  }

  /** Runs a command of the program to its end. */
  gogrid(args: readonly string[], options: Partial<CommandOptions> = {}): Promise<Finished> {
    return runGogrid(args, { folder: this.folder, ...options });
  }

  /** Starts a command that goes on; the end of the stage kills it, if it is still there. */
  background(args: readonly string[], options: Partial<CommandOptions> = {}): RunningCommand {
    const running = startGogrid(args, { folder: this.folder, ...options });
    this.#commands.push(running);
    return running;
  }

  /** Has something else ended with the stage, after the nodes. */
  atEnd(end: () => Promise<void>): void {
    this.#ends.push(end);
  }

  /** No node has logged a defect so far. */
  async check(): Promise<void> {
    for (const node of this.#nodes) await expectHealthy(node);
  }

  /** Ends everything. @throws Error when a node did not end as it should, or has logged a defect */
  async close(): Promise<void> {
    const ends = await Promise.allSettled(this.#nodes.map((node) => this.#end(node)));
    for (const command of this.#commands) command.signal('SIGKILL');
    await Promise.all(this.#commands.map(({ finished }) => finished));
    await Promise.all(this.#engines.map((engine) => engine.stop()));
    await Promise.all(this.#ends.map((end) => end()));
    const problems = ends.flatMap((end) => (end.status === 'rejected' ? [String(end.reason)] : []));
    if (problems.length > 0) throw new Error(problems.join('\n'));
    await this.check();
  }

  /** Keeps what a person needs to understand a failure, and says where. */
  async keep(): Promise<void> {
    for (const [index, node] of this.#nodes.entries()) {
      const file = path.join(this.folder, `${node.name}.${index + 1}`);
      await writeFile(`${file}.stdout`, node.stdout);
      await writeFile(`${file}.stderr`, node.stderr);
    }
    process.stderr.write(`kept: ${this.folder}\n`);
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #end(node: NodeProcess): Promise<void> {
    if (node.excused) return;
    const { code, signal } = await node.stop();
    if (code !== 0) throw new Error(`${node.name} ended with ${signal ?? `exit code ${code}`} instead of 0`);
  }
}

export interface ScenarioOptions {
  /** Milliseconds that the scenario may take, its start included, its end not. */
  readonly within: number;
}

/** One test with a stage of its own. */
export function scenario(name: string, { within }: ScenarioOptions, play: (stage: Stage) => Promise<void>): void {
  test(name, { timeout: within + TEAR_DOWN_MS }, async () => {
    const stage = new Stage(name);
    await stage.open();
    let failed = true;
    try {
      await inTime(within, play(stage));
      failed = false;
    } finally {
      await leave(stage, failed);
    }
  });
}

/**
 * One stage for all tests of a file, opened before the first of them.
 * @returns a function that gives what `set` made
 */
export function sharedStage<T>(name: string, set: (stage: Stage) => Promise<T>): () => T & { readonly stage: Stage } {
  let made: (T & { readonly stage: Stage }) | undefined;
  const stage = () => {
    if (made === undefined) throw new Error('the stage is not set');
    return made;
  };
  let current: Stage | undefined;
  let failed = false;
  beforeAll(async () => {
    current = new Stage(name);
    await current.open();
    failed = true;
    made = { ...(await set(current)), stage: current };
    failed = false;
  }, 60_000);
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') failed = true;
    await current?.check();
  });
  afterAll(async () => {
    if (current !== undefined) await leave(current, failed);
  }, TEAR_DOWN_MS);
  return stage;
}

/** Ends everything; what the end itself finds must not hide why the scenario failed. */
async function leave(stage: Stage, failed: boolean): Promise<void> {
  try {
    await stage.close();
  } catch (error) {
    await stage.keep();
    if (!failed) throw error;
    process.stderr.write(`${String(error)}\n`);
    return;
  }
  if (failed) await stage.keep();
  else await stage.remove();
}

async function inTime(ms: number, play: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the scenario took longer than its ${ms / 1000} s`)), ms);
  });
  try {
    await Promise.race([play, late]);
  } finally {
    clearTimeout(timer);
  }
}
