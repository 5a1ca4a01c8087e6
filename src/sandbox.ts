/**
 * A temporary folder with programs in it, which never outlive the process that opened it: not when it ends in order, and not
 * when it is killed or its terminal goes away, where no handler of its own would run.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { ProgramEnd, Sandbox, StartedProgram } from './cli/world.ts';
import { GoGridError } from './errors.ts';
import { SANDBOX } from './limits/program.ts';

/** Windows has no process groups; there a child learns from its pipe to the parent that the parent is gone. */
const GROUPS = process.platform !== 'win32';

/**
 * A process that waits for the end of its input, which comes however the owner of the other end goes, and then kills what
 * is still on its list and removes the folder. It runs from a text because it must need nothing of the program's files.
 */
const UNDERTAKER = `
  import { rmSync } from 'node:fs';
  import { createInterface } from 'node:readline';
  const [folder, groups] = process.argv.slice(1);
  const living = new Set();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});
  createInterface({ input: process.stdin })
    .on('line', (line) => living[line[0] === '+' ? 'add' : 'delete'](Number(line.slice(1))))
    .on('close', () => {
      for (const pid of living) {
        try { process.kill(groups === 'true' ? -pid : pid, 'SIGKILL'); } catch {}
      }
      rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
      process.exit(0);
    });
`;

/** This program as it was started itself: the bundle, or the sources with their loader. */
const SELF = [...process.execArgv, process.argv[1] ?? ''];

/**
 * @param program what each start runs under Node, before its own arguments
 * @throws GoGridError `home_unusable` when no temporary folder can be made
 */
export async function openSandbox(program: readonly string[] = SELF): Promise<Sandbox> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'gogrid-')).catch((thrown: Error) => {
    throw new GoGridError({
      code: 'home_unusable',
      message: `no temporary folder can be made in ${os.tmpdir()}: ${thrown.message}`,
      hint: process.platform === 'win32' ? 'set TEMP to a folder of yours' : 'set TMPDIR to a folder of yours',
      cause: thrown,
    });
  });
  const undertaker = spawn(
    process.execPath,
    ['--input-type=module', '-e', UNDERTAKER, '--', folder, String(GROUPS)],
    // A group of its own, so that Ctrl-C in the terminal leaves it alive to do its work.
    { stdio: ['pipe', 'ignore', 'ignore'], detached: true, windowsHide: true, cwd: os.tmpdir() },
  );
  const undertakerGone = gone(undertaker);
  // When it cannot be started or is gone, what remains is the orderly end.
  undertaker.stdin.on('error', () => undefined);
  const living = new Set<StartedProgram>();
  let closed = false;

  return {
    folder,
    start(args, env) {
      if (closed) throw new GoGridError({ code: 'cancelled', message: 'everything is being ended' });
      const started = startProgram([...program, ...args], env, folder);
      living.add(started);
      undertaker.stdin.write(`+${started.pid}\n`);
      void started.ended.then(() => {
        living.delete(started);
        undertaker.stdin.write(`-${started.pid}\n`);
      });
      return started;
    },
    async close() {
      closed = true;
      const ends = [...living].map((each) => {
        each.kill();
        return each.ended;
      });
      await Promise.all(ends);
      // A process that was killed may still be closing its files, which on Windows keeps the folder.
      await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
      undertaker.stdin.end();
      await undertakerGone;
    },
  };
}

function startProgram(args: readonly string[], env: Readonly<Record<string, string>>, folder: string): StartedProgram {
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env: { ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // Ctrl-C is for the command, which then ends its programs in its own order.
    detached: GROUPS,
    windowsHide: true,
  });
  const { pid = 0 } = child;
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-SANDBOX.keptStderrChars);
  });
  const lines = createInterface({ input: child.stdout });
  const firstLine = new Promise<string | undefined>((resolve) => {
    lines.once('line', resolve);
    lines.once('close', () => resolve(undefined));
  });
  let dismissed = false;
  const dismiss = (group: boolean, name: 'SIGTERM' | 'SIGKILL') => {
    dismissed = true;
    signal(child, group, name);
  };
  return {
    pid,
    firstLine,
    ended: gone(child),
    said: () => said,
    get dismissed() {
      return dismissed;
    },
    stop: () => dismiss(false, 'SIGTERM'),
    kill: () => dismiss(GROUPS, 'SIGKILL'),
  };
}

/** Resolves when the process is gone, also when it never came. */
function gone(child: ChildProcess): Promise<ProgramEnd> {
  return new Promise((resolve) => {
    child.once('exit', (code, name) => resolve({ code, signal: name }));
    child.once('error', () => resolve({ code: null, signal: null }));
  });
}

/** @param group with what it has started: its engine, above all */
function signal({ pid, exitCode, signalCode }: ChildProcess, group: boolean, name: 'SIGTERM' | 'SIGKILL'): void {
  // A process that has ended may have given its number to another.
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  try {
    process.kill(group ? -pid : pid, name);
  } catch {
    // It has just ended by itself.
  }
}
