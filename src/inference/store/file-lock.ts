/**
 * A lock between the processes of one user, as a file that its holder keeps touching. It can be lost: whoever is paused for
 * long, or shares the folder with a machine whose processes it cannot see, may find that another took it. So its holder looks
 * at it with each touch, and asks once more before anything that cannot be undone.
 */

import { randomBytes } from 'node:crypto';
import { link, open, readFile, readlink, rename, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { type Clock, every } from '../../clock.ts';
import { GoGridError, systemCode } from '../../errors.ts';
import { STORE } from '../../limits/engine.ts';
import { pause } from './pause.ts';

export interface LockDeps {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called whenever somebody else was found to hold it. */
  onWaiting(pid: number | undefined): void;
}

/** Somebody else took it for dead, and may be at work by now. */
export class LockLost extends GoGridError {
  constructor(file: string) {
    super({
      code: 'download_failed',
      message: `another process took the lock ${file} over`,
      hint: 'pull it again; when several machines share this folder, let only one of them pull',
    });
  }
}

export interface HeldLock {
  /** Aborts when it is found to be lost. */
  readonly lost: AbortSignal;
  /** @throws LockLost */
  check(): Promise<void>;
}

/**
 * Waits until the lock is free or dead, takes it, runs `action` and frees it.
 * @throws what `action` throws; LockLost when it failed and the lock had been lost
 */
export async function withLock<T>(file: string, deps: LockDeps, action: (lock: HeldLock) => Promise<T>): Promise<T> {
  const token = randomBytes(8).toString('hex');
  await take(file, token, deps);
  const lost = new AbortController();
  const check = async () => {
    if (!lost.signal.aborted && (await holderOf(file))?.token !== token) lost.abort(new LockLost(file));
    lost.signal.throwIfAborted();
  };
  const beat = every(deps.clock, STORE.lockBeatEveryMs, () => {
    const now = new Date(deps.clock.now());
    // Only a lock of one's own is kept alive. A disk that fails for a moment is no loss.
    void check()
      .then(() => utimes(file, now, now))
      .catch(() => undefined);
  });
  try {
    return await action({ lost: lost.signal, check });
  } catch (thrown) {
    throw lost.signal.aborted ? lost.signal.reason : thrown;
  } finally {
    beat.cancel();
    if ((await holderOf(file))?.token === token) await rm(file, { force: true });
  }
}

interface Holder {
  readonly text: string;
  readonly pid: number | undefined;
  readonly host: string | undefined;
  readonly token: string | undefined;
  /** Of its last sign of life. */
  readonly mtimeMs: number;
}

async function take(file: string, token: string, deps: LockDeps): Promise<void> {
  const { clock, signal } = deps;
  let seen: { readonly text: string; readonly mtimeMs: number; readonly since: number } | undefined;
  for (;;) {
    signal.throwIfAborted();
    if (await create(file, token)) return;
    const holder = await holderOf(file);
    if (holder === undefined) continue;
    // By our own clock: the file's times may come from another machine's, or from before a sleep.
    if (seen?.text !== holder.text || seen.mtimeMs !== holder.mtimeMs) {
      seen = { text: holder.text, mtimeMs: holder.mtimeMs, since: clock.elapsed() };
    }
    const silent = clock.elapsed() - seen.since > STORE.lockStaleMs;
    if (silent || (await isDead(holder))) {
      await breakLock(file, holder);
      continue;
    }
    deps.onWaiting(holder.pid);
    await pause(clock, STORE.lockLookMs, signal);
  }
}

/** Written under another name first, so that nobody ever reads half of it. */
async function create(file: string, token: string): Promise<boolean> {
  const draft = `${file}.${token}`;
  const text = JSON.stringify({ pid: process.pid, host: await machine(), token });
  try {
    await writeNew(draft, text);
    await link(draft, file);
    return true;
  } catch (thrown) {
    const code = systemCode(thrown);
    if (code === 'EEXIST') return false;
    // Some file systems have no links: there the name itself is the lock.
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS') throw thrown;
    return await createPlainly(file, text);
  } finally {
    await rm(draft, { force: true });
  }
}

async function createPlainly(file: string, text: string): Promise<boolean> {
  try {
    await writeNew(file, text);
    return true;
  } catch (thrown) {
    if (systemCode(thrown) === 'EEXIST') return false;
    throw thrown;
  }
}

/** Leaves nothing of a file that it could not write: half a lock has no holder, and everybody would wait for it. */
async function writeNew(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(text);
  } catch (thrown) {
    await rm(file, { force: true });
    throw thrown;
  } finally {
    await handle.close();
  }
}

async function holderOf(file: string): Promise<Holder | undefined> {
  try {
    const { mtimeMs } = await stat(file);
    const text = (await readFile(file, 'utf8')).slice(0, STORE.maxNoteBytes);
    return { text, mtimeMs, ...parsed(text) };
  } catch (thrown) {
    if (systemCode(thrown) === 'ENOENT') return undefined;
    throw thrown;
  }
}

function parsed(text: string): Pick<Holder, 'pid' | 'host' | 'token'> {
  try {
    const { pid, host, token } = JSON.parse(text) as Record<string, unknown>;
    return {
      pid: Number.isSafeInteger(pid) && (pid as number) > 0 ? (pid as number) : undefined,
      host: typeof host === 'string' ? host : undefined,
      token: typeof token === 'string' ? token : undefined,
    };
  } catch {
    return { pid: undefined, host: undefined, token: undefined };
  }
}

/** Where process ids mean what they mean here: containers of one machine may share its name, and count for themselves. */
export async function machine(): Promise<string> {
  const space = process.platform === 'linux' ? await readlink('/proc/self/ns/pid').catch(() => '') : '';
  return space === '' ? hostname() : `${hostname()} ${space}`;
}

/** Only of a process of this machine can that be told at once. */
async function isDead({ pid, host }: Holder): Promise<boolean> {
  if (pid === undefined || host !== (await machine())) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (thrown) {
    return systemCode(thrown) === 'ESRCH';
  }
}

/** Takes a dead lock away. Another may have done so and hold it by now: then its lock is put back. */
async function breakLock(file: string, dead: Holder): Promise<void> {
  const aside = `${file}.${randomBytes(8).toString('hex')}`;
  try {
    await rename(file, aside);
  } catch (thrown) {
    if (systemCode(thrown) === 'ENOENT') return;
    throw thrown;
  }
  const taken = await readFile(aside, 'utf8').catch(() => '');
  if (taken !== dead.text) await link(aside, file).catch(() => undefined);
  await rm(aside, { force: true });
}
