/** What a store keeps, where it gets it from, and what it refuses; over real sockets and a real disk. */

import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GoGridError } from '../../errors.ts';
import { errorOf } from '../../testing/failure.ts';
import { type FileServer, fileServer } from '../../testing/file-server.ts';
import { entryOf, httpsSource, modelBytes, type SmallStore, smallStore } from '../../testing/small-store.ts';
import type { CatalogueEntry } from './catalogue.ts';

const content = modelBytes();
const never = new AbortController().signal;
let server: FileServer;
let other: FileServer;
let entry: CatalogueEntry;
let small: SmallStore;

beforeEach(async () => {
  server = await fileServer(content);
  other = await fileServer(content);
  entry = entryOf(content, [httpsSource(server.url)]);
  small = await smallStore([entry]);
});
afterEach(async () => {
  await Promise.all([server.close(), other.close(), small.close()]);
});

const cached = (name: string) => small.cached(name);
const inCache = () => small.inCache();

describe('a fetch', () => {
  it('brings the file, tells how far it is, and leaves nothing else', async () => {
    const stored = await small.fetch(entry);
    expect(stored).toMatchObject({ path: cached('tiny.gguf'), source: 'the hub' });
    expect((await readFile(stored.path)).equals(content)).toBe(true);
    expect(await inCache()).toEqual(['tiny.gguf', 'tiny.gguf.json']);
    const bytes = small.progress.filter(({ state }) => state === 'downloading').map((step) => step.bytes);
    expect(bytes[0]).toBe(0);
    expect(bytes.at(-1)).toBe(content.length);
    expect(bytes).toEqual(bytes.toSorted((a, b) => a - b));
    expect(small.progress.at(-1)).toMatchObject({ state: 'checking', source: 'the hub' });
  });

  it('happens once: the second finds it, and reads no byte of it', async () => {
    await small.fetch(entry);
    small.progress.length = 0;
    expect(await small.fetch(entry)).toMatchObject({ source: 'the hub' });
    expect(small.progress).toEqual([]);
    expect(server.requests).toHaveLength(1);
  });

  it('puts a model that is not shared into the models folder', async () => {
    const own = { ...entry, shared: false };
    expect((await small.fetch(own)).path).toBe(path.join(small.folder, 'models', 'tiny.gguf'));
  });

  it('follows redirects, but not for ever, and only to web servers', async () => {
    const to = (location: string) =>
      server.behave({ instead: (response) => response.writeHead(302, { location }).end() });
    to(other.url);
    await small.fetch(entry);
    expect(other.requests).toHaveLength(1);
    await small.store.remove(entry);
    to('/again');
    expect((await errorOf(small.fetch(entry))).message).toContain('it redirects more than 5 times');
    to('file:///etc/passwd');
    expect((await errorOf(small.fetch(entry))).message).toContain('it redirects to nowhere');
  });

  it('stops at once when it is told to, with the reason it was given', async () => {
    server.behave({ hangAfter: 1000 });
    const abort = new AbortController();
    const reason = new GoGridError({ code: 'shutting_down', message: 'the node stops' });
    const fetching = small.fetch(entry, abort.signal);
    await expect.poll(() => small.progress.at(-1)?.bytes).toBe(1000);
    abort.abort(reason);
    expect(await errorOf(fetching)).toBe(reason);
    expect(await inCache()).toEqual(['tiny.gguf.part', 'tiny.gguf.part.json']);
  });
});

describe('a wrong file', () => {
  const flipped = Buffer.from(content);
  flipped[100_000] = (flipped[100_000] ?? 0) ^ 1;

  it('is refused, and the next place tried', async () => {
    server.behave({ content: flipped });
    entry = entryOf(content, [httpsSource(server.url), httpsSource(other.url, 'the second hub')]);
    expect(await small.fetch(entry)).toMatchObject({ source: 'the second hub' });
    expect((await readFile(cached('tiny.gguf'))).equals(content)).toBe(true);
  });

  it('leaves nothing behind, and the error names file, place, and both digests', async () => {
    server.behave({ content: flipped });
    const error = await errorOf(small.fetch(entry));
    const found = entryOf(flipped, []).sha256;
    expect(error.code).toBe('download_failed');
    expect(error.message).toBe(
      `tiny:latest could not be fetched. the hub: tiny.gguf has another SHA-256: expected ${entry.sha256}, found ${found}`,
    );
    expect(await inCache()).toEqual([]);
  });

  it.each([
    ['too short', content.subarray(0, 1000), 'its file has 1000 bytes instead of 200000'],
    ['too long', Buffer.concat([content, content]), 'its file has 400000 bytes instead of 200000'],
  ])('that is %s is not even fetched', async (_, wrong, reason) => {
    server.behave({ content: wrong });
    expect((await errorOf(small.fetch(entry))).message).toContain(`the hub: ${reason}`);
  });

  it('without a length is stopped where it should end', async () => {
    server.behave({
      instead: (response) => {
        response.writeHead(200);
        response.write(content);
        response.write('more', () => response.end());
      },
    });
    expect((await errorOf(small.fetch(entry))).message).toContain('the hub: it sends more than the file has');
  });

  it.each(['<html>Please log in</html>', ''])(
    'that is a page of somebody between, %j, is given up at once',
    async (page) => {
      server.behave({
        instead: (response) => {
          response.writeHead(200).flushHeaders();
          response.end(page);
        },
      });
      const error = await errorOf(small.fetch(entry));
      expect(error.message).toContain(`the hub: it sent ${page.length} bytes instead of 200000`);
      expect(server.requests).toHaveLength(1);
      expect(await inCache()).toEqual([]);
    },
  );

  it('on the disk is taken away when it has not been checked', async () => {
    await small.fetch(entry);
    await writeFile(cached('tiny.gguf'), flipped);
    expect(await small.store.find(entry, never)).toBeUndefined();
    expect(await inCache()).toEqual([]);
    expect(await small.fetch(entry)).toMatchObject({ source: 'the hub' });
  });

  it('that somebody put there by hand counts when it is the right one', async () => {
    await mkdir(path.join(small.folder, 'cache'));
    await writeFile(cached('tiny.gguf'), content);
    expect(await small.fetch(entry)).toMatchObject({ source: 'this machine' });
    expect(server.requests).toHaveLength(0);
  });
});

