/** The help of the program and of each command. */

import { defaultCell } from '../config/reference.ts';
import { SETTINGS } from '../config/settings.ts';
import { allowed } from '../config/value.ts';
import type { Option } from './arguments.ts';
import type { Command } from './command.ts';
import { COMMANDS, COMMON_OPTIONS } from './commands.ts';

const WIDTH = 96;

export function programHelp(): string {
  const width = Math.max(...COMMANDS.map((command) => command.name.length));
  const commands = COMMANDS.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}`);
  return [
    'GoGrid joins the machines you own into one inference mesh behind the OpenAI and Ollama APIs.',
    '',
    'Usage: gogrid <command> [flags]',
    '',
    ...commands,
    '',
    '  gogrid help <command>   explain a command',
    '  gogrid --version        print the version',
    '',
    'Start with: gogrid up',
    '',
  ].join('\n');
}

export function commandHelp(command: Command): string {
  const lines = [
    `${command.summary}.`,
    '',
    ...command.usage.map((usage, index) => `${index === 0 ? 'Usage:' : '      '} gogrid ${usage}`),
    '',
    ...wrap(command.details, WIDTH),
    '',
    'Flags:',
    ...flagLines([...command.options, ...COMMON_OPTIONS]),
    ...(command.settings === true ? ['', 'Settings (docs/configuration.md):', ...settingLines()] : []),
    '',
    'Example:',
    `  ${command.example.line}`,
    `      ${command.example.does}`,
    '',
  ];
  return lines.join('\n');
}

/** A flag for every setting. */
export function settingOptions(): Option[] {
  return SETTINGS.map((setting) => ({
    name: setting.flag,
    kind: setting.type === 'boolean' ? 'boolean' : 'text',
    doc: setting.doc,
  }));
}

function flagLines(options: readonly Option[]): string[] {
  const names = options.map((option) => {
    const short = option.short === undefined ? '' : `-${option.short}, `;
    return `${short}--${option.name}${option.placeholder === undefined ? '' : ` ${option.placeholder}`}`;
  });
  const width = Math.max(...names.map((name) => name.length));
  return options.map((option, index) => `  ${(names[index] ?? '').padEnd(width)}  ${option.doc}`);
}

function settingLines(): string[] {
  let section = '';
  return SETTINGS.flatMap((setting) => {
    const before = setting.section === section ? [] : [`  [${setting.section}]`];
    section = setting.section;
    const values = `${allowed(setting)}; default: ${defaultCell(setting).replaceAll('`', '')}`;
    const doc = `${setting.doc.replaceAll('`', '')}${setting.built ? '' : ' Not built yet.'}`;
    return [
      ...before,
      `    --${setting.flag}`,
      ...wrap(`${doc} (${values})`, WIDTH - 8).map((line) => `        ${line}`),
    ];
  });
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return line === '' ? lines : [...lines, line];
}
