/** Real processes: one that is killed in the middle, several that want the same model at once. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../clock.ts';
import { type FileServer, fileServer } from '../../testing/file-server.ts';
import { entryOf, httpsSource, modelBytes } from '../../testing/small-store.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import type { CatalogueEntry } from './catalogue.ts';
import { withLock } from './file-lock.ts';

// Processes take their time to start where others use the machine too.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

const SCRIPT = fileURLToPath(new URL('../../testing/fetch-process.ts', import.meta.url));
const content = modelBytes(2_000_000);
let folder: string;
let server: FileServer;
let entry: CatalogueEntry;
const started = new Set<ChildProcess>();

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gogrid-fetch-'));
  server = await fileServer(content);
  entry = entryOf(content, [httpsSource(server.url)]);
});
afterEach(async () => {
  for (const child of started) child.kill('SIGKILL');
  started.clear();
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

interface Step {
  readonly state: string;
  readonly bytes?: number;
}

function startFetch() {
  const child = spawn(process.execPath, [SCRIPT, JSON.stringify({ folder, entry })], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.add(child);
  const steps: Step[] = [];
  let errors = '';
  createInterface({ input: child.stdout }).on('line', (line) => steps.push(JSON.parse(line)));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      started.delete(child);
      resolve(code);
    });
  });
  return { child, steps, ended, errors: () => errors };
}

describe('a process that is killed in the middle of a download', () => {
  it('leaves what the next one goes on with, at once', async () => {
    server.behave({ hangAfter: 1_200_000 });
    const first = startFetch();
    await expect.poll(() => first.steps.at(-1)?.bytes, { timeout: 20_000 }).toBe(1_200_000);
    first.child.kill('SIGKILL');
    await first.ended;
    expect((await readdir(folder)).toSorted()).toEqual(['tiny.gguf.lock', 'tiny.gguf.part', 'tiny.gguf.part.json']);

    server.behave({ hangAfter: undefined });
    const second = startFetch();
    expect(await second.ended, second.errors()).toBe(0);
    expect(server.requests.at(-1)?.range).toBe('bytes=1200000-');
    expect(second.steps.some(({ state }) => state === 'waiting')).toBe(false);
    expect((await readFile(path.join(folder, 'tiny.gguf'))).equals(content)).toBe(true);
    expect((await readdir(folder)).toSorted()).toEqual(['tiny.gguf', 'tiny.gguf.json']);
  });
});

describe.skipIf(process.platform === 'win32')('a process that is paused for long', () => {
  it('finds the lock gone when it wakes, and the file of the one that took it', async () => {
    server.behave({ hangAfter: 1_200_000 });
    const first = startFetch();
    await expect.poll(() => first.steps.at(-1)?.bytes, { timeout: 20_000 }).toBe(1_200_000);
    first.child.kill('SIGSTOP');
    // As whoever waited long enough does.
    await rm(path.join(folder, 'tiny.gguf.lock'));
    const second = startFetch();
    await expect.poll(() => server.requests.length, { timeout: 20_000 }).toBe(2);
    server.behave({ hangAfter: undefined });
    first.child.kill('SIGCONT');
    expect(await second.ended, second.errors()).toBe(0);
    server.cut();
    expect(await first.ended, first.errors()).toBe(0);
    expect((await readFile(path.join(folder, 'tiny.gguf'))).equals(content)).toBe(true);
    expect((await readdir(folder)).toSorted()).toEqual(['tiny.gguf', 'tiny.gguf.json']);
  });
});

describe('several processes at once', () => {
  it('download once: the others wait, say so, and find it', async () => {
    server.behave({ hangAfter: 500_000 });
    const all = [startFetch(), startFetch(), startFetch()];
    const states = () => all.map(({ steps }) => steps.at(-1)?.state).toSorted();
    await expect.poll(states, { timeout: 20_000 }).toEqual(['downloading', 'waiting', 'waiting']);
    // The connection that hangs is cut: the holder goes on with a second one.
    server.behave({ hangAfter: undefined });
    server.cut();
    for (const { ended, errors } of all) expect(await ended, errors()).toBe(0);
    expect(all.map(({ steps }) => steps.at(-1)?.state)).toEqual(['there', 'there', 'there']);
    expect(server.requests.map(({ range }) => range)).toEqual([undefined, 'bytes=500000-']);
  });
});

describe('the lock', () => {
  const never = new AbortController().signal;
  const file = () => path.join(folder, 'a.lock');
  /** Second by second, each with time for the disk to answer. */
  const letPass = (clock: VirtualClock, until: () => boolean) =>
    expect.poll(() => clock.advance(250).then(until), { interval: 2, timeout: 15_000 }).toBe(true);

  it('is held by one at a time', async () => {
    let inside = 0;
    let most = 0;
    const enter = () =>
      withLock(file(), { clock: systemClock, signal: never, onWaiting: () => {} }, async () => {
        most = Math.max(most, ++inside);
        await new Promise(setImmediate);
        inside--;
      });
    await Promise.all(Array.from({ length: 6 }, enter));
    expect(most).toBe(1);
    expect(await readdir(folder)).toEqual([]);
  });

  it('of a process of another machine is taken over when it shows no life', async () => {
    await writeFile(file(), JSON.stringify({ pid: 1, host: `not-${hostname()}`, token: 'x' }));
    const clock = new VirtualClock();
    const waiting: unknown[] = [];
    let entered = false;
    const work = withLock(file(), { clock, signal: never, onWaiting: (pid) => waiting.push(pid) }, async () => {
      entered = true;
    });
    await letPass(clock, () => clock.elapsed() > 19_000);
    expect(entered).toBe(false);
    await letPass(clock, () => entered);
    await work;
    expect(waiting.length).toBeGreaterThan(10);
  });

  it.each(['', '{', '{"pid":-1}'])('that says %j is one without a holder', async (text) => {
    await writeFile(file(), text);
    const clock = new VirtualClock();
    let entered = false;
    const work = withLock(file(), { clock, signal: never, onWaiting: () => {} }, async () => {
      entered = true;
    });
    await letPass(clock, () => entered);
    await work;
  });

  it('is waited for no longer than wanted', async () => {
    await writeFile(file(), JSON.stringify({ pid: process.pid, host: hostname(), token: 'x' }));
    const abort = new AbortController();
    const deps = { clock: systemClock, signal: abort.signal, onWaiting: () => abort.abort(new Error('enough')) };
    await expect(withLock(file(), deps, async () => {})).rejects.toThrow('enough');
    expect(await readdir(folder)).toEqual(['a.lock']);
  });
});
