/** A command of the program in a pseudo-terminal: keys go in, the screen's text comes out. */

import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';
import { inject } from 'vitest';
import { startChild } from './children.ts';
import { baseEnvironment, type Environment } from './environment.ts';
import type { Stage } from './stage.ts';
import { until } from './until.ts';

const SCRIPT = '/usr/bin/script';
/** util-linux has the `script` with these flags; other systems have another one, or none. */
export const hasTerminals = process.platform === 'linux' && existsSync(SCRIPT);

export const CTRL_C = '\u0003';
export const CTRL_D = '\u0004';
export const ENTER = '\r';

const COLUMNS = 100;

export class Terminal {
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;
  #output = '';
  #read = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (piece: string) => {
      this.#output += piece;
    });
    // Keys that come when the command is gone already.
    child.stdin?.on('error', () => undefined);
    this.#exited = new Promise((resolve) => child.once('close', (code) => resolve(code)));
  }

  /** Starts `gogrid` with these arguments; the end of the stage ends it, if it is still there. */
  static open(stage: Stage, args: readonly string[], env: Environment = {}): Terminal {
    const words = [process.execPath, inject('e2e').program, ...args];
    const command = `stty cols ${COLUMNS} rows 40; exec ${words.map((word) => `'${word}'`).join(' ')}`;
    const child = startChild(SCRIPT, ['--quiet', '--flush', '--return', '--command', command, '/dev/null'], {
      cwd: stage.folder,
      env: { ...baseEnvironment(stage.folder), TERM: 'xterm', ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const terminal = new Terminal(child);
    stage.atEnd(async () => {
      child.kill('SIGKILL');
      await terminal.exited;
    });
    return terminal;
  }

  /** All that came, without colours and the codes that move the cursor. */
  get screen(): string {
    return stripVTControlCharacters(this.#output).replaceAll('\r\n', '\n');
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
