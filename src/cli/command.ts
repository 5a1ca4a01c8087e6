/** What a command is: what the help says of it, and the code that runs it, loaded when it is wanted. */

import type { Option } from './arguments.ts';
import { jsonFor, type Paint } from './text.ts';
import type { Home, World } from './world.ts';

/** One run of a command. */
export interface Call {
  readonly world: World;
  readonly words: readonly string[];
  readonly flags: ReadonlyMap<string, readonly string[]>;
  readonly json: boolean;
  readonly home: Home;
  /** For standard output. */
  readonly paint: Paint;
}

export interface CommandModule {
  /** @returns the exit code */
  run(call: Call): Promise<number>;
}

export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** Each way to write it, without `gogrid`. */
  readonly usage: readonly string[];
  /** A few sentences more, for its own help. */
  readonly details: string;
  /** A command line that works, and what it does. */
  readonly example: { readonly line: string; readonly does: string };
  readonly options: readonly Option[];
  /** Takes a flag for every setting. */
  readonly settings?: boolean;
  load(): Promise<CommandModule>;
}

/** The last value of a flag, or undefined when it was not given. */
export function flagOf(call: Pick<Call, 'flags'>, name: string): string | undefined {
  return call.flags.get(name)?.at(-1);
}

/** Prints an answer of the API for programs. */
export function printJson(call: Pick<Call, 'world'>, answer: unknown): void {
  const { stdout } = call.world;
  stdout.write(`${jsonFor(stdout, JSON.stringify(answer, null, 2))}\n`);
}

/** How wide what goes to standard output may be, and whether in colour. */
export function sheetOf(call: Pick<Call, 'world' | 'paint'>): { columns: number | undefined; paint: Paint } {
  return { columns: call.world.stdout.columns, paint: call.paint };
}
