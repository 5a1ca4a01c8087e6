/** What became of a download that was cut, and how it is gone on with. */

import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { errorOf } from '../../testing/failure.ts';
import { type FileServer, fileServer } from '../../testing/file-server.ts';
import { entryOf, httpsSource, modelBytes, type SmallStore, smallStore } from '../../testing/small-store.ts';
import type { CatalogueEntry } from './catalogue.ts';

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

/** Lets `server` cut the first answer after so many bytes, and none after it. */
async function leavePart(bytes: number): Promise<void> {
  server.behave({ hangAfter: bytes });
  const abort = new AbortController();
  const fetching = small.store.fetch(
    entry,
    (step) => {
      if (step.bytes >= bytes) abort.abort();
    },
    abort.signal,
  );
  expect((await errorOf(fetching)).code).toBe('cancelled');
  expect((await stat(cached('tiny.gguf.part'))).size).toBe(bytes);
  server.behave({ hangAfter: undefined });
}

describe('an interrupted download', () => {
  it('goes on where it was', async () => {
    await leavePart(70_000);
    small.progress.length = 0;
    await small.fetch(entry);
    expect(server.requests.at(-1)).toMatchObject({ range: 'bytes=70000-', 'if-range': '"one"' });
    expect(small.progress[0]).toMatchObject({ state: 'downloading', bytes: 70_000 });
    expect(small.progress.every((step) => step.bytes >= 70_000)).toBe(true);
  });

  it('goes on by itself when the connection is cut, as long as each brings something', async () => {
    server.behave({ cutAfter: 60_000 });
    await small.fetch(entry);
    expect(server.requests.map(({ range }) => range)).toEqual([
      undefined,
      'bytes=60000-',
      'bytes=120000-',
      'bytes=180000-',
    ]);
  });

  it('gives up on a server that only ever cuts', async () => {
    server.behave({ cutAfter: 0 });
    expect((await errorOf(small.fetch(entry))).message).toContain('the hub: it cut the connection (ECONNRESET)');
    expect(server.requests).toHaveLength(1);
  });

  it('waits a moment for one that is away for a while, and keeps what came when it stays away', async () => {
    let asked = 0;
    const refuse = () =>
      server.behave({
        instead: (response) => {
          asked++;
          response.destroy();
        },
      });
    server.behave({ cutAfter: 60_000 });
    const patient = await smallStore([entry], { retryAfterMs: [0, 1, 1] });
    try {
      const fetching = patient.store.fetch(entry, (step) => step.bytes >= 60_000 && refuse(), never);
      expect((await errorOf(fetching)).message).toContain('the hub: it cut the connection');
      expect(asked).toBe(3);
      server.behave({ instead: undefined, cutAfter: undefined });
      await patient.fetch(entry);
      expect(server.requests.at(-1)?.range).toBe('bytes=60000-');
    } finally {
      await patient.close();
    }
  });

  it('is the right file wherever it was cut, whatever the server thinks of ranges', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: content.length }), { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        fc.constantFrom('"one"', undefined, 'W/"weak"'),
        async (cuts, ignoresRange, etag) => {
          server.behave({ ignoresRange, etag, cutAfter: undefined });
          let answers = 0;
          for (const bytes of cuts) {
            server.behave({ hangAfter: bytes });
            const abort = new AbortController();
            const before = await stat(cached('tiny.gguf.part')).then(
              ({ size }) => size,
              () => 0,
            );
            const until = ignoresRange ? bytes : before + bytes;
            await small.store
              .fetch(
                entry,
                (step) => {
                  if (step.bytes === until) abort.abort();
                },
                abort.signal,
              )
              .catch(() => undefined);
            answers++;
          }
          server.behave({ hangAfter: undefined });
          const { path: file } = await small.fetch(entry);
          expect((await readFile(file)).equals(content)).toBe(true);
          expect(answers).toBe(cuts.length);
          await small.store.remove(entry);
        },
      ),
      { numRuns: 25 },
    );
  });

  it.each([0, 1])('gives up on a server that sends %i bytes of the rest each time', async (bytes) => {
    await leavePart(70_000);
    const before = server.requests.length;
    let sent = 0;
    server.behave({
      instead: (response) => {
        // A rest that is nothing but its first byte, then nothing at all.
        const from = 70_000 + sent;
        const body = sent < bytes ? content.subarray(from, from + 1) : Buffer.alloc(0);
        sent += body.length;
        response.writeHead(206, { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` });
        response.flushHeaders();
        response.end(body);
      },
    });
    const hasty = await smallStore([entry], { cacheFolder: path.join(small.folder, 'cache'), retryAfterMs: [0, 1, 1] });
    try {
      expect((await errorOf(hasty.fetch(entry))).message).toContain(
        `it sent ${70_000 + bytes} bytes instead of 200000`,
      );
      expect(server.requests.length - before).toBe(bytes === 0 ? 1 : 4);
    } finally {
      await hasty.close();
    }
  });

  it('asks anew only once when it cannot be gone on with', async () => {
    await leavePart(70_000);
    const before = server.requests.length;
    server.behave({ instead: (response) => response.writeHead(416).end() });
    expect((await errorOf(small.fetch(entry))).message).toContain('the hub: it answers 416');
    expect(server.requests.length - before).toBe(2);
  });

  it('begins anew when the file is another one by now, or the server ignores ranges', async () => {
    await leavePart(70_000);
    server.behave({ etag: '"two"' });
    await small.fetch(entry);
    expect(server.requests.at(-1)).toMatchObject({ range: 'bytes=70000-', 'if-range': '"one"' });
    expect((await readFile(cached('tiny.gguf'))).equals(content)).toBe(true);

    await small.store.remove(entry);
    server.behave({ etag: '"one"' });
    await leavePart(70_000);
    server.behave({ ignoresRange: true });
    await small.fetch(entry);
  });

  it('that began with other bytes is fetched once more from its beginning', async () => {
    await leavePart(70_000);
    const part = await readFile(cached('tiny.gguf.part'));
    part[5] = (part[5] ?? 0) ^ 1;
    await writeFile(cached('tiny.gguf.part'), part);
    await small.fetch(entry);
    expect(server.requests.slice(-2).map(({ range }) => range)).toEqual(['bytes=70000-', undefined]);
  });

  it('is not gone on with behind more than the whole', async () => {
    await mkdir(path.join(small.folder, 'cache'));
    await writeFile(cached('tiny.gguf.part'), Buffer.concat([content, Buffer.from('more')]));
    await small.fetch(entry);
    expect(server.requests.map(({ range }) => range)).toEqual([undefined]);
  });
});
