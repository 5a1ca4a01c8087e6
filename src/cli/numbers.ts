/** Numbers that people type. */

import { usage } from './arguments.ts';

/** @throws GoGridError `usage` when `text` is no whole number from `min` to `max` */
export function wholeNumber(flag: string, text: string, min: number, max: number, command: string): number {
  const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw usage(`${flag}: '${text}' is not a whole number from ${min} to ${max}`, command);
}
