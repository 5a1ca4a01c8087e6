/** What programs that run simulated histories share: their arguments, and the processes that they share the seeds among. */

import { fork } from 'node:child_process';

/** Milliseconds of real time, for a run that is bounded by something else. */
const WITHOUT_END_MS = 6e10;

/** Runs this same program once more, as a worker with a job. @returns what it says at the end @throws Error when it ends before */
export function inChild<Job extends object, Result>(program: string, job: Job): Promise<Result> {
  const child = fork(program, process.argv.slice(2));
  return new Promise((resolve, reject) => {
    child.on('message', (message) => {
      resolve(message as Result);
      child.disconnect();
    });
    child.on('exit', (code) => reject(new Error(`a worker ended with ${code}`)));
    child.send(job);
  });
}

/** The other end of `inChild`. */
export async function asChild<Job, Result>(work: (job: Job) => Promise<Result>): Promise<void> {
  const job = await new Promise<Job>((resolve) => process.once('message', (message) => resolve(message as Job)));
  process.send?.(await work(job));
}

/** Of `--minutes`, in milliseconds. */
export function realTimeOf(minutes: string | undefined): number {
  return minutes === undefined ? WITHOUT_END_MS : Number(minutes) * 60_000;
}

/** The seed that was asked for, or a fresh one. @throws Error */
export function seedOf(text: string | undefined): number {
  return text === undefined ? (crypto.getRandomValues(new Uint32Array(1))[0] ?? 1) : wholeNumber('seed', text);
}

/** Of `1,2,3`. */
export function indexes(text: string): Set<number> {
  return new Set(text.split(',').filter(Boolean).map(Number));
}

/** Of `--nodes 3..30`, or of one number. @throws Error */
export function rangeOf(text: string | undefined): readonly [number, number] | undefined {
  if (text === undefined) return undefined;
  const [from, to] = /^(\d+)(?:\.\.(\d+))?$/.exec(text)?.slice(1) ?? [];
  if (from === undefined) throw new Error(`--nodes ${text}: a number, or a range such as 3..30`);
  return [Number(from), Number(to ?? from)];
}

/** @throws Error that names the flag */
export function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} ${text}: not a whole number`);
  return value;
}

/** What was simulated in all. @param ms of real time */
export function printTotals(
  {
    histories,
    events,
    virtualMs,
    tally,
  }: { histories: number; events: number; virtualMs: number; tally: Record<string, number> },
  ms: number,
): void {
  console.log(
    `${histories} histories in ${(ms / 1000).toFixed(1)} s: ${Math.round((histories * 3_600_000) / ms)} an hour`,
  );
  console.log(`${events} events, ${(virtualMs / 3_600_000).toFixed(1)} hours of virtual time`);
  for (const [what, often] of Object.entries(tally).toSorted()) console.log(`  ${String(often).padStart(9)}  ${what}`);
}
