/** One value of one setting: read from text (variables, flags) or from TOML, checked, and written back. */

import { SHOWN } from '../limits/program.ts';
import type { SettingValue } from './setting.ts';
import type { NamedSetting, SettingName } from './settings.ts';

const INTEGER = /^[+-]?[0-9]{1,16}$/;
const NUMBER = /^[+-]?([0-9]{1,16}(\.[0-9]{0,16})?|\.[0-9]{1,16})(e[+-]?[0-9]{1,3})?$/i;

export type Checked =
  | { readonly ok: true; readonly value: SettingValue }
  | { readonly ok: false; readonly problem: ValueProblem };

export interface ValueProblem {
  readonly setting: SettingName;
  /** What was written, cut where it is long. */
  readonly shown: string;
  /** Why it is refused: `is not …`. */
  readonly reason: string;
  /** What would be right. */
  readonly allowed: string;
  /** The value is a right one of a part that is not built. */
  readonly notBuilt: boolean;
}

/** Reads the text of a variable or a flag; empty text means the default. Items of a list are parted by commas. */
export function fromText(setting: NamedSetting, text: string): Checked {
  if (text.trim() === '') return { ok: true, value: setting.default };
  switch (setting.type) {
    case 'text':
    case 'choice':
      return check(setting, text.trim());
    case 'boolean':
      if (text.trim() === 'true') return check(setting, true);
      if (text.trim() === 'false') return check(setting, false);
      return refuse(setting, text, 'is neither true nor false');
    case 'integer':
      if (!INTEGER.test(text.trim())) return refuse(setting, text, 'is not a whole number');
      return check(setting, Number(text));
    case 'number':
      if (!NUMBER.test(text.trim())) return refuse(setting, text, 'is not a number');
      return check(setting, Number(text));
    case 'list': {
      const items = text.split(',').map((item) => item.trim());
      return check(
        setting,
        items.filter((item) => item !== ''),
      );
    }
  }
}

/** Checks a value that is typed already, such as one from TOML or JSON. */
export function check(setting: NamedSetting, raw: unknown): Checked {
  switch (setting.type) {
    case 'text':
    case 'choice':
      return typeof raw === 'string' ? checkText(setting, raw) : refuse(setting, raw, 'is not a text in quotes');
    case 'boolean':
      return typeof raw === 'boolean' ? accept(raw) : refuse(setting, raw, 'is neither true nor false');
    case 'integer':
    case 'number':
      return checkNumber(setting, raw);
    case 'list':
      return Array.isArray(raw) ? checkList(setting, raw) : refuse(setting, raw, 'is not a list');
  }
}

function checkText(setting: Extract<NamedSetting, { type: 'text' | 'choice' }>, value: string): Checked {
  if (setting.type === 'choice') {
    const planned = setting.planned?.[value];
    if (planned !== undefined) return refuse(setting, value, `is refused: ${planned}`, true);
    return setting.values.includes(value) ? accept(value) : refuse(setting, value, 'is not one of its values');
  }
  if (value === '' && setting.default === '') return accept(value);
  if (value !== value.trim()) return refuse(setting, value, 'begins or ends with a space');
  if (value === '') return refuse(setting, value, 'is empty');
  if (value.length > setting.maxChars) return refuse(setting, value, `is longer than ${setting.maxChars} characters`);
  if (value.includes('\0')) return refuse(setting, value, 'has a zero character in it');
  const problem = setting.check?.(value);
  return problem === undefined ? accept(value) : refuse(setting, value, problem);
}

function checkNumber(setting: Extract<NamedSetting, { type: 'integer' | 'number' }>, raw: unknown): Checked {
  if (typeof raw !== 'number' && typeof raw !== 'bigint') return refuse(setting, raw, 'is not a number');
  const value = Number(raw);
  if (setting.type === 'integer' && !Number.isInteger(value)) return refuse(setting, raw, 'is not a whole number');
  // Written so that NaN is refused.
  if (!(value >= setting.min)) return refuse(setting, raw, 'is too small');
  if (!(value <= setting.max)) return refuse(setting, raw, 'is too large');
  return accept(value === 0 ? 0 : value);
}

function checkList(setting: Extract<NamedSetting, { type: 'list' }>, raw: readonly unknown[]): Checked {
  if (raw.length > setting.maxItems) return refuse(setting, raw, `has more than ${setting.maxItems} items`);
  const items: string[] = [];
  for (const item of raw) {
    if (typeof item !== 'string') return refuse(setting, item, 'is not a text in quotes');
    const planned = setting.planned?.[item];
    if (planned !== undefined) return refuse(setting, item, `is refused: ${planned}`, true);
    if (setting.values !== undefined && !setting.values.includes(item)) {
      return refuse(setting, item, 'is not one of its values');
    }
    if (item === '' || item !== item.trim() || item.includes(',')) {
      return refuse(setting, item, 'is empty, has a comma in it, or begins or ends with a space');
    }
    if (item.length > setting.maxChars) return refuse(setting, item, `is longer than ${setting.maxChars} characters`);
    const problem = setting.check?.(item);
    if (problem !== undefined) return refuse(setting, item, problem);
    if (!items.includes(item)) items.push(item);
  }
  if (items.length === 0 && setting.default.length > 0) return refuse(setting, '[]', 'is empty');
  return accept(items);
}

function accept(value: SettingValue): Checked {
  return { ok: true, value };
}

function refuse(setting: NamedSetting, raw: unknown, reason: string, notBuilt = false): Checked {
  const shown = showRaw(raw);
  return { ok: false, problem: { setting: setting.name, shown, reason, allowed: allowed(setting), notBuilt } };
}

function showRaw(raw: unknown): string {
  const text =
    typeof raw === 'string' ? raw : typeof raw === 'bigint' ? String(raw) : (JSON.stringify(raw) ?? 'nothing');
  const printable = text.replace(/\p{Cc}/gu, '�');
  return printable.length > SHOWN.maxValueChars ? `${printable.slice(0, SHOWN.maxValueChars)}…` : printable;
}

/** What a setting takes, in words. */
export function allowed(setting: NamedSetting): string {
  switch (setting.type) {
    case 'text':
      return setting.allowed;
    case 'boolean':
      return 'true or false';
    case 'choice':
      return inWords(setting.values.filter((value) => value !== '' && setting.planned?.[value] === undefined));
    case 'integer':
      return `a whole number from ${setting.min} to ${setting.max}`;
    case 'number':
      return `a number from ${setting.min} to ${setting.max}`;
    case 'list':
      return `a list of ${setting.allowed}`;
  }
}

function inWords(values: readonly string[]): string {
  const quoted = values.map((value) => `'${value}'`);
  if (quoted.length < 2) return `${quoted.join('')} alone`;
  return `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`;
}

/** A value as one writes it in a variable or a flag; nothing where there is none. */
export function toText(value: SettingValue): string {
  if (value === undefined) return '';
  return typeof value === 'object' ? value.join(',') : String(value);
}
