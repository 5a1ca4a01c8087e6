/** Finds the command, runs it, and turns whatever goes wrong into a sentence and an exit code. */

import { nearest } from '../config/nearest.ts';
import { GoGridError } from '../errors.ts';
import { usage } from './arguments.ts';
import { reportError } from './cli-error.ts';
import type { Command } from './command.ts';
import { COMMANDS, COMMON_OPTIONS, PLANNED } from './commands.ts';
import { spelled } from './program.ts';
import { painter } from './text.ts';
import type { World } from './world.ts';

/** Runs one command line. @returns the exit code (docs/cli.md) */
export async function runCli(world: World): Promise<number> {
  try {
    return await dispatch(world);
  } catch (thrown) {
    return reportError(world, thrown, world.args.includes('--json'));
  }
}

async function dispatch(world: World): Promise<number> {
  const { word, rest } = splitCommand(world.args);
  if (word === undefined) return showProgramHelp(world, rest);
  if (word === 'help') return showHelp(world, rest);
  const command = COMMANDS.find((each) => each.name === word);
  if (command === undefined) throw unknownCommand(word);
  // Behind `--` stands text, which may well be the word --help.
  const end = rest.indexOf('--');
  const flags = end < 0 ? rest : rest.slice(0, end);
  if (flags.includes('--help') || flags.includes('-h')) return showHelp(world, [word]);

  const { readArguments } = await import('./arguments.ts');
  const given = readArguments(word, rest, [
    ...command.options,
    ...(await optionsOfSettings(command)),
    ...COMMON_OPTIONS,
  ]);
  const homes = given.flags.get('home');
  if (homes?.at(-1)?.trim() === '') throw usage('--home needs a folder', word);
  const home = await world.home(homes?.at(-1));
  const json = given.flags.has('json');
  const module = await command.load();
  return module.run({ world, words: given.words, flags: given.flags, json, home, paint: painter(world, world.stdout) });
}

/** The first word that is no flag is the command; `--home` and `--json` may stand before it. */
function splitCommand(args: readonly string[]): {
  readonly word: string | undefined;
  readonly rest: readonly string[];
} {
  let at = 0;
  while (args[at]?.startsWith('-') === true) at += args[at] === '--home' ? 2 : 1;
  return { word: args[at], rest: [...args.slice(0, at), ...args.slice(at + 1)] };
}

async function showProgramHelp(world: World, flags: readonly string[]): Promise<number> {
  if (flags.includes('--version') || flags.includes('-v')) {
    world.stdout.write(`gogrid ${world.version}\n`);
    return 0;
  }
  const unknown = flags.find((flag) => !['--help', '-h', '--json', '--home'].includes(flag.split('=')[0] ?? ''));
  if (unknown !== undefined) {
    const meant = nearest(unknown, ['--help', '--version', '--home', '--json']);
    throw usage(`there is no flag ${unknown}${meant === undefined ? '' : `; did you mean ${meant}?`}`);
  }
  const { programHelp } = await import('./help.ts');
  world.stdout.write(spelled(programHelp(), world.program));
  return 0;
}

async function showHelp(world: World, words: readonly string[]): Promise<number> {
  const { programHelp, commandHelp } = await import('./help.ts');
  const word = words.find((each) => !each.startsWith('-'));
  const command = COMMANDS.find((each) => each.name === word);
  if (word !== undefined && command === undefined) throw unknownCommand(word);
  world.stdout.write(spelled(command === undefined ? programHelp() : commandHelp(command), world.program));
  return 0;
}

async function optionsOfSettings(command: Command) {
  if (command.settings !== true) return [];
  const { settingOptions } = await import('./help.ts');
  return settingOptions();
}

function unknownCommand(word: string): GoGridError {
  if (PLANNED.includes(word)) {
    return new GoGridError({
      code: 'not_built',
      message: `gogrid ${word} is planned and not built yet`,
      hint: '`gogrid --help` lists what there is',
    });
  }
  const meant = nearest(
    word,
    COMMANDS.map((command) => command.name),
  );
  return usage(`there is no command '${word}'${meant === undefined ? '' : `; did you mean '${meant}'?`}`);
}
