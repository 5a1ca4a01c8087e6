import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { isAlive, startedAt, terminate } from './processes.ts';

/** Above the highest process id that Linux gives. */
const NOBODY = 2 ** 22 + 1;

it('tells whether a process is there', () => {
  expect(isAlive(process.pid)).toBe(true);
  expect(isAlive(NOBODY)).toBe(false);
});

it.skipIf(process.platform === 'win32')('tells when a process started, to the second or two', async () => {
  const own = Date.now() - process.uptime() * 1000;
  const told = (await startedAt(process.pid, process.env)) ?? 0;
  expect(Math.abs(told - own)).toBeLessThan(2_500);
  expect(await startedAt(NOBODY, process.env)).toBeUndefined();
});

it.skipIf(process.platform === 'win32')('asks a process to end', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  const ended = once(child, 'exit');
  await once(child, 'spawn');
  terminate(child.pid ?? 0);
  expect((await ended)[1]).toBe('SIGTERM');
});

it.skipIf(process.platform === 'win32')('notices that the process which started it is gone', async () => {
  const module = new URL('./processes.ts', import.meta.url).href;
  const script = `const { onParentGone } = await import('${module}');
    onParentGone(() => { console.log('orphan'); process.exit(0); });
    console.log('ready');
    setInterval(() => {}, 1000);`;
  // As npm has it: a shell that waits for the program, and dies at SIGTERM without a word to it.
  const shell = spawn('sh', ['-c', '"$0" --input-type=module -e "$1"; :', process.execPath, script]);
  const said: string[] = [];
  shell.stdout.setEncoding('utf8').on('data', (text: string) => said.push(text));
  await expect.poll(() => said.join(''), { timeout: 8_000 }).toContain('ready');
  shell.kill('SIGTERM');
  await expect.poll(() => said.join(''), { timeout: 8_000 }).toContain('orphan');
});
