/** Nothing of a sandbox outlives its owner, with real processes. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { openSandbox } from './sandbox.ts';

/** A program that starts another one, tells both numbers, and ends by no signal but SIGKILL. */
const STUBBORN = `
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(name, () => {});
  const { spawn } = require('node:child_process');
  const endless = 'setInterval(() => {}, 1000)';
  const child = spawn(process.execPath, ['-e', endless], { stdio: 'ignore' });
  console.error('last words');
  console.log(JSON.stringify({ pids: [process.pid, child.pid] }));
  setInterval(() => {}, 1000);
`;
const PROGRAM = ['-e', STUBBORN, '--'];

/** An owner of its own, which the test can kill. */
const OWNER = `
  import { openSandbox } from ${JSON.stringify(fileURLToPath(new URL('./sandbox.ts', import.meta.url)))};
  const sandbox = await openSandbox(${JSON.stringify(PROGRAM)});
  const program = sandbox.start([], { PATH: process.env.PATH });
  console.log(JSON.stringify({ folder: sandbox.folder, ...JSON.parse(await program.firstLine) }));
  setInterval(() => {}, 1000);
`;

/** A process that has ended may stay listed until somebody asks how; in a container that may be never. */
function isRunning(pid: number): boolean {
  try {
    if (process.platform === 'linux') return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function pidsOf(line: Promise<string | undefined>): Promise<number[]> {
  return JSON.parse((await line) ?? '{}').pids;
}

it('ends its programs with what they have started, and removes the folder with what is in it', async () => {
  const sandbox = await openSandbox(PROGRAM);
  const program = sandbox.start([], {});
  await writeFile(path.join(sandbox.folder, 'something'), 'x');
  const pids = await pidsOf(program.firstLine);
  expect(pids.map(isRunning)).toEqual([true, true]);
  expect(program.said()).toBe('last words\n');
  expect(program.dismissed).toBe(false);
  await sandbox.close();
  await expect.poll(() => pids.map(isRunning)).toEqual([false, false]);
  expect(await program.ended).toEqual({ code: null, signal: 'SIGKILL' });
  expect(program.dismissed).toBe(true);
  expect(existsSync(sandbox.folder)).toBe(false);
  expect(() => sandbox.start([], {})).toThrow('everything is being ended');
});

it('knows a program that ends by itself, without a line', async () => {
  const sandbox = await openSandbox(['-e', 'process.exit(7)', '--']);
  const program = sandbox.start([], {});
  expect(await program.firstLine).toBeUndefined();
  expect(await program.ended).toEqual({ code: 7, signal: null });
  program.kill();
  await sandbox.close();
});

it.skipIf(process.platform === 'win32').each(['SIGKILL', 'SIGTERM', 'SIGHUP'] as const)(
  'goes with its owner when that ends by %s',
  async (signal) => {
    const owner = spawn(process.execPath, ['--input-type=module', '-e', OWNER], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_OPTIONS: '--experimental-strip-types --disable-warning=ExperimentalWarning' },
    });
    const [line] = (await once(createInterface({ input: owner.stdout }), 'line')) as [string];
    const { folder, pids } = JSON.parse(line) as { folder: string; pids: number[] };
    try {
      expect(pids.map(isRunning)).toEqual([true, true]);
      owner.kill(signal);
      await expect.poll(() => pids.map(isRunning), { timeout: 5_000 }).toEqual([false, false]);
      await expect.poll(() => existsSync(folder), { timeout: 5_000 }).toBe(false);
    } finally {
      for (const pid of pids.filter(isRunning)) process.kill(pid, 'SIGKILL');
    }
  },
);
