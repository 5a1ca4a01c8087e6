/** Looks for words that must be nowhere. */

import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

/** A text as it may lie somewhere: plain, escaped for JSON, as hex, as base64 at any offset. */
function shapesOf(text: string): Buffer[] {
  const bytes = Buffer.from(text);
  const base64 = [0, 1, 2].map((offset) => {
    // The characters at either end also depend on the neighbours.
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    return Buffer.from(encoded.slice(offset === 0 ? 0 : offset + 1, -2));
  });
  const escaped = JSON.stringify(text)
    .slice(1, -1)
    .replaceAll(/[^ -~]/g, escapeChar);
  return [bytes, Buffer.from(escaped), Buffer.from(bytes.toString('hex')), Buffer.from(text, 'utf16le'), ...base64];
}

function escapeChar(char: string): string {
  return `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
}

/**
 * Where one of the texts is found, as sentences; empty when nowhere.
 * @param folder is searched with all its files, names included
 * @param outputs texts by the name to tell
 */
export async function findTraces(
  texts: readonly string[],
  folder: string,
  outputs: ReadonlyMap<string, string>,
): Promise<string[]> {
  const shapes = texts.map((text) => ({ text, shapes: shapesOf(text) }));
  const found: string[] = [];
  const search = (where: string, bytes: Buffer) => {
    for (const { text, shapes: each } of shapes) {
      if (each.some((shape) => bytes.includes(shape))) found.push(`'${text}' is in ${where}`);
    }
  };
  for (const [name, text] of outputs) search(name, Buffer.from(text));
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    const file = path.join(entry.parentPath, entry.name);
    search(`the name of ${file}`, Buffer.from(entry.name));
    if (entry.isFile()) search(file, await readFile(file));
  }
  return found;
}