describe('the disk of this machine', () => {
  it.each([
    ['the models folder', 'models/tiny.gguf', 'this machine'],
    ["Ollama's blobs", 'ollama/blobs/sha256-DIGEST', 'Ollama on this machine'],
  ])('is asked first: %s', async (_, name, source) => {
    const file = path.join(small.folder, name.replace('DIGEST', entry.sha256));
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content);
    expect(await small.fetch(entry)).toMatchObject({ source });
    expect(server.requests).toHaveLength(0);
    expect((await readFile(file)).equals(content)).toBe(true);
  });

  it('may be read-only, and what comes of it is not', async () => {
    const file = path.join(small.folder, 'ollama', 'blobs', `sha256-${entry.sha256}`);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content, { mode: 0o444 });
    const stored = await small.fetch(entry);
    expect(((await stat(stored.path)).mode & 0o200) !== 0).toBe(true);
  });

  it('with a damaged blob is passed over, and the blob left alone', async () => {
    const file = path.join(small.folder, 'ollama', 'blobs', `sha256-${entry.sha256}`);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, Buffer.alloc(content.length));
    expect(await small.fetch(entry)).toMatchObject({ source: 'the hub' });
    expect((await stat(file)).size).toBe(content.length);
    expect(await inCache()).toEqual(['tiny.gguf', 'tiny.gguf.json']);
  });

  it('that is too full is told before a byte is fetched', async () => {
    const full = await smallStore([entry], {}, { freeBytes: async () => 10_000_000 });
    try {
      const error = await errorOf(full.fetch(entry));
      expect(error).toMatchObject({ code: 'disk_full', status: 507 });
      expect(error.message).toMatch(/^tiny:latest could not be fetched\. the hub: the disk with .* is too full/);
      expect(error.message).toContain('269 MB are needed, 10 MB are free');
      expect(server.requests).toHaveLength(0);
    } finally {
      await full.close();
    }
  });

  it('that may not be written to is named', async () => {
    await rm(path.join(small.folder, 'cache'), { recursive: true, force: true });
    await writeFile(path.join(small.folder, 'cache'), 'a file in its place');
    await expect(small.fetch(entry)).rejects.toThrow(/EEXIST|ENOTDIR/);
  });
});

describe('a place that does not give it', () => {
  it('is named with its reason, each of them, and what to do', async () => {
    const gone = await fileServer(content);
    await gone.close();
    server.behave({ instead: (response) => response.writeHead(404).end('no') });
    entry = entryOf(content, [
      httpsSource(gone.url, 'the first'),
      httpsSource(server.url, 'the second'),
      httpsSource('http://nowhere.invalid/x', 'the third'),
    ]);
    const error = await errorOf(small.fetch(entry));
    expect(error).toMatchObject({ code: 'download_failed', exit: 1, retry: true });
    expect(error.message).toContain('the first: it refuses the connection (ECONNREFUSED); ');
    expect(error.message).toContain('the second: it answers 404 Not Found; ');
    expect(error.message).toMatch(/the third: .*is this machine offline\? \((ENOTFOUND|EAI_AGAIN)\)$/);
    expect(error.hint).toContain('pull it again');
    expect(error.hint).toMatch(/as .*models.tiny\.gguf$/);
  });

  it.each([
    ['says nothing at all', { instead: () => {} }, 'it sent nothing for 0 s'],
    ['stops in the middle', { hangAfter: 1000 }, 'it sent only 1000 bytes in 0 s'],
  ])('because it %s is given up, and the next tried', async (_, behaviour, reason) => {
    server.behave(behaviour);
    entry = entryOf(content, [httpsSource(server.url), httpsSource(other.url, 'the second')]);
    const quick = await smallStore([entry], { silenceMs: 200 });
    try {
      expect(await quick.fetch(entry)).toMatchObject({ source: 'the second' });
      await quick.store.remove(entry);
      await other.close();
      expect((await errorOf(quick.fetch(entry))).message).toContain(`the hub: ${reason}`);
    } finally {
      await quick.close();
    }
  });
});

it('that cannot be noted as checked is there all the same', async () => {
  // A folder where the note should be: it cannot be written.
  await mkdir(cached('tiny.gguf.json/x'), { recursive: true });
  expect(await small.fetch(entry)).toMatchObject({ source: 'the hub' });
  expect(await small.store.find(entry, never)).toMatchObject({ source: 'this machine' });
});

it('removes the file and all that came of it', async () => {
  await small.fetch(entry);
  await writeFile(cached('tiny.gguf.part'), 'x');
  expect(await small.store.installed(never)).toHaveLength(1);
  expect(await small.store.remove(entry)).toBe(true);
  expect(await inCache()).toEqual([]);
  expect(await small.store.remove(entry)).toBe(false);
  expect(await small.store.installed(never)).toEqual([]);
});
