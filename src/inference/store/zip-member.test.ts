import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ZipEntry, zipOf } from '../../testing/small-zip.ts';
import { zipMember } from './zip-member.ts';

const signal = new AbortController().signal;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gogrid-zip-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function member(zip: Buffer, name: string, bytes: number): Promise<Buffer> {
  const file = path.join(folder, 'a.zip');
  await writeFile(file, zip);
  const pieces: Buffer[] = [];
  for await (const piece of zipMember(file, name, bytes, signal)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

const large = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => (index * index) % 251));
const entry = (more: Partial<ZipEntry> = {}): ZipEntry => ({ name: 'a/model.gguf', content: large, ...more });

describe('a member of a zip file', () => {
  it.each([true, false])('comes out as it went in (stored: %s), whatever is around it', async (stored) => {
    const others = [{ name: 'x', content: Buffer.from('before') }, entry({ stored }), { name: 'y', content: large }];
    expect((await member(zipOf(others, 'a comment'), 'a/model.gguf', large.length)).equals(large)).toBe(true);
  });

  it('is found by its whole name alone, and no name is a path', async () => {
    const evil = [
      entry({ name: '../../a/model.gguf' }),
      entry({ name: '/a/model.gguf' }),
      entry({ name: 'a/model.gguf/' }),
    ];
    await expect(member(zipOf(evil), 'a/model.gguf', large.length)).rejects.toThrow('there is no a/model.gguf');
    expect(await readdir(folder)).toEqual(['a.zip']);
    expect((await readdir(path.dirname(folder))).filter((name) => name === 'a')).toEqual([]);
  });

  it('that unpacks to more than it should is stopped', async () => {
    const bomb = zipOf([entry({ claimedBytes: 1000 })]);
    await expect(member(bomb, 'a/model.gguf', 1000)).rejects.toThrow('unpacks to more than 1000 bytes');
    await expect(member(bomb, 'a/model.gguf', 2000)).rejects.toThrow('has 1000 bytes instead of 2000');
  });

  it.each([
    ['is encrypted', entry({ flags: 1 })],
    ['is compressed by method 12', entry({ method: 12 })],
    ['is in Zip64 format', entry({ claimedBytes: 0xffffffff })],
    ['is damaged', entry({ stored: true, method: 8 })],
  ])('that %s is refused', async (reason, broken) => {
    await expect(member(zipOf([broken]), 'a/model.gguf', large.length)).rejects.toThrow(reason);
  });

  it('leaves no reader behind when the loop is left', async () => {
    const file = path.join(folder, 'a.zip');
    await writeFile(file, zipOf([entry()]));
    for await (const _ of zipMember(file, 'a/model.gguf', large.length, signal)) break;
    await rm(file);
  });

  it('never comes out of a broken file as something else, and never hangs', async () => {
    const small = Buffer.from('only a few bytes of text, which repeat: only a few bytes of text');
    const zip = zipOf([entry({ content: small })]);
    await fc.assert(
      fc.asyncProperty(fc.nat(zip.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), async (at, xor, cut) => {
        const broken = Buffer.from(cut ? zip.subarray(0, at) : zip);
        if (!cut) broken[at] = (broken[at] ?? 0) ^ xor;
        const found = await member(broken, 'a/model.gguf', small.length).catch((thrown: unknown) => thrown);
        // What comes out is as long as was asked, or shorter: the digest decides about the rest.
        if (Buffer.isBuffer(found)) expect(found.length).toBeLessThanOrEqual(small.length);
        else expect(found).toBeInstanceOf(Error);
      }),
      { numRuns: 150 },
    );
  });
});
