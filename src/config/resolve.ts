/** Flag over variable over file over default: the one place where settings become a `Config`. */

import path from 'node:path';
import { GoGridError } from '../errors.ts';
import { isLoopback } from './checks.ts';
import { type ConfigFile, type FileEntry, readEntries } from './file.ts';
import { nearest } from './nearest.ts';
import { CONFIG_VERSION, SCHEMA } from './schema.ts';
import type { SettingValue } from './setting.ts';
import {
  type Config,
  findSetting,
  type NamedSetting,
  OTHER_VARIABLES,
  SETTINGS,
  type SettingName,
  valueIn,
} from './settings.ts';
import { type Checked, check, fromText, toText, type ValueProblem } from './value.ts';

/** Where a value comes from. */
export type Source =
  | { readonly kind: 'default' }
  | { readonly kind: 'file'; readonly path: string; readonly line: number }
  | { readonly kind: 'variable'; readonly variable: string }
  | { readonly kind: 'flag'; readonly flag: string };

export interface ConfigInput {
  /** By the setting's name; the texts as they were given. */
  readonly flags?: ReadonlyMap<SettingName, string>;
  /** The process's environment, or any part of it. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly file?: ConfigFile | undefined;
  /** Absolute path at which relative ones in flags and variables begin; without it they stay as they are. */
  readonly workingFolder?: string;
}

export interface ResolvedConfig {
  /** Frozen, all the way down. */
  readonly config: Config;
  readonly sources: ReadonlyMap<SettingName, Source>;
  /** What is allowed but should be known: sentences for a person. */
  readonly warnings: readonly string[];
}

interface Problem {
  readonly text: string;
  readonly notBuilt: boolean;
}

/**
 * Resolves all settings.
 * @throws GoGridError `invalid_config` with every problem there is, or `not_built` when all of them are values of parts
 *   that are not built yet
 */
export function resolveConfig(input: ConfigInput): ResolvedConfig {
  const problems: Problem[] = [];
  const values = new Map<SettingName, SettingValue>();
  const sources = new Map<SettingName, Source>();
  for (const setting of SETTINGS) {
    values.set(setting.name, setting.default);
    sources.set(setting.name, { kind: 'default' });
  }
  const { workingFolder } = input;
  const take = (setting: NamedSetting, checked: Checked, source: Source) => {
    if (!checked.ok) {
      problems.push({ text: sentence(checked.problem, source), notBuilt: checked.problem.notBuilt });
      return;
    }
    const wasTyped = source.kind === 'flag' || source.kind === 'variable';
    const isRelative = wasTyped && workingFolder !== undefined && isPath(setting);
    values.set(setting.name, isRelative ? fromFolder(workingFolder, checked.value) : checked.value);
    sources.set(setting.name, source);
  };

  if (input.file !== undefined) readFile(input.file, take, problems);
  readVariables(input.env ?? {}, take, problems);
  for (const [name, text] of input.flags ?? []) {
    const setting = findSetting(name);
    if (setting === undefined) continue;
    take(
      setting,
      fromText(setting, text),
      isEmpty(text) ? { kind: 'default' } : { kind: 'flag', flag: `--${setting.flag}` },
    );
  }
  if (problems.length > 0) throw problemsError(problems);

  const config = freeze(values);
  return { config, sources, warnings: warningsOf(config, sources) };
}

function isPath(setting: NamedSetting): boolean {
  return setting.type === 'text' && setting.isPath === true;
}

/** What begins with `~` is meant of the user's folder, which is known where the path is used. */
function fromFolder(folder: string, value: SettingValue): SettingValue {
  return typeof value !== 'string' || /^~(\/|$)/.test(value) ? value : path.resolve(folder, value);
}

/** Whether the user chose this value, in any of the three ways. */
export function isConfigured(resolved: ResolvedConfig, name: SettingName): boolean {
  return resolved.sources.get(name)?.kind !== 'default';
}

/** Says where a value comes from, for a list or an error. */
export function describeSource(source: Source): string {
  switch (source.kind) {
    case 'default':
      return 'default';
    case 'file':
      return source.line > 0 ? `${source.path}, line ${source.line}` : source.path;
    case 'variable':
      return source.variable;
    case 'flag':
      return source.flag;
  }
}

type Take = (setting: NamedSetting, checked: Checked, source: Source) => void;

function readFile(file: ConfigFile, take: Take, problems: Problem[]): void {
  const complained = new Set<string>();
  const complain = (entry: FileEntry, text: string) => {
    if (complained.has(text)) return;
    complained.add(text);
    problems.push({
      text: `${describeSource({ kind: 'file', path: file.path, line: entry.line })}: ${text}`,
      notBuilt: false,
    });
  };
  for (const entry of readEntries(file)) {
    const [section = '', key] = entry.path;
    if (key === undefined) {
      checkTopLevel(section, entry, complain);
    } else if (!Object.hasOwn(SCHEMA, section)) {
      complain(entry, `there is no section [${section}]${didYouMean(nearest(section, Object.keys(SCHEMA)), '[', ']')}`);
    } else if (key !== '') {
      const setting = findSetting(`${section}.${key}`);
      if (setting === undefined) complain(entry, unknownSetting(`${section}.${key}`));
      else take(setting, check(setting, entry.value), { kind: 'file', path: file.path, line: entry.line });
    }
  }
}

