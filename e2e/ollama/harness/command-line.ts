/** Ollama's own command line, pointed at a node as a person would point it; to its end, or in a terminal. */

import type { ChildProcess } from 'node:child_process';
import { inject } from 'vitest';
import { startChild } from '../../harness/children.ts';
import { until } from '../../harness/until.ts';
import { ollamaEnvironment } from './daemon.ts';

export interface CommandLineOptions {
  /** Stands in for the user's own folder. */
  readonly home: string;
  /** Of the node, such as `http://127.0.0.1:4301`. */
  readonly api: string;
}

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs. */
export interface RunningCommand {
  /** What it has printed so far. */
  readonly output: { stdout: string; stderr: string };
  readonly finished: Promise<Finished>;
  kill(): void;
}

const ENDS_WITHIN_MS = 20_000;

/** Starts a command whose output is no terminal. */
export function startOllama(args: readonly string[], options: CommandLineOptions): RunningCommand {
  return followed(spawnOllama(inject('ollama').program, args, options, 'ignore'));
}

/** Runs a command to its end. @throws Error when it does not end in time */
export async function runOllama(args: readonly string[], options: CommandLineOptions): Promise<Finished> {
  const running = startOllama(args, options);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    running.kill();
  }, ENDS_WITHIN_MS);
  const finished = await running.finished;
  clearTimeout(timer);
  if (late) throw new Error(`ollama ${args.join(' ')} did not end: ${JSON.stringify(finished)}`);
  return finished;
}

/** Types into a command that sits in a terminal, and reads its screen. */
export class Terminal {
  readonly #child: ChildProcess;
  readonly #running: RunningCommand;
  #read = 0;

  /** Opens a pseudo-terminal with util-linux's `script`, and runs the command in it. */
  constructor(args: readonly string[], options: CommandLineOptions) {
    const command = ['stty cols 200 rows 50;', 'exec', inject('ollama').program, ...args].join(' ');
    this.#child = spawnOllama(
      'script',
      ['--quiet', '--flush', '--return', '--command', command, '/dev/null'],
      options,
      'pipe',
    );
    this.#running = followed(this.#child);
    this.#child.stdout?.on('data', (piece: string) => {
      if (piece.includes(WHERE_IS_THE_CURSOR)) this.type(AT_THE_TOP);
    });
  }

  /** All that came, without the codes that move the cursor and colour. */
  get screen(): string {
    return plain(this.#running.output.stdout);
  }

  get finished(): Promise<Finished> {
    return this.#running.finished;
  }

  /** As from the keyboard. */
  type(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  /** Waits for a text that has not been waited for yet. @returns what came before it */
  async expect(pattern: RegExp, what: string): Promise<string> {
    const look = () => {
      const unread = this.screen.slice(this.#read);
      const found = pattern.exec(unread);
      if (found === null) throw new Error(JSON.stringify(unread.slice(-500)));
      return found;
    };
    const found = await until(look, { what, within: ENDS_WITHIN_MS });
    const before = this.screen.slice(this.#read, this.#read + found.index);
    this.#read += found.index + found[0].length;
    return before;
  }

  kill(): void {
    this.#running.kill();
  }
}

/** What every terminal is asked at the start, and answers; without an answer Ollama waits five seconds for it. */
const WHERE_IS_THE_CURSOR = '\u001b[6n';
const AT_THE_TOP = '\u001b[1;1R';
export const CTRL_C = '\u0003';
export const ENTER = '\r';

function spawnOllama(
  command: string,
  args: readonly string[],
  { home, api }: CommandLineOptions,
  stdin: 'pipe' | 'ignore',
): ChildProcess {
  return startChild(command, args, { cwd: home, env: ollamaEnvironment(home, api), stdio: [stdin, 'pipe', 'pipe'] });
}

function followed(child: ChildProcess): RunningCommand {
  const output = { stdout: '', stderr: '' };
  child.stdin?.on('error', () => undefined);
  child.stdout?.setEncoding('utf8').on('data', (piece: string) => {
    output.stdout += piece;
  });
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
    output.stderr += piece;
  });
  const finished = new Promise<Finished>((resolve, reject) => {
    child.once('close', (code) => resolve({ code, ...output }));
    child.once('error', reject);
  });
  return { output, finished, kill: () => void child.kill('SIGKILL') };
}

/** Escape sequences: those of ECMA-48, and single ones. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])/g;

/** A text as a person sees it. */
export function plain(text: string): string {
  return text.replaceAll(ESCAPES, '').replaceAll('\r', '');
}
