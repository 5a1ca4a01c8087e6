/** The program run as a person runs it: a command to its end, or one that goes on until it is told to stop. */

import type { ChildProcess } from 'node:child_process';
import { startChild } from './children.ts';
import { baseEnvironment, type Environment } from './environment.ts';
import { thisRun } from './run.ts';

export interface CommandOptions {
  /** Stands in for the user's own folder; the home is in it or given by a flag. */
  readonly folder: string;
  readonly env?: Environment;
  readonly stdin?: string;
  /** Milliseconds after which it is killed and the test fails; default 15,000. */
  readonly within?: number;
}

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs. */
export interface RunningCommand {
  /** What it has printed so far. */
  readonly output: { stdout: string; stderr: string };
  /** Resolves when it has ended and all its output is here. */
  readonly finished: Promise<Finished>;
  signal(signal: NodeJS.Signals): void;
}

export function startGogrid(args: readonly string[], options: CommandOptions): RunningCommand {
  const child = startChild(process.execPath, [thisRun().program, ...args], {
    cwd: options.folder,
    env: { ...baseEnvironment(options.folder), ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const running = follow(child);
  child.stdin?.end(options.stdin ?? '');
  return running;
}

/** @throws Error when it does not end in time */
export function runGogrid(args: readonly string[], options: CommandOptions): Promise<Finished> {
  return endOf(startGogrid(args, options), `gogrid ${args.join(' ')}`, options.within ?? 15_000);
}

/** Gathers what a process prints. */
export function follow(child: ChildProcess): RunningCommand {
  const output = { stdout: '', stderr: '' };
  // A command that ends without reading its input closes the pipe.
  child.stdin?.on('error', () => undefined);
  child.stdout?.setEncoding('utf8').on('data', (piece: string) => {
    output.stdout += piece;
  });
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
    output.stderr += piece;
  });
  const finished = new Promise<Finished>((resolve, reject) => {
    child.once('close', (code) => resolve({ code, ...output }));
    child.once('error', reject);
  });
  return { output, finished, signal: (signal) => void child.kill(signal) };
}

/** The end of a command, which is killed when it does not come `within` so many milliseconds. @throws Error then */
export async function endOf(running: RunningCommand, what: string, within: number): Promise<Finished> {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    running.signal('SIGKILL');
  }, within);
  const finished = await running.finished;
  clearTimeout(timer);
  if (late) throw new Error(`${what} did not end within ${within} ms: ${JSON.stringify(finished)}`);
  return finished;
}