function checkTopLevel(name: string, entry: FileEntry, complain: (entry: FileEntry, text: string) => void): void {
  if (name !== 'version') {
    const meant = nearest(name, ['version', ...Object.keys(SCHEMA)]);
    const inside = SETTINGS.find((setting) => setting.key === name);
    if (Object.hasOwn(SCHEMA, name)) complain(entry, `'${name}' is a section; write [${name}]`);
    else if (inside !== undefined) complain(entry, `'${name}' belongs under [${inside.section}]`);
    else complain(entry, `there is no setting '${name}' outside of a section${didYouMean(meant)}`);
  } else if (typeof entry.value === 'number' && entry.value > CONFIG_VERSION) {
    complain(entry, `version ${entry.value} is of a newer GoGrid; this one reads version ${CONFIG_VERSION}`);
  } else if (entry.value !== CONFIG_VERSION) {
    complain(entry, `version is not ${CONFIG_VERSION}`);
  }
}

function readVariables(env: Readonly<Record<string, string | undefined>>, take: Take, problems: Problem[]): void {
  const byVariable = new Map(SETTINGS.map((setting) => [setting.variable, setting]));
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith('GOGRID_') || text === undefined || OTHER_VARIABLES.includes(variable)) continue;
    const setting = byVariable.get(variable);
    if (setting === undefined) {
      const meant = nearest(variable, [...byVariable.keys(), ...OTHER_VARIABLES]);
      problems.push({ text: `the variable ${variable} is not one of GoGrid's${didYouMean(meant)}`, notBuilt: false });
    } else if (isEmpty(text)) {
      take(setting, { ok: true, value: setting.default }, { kind: 'default' });
    } else {
      take(setting, fromText(setting, text), { kind: 'variable', variable });
    }
  }
}

function isEmpty(text: string): boolean {
  return text.trim() === '';
}

function unknownSetting(name: string): string {
  return `there is no setting '${name}'${didYouMean(
    nearest(
      name,
      SETTINGS.map((setting) => setting.name),
    ),
  )}`;
}

function didYouMean(meant: string | undefined, before = '', after = ''): string {
  return meant === undefined ? '' : `; did you mean ${before}${meant}${after}?`;
}

function sentence(problem: ValueProblem, source: Source): string {
  const allowed = `allowed: ${problem.allowed}`;
  return `${problem.setting}: '${problem.shown}' ${problem.reason} (from ${describeSource(source)}); ${allowed}`;
}

function problemsError(problems: readonly Problem[]): GoGridError {
  const texts = problems.map((problem) => problem.text);
  const [first = ''] = texts;
  return new GoGridError({
    code: problems.every((problem) => problem.notBuilt) ? 'not_built' : 'invalid_config',
    message:
      texts.length === 1
        ? first
        : `${texts.length} problems in the configuration:\n${texts.map((text) => `  - ${text}`).join('\n')}`,
    hint: '`gogrid help config` lists the ways to set a value; docs/configuration.md has every setting',
    data: { problems: texts },
  });
}

/** @throws GoGridError `invalid_config` or `not_built` when `text` is no value of this setting */
export function readValue(setting: NamedSetting, text: string): SettingValue {
  const checked = fromText(setting, text);
  if (checked.ok) return checked.value;
  const { problem } = checked;
  throw new GoGridError({
    code: problem.notBuilt ? 'not_built' : 'invalid_config',
    message: `${problem.setting}: '${problem.shown}' ${problem.reason}`,
    hint: `allowed: ${problem.allowed}`,
  });
}

/** @throws GoGridError `invalid_config`, naming the nearest one, when there is no such setting */
export function settingNamed(name: string): NamedSetting {
  const setting = findSetting(name);
  if (setting !== undefined) return setting;
  throw new GoGridError({
    code: 'invalid_config',
    message: unknownSetting(name),
    hint: '`gogrid config` lists all settings',
  });
}

function freeze(values: ReadonlyMap<SettingName, SettingValue>): Config {
  const config: Record<string, Record<string, SettingValue>> = {};
  for (const setting of SETTINGS) {
    const value = values.get(setting.name);
    const section = config[setting.section] ?? {};
    config[setting.section] = section;
    section[setting.key] = typeof value === 'object' ? Object.freeze([...value]) : value;
  }
  for (const section of Object.values(config)) Object.freeze(section);
  // Each value has passed the check of its own setting, which is what the type says.
  return Object.freeze(config) as unknown as Config;
}

function warningsOf(config: Config, sources: ReadonlyMap<SettingName, Source>): readonly string[] {
  const warnings: string[] = [];
  if (config.network.accept === 'all' && !isLoopback(config.network.listen)) {
    warnings.push(
      `network.listen is ${config.network.listen}: every machine that can reach port ${config.network.port} and runs GoGrid ` +
        "can use this machine's models, and prompts from here may run there. Open it only in a network you trust.",
    );
  }
  for (const setting of SETTINGS) {
    if (setting.built) continue;
    const value = valueIn(config, setting);
    // Switching off what does not exist yet is no surprise.
    if (value === false || toText(value) === toText(setting.default)) continue;
    const source = sources.get(setting.name) ?? { kind: 'default' };
    warnings.push(`${setting.name} is set (${describeSource(source)}) and has no effect: its part is not built yet.`);
  }
  return warnings;
}
