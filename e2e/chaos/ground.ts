/** Real processes for a program of its own: built, started, ended, and a last line that says what came of it. */

import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { FakeEngine } from '../engine/start.ts';
import { type Finished, runGogrid } from '../harness/command.ts';
import type { Environment } from '../harness/environment.ts';
import { expectHealthy } from '../harness/findings.ts';
import { type MemberOptions, Mesh } from '../harness/mesh.ts';
import { type NodeOptions, NodeProcess } from '../harness/node-process.ts';
import { useRun } from '../harness/run.ts';
import { openRun } from '../harness/setup.ts';

export interface GroundOptions {
  /** Such as `chaos`. */
  readonly name: string;
  readonly seed: number;
}

/** Where a program of its own plays: what it starts here is ended at the end. */
export interface Ground {
  readonly folder: string;
  /** One member for each node. */
  mesh(members: readonly MemberOptions[], env: Environment): Promise<Mesh>;
  node(options: Omit<NodeOptions, 'folder'>): Promise<NodeProcess>;
  /** Runs a command of the program to its end. */
  gogrid(args: readonly string[]): Promise<Finished>;
}

/**
 * Plays on ground of its own. Sets the exit code: 0 when nothing is wrong.
 * @param play returns what is wrong, as sentences
 */
export async function playOn(
  options: GroundOptions,
  play: (ground: Ground) => Promise<readonly string[]>,
): Promise<void> {
  const { run, close } = await openRun(options.name, options.seed);
  useRun(run);
  const folder = path.join(run.folder, options.name);
  await mkdir(folder, { recursive: true });
  // A node that is started again takes the place of its older self.
  const nodes = new Map<string, NodeProcess>();
  const engines: FakeEngine[] = [];
  const started = {
    node: (node: NodeProcess) => void nodes.set(node.name, node),
    engine: (engine: FakeEngine) => void engines.push(engine),
  };
  const ground: Ground = {
    folder,
    mesh: (members, env) => Mesh.start({ folder, members, env, started, within: 60_000 }),
    async node(of) {
      const node = await NodeProcess.start({ ...of, folder });
      started.node(node);
      return node;
    },
    gogrid: (args) => runGogrid(args, { folder }),
  };
  let wrong: readonly string[];
  try {
    wrong = await play(ground);
  } catch (error) {
    wrong = [error instanceof Error ? (error.stack ?? error.message) : String(error)];
  }
  const ends = await Promise.all([...nodes.values()].map(endOf));
  await Promise.all(engines.map((engine) => engine.stop()));
  const problems = [...wrong, ...ends.flat()];
  for (const problem of ends.flat()) console.log(`VIOLATION   ${problem}`);
  if (problems.length === 0) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  else console.log(`kept: ${folder}`);
  await close();
  console.log(
    problems.length === 0
      ? `${options.name} passed (seed ${options.seed})`
      : `${options.name} failed: ${problems.length} violations, the first: ${problems[0]} (seed ${options.seed})`,
  );
  process.exitCode = problems.length === 0 ? 0 : 1;
}

async function endOf(node: NodeProcess): Promise<string[]> {
  try {
    const { code, signal } = await node.stop();
    await expectHealthy(node);
    return code === 0 ? [] : [`${node.name} ended with ${signal ?? `exit code ${code}`} instead of 0`];
  } catch (error) {
    return [String(error)];
  }
}
