/** Builds the Ollama daemon once, into the user's cache folder. */

import { access, chmod, constants, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { systemClock } from '../../src/clock.ts';
import { withLock } from '../../src/inference/store/file-lock.ts';
import {
  HEADER_PACKAGES,
  installArguments,
  MINIAUDIO_STAND_IN,
  OLDEST_GO,
  OLLAMA_HASH,
  OLLAMA_MODULE,
  OLLAMA_VERSION,
} from './recipe.ts';
import { run, ToolFailed, ToolMissing } from './run.ts';

/** A line says that the compiler still works, this often. */
const PROGRESS_EVERY_MS = 15_000;
const BUILD_FOLDER = /^build-\d+$/;

/** Why there is no program, in a sentence, with what to do about it. */
export class CannotBuild extends Error {}

export interface BuildOptions {
  /** Where the program is to be; see `ollamaProgram`. */
  readonly program: string;
  /** Gets lines for a person. */
  readonly say: (line: string) => void;
}

/** Whether the program is there; half a build never is. */
export async function isBuilt(program: string): Promise<boolean> {
  return access(program, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/**
 * Makes sure that the program is there. Of several runs at once one builds, and the others wait for it.
 * @returns true when it was built now
 * @throws CannotBuild
 */
export async function ensureOllama(options: BuildOptions): Promise<boolean> {
  const { program, say } = options;
  if (await isBuilt(program)) return false;
  const folder = path.dirname(program);
  await mkdir(folder, { recursive: true });
  let told = false;
  const onWaiting = (pid: number | undefined) => {
    if (!told) say(`process ${pid ?? 'unknown'} builds it already: waiting`);
    told = true;
  };
  const deps = { clock: systemClock, signal: new AbortController().signal, onWaiting };
  return withLock(path.join(folder, 'lock'), deps, async () => {
    if (await isBuilt(program)) return false;
    await build(options, folder);
    return true;
  });
}

async function build({ program, say }: BuildOptions, folder: string): Promise<void> {
  const startedAt = performance.now();
  // We hold the lock: what others left here is of builds that died.
  for (const name of await readdir(folder)) {
    if (BUILD_FOLDER.test(name)) await rm(path.join(folder, name), { recursive: true, force: true });
  }
  const work = path.join(folder, `build-${process.pid}`);
  await mkdir(work);
  try {
    await checkTools(work);
    say(`fetching the source of Ollama ${OLLAMA_VERSION} through the Go module proxy`);
    await fetchSource(work);
    say(`fetching header files from ${HEADER_PACKAGES.map(({ name }) => name).join(' and ')}`);
    const headers = await fetchHeaders(work);
    say('compiling, at low priority: three to ten minutes on two cores');
    const built = await compile(work, headers, say);
    await checkProgram(built, work);
    await chmod(built, 0o755);
    await rename(built, program);
    const megabytes = ((await stat(program)).size / 1e6).toFixed(0);
    say(`built in ${duration(performance.now() - startedAt)}: ${program}, ${megabytes} MB`);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function checkTools(cwd: string): Promise<void> {
  const wanted = [
    { tool: 'go', args: ['env', 'GOVERSION'], from: 'https://go.dev/dl' },
    { tool: 'g++', args: ['--version'], from: 'the package g++' },
    { tool: 'apt-get', args: ['--version'], from: 'Debian or Ubuntu' },
    { tool: 'dpkg', args: ['--version'], from: 'Debian or Ubuntu' },
  ];
  const answers = await Promise.all(
    wanted.map(({ tool, args }) =>
      run(tool, args, { cwd, env: { GOTOOLCHAIN: 'local' } }).catch((thrown: unknown) => {
        if (thrown instanceof ToolMissing) return undefined;
        throw thrown;
      }),
    ),
  );
  const missing = wanted.filter((_, index) => answers[index] === undefined);
  if (missing.length > 0) {
    const list = missing.map(({ tool, from }) => `${tool} (from ${from})`).join(', ');
    throw new CannotBuild(`the build needs what this machine lacks: ${list}`);
  }
  const version = answers[0]?.trim() ?? '';
  if (isOlder(version.replace(/^go/, ''), OLDEST_GO)) {
    throw new CannotBuild(`the build needs Go ${OLDEST_GO} or newer, and this is ${version}: see https://go.dev/dl`);
  }
}

function isOlder(version: string, oldest: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  const [oldestMajor = 0, oldestMinor = 0] = oldest.split('.').map(Number);
  return major < oldestMajor || (major === oldestMajor && minor < oldestMinor);
}

/** Takes the source into Go's module cache, where the compiler looks for it. */
async function fetchSource(cwd: string): Promise<void> {
  const target = `${OLLAMA_MODULE}@v${OLLAMA_VERSION}`;
  const printed = await run('go', ['mod', 'download', '-json', target], { cwd, env: GO_ENVIRONMENT }).catch(
    (thrown: unknown) => {
      throw explained(thrown, `the source of ${target} cannot be fetched: is the Go module proxy (GOPROXY) reachable?`);
    },
  );
  const { Sum: hash } = JSON.parse(printed) as { Sum?: string };
  if (hash !== OLLAMA_HASH) {
    throw new CannotBuild(`${target} has the hash ${hash}, not ${OLLAMA_HASH}: this is not the source it should be`);
  }
}

/** @returns the folder to include from */
async function fetchHeaders(work: string): Promise<string> {
  const names = HEADER_PACKAGES.map(({ name }) => name);
  await run('apt-get', ['download', ...names], { cwd: work }).catch((thrown: unknown) => {
    throw explained(thrown, `${names.join(', ')} cannot be fetched: try again after \`sudo apt-get update\``);
  });
  const root = path.join(work, 'headers');
  for (const file of await readdir(work)) {
    if (file.endsWith('.deb')) await run('dpkg', ['-x', file, root], { cwd: work });
  }
  const include = path.join(root, 'usr', 'include');
  for (const { name, header } of HEADER_PACKAGES) {
    await access(path.join(include, header)).catch(() => {
      throw new CannotBuild(`the package ${name} of this system holds no ${header}`);
    });
  }
  await mkdir(path.join(include, 'miniaudio'));
  await writeFile(path.join(include, 'miniaudio', 'miniaudio.h'), MINIAUDIO_STAND_IN);
  return include;
}

/** The Go that is here, and nothing of the user's settings that would build another program. */
const GO_ENVIRONMENT = {
  GOTOOLCHAIN: 'local',
  GOFLAGS: '',
  GOWORK: 'off',
  GOOS: '',
  GOARCH: '',
  CGO_ENABLED: '1',
  CGO_CFLAGS: '-O2',
  CGO_CXXFLAGS: '-O2',
};

/** @returns the program */
async function compile(work: string, headers: string, say: (line: string) => void): Promise<string> {
  const startedAt = performance.now();
  let packages = 0;
  const timer = setInterval(() => {
    say(`compiling: ${packages} packages begun, ${duration(performance.now() - startedAt)}`);
  }, PROGRESS_EVERY_MS);
  const env = { ...GO_ENVIRONMENT, CGO_CPPFLAGS: `-I${headers}`, GOBIN: work };
  const onLine = () => {
    packages++;
  };
  try {
    await run('go', installArguments(availableParallelism()), { cwd: work, env, onLine });
  } catch (thrown) {
    throw explained(thrown, 'the compiler failed');
  } finally {
    clearInterval(timer);
  }
  return path.join(work, 'ollama');
}

/** It runs, and is what it should be. */
async function checkProgram(program: string, work: string): Promise<void> {
  // Nobody listens at port 1: it is to speak of itself, not of a daemon that may run here.
  const env = { HOME: work, OLLAMA_HOST: '127.0.0.1:1' };
  const printed = await run(program, ['--version'], { cwd: work, env });
  if (!printed.includes(OLLAMA_VERSION)) {
    throw new CannotBuild(`what was built calls itself ${JSON.stringify(printed.trim())}, not ${OLLAMA_VERSION}`);
  }
}

function explained(thrown: unknown, sentence: string): unknown {
  return thrown instanceof ToolFailed ? new CannotBuild(`${sentence}\n${thrown.message}`) : thrown;
}

function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
