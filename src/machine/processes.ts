/** What the operating system knows of other processes. */

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { systemCode } from '../errors.ts';
import { HOME } from '../limits/program.ts';

/** The kernel counts in ticks of this many a second in everything it shows to programs (`proc(5)`, USER_HZ). */
const TICKS_PER_SECOND = 100;
/** `starttime` in `/proc/<pid>/stat`, counted from the field behind the program's name. */
const START_FIELD = 19;

/** Whether a process of this id exists; another user's counts too. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return systemCode(thrown) === 'EPERM';
  }
}

/** Asks a process to end in order. */
export function terminate(pid: number): void {
  process.kill(pid, 'SIGTERM');
}

/**
 * Calls back once when the process that started this one is gone. A shell between npm and a program dies at SIGTERM without
 * handing it on; the program then belongs to the system (or to a process that adopts orphans), which shows.
 */
export function onParentGone(listener: () => void): () => void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    listener();
  }, HOME.parentLookMs);
  timer.unref();
  return () => clearInterval(timer);
}

/**
 * When a process started, in milliseconds since 1970, to the second; undefined where that cannot be told.
 * @param env where `ps` is found, by its `PATH`; nothing else of it is passed on
 */
export async function startedAt(
  pid: number,
  env: Readonly<Record<string, string | undefined>>,
): Promise<number | undefined> {
  if (process.platform === 'linux') return startedOnLinux(pid);
  return process.platform === 'win32' ? undefined : startedByPs(pid, env);
}

async function startedOnLinux(pid: number): Promise<number | undefined> {
  try {
    const [stat, system] = await Promise.all([readFile(`/proc/${pid}/stat`, 'utf8'), readFile('/proc/stat', 'utf8')]);
    // The name in brackets may hold spaces and brackets itself.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const bootSecs = Number(/^btime (\d+)$/m.exec(system)?.[1]);
    const time = (bootSecs + Number(fields[START_FIELD]) / TICKS_PER_SECOND) * 1000;
    return Number.isFinite(time) ? time : undefined;
  } catch {
    return undefined;
  }
}

/** `lstart` is a date such as `Tue Nov 21 07:00:00 2023`, in local time. */
function startedByPs(pid: number, { PATH }: Readonly<Record<string, string | undefined>>): Promise<number | undefined> {
  return new Promise((resolve) => {
    const options = { timeout: HOME.processLookMs, env: { PATH, LC_ALL: 'C' } };
    execFile('ps', ['-o', 'lstart=', '-p', String(pid)], options, (error, output) => {
      const time = error === null ? Date.parse(output.trim()) : Number.NaN;
      resolve(Number.isNaN(time) ? undefined : time);
    });
  });
}
