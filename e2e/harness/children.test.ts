import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { RUN_TYPESCRIPT } from './children.ts';
import { until } from './until.ts';

/** Stands in for a test run: starts a child and goes on. */
const RUN = `
  import { startChild } from ${JSON.stringify(fileURLToPath(new URL('./children.ts', import.meta.url)))};
  const endless = 'setInterval(() => {}, 1000)';
  const child = startChild(process.execPath, ['-e', endless], { stdio: 'ignore' });
  console.log(child.pid);
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

test.each(['SIGKILL', 'SIGTERM'] as const)('no child outlives a run that ends by %s', async (signal) => {
  const run = spawn(process.execPath, [...RUN_TYPESCRIPT, '--input-type=module', '-e', RUN], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(run.stdout, 'data');
  const child = Number(line);
  expect(isRunning(child)).toBe(true);
  run.kill(signal);
  await until(() => !isRunning(child), { what: 'the child to be ended' });
});
