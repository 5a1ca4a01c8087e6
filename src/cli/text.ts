/** Text for terminals: what may be shown, how wide it is, in which colour. */

import type { World } from './world.ts';

/**
 * Control characters, line separators, marks that turn the direction of what stands around them (UAX #9), and tags, which are
 * invisible.
 */
const STEERING = /[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/gu;

/** Names, models and answers come from other machines: no character of them may steer the terminal. */
export function printable(text: string): string {
  return text.replace(STEERING, '�');
}

/** As `printable`, for running text: keeps line breaks and tabs, and leaves nothing where something was taken out. */
export function printableLines(text: string): string {
  return text.replace(STEERING, (character) => (character === '\n' || character === '\t' ? character : ''));
}

/** JSON as it is for a file or a pipe; for a terminal with every character escaped that would steer it. The values are equal. */
export function jsonFor(output: { readonly isTty: boolean }, json: string): string {
  if (!output.isTty) return json;
  // Outside of its strings JSON has no control characters but these.
  return json.replace(STEERING, (text) => (/[\n\r\t]/.test(text) ? text : text.split('').map(escaped).join('')));
}

function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

const NO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u;
const DOUBLE_WIDTH =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u;

/** Columns that `text` takes on a terminal. */
export function displayWidth(text: string): number {
  // Nearly all text is this, and a table of a thousand rows is asked for its width often.
  if (/^[ -~]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

function characterWidth(character: string): number {
  if (NO_WIDTH.test(character)) return 0;
  return DOUBLE_WIDTH.test(character) ? 2 : 1;
}

/** Cuts `text` to at most `width` columns, with … at the end of what was cut. */
export function cut(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let kept = '';
  let used = 0;
  for (const character of text) {
    used += characterWidth(character);
    if (used > width - 1) break;
    kept += character;
  }
  return width > 0 ? `${kept}…` : '';
}

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 } as const;
export type Style = keyof typeof CODES;

/** Puts a text into a style, or leaves it as it is where styles are not wanted. */
export type Paint = (style: Style, text: string) => string;

/** Colour only on a terminal that can show it, and never against NO_COLOR (https://no-color.org). */
export function painter(world: Pick<World, 'env'>, output: { readonly isTty: boolean }): Paint {
  const wanted = output.isTty && !world.env.NO_COLOR && world.env.TERM !== 'dumb';
  return wanted ? (style, text) => `\u001b[${CODES[style]}m${text}\u001b[0m` : (_, text) => text;
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Decimal units, as Ollama shows sizes; `-` for 0. */
export function formatBytes(bytes: number): string {
  if (bytes <= 0) return '-';
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

/** The two largest units of a span of seconds: `3d 4h`, `12m 5s`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0s';
  const shown = parts.slice(first, first + 2).filter(([count]) => count > 0);
  return shown.map(([count, unit]) => `${count}${unit}`).join(' ');
}

/** A span that people feel: `3 ms`, `0.8 s`, `14 s`, `2m 5s`. */
export function formatSpan(ms: number): string {
  if (ms < 99.5) return `${Math.round(Math.max(0, ms))} ms`;
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : formatDuration(seconds);
}

/** What an expected wait adds to a sentence: `, about 14 s`; nothing where it is not known. */
export function aboutSpan(ms: number | undefined): string {
  if (ms === undefined) return '';
  if (ms < 950) return ', less than a second';
  const seconds = Math.round(ms / 1000);
  return `, about ${seconds < 60 ? `${seconds} s` : formatDuration(seconds)}`;
}

export function tokensText(count: number): string {
  return count === 1 ? '1 token' : `${count} tokens`;
}

/** `a`, `a and b`, `a, b and c`; past `most` of them `a, b and 4 more`. */
export function listed(names: readonly string[], most: number): string {
  const shown = names.length > most ? [...names.slice(0, most), `${names.length - most} more`] : names;
  return shown.length < 2 ? shown.join('') : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`;
}

/** `5m ago`; times are milliseconds since 1970. */
export function formatAgo(time: number, now: number): string {
  const seconds = Math.floor((now - time) / 1000);
  if (seconds < 1) return 'now';
  return `${formatDuration(seconds).split(' ')[0]} ago`;
}

/** Parameters of a model, as people say them: `3.2B`, `135M`; `-` when not known. */
export function formatParameters(count: number): string {
  if (count <= 0) return '-';
  if (count >= 1e9) return `${trimmed(count / 1e9)}B`;
  return count >= 1e6 ? `${trimmed(count / 1e6)}M` : `${trimmed(count / 1e3)}K`;
}

function trimmed(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toFixed(1).replace(/\.0$/, '');
}

/** The start and the end of a peer id or a job id: enough to tell two apart, short enough for a table. */
export function shortId(id: string): string {
  return id.length <= 16 ? id : `${id.slice(0, 8)}…${id.slice(-6)}`;
}

/** An id as a table shows it: shortened on a terminal, whole in a file or a pipe, where nothing is cut. */
export function idText(id: string, columns: number | undefined): string {
  return columns === undefined ? id : shortId(id);
}

/** A word for a line that people copy into a shell. */
export function shellWord(text: string): string {
  return /^[\w./~:@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
