/** Ollama's own command line, pointed at a node as a person would point it; to its end, or in a terminal. */

import { inject } from 'vitest';
import { startChild } from '../../harness/children.ts';
import { endOf, type Finished, follow, type RunningCommand } from '../../harness/command.ts';
import type { Stage } from '../../harness/stage.ts';
import { Terminal } from '../../harness/terminal.ts';
import { ollamaEnvironment } from './daemon.ts';

export interface CommandLineOptions {
  /** Stands in for the user's own folder. */
  readonly home: string;
  /** Of the node, such as `http://127.0.0.1:4301`. */
  readonly api: string;
}

const ENDS_WITHIN_MS = 20_000;

/** Starts a command whose output is no terminal. */
export function startOllama(args: readonly string[], { home, api }: CommandLineOptions): RunningCommand {
  const env = ollamaEnvironment(home, api);
  return follow(startChild(inject('ollama').program, args, { cwd: home, env, stdio: ['ignore', 'pipe', 'pipe'] }));
}

/** Runs a command to its end. @throws Error when it does not end in time */
export function runOllama(args: readonly string[], options: CommandLineOptions): Promise<Finished> {
  return endOf(startOllama(args, options), `ollama ${args.join(' ')}`, ENDS_WITHIN_MS);
}

/** Opens a command in a terminal. @param api of the node */
export function ollamaTerminal(stage: Stage, api: string, args: readonly string[]): Terminal {
  const words = [inject('ollama').program, ...args];
  return new Terminal(stage, { words, env: ollamaEnvironment(stage.folder, api), columns: 200 });
}
