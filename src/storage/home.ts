/**
 * The home folder: everything that a node keeps between starts.
 *
 * `config.toml`, `identity.key`, `identity.unused` of a founder, `api.key`, `network.json`, `data/`, `models/`, `logs/gogrid.log`, `gogrid.lock`.
 * Docs: docs/configuration.md.
 */

import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { GoGridError, systemCode } from '../errors.ts';
import { HOME } from '../limits/program.ts';

/** Absolute paths. */
export interface HomePaths {
  /** Holds all but, without `--home` on Linux, the configuration file. */
  readonly folder: string;
  readonly configFile: string;
  readonly identityKey: string;
  readonly apiKey: string;
  readonly networkFile: string;
  readonly dataFolder: string;
  readonly modelsFolder: string;
  readonly logFile: string;
  readonly lockFile: string;
  /** The user's own, for what can be fetched again: one for all homes. */
  readonly cacheFolder: string;
}

/** What the operating system and the user say about where things go. */
export interface HomeHints {
  /** `--home` or `GOGRID_HOME`; undefined or empty when neither is given. */
  readonly home: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  /** The user's own folder, `os.homedir()`. */
  readonly userFolder: string;
  readonly workingFolder: string;
}

/** Finds the home folder: the one given, else where the operating system wants such files. Touches no disk. */
export function locateHome(hints: HomeHints): HomePaths {
  return { ...locateFiles(hints), cacheFolder: locateCache(hints) };
}

function locateFiles(hints: HomeHints): Omit<HomePaths, 'cacheFolder'> {
  if (hints.home !== undefined && hints.home !== '') {
    const given = path.resolve(hints.workingFolder, expandUser(hints.home, hints.userFolder));
    return pathsIn(given, given);
  }
  const { env, userFolder } = hints;
  if (hints.platform === 'win32') {
    const folder = path.join(localAppData(env, userFolder), 'gogrid');
    return pathsIn(folder, folder);
  }
  if (hints.platform === 'darwin') {
    const folder = path.join(userFolder, 'Library', 'Application Support', 'gogrid');
    return pathsIn(folder, folder);
  }
  const data = xdgFolder(env.XDG_DATA_HOME, path.join(userFolder, '.local', 'share'));
  const config = xdgFolder(env.XDG_CONFIG_HOME, path.join(userFolder, '.config'));
  return pathsIn(path.join(data, 'gogrid'), path.join(config, 'gogrid'));
}

function locateCache({ env, platform, userFolder }: HomeHints): string {
  if (platform === 'win32') return path.join(localAppData(env, userFolder), 'gogrid', 'cache');
  if (platform === 'darwin') return path.join(userFolder, 'Library', 'Caches', 'gogrid');
  return path.join(xdgFolder(env.XDG_CACHE_HOME, path.join(userFolder, '.cache')), 'gogrid');
}

function localAppData(env: HomeHints['env'], userFolder: string): string {
  return env.LOCALAPPDATA || path.join(userFolder, 'AppData', 'Local');
}

/** The XDG specification wants relative paths ignored. */
function xdgFolder(given: string | undefined, otherwise: string): string {
  return given !== undefined && path.isAbsolute(given) ? given : otherwise;
}

function expandUser(text: string, userFolder: string): string {
  if (text === '~') return userFolder;
  return text.startsWith('~/') ? path.join(userFolder, text.slice(2)) : text;
}

function pathsIn(folder: string, configFolder: string): Omit<HomePaths, 'cacheFolder'> {
  return {
    folder,
    configFile: path.join(configFolder, 'config.toml'),
    identityKey: path.join(folder, 'identity.key'),
    apiKey: path.join(folder, 'api.key'),
    networkFile: path.join(folder, 'network.json'),
    dataFolder: path.join(folder, 'data'),
    modelsFolder: path.join(folder, 'models'),
    logFile: path.join(folder, 'logs', 'gogrid.log'),
    lockFile: path.join(folder, 'gogrid.lock'),
  };
}

/** A path from a setting: absolute, under the user's folder with `~/`, or beginning at the home folder. */
export function resolveInHome(home: HomePaths, userFolder: string, text: string): string {
  return path.resolve(home.folder, expandUser(text, userFolder));
}

/**
 * Makes the folders that are missing, for the user alone, and sees that they can be written.
 * @throws GoGridError `home_unusable`, naming the path
 */
export async function prepareHome(home: HomePaths): Promise<void> {
  for (const folder of [home.folder, home.dataFolder, path.dirname(home.logFile)]) {
    try {
      await makeFolder(folder);
      await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    } catch (thrown) {
      throw unusable(folder, thrown);
    }
  }
}

