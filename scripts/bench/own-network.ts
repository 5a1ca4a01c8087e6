/**
 * A network namespace of one's own (Linux): nothing but one's own traffic passes its loopback device, so that the device's
 * counters are that traffic, headers of IP and TCP included; and nothing of the world outside can be reached.
 */

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import path from 'node:path';
import { NODE } from './processes.ts';
import type { RunOptions } from './report.ts';

const MARK = 'GOGRID_BENCH_OWN_NETWORK';

/** Whether this process was started by `runInOwnNetwork`. */
export function inOwnNetwork(): boolean {
  return process.env[MARK] === '1';
}

/** The command as it runs in a namespace of its own, with its loopback device up. */
export function insideOwnNetwork(command: readonly string[]): [string, ...string[]] {
  const up = 'ip link set lo up && exec "$@"';
  return ['unshare', '--user', '--map-root-user', '--net', 'sh', '-c', up, 'sh', ...command];
}

/** Whether the system lets us have one. */
export function hasOwnNetworks(): Promise<boolean> {
  return succeeds(insideOwnNetwork(['true']), 'ignore');
}

/** Runs a benchmark in a namespace of its own; false where the system does not let us have one. */
export async function runInOwnNetwork(name: string, { scale, program, beside }: RunOptions): Promise<boolean> {
  if (!(await hasOwnNetworks())) return false;
  const command = [
    NODE,
    path.join(import.meta.dirname, 'main.ts'),
    name,
    '--scale',
    String(scale),
    '--program',
    program,
  ];
  if (beside !== undefined) command.push('--beside', beside);
  if (!(await succeeds(insideOwnNetwork(command), 'inherit'))) process.exitCode = 1;
  return true;
}

/** However this process ends, the other one's input ends with it, and `endWithParent` ends that one. */
async function succeeds(
  [command, ...args]: readonly [string, ...string[]],
  output: 'ignore' | 'inherit',
): Promise<boolean> {
  const child = spawn(command, args, { stdio: ['pipe', output, output], env: { ...process.env, [MARK]: '1' } });
  const code = await new Promise((resolve) => child.once('exit', resolve).once('error', () => resolve(undefined)));
  return code === 0;
}

/** For a process that was started by `runInOwnNetwork`. */
export function endWithParent(): void {
  const { stdin } = process;
  stdin.once('close', () => process.exit(130)).resume();
  // It does not keep this process alive.
  if (stdin instanceof Socket) stdin.unref();
}

/** Bytes and packets that have passed the loopback device; each was sent once and received once. */
export function loopbackTraffic(): { bytes: number; packets: number } {
  const line = readFileSync('/proc/net/dev', 'utf8')
    .split('\n')
    .find((each) => each.trim().startsWith('lo:'));
  const [bytes, packets] = (line?.split(':')[1] ?? '').trim().split(/\s+/).map(Number);
  return { bytes: bytes ?? Number.NaN, packets: packets ?? Number.NaN };
}
