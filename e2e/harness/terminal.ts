/** A command in a pseudo-terminal: keys go in, the screen's text comes out. */

import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';
import { startChild } from './children.ts';
import { baseEnvironment, type Environment } from './environment.ts';
import { thisRun } from './run.ts';
import type { Stage } from './stage.ts';
import { until } from './until.ts';

const SCRIPT = '/usr/bin/script';
/** util-linux has the `script` with these flags; other systems have another one, or none. */
export const hasTerminals = process.platform === 'linux' && existsSync(SCRIPT);

export const CTRL_C = '\u0003';
export const CTRL_D = '\u0004';
export const ENTER = '\r';

/** What a terminal is asked, and answers at its top; without an answer Ollama waits five seconds for it. */
const WHERE_IS_THE_CURSOR = '\u001b[6n';
const AT_THE_TOP = '\u001b[1;1R';

/** A text as a person sees it: without colours and the codes that move the cursor. */
export function plain(text: string): string {
  return stripVTControlCharacters(text).replaceAll('\r', '');
}

export interface TerminalOptions {
  /** A program with its arguments. */
  readonly words: readonly string[];
  /** All of it: nothing is inherited. */
  readonly env: Environment;
  readonly columns?: number;
}

export class Terminal {
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;
  #output = '';
  #read = 0;

  /** Starts a command in the stage's folder; the end of the stage ends it, if it is still there. */
  constructor(stage: Stage, { words, env, columns = 100 }: TerminalOptions) {
    const command = `stty cols ${columns} rows 40; exec ${words.map((word) => `'${word}'`).join(' ')}`;
    const child = startChild(SCRIPT, ['--quiet', '--flush', '--return', '--command', command, '/dev/null'], {
      cwd: stage.folder,
      env: { TERM: 'xterm', ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (piece: string) => {
      this.#output += piece;
      if (piece.includes(WHERE_IS_THE_CURSOR)) this.type(AT_THE_TOP);
    });
    // Keys that come when the command is gone already.
    child.stdin?.on('error', () => undefined);
    this.#exited = new Promise((resolve) => child.once('close', (code) => resolve(code)));
    stage.atEnd(async () => {
      child.kill('SIGKILL');
      await this.exited;
    });
  }

  /** Starts `gogrid` with these arguments. */
  static open(stage: Stage, args: readonly string[], env: Environment = {}): Terminal {
    const words = [process.execPath, thisRun().program, ...args];
    return new Terminal(stage, { words, env: { ...baseEnvironment(stage.folder), ...env } });
  }

  /** All that came, as a person sees it. */
  get screen(): string {
    return plain(this.#output);
  }

  /** The command's exit code. */
  get exited(): Promise<number | null> {
    return this.#exited;
  }

  /** As from the keyboard. */
  type(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  /** Waits for text that has not been waited for yet. @returns what came before it, and itself */
  async expect(pattern: RegExp, within = 15_000): Promise<string> {
    const look = () => {
      const found = pattern.exec(this.screen.slice(this.#read));
      if (found === null) throw new Error(JSON.stringify(this.screen.slice(this.#read).slice(-500)));
      return found;
    };
    const found = await until(look, { what: `${pattern} on the screen`, within });
    const end = this.#read + found.index + found[0].length;
    const text = this.screen.slice(this.#read, end);
    this.#read = end;
    return text;
  }
}
