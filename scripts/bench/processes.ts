/** Processes under measurement: started, asked for the CPU time and memory they use, ended by their ids. */

import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { startChild } from '../../e2e/harness/children.ts';

export const ROOT = path.resolve(import.meta.dirname, '../..');
export const NODE = process.execPath;

export interface Measured {
  readonly pid: number;
  /** Where it answers, such as `http://127.0.0.1:4301`. */
  readonly url: string;
  stop(): Promise<void>;
}

/* ---- what a run leaves behind: nothing ---- */

const living = new Set<ChildProcess>();
let folder: string | undefined;

/** A new folder of this run; all of them go with the run. */
export function newFolder(name: string): string {
  folder ??= mkdtempSync(path.join(tmpdir(), 'gogrid-bench-'));
  return mkdtempSync(path.join(folder, `${name}-`));
}

/**
 * Starts a process that does not outlive this one, however this one ends: Ctrl-C and errors end it here, and should this
 * process be killed, `e2e/harness/undertaker.ts` does it.
 */
export function start(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  const child = startChild(command, args, options);
  living.add(child);
  child.once('exit', () => living.delete(child));
  child.once('error', () => living.delete(child));
  return child;
}

/** Ends what still runs and removes what was written; safe to call again. */
export function leaveNothing(): void {
  for (const child of living) signal(child, 'SIGKILL');
  living.clear();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  folder = undefined;
}

/** Asks a process, and whatever it started, to end, and waits until it has. */
export async function ended(child: ChildProcess, how: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  signal(child, how);
  await exit;
}

/** To the whole process group: every process here is the head of one. */
function signal({ pid }: ChildProcess, how: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, how);
  } catch {
    // It has ended by itself.
  }
}

/* ---- programs of this folder ---- */

export function startEngine(): Promise<Measured> {
  return startServer('engine.ts', []);
}

/** The floor of every gateway written for Node (proxy.ts). */
export function startProxy(engine: string): Promise<Measured> {
  return startServer('proxy.ts', [engine]);
}

/** A program of this folder whose first line is the port at which it answers. */
export async function startServer(script: string, args: readonly string[]): Promise<Measured> {
  const { pid, said, stop } = await startScript(script, args);
  return { pid, url: `http://127.0.0.1:${said}`, stop };
}

export async function startScript(script: string, args: readonly string[]): Promise<Speaking> {
  return speaking(start(NODE, [path.join(ROOT, 'scripts/bench', script), ...args], SPEAKING));
}

/** A process that has said its first line. */
export interface Speaking {
  readonly pid: number;
  readonly said: string;
  stop(): Promise<void>;
}
export const SPEAKING: SpawnOptions = { stdio: ['ignore', 'pipe', 'inherit'] };

export async function speaking(child: ChildProcess): Promise<Speaking> {
  const said = await firstLine(child);
  return { pid: child.pid ?? 0, said, stop: () => ended(child) };
}

/** @throws Error when the process ends before it has said a line */
export async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('the process has no output');
  for await (const line of createInterface({ input: child.stdout })) {
    child.stdout.resume();
    return line;
  }
  throw new Error(`${child.spawnargs.slice(0, 3).join(' ')} ended without a word`);
}

/* ---- what they use ---- */

/** CPU time used so far by a process and its children, milliseconds; from Linux's scheduler, so not rounded to ticks. */
export function cpuMs(pid: number): number {
  let nanoseconds = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
    const children = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim();
    for (const child of children === '' ? [] : children.split(' ')) nanoseconds += cpuMs(Number(child)) * 1e6;
  }
  return nanoseconds / 1e6;
}

/** Memory of a process in RAM, MiB: `rss` as most tools show it, `pss` with what it shares counted by shares. */
export function memoryMiB(pid: number): { rss: number; pss: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]);
  return { rss: kib('Rss') / 1024, pss: kib('Pss') / 1024 };
}

/* ---- waiting ---- */

/** Resolves when `condition` holds; asks again every `everyMs` milliseconds. @throws Error after `withinMs` */
export async function until(
  what: string,
  condition: () => Promise<boolean>,
  { everyMs = 20, withinMs = 10_000 }: { everyMs?: number; withinMs?: number } = {},
): Promise<void> {
  for (const end = performance.now() + withinMs; performance.now() < end; ) {
    if (await condition().catch(() => false)) return;
    await sleep(everyMs);
  }
  throw new Error(`${what} did not happen within ${withinMs / 1000} s`);
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
