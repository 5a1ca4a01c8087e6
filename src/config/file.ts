/** The configuration file as text: TOML read with the line of every key, and changed without losing a comment. */

import { parse, parseDocument, patch } from '@decimalturn/toml-patch';
import { GoGridError } from '../errors.ts';
import { CONFIG_VERSION } from './schema.ts';
import type { SettingValue } from './setting.ts';
import type { NamedSetting } from './settings.ts';

/** A file's text and the name by which errors call it. */
export interface ConfigFile {
  readonly path: string;
  readonly text: string;
}

export interface FileEntry {
  /** `[section, key]`, or one name at the top level; deeper where the file nests deeper than any setting. */
  readonly path: readonly string[];
  readonly value: unknown;
  /** Counted from 1; 0 when it is not known. */
  readonly line: number;
}

/** First lines of a file that this program creates. */
export const NEW_FILE = `# GoGrid's settings. docs/configuration.md describes them all; \`gogrid config\` shows what holds and why.
version = ${CONFIG_VERSION}
`;

type Tree = Record<string, unknown>;

/**
 * Reads the file's entries, in no particular order. What they mean is not checked here.
 * @throws GoGridError `invalid_config` when it is not TOML, with line and column
 */
export function readEntries(file: ConfigFile): readonly FileEntry[] {
  const lines = keyLines(file);
  const entries: FileEntry[] = [];
  for (const [name, value] of Object.entries(parseTree(file))) {
    const line = lines.get(name) ?? 0;
    if (!isTable(value)) {
      entries.push({ path: [name], value, line });
      continue;
    }
    const inside = Object.entries(value);
    if (inside.length === 0) entries.push({ path: [name, ''], value: undefined, line });
    for (const [key, inner] of inside) {
      entries.push({ path: [name, key], value: inner, line: lines.get(`${name}.${key}`) ?? line });
    }
  }
  return entries;
}

/**
 * Puts a value into the file's text; comments and everything else stay as they are.
 * @throws GoGridError `invalid_config` when the text is not TOML, or has something else in the setting's place
 */
export function setInFile(file: ConfigFile, setting: NamedSetting, value: SettingValue): string {
  const tree = parseTree(file);
  const section = tree[setting.section];
  if (section !== undefined && !isTable(section)) {
    throw new GoGridError({
      code: 'invalid_config',
      message: `${file.path}: '${setting.section}' is not a section`,
      hint: `write [${setting.section}] on a line of its own`,
    });
  }
  const wanted = { ...tree, [setting.section]: { ...section, [setting.key]: value } };
  const line = `${setting.key} = ${toToml(value)}`;
  if (section === undefined) return appendSection(file.text, setting.section, line);
  const inserted = Object.hasOwn(section, setting.key) ? undefined : insertLine(file, setting.section, line);
  return inserted ?? ended(patch(file.text, wanted), newlineOf(file.text));
}

/** Takes a setting out of the file's text, so that its default holds; the text itself when it is not in it. */
export function unsetInFile(file: ConfigFile, setting: NamedSetting): string {
  const tree = parseTree(file);
  const section = tree[setting.section];
  if (!isTable(section) || !Object.hasOwn(section, setting.key)) return file.text;
  const { [setting.key]: _, ...rest } = section;
  return ended(patch(file.text, { ...tree, [setting.section]: rest }), newlineOf(file.text));
}

function appendSection(text: string, section: string, line: string): string {
  const newline = newlineOf(text);
  const before = text === '' ? '' : `${ended(text, newline)}${newline}`;
  return `${before}[${section}]${newline}${line}${newline}`;
}

/**
 * Adds a key right under the last one of its section, when the section has a header of its own. The library puts it at
 * the section's very end, which is behind the comment that introduces the next section.
 */
function insertLine(file: ConfigFile, section: string, line: string): string | undefined {
  const table = blocksOf(file).find((block) => block.type === 'Table' && names(block).join('.') === section);
  if (table === undefined) return undefined;
  const last = (table.items ?? []).findLast((item) => item.type === 'KeyValue');
  const newline = newlineOf(file.text);
  const lines = ended(file.text, newline).split('\n');
  lines.splice(last?.loc.end.line ?? table.loc.start.line, 0, newline === '\r\n' ? `${line}\r` : line);
  return lines.join('\n');
}

function toToml(value: SettingValue): string {
  if (typeof value === 'object') return `[${value.map((item) => JSON.stringify(item)).join(', ')}]`;
  // A TOML basic string escapes as JSON does, but for the one character that JSON leaves alone.
  return typeof value === 'string' ? JSON.stringify(value).replaceAll('\u007f', '\\u007f') : String(value);
}

function newlineOf(text: string): '\n' | '\r\n' {
  return text.includes('\r\n') ? '\r\n' : '\n';
}

function ended(text: string, newline: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}${newline}`;
}

function parseTree(file: ConfigFile): Tree {
  return guarded(file, () => parse(file.text) as Tree);
}

function isTable(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** What is used here of the library's syntax tree. */
interface Block {
  readonly type: string;
  readonly loc: { readonly start: { readonly line: number }; readonly end: { readonly line: number } };
  readonly key?: { readonly value?: readonly string[]; readonly item?: { readonly value: readonly string[] } };
  readonly items?: readonly Block[];
  readonly value?: Block;
}

function blocksOf(file: ConfigFile): readonly Block[] {
  return guarded(file, () => parseDocument(file.text).cst as unknown as readonly Block[]);
}

function names(block: Block): readonly string[] {
  return block.key?.value ?? block.key?.item?.value ?? [];
}

/** The line of each key and section, by its dotted name; two levels are as deep as settings go. */
function keyLines(file: ConfigFile): ReadonlyMap<string, number> {
  const lines = new Map<string, number>();
  const note = (path: readonly string[], block: Block) => {
    for (const depth of [1, 2]) {
      const name = path.slice(0, depth).join('.');
      if (path.length >= depth && !lines.has(name)) lines.set(name, block.loc.start.line);
    }
  };
  for (const block of blocksOf(file)) {
    const path = names(block);
    note(path, block);
    for (const item of block.items ?? []) note([...path, ...names(item)], item);
  }
  return lines;
}

/** Turns the library's errors into ours: first line of the message, line and column counted from 1. */
function guarded<T>(file: ConfigFile, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    const { line, column } = thrown as { line?: unknown; column?: unknown };
    const place = typeof line === 'number' && typeof column === 'number' ? `, line ${line}, column ${column + 1}` : '';
    const text = thrown instanceof RangeError ? 'nested too deep' : thrown instanceof Error ? thrown.message : '';
    throw new GoGridError({
      code: 'invalid_config',
      message: `${file.path}${place}: ${text.trim().split('\n').at(-1)}`,
      hint: 'the file is TOML: texts stand in quotes, one `key = value` a line, a [section] above them (https://toml.io)',
      cause: thrown,
    });
  }
}
