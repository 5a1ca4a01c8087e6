/** Child processes that never outlive the test run. */

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Runs TypeScript under the oldest Node that we support too; newer ones need no flag. */
export const RUN_TYPESCRIPT = ['--experimental-strip-types', '--disable-warning=ExperimentalWarning'];

let undertaker: ChildProcess | undefined;

/**
 * Starts a process as the head of a process group of its own, so that a Ctrl-C in the terminal does not reach it before the
 * test has ended it, and tells the undertaker of it.
 */
export function startChild(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  undertaker ??= startUndertaker();
  const child = spawn(command, args, { ...options, detached: true });
  const { pid } = child;
  if (pid !== undefined) {
    undertaker.stdin?.write(`+${pid}\n`);
    child.once('exit', () => undertaker?.stdin?.write(`-${pid}\n`));
  }
  return child;
}

function startUndertaker(): ChildProcess {
  const program = fileURLToPath(new URL('./undertaker.ts', import.meta.url));
  const child = spawn(process.execPath, [...RUN_TYPESCRIPT, program], {
    stdio: ['pipe', 'ignore', 'inherit'],
    detached: true,
  });
  // The run does not wait for it: it waits for the run.
  child.unref();
  (child.stdin as unknown as { unref(): void }).unref();
  return child;
}
