/** Two at one folder: a lock that was lost, and one that is held. */

import { mkdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { errorOf } from '../../testing/failure.ts';
import { type FileServer, fileServer } from '../../testing/file-server.ts';
import { entryOf, httpsSource, modelBytes, type SmallStore, smallStore } from '../../testing/small-store.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import type { CatalogueEntry } from './catalogue.ts';
import { withLock } from './file-lock.ts';
import { PartFile } from './part-file.ts';

const content = modelBytes();
const never = new AbortController().signal;
let server: FileServer;
let entry: CatalogueEntry;
let small: SmallStore;

beforeEach(async () => {
  server = await fileServer(content);
  entry = entryOf(content, [httpsSource(server.url)]);
  small = await smallStore([entry]);
});
afterEach(async () => {
  await Promise.all([server.close(), small.close()]);
});

const cached = (name: string) => small.cached(name);
const inCache = () => small.inCache();

describe('a lock that was taken over', () => {
  it('leaves the file to its new holder: nobody gets a wrong one', async () => {
    server.behave({ hangAfter: 70_000 });
    const second = await smallStore([entry], { cacheFolder: path.join(small.folder, 'cache') });
    try {
      const fetching = small.fetch(entry);
      await expect.poll(() => small.progress.at(-1)?.bytes).toBe(70_000);
      // As another machine does that saw no sign of life.
      await rm(cached('tiny.gguf.lock'));
      const taking = second.fetch(entry);
      await expect.poll(() => second.progress.at(-1)?.bytes).toBe(140_000);
      server.behave({ hangAfter: undefined });
      server.cut();
      for (const { path: file } of await Promise.all([fetching, taking])) {
        expect((await readFile(file)).equals(content)).toBe(true);
      }
      expect(await inCache()).toEqual(['tiny.gguf', 'tiny.gguf.json']);
    } finally {
      await second.close();
    }
  });

  it('does not reach into a file that is there already', async () => {
    const part = await PartFile.resume(cached('tiny.gguf.part'), content.length, never).catch(() => undefined);
    expect(part).toBeUndefined();
    await mkdir(path.join(small.folder, 'cache'));
    const slow = await PartFile.create(cached('tiny.gguf.part'));
    await slow.append(content.subarray(0, 1000));
    await small.fetch(entry);
    await slow.append(content.subarray(1000, 2000));
    await slow.close();
    expect((await readFile(cached('tiny.gguf'))).equals(content)).toBe(true);
  });

  it('is noticed by its holder, who does not keep it alive', async () => {
    await mkdir(path.join(small.folder, 'cache'));
    const clock = new VirtualClock();
    const lock = cached('a.lock');
    const work = withLock(lock, { clock, signal: never, onWaiting: () => {} }, async ({ lost }) => {
      await writeFile(lock, '{"token":"of another"}');
      await utimes(lock, 1000, 1000);
      await expect.poll(() => clock.advance(500).then(() => lost.aborted)).toBe(true);
    });
    await work;
    expect((await stat(lock)).mtimeMs).toBe(1_000_000);
  });
});

it('is not removed while another process fetches it', async () => {
  server.behave({ hangAfter: 1000 });
  const clock = new VirtualClock();
  const second = await smallStore([entry], { cacheFolder: path.join(small.folder, 'cache') }, { clock });
  try {
    const abort = new AbortController();
    const fetching = errorOf(small.fetch(entry, abort.signal));
    await expect.poll(() => small.progress.at(-1)?.bytes).toBe(1000);
    let thrown: unknown;
    void second.store.remove(entry).catch((error: unknown) => {
      thrown = error;
    });
    await expect.poll(() => clock.advance(500).then(() => thrown)).toMatchObject({ code: 'invalid_request' });
    expect(await inCache()).toContain('tiny.gguf.part');
    abort.abort();
    await fetching;
  } finally {
    await second.close();
  }
});
