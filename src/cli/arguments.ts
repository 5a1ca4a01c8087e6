/** Reads a command's flags and words, and says what is wrong with them in a sentence. */

import { parseArgs } from 'node:util';
import { nearest } from '../config/nearest.ts';
import { GoGridError } from '../errors.ts';

export interface Option {
  readonly name: string;
  readonly short?: string;
  /** `switch` is there or not, `text` takes a value, `boolean` is both: `--x`, `--no-x`, `--x false`. */
  readonly kind: 'switch' | 'text' | 'boolean';
  /** What stands for the value in the help: `DIR`. */
  readonly placeholder?: string;
  readonly doc: string;
}

export interface Arguments {
  readonly words: readonly string[];
  /** The values of each `text` and `boolean` flag, in order; a switch that is there has one empty value. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
}

/**
 * Reads arguments against the options that a command has. Flags and words may come mixed; behind `--` all are words.
 * @param command for the errors, such as `up`
 * @throws GoGridError `usage`
 */
export function readArguments(command: string, args: readonly string[], options: readonly Option[]): Arguments {
  const byName = new Map(options.map((option) => [option.name, option]));
  const parsed = parseArgs({
    args: spellOutBooleans(args, byName),
    options: Object.fromEntries(
      options.map((option) => [
        option.name,
        {
          type: option.kind === 'switch' ? 'boolean' : 'string',
          ...(option.short === undefined ? {} : { short: option.short }),
        } as const,
      ]),
    ),
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const flags = new Map<string, string[]>();
  const words: string[] = [];
  for (const token of parsed.tokens) {
    if (token.kind === 'positional') words.push(token.value);
    if (token.kind !== 'option') continue;
    const option = byName.get(token.name);
    if (option === undefined) throw unknownFlag(command, token.rawName, [...byName.keys()]);
    if (option.kind === 'switch' && token.value !== undefined) {
      throw usage(`${token.rawName} takes no value`, command);
    }
    if (
      option.kind !== 'switch' &&
      (token.value === undefined || (!token.inlineValue && token.value.startsWith('--')))
    ) {
      throw usage(`${token.rawName} needs a value`, command);
    }
    flags.set(token.name, [...(flags.get(token.name) ?? []), token.value ?? '']);
  }
  return { words, flags };
}

/** Turns `--x` and `--no-x` of a boolean into `--x=true` and `--x=false`, which `parseArgs` has no kind for. */
function spellOutBooleans(args: readonly string[], options: ReadonlyMap<string, Option>): string[] {
  const end = args.indexOf('--');
  return args.map((arg, index) => {
    if ((end >= 0 && index >= end) || !arg.startsWith('--')) return arg;
    const name = arg.slice(2);
    if (options.get(name)?.kind === 'boolean') {
      const next = args[index + 1];
      return next === 'true' || next === 'false' ? arg : `${arg}=true`;
    }
    const negated = name.startsWith('no-') && !options.has(name) ? name.slice(3) : undefined;
    return negated !== undefined && options.get(negated)?.kind === 'boolean' ? `--${negated}=false` : arg;
  });
}

function unknownFlag(command: string, written: string, known: readonly string[]): GoGridError {
  if (/^-[0-9]/.test(written)) {
    return usage(`'${written}' begins with a minus: amounts and counts are above 0`, command);
  }
  const meant = nearest(written.replace(/^-+/, ''), known);
  const guess = meant === undefined ? '' : `; did you mean --${meant}?`;
  return usage(`there is no flag ${written}${guess}`, command);
}

/** Wrong usage of a command, with the way to its help. */
export function usage(message: string, command?: string): GoGridError {
  const help = command === undefined || command === '' ? 'gogrid --help' : `gogrid help ${command}`;
  return new GoGridError({ code: 'usage', message, hint: `see \`${help}\`` });
}
