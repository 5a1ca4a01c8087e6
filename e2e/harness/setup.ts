/**
 * Once per run, before the first scenario: builds the program from the sources as they are now, and throws the dice's seed.
 *
 * The build lies in a folder of this run, so that neither an old `dist/` is tested by mistake, nor a build that somebody
 * starts meanwhile takes the files from under running nodes, nor two runs on one machine disturb each other.
 */

import { randomInt } from 'node:crypto';
import { mkdtemp, readdir, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { buildProgram } from '../../scripts/build.ts';
import type { Run } from './run.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    e2e: Run;
  }
}

const repository = fileURLToPath(new URL('../..', import.meta.url));
/** Inside the repository, where the build finds the packages with native addons. */
const BUILDS = path.join('node_modules', '.cache', 'gogrid-e2e');

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const opened = await openRun(project.name, Number(process.env.GOGRID_E2E_SEED || anySeed()));
  const { seed, folder } = opened.run;
  project.provide('e2e', opened.run);
  process.stdout.write(`${project.name}: GOGRID_E2E_SEED=${seed} replays this run; folders in ${folder}\n`);
  return opened.close;
}

export function anySeed(): number {
  return randomInt(1, 1_000_000);
}

/**
 * Builds the program into a folder of the run's own.
 * @param name what the run is of, such as `smoke`
 */
export async function openRun(name: string, seed: number): Promise<{ run: Run; close: () => Promise<void> }> {
  if (!Number.isSafeInteger(seed)) throw new Error('the seed is not a whole number');
  await removeOldBuilds();
  const build = path.join(BUILDS, `${process.pid}-${name}`);
  await buildProgram(repository, build);
  const program = path.join(repository, build, 'gogrid.js');
  const folder = await mkdtemp(path.join(tmpdir(), 'gogrid-e2e-'));
  const close = async () => {
    await rm(path.join(repository, build), { recursive: true, force: true });
    // Only an empty one goes: a scenario that failed has left its folder in it.
    await rmdir(folder).catch(() => undefined);
  };
  return { run: { seed, program, folder, cache: path.join(repository, build, 'cache') }, close };
}

/** Builds of runs that were killed; their names begin with the run's process id. */
async function removeOldBuilds(): Promise<void> {
  const builds = path.join(repository, BUILDS);
  for (const name of await readdir(builds).catch(() => [])) {
    if (!isRunning(Number.parseInt(name, 10))) await rm(path.join(builds, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
