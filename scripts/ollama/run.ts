/** Runs the tools that a build needs. */

import { spawn } from 'node:child_process';
import { systemCode } from '../../src/errors.ts';

/** The end of what a tool printed, enough to see why it failed. */
const KEPT_CHARACTERS = 4000;

export interface RunOptions {
  readonly cwd: string;
  /** Over the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Called with every line on stderr. */
  readonly onLine?: (line: string) => void;
}

/** A tool that is not there. */
export class ToolMissing extends Error {}

/** A tool that ended with something else than 0; the message holds the end of what it printed. */
export class ToolFailed extends Error {}

/**
 * Runs a tool to its end.
 * @returns what it printed on stdout
 * @throws ToolMissing, ToolFailed
 */
export function run(command: string, args: readonly string[], { cwd, env, onLine }: RunOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    let unfinished = '';
    child.stdout.setEncoding('utf8').on('data', (piece: string) => {
      stdout += piece;
    });
    child.stderr.setEncoding('utf8').on('data', (piece: string) => {
      stderr = (stderr + piece).slice(-KEPT_CHARACTERS);
      const lines = (unfinished + piece).split('\n');
      unfinished = lines.pop() ?? '';
      for (const line of lines) onLine?.(line);
    });
    child.once('error', (error) => {
      reject(systemCode(error) === 'ENOENT' ? new ToolMissing(`there is no ${command} on this machine`) : error);
    });
    child.once('close', (code, signal) => {
      if (code === 0) return resolve(stdout);
      const how = signal === null ? `exit code ${code}` : signal;
      const told = `${stdout.slice(-KEPT_CHARACTERS)}${stderr}`.trim();
      reject(new ToolFailed(`${command} ${args[0]} ended with ${how}${told === '' ? '' : `:\n${told}`}`));
    });
  });
}
