/**
 * The two secrets of a home.
 *
 * `identity.key`: the seed of the node's Ed25519 key (RFC 8032, 32 bytes) as one line of base64.
 * `api.key`: the key of the control API, 256 random bits as one line of base64url.
 * Both are made at the first start with mode 0600, and never logged or sent.
 */

import { randomBytes } from 'node:crypto';
import { chmod, link, open, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { GoGridError, systemCode } from '../errors.ts';
import { HOME } from '../limits/program.ts';
import { type HomePaths, readSmallFile, unusable } from './home.ts';

/** Gives that many random bytes; `node:crypto`'s unless a test brings its own. */
export type RandomBytes = (count: number) => Uint8Array;

export interface Secret<T> {
  readonly value: T;
  /** It was made just now. */
  readonly created: boolean;
  /** A sentence for the log, when something about the file was not as it should be. */
  readonly warning: string | undefined;
}

const KEY_BYTES = 32;
const SEED_LINE = /^[A-Za-z0-9+/]{43}=$/;
const API_KEY_LINE = /^[A-Za-z0-9_-]{43}$/;

/**
 * The seed of this node's key, 32 bytes; made when there is none.
 * @throws GoGridError `damaged` when the file holds something else, `home_unusable`
 */
export async function loadIdentity(home: HomePaths, random: RandomBytes = randomBytes): Promise<Secret<Uint8Array>> {
  const file = home.identityKey;
  const secret = await loadLine(file, () => Buffer.from(random(KEY_BYTES)).toString('base64'));
  const seed = Buffer.from(secret.value, 'base64');
  if (!SEED_LINE.test(secret.value) || seed.length !== KEY_BYTES) {
    throw damaged(
      file,
      'is no identity: expected one line of 44 base64 characters',
      'put back your copy of it; without one move it away, and the next start makes a new identity under which peers do not know you',
    );
  }
  return { ...secret, value: new Uint8Array(seed) };
}

/**
 * The key of the control API; made when there is none.
 * @throws GoGridError `damaged` when the file holds something else, `home_unusable`
 */
export async function loadApiKey(home: HomePaths, random: RandomBytes = randomBytes): Promise<Secret<string>> {
  const secret = await loadLine(home.apiKey, () => Buffer.from(random(KEY_BYTES)).toString('base64url'));
  if (!API_KEY_LINE.test(secret.value)) throw damagedApiKey(home.apiKey);
  return secret;
}

/**
 * The key of the control API, for a program that calls it.
 * @returns undefined when no node has made one in this home
 */
export async function readApiKey(home: HomePaths): Promise<string | undefined> {
  const line = (await readSmallFile(home.apiKey, HOME.maxKeyFileBytes))?.trim();
  if (line === undefined) return undefined;
  if (!API_KEY_LINE.test(line)) throw damagedApiKey(home.apiKey);
  return line;
}

function damagedApiKey(file: string): GoGridError {
  return damaged(
    file,
    'is no API key: expected one line of 43 base64url characters',
    'move it away and start the node again: it makes a new one',
  );
}

function damaged(file: string, what: string, hint: string): GoGridError {
  return new GoGridError({ code: 'damaged', message: `${file} ${what}`, hint });
}

async function loadLine(file: string, make: () => string): Promise<Secret<string>> {
  const found = await readLine(file);
  if (found !== undefined) return found;
  const line = make();
  if (await createSecretFile(file, `${line}\n`)) return { value: line, created: true, warning: undefined };
  // Another process was faster; the one key of this home is the one that lies there.
  const theirs = await readLine(file);
  if (theirs !== undefined) return theirs;
  throw damaged(file, 'is a link that leads nowhere', 'take the link away, or bring back the file it leads to');
}

async function readLine(file: string): Promise<Secret<string> | undefined> {
  const text = await readSmallFile(file, HOME.maxKeyFileBytes);
  return text === undefined ? undefined : { value: text.trim(), created: false, warning: await closeToOthers(file) };
}

/**
 * Writes a new file that is whole or not there: a crash in the middle leaves no half a key behind.
 * @returns false when the file exists already
 */
async function createSecretFile(file: string, text: string): Promise<boolean> {
  const draft = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const handle = await open(draft, 'wx', HOME.secretFileMode);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    const placed = await placeNew(draft, file);
    if (placed) await syncFolder(path.dirname(file));
    return placed;
  } catch (thrown) {
    throw unusable(file, thrown);
  } finally {
    await rm(draft, { force: true }).catch(() => undefined);
  }
}

/** A hard link fails when its name is taken, which a rename does not; not every file system has hard links. */
async function placeNew(draft: string, file: string): Promise<boolean> {
  try {
    await link(draft, file);
    return true;
  } catch (thrown) {
    const code = systemCode(thrown);
    if (code === 'EEXIST') return false;
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'ENOSYS' && code !== 'EMLINK') throw thrown;
    await rename(draft, file);
    return true;
  }
}

/** The file's name lies in its folder, which reaches the disk on its own; Windows does it by itself and cannot be asked. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Takes a secret away from other users of the machine, and says that they could read it until now. */
async function closeToOthers(file: string): Promise<string | undefined> {
  if (process.platform === 'win32') return undefined;
  try {
    const mode = (await stat(file)).mode & 0o777;
    if ((mode & 0o077) === 0) return undefined;
    await chmod(file, HOME.secretFileMode);
    return `${file} was open to other users of this machine (mode ${mode.toString(8)}) and is closed to them now`;
  } catch (thrown) {
    throw unusable(file, thrown);
  }
}
