/** What somebody writes in `gogrid chat`: text over one or several lines, and commands that begin with a slash. Pure. */

import { nearest } from '../config/nearest.ts';

export type ChatCommand =
  | { readonly name: 'model' | 'system'; readonly text: string }
  | { readonly name: 'models' | 'clear' | 'help' | 'bye' }
  /** A slash, and no command of ours. */
  | { readonly name: 'unknown'; readonly word: string; readonly meant: string | undefined };

export const COMMAND_HELP: readonly (readonly [string, string])[] = [
  ['/model NAME', 'go on with another model; without a name it lists them'],
  ['/models', 'list the models of the mesh'],
  ['/system TEXT', 'tell the model how to be; /system off takes that back'],
  ['/clear', 'begin anew: forget what was said'],
  ['/help', 'this list'],
  ['/bye', 'leave (also Ctrl-D)'],
  ['//TEXT', 'a text that begins with a slash'],
  ['"""', 'begins a text of several lines, and ends it'],
];

const BARE = ['models', 'clear', 'help', 'bye'] as const;
const NAMES = ['model', 'system', ...BARE];
const ALIASES: Readonly<Record<string, (typeof BARE)[number]>> = { '?': 'help', exit: 'bye', quit: 'bye' };

/** @returns the command on a line, or undefined when it is text for the model */
export function readCommand(line: string): ChatCommand | undefined {
  const match = /^\/(\S*)\s*([\s\S]*)$/.exec(line.trim());
  if (match === null) return undefined;
  const [, word = '', text = ''] = match;
  const name = word.toLowerCase();
  if (name === 'model' || name === 'system') return { name, text: text.trim() };
  const bare = BARE.find((each) => each === name) ?? ALIASES[name];
  if (bare !== undefined) return { name: bare };
  // A path or a comment is text: only a plain word behind the slash can have been meant as a command, and before more words
  // only one that is nearly one of ours.
  if (!/^[a-z?]+$/.test(name)) return undefined;
  const meant = nearest(name, NAMES);
  if (text !== '' && meant === undefined) return undefined;
  return { name: 'unknown', word: `/${word}`, meant: meant === undefined ? undefined : `/${meant}` };
}

/** The text for the model on a line that is no command: a second slash at its beginning only says that it is text. */
export function withoutEscape(line: string): string {
  return /^\s*\/\/\S/.test(line) ? line.replace('/', '') : line;
}

const FENCE = '"""';

/** Gathers the lines between two `"""`, as Ollama's users know it. */
export class TextBlock {
  #lines: string[] | undefined;

  /** Whether a text was begun and not ended. */
  get open(): boolean {
    return this.#lines !== undefined;
  }

  /** Takes a line. @returns the whole text, as soon as there is one */
  add(line: string): string | undefined {
    if (this.#lines === undefined) {
      if (!line.trimStart().startsWith(FENCE)) return line;
      const begun = line.trimStart().slice(FENCE.length);
      if (begun.trimEnd().endsWith(FENCE)) return begun.trimEnd().slice(0, -FENCE.length);
      this.#lines = begun === '' ? [] : [begun];
      return undefined;
    }
    const end = line.trimEnd().endsWith(FENCE);
    const rest = end ? line.trimEnd().slice(0, -FENCE.length) : line;
    if (!end || rest !== '') this.#lines.push(rest);
    if (!end) return undefined;
    const text = this.#lines.join('\n');
    this.#lines = undefined;
    return text;
  }

  /** Throws away what was begun. */
  reset(): void {
    this.#lines = undefined;
  }
}