/**
 * Makes a folder and those above it that are missing, for the user alone. Node's own `mkdir` with `recursive` never returns
 * where the system answers ENOENT although the folder above exists, as it does under /proc.
 */
export async function makeFolder(folder: string): Promise<void> {
  const missing = await tryMake(folder);
  if (missing === undefined) return;
  const above = path.dirname(folder);
  if (above === folder) throw missing;
  await makeFolder(above);
  const refused = await tryMake(folder);
  if (refused !== undefined) throw refused;
}

/** @returns the system's ENOENT, which says that the folder above is missing; nothing when the folder is there */
async function tryMake(folder: string): Promise<unknown> {
  try {
    await mkdir(folder, { mode: HOME.folderMode });
  } catch (thrown) {
    if (systemCode(thrown) === 'ENOENT') return thrown;
    // Some systems say EROFS or EACCES of a folder that is there.
    const found = await stat(folder).catch(() => undefined);
    if (found?.isDirectory() !== true) throw thrown;
  }
  return undefined;
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'it is on a read-only disk',
  ENOTDIR: 'a part of its path is a file',
  EEXIST: 'a file is in its place',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  ENOENT: 'it cannot be made there',
  ENAMETOOLONG: 'its path is too long',
};

/** The error for a file or folder of the home that cannot be used. */
export function unusable(what: string, thrown: unknown): GoGridError {
  const code = systemCode(thrown) ?? 'unknown error';
  return new GoGridError({
    code: 'home_unusable',
    message: `${what} cannot be used: ${REASONS[code] ?? code} (${code})`,
    hint: 'choose another folder with --home DIR or GOGRID_HOME, or give this user the right to write there',
    cause: thrown,
  });
}

/**
 * Reads a whole small file.
 * @returns undefined when there is none
 * @throws GoGridError `home_unusable` when it cannot be read, `damaged` when it is larger than `maxBytes`
 */
export async function readSmallFile(file: string, maxBytes: number): Promise<string | undefined> {
  try {
    const handle = await open(file, 'r');
    try {
      const { size } = await handle.stat();
      if (size > maxBytes) {
        throw new GoGridError({
          code: 'damaged',
          message: `${file} is larger than ${maxBytes} bytes`,
          hint: 'something else was written there; move it away and start again',
        });
      }
      return await handle.readFile('utf8');
    } finally {
      await handle.close();
    }
  } catch (thrown) {
    if (thrown instanceof GoGridError) throw thrown;
    if (systemCode(thrown) === 'ENOENT') return undefined;
    throw unusable(file, thrown);
  }
}

/**
 * Replaces a file as a whole: whoever reads it sees the old text or the new one, also after a crash. An existing file keeps
 * its mode.
 * @throws GoGridError `home_unusable`
 */
export async function replaceFile(file: string, text: string): Promise<void> {
  const draft = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await makeFolder(path.dirname(file));
    const mode = await stat(file).then(
      (found) => found.mode & 0o777,
      () => HOME.secretFileMode,
    );
    const handle = await open(draft, 'wx', mode);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
  } catch (thrown) {
    await rm(draft, { force: true }).catch(() => undefined);
    throw unusable(file, thrown);
  }
}

/** What `gogrid.lock` tells the command line and the desktop shell: where the node of this home answers. */
export interface RunningMark {
  readonly pid: number;
  /** Such as `http://127.0.0.1:4301`. */
  readonly api: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
}

/** Writes `gogrid.lock`. It informs and locks nothing: the database's own lock, freed by the kernel, is the truth. */
export async function writeMark(home: HomePaths, mark: RunningMark): Promise<void> {
  await replaceFile(home.lockFile, `${JSON.stringify(mark)}\n`);
}

/** Takes `gogrid.lock` away, if it is this process's own. */
export async function removeMark(home: HomePaths, pid: number): Promise<void> {
  const mark = await readMark(home);
  if (mark?.pid === pid) await rm(home.lockFile, { force: true });
}

/** @returns what `gogrid.lock` says, or undefined when there is none or it is not one of ours; its node may be gone */
export async function readMark(home: HomePaths): Promise<RunningMark | undefined> {
  const text = await readSmallFile(home.lockFile, HOME.maxLockBytes).catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const { pid, api, startedAt } = JSON.parse(text) as Partial<Record<keyof RunningMark, unknown>>;
    const valid = Number.isSafeInteger(pid) && (pid as number) > 0 && Number.isSafeInteger(startedAt);
    if (!valid || typeof api !== 'string' || !URL.canParse(api)) return undefined;
    return { pid: pid as number, api, startedAt: startedAt as number };
  } catch {
    return undefined;
  }
}
