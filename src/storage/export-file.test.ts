import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { saveFile } from './export-file.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gogrid-export-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function* parts(...texts: string[]) {
  yield* texts;
}

it('a file that is there gives way only when it may', async () => {
  const file = path.join(folder, 'l.jsonl');
  await saveFile(file, parts('a', 'b'), false);
  await expect(saveFile(file, parts('c'), false)).rejects.toMatchObject({
    code: 'usage',
    hint: expect.stringContaining('--force'),
  });
  expect(await readFile(file, 'utf8')).toBe('ab');
  await saveFile(file, parts('c'), true);
  expect(await readFile(file, 'utf8')).toBe('c');
});

it('nor does one that came while the other was written', async () => {
  const file = path.join(folder, 'l.jsonl');
  async function* slow() {
    yield 'a';
    await writeFile(file, 'mine');
  }
  await expect(saveFile(file, slow(), false)).rejects.toMatchObject({ code: 'usage' });
  expect(await readFile(file, 'utf8')).toBe('mine');
  expect(await readdir(folder)).toEqual(['l.jsonl']);
});
