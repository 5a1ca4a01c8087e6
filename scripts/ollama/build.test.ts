/** The build with stand-ins for the tools: what it says when one is missing, and that nothing half done is left. */

import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { machine } from '../../src/inference/store/file-lock.ts';
import { type BuildOptions, ensureOllama } from './build.ts';
import { OLLAMA_HASH, ollamaProgram } from './recipe.ts';

let folder = '';
let program = '';
let lines: string[] = [];
const options = (): BuildOptions => ({ program, say: (line) => void lines.push(line) });
const tools = () => path.join(folder, 'tools');
const builds = async () => (await readFile(path.join(folder, 'builds'), 'utf8').catch(() => '')).length;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gogrid-build-'));
  program = path.join(folder, 'cache', 'gogrid', 'ollama-0.24.0', 'ollama');
  lines = [];
  await mkdir(tools());
  await tool('g++', 'exit 0');
  await tool('apt-get', '[ "$1" = download ] && for name in a b; do echo > $name.deb; done; exit 0');
  await tool(
    'dpkg',
    'mkdir -p $3/usr/include/nlohmann $3/usr/include/stb; : > $3/usr/include/nlohmann/json.hpp; : > $3/usr/include/stb/stb_image.h',
  );
  await goTool({});
  vi.stubEnv('PATH', `${tools()}:/usr/bin:/bin`);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function tool(name: string, script: string): Promise<void> {
  const file = path.join(tools(), name);
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
}

/** Counts its builds; the include folder must hold all three headers when it compiles. */
function goTool({ version = 'go1.26.3', hash = OLLAMA_HASH, install = '' }): Promise<void> {
  const include = `include=$(echo "$CGO_CPPFLAGS" | sed s/^-I//)`;
  const headers = `cat $include/nlohmann/json.hpp $include/stb/stb_image.h $include/miniaudio/miniaudio.h > /dev/null || exit 1`;
  const made = `printf '#!/bin/sh\\necho client version is 0.24.0\\n' > $GOBIN/ollama; chmod +x $GOBIN/ollama`;
  return tool(
    'go',
    `case "$1" in
      env) echo ${version} ;;
      mod) echo '{"Sum": "${hash}"}' ;;
      install) printf x >> ${folder}/builds; ${install}
        ${include}; ${headers}; sleep 0.1; ${made} ;;
    esac`,
  );
}

test('builds it where later runs find it, and leaves nothing else', async () => {
  expect(await ensureOllama(options())).toBe(true);
  expect(await readdir(path.dirname(program))).toEqual(['ollama']);
  expect(lines.at(-1)).toContain(program);
  expect(await ensureOllama(options())).toBe(false);
  expect(await builds()).toBe(1);
});

test('builds it once for two runs at once, and after one that died', async () => {
  const cache = path.dirname(program);
  await mkdir(path.join(cache, 'build-4711'), { recursive: true });
  // No process has a number this high.
  await writeFile(path.join(cache, 'lock'), JSON.stringify({ pid: 2 ** 30, host: await machine(), token: 'dead' }));
  expect((await Promise.all([ensureOllama(options()), ensureOllama(options())])).toSorted()).toEqual([false, true]);
  expect(await builds()).toBe(1);
  expect(lines.filter((line) => line.includes('waiting'))).toHaveLength(1);
  expect(await readdir(cache)).toEqual(['ollama']);
});

test.each([
  ['go', 'https://go.dev/dl'],
  ['g++', 'the package g++'],
])('says that %s is missing, and where it is from', async (name, from) => {
  vi.stubEnv('PATH', tools());
  await rm(path.join(tools(), name));
  await expect(ensureOllama(options())).rejects.toThrow(`${name} (from ${from})`);
  expect(await builds()).toBe(0);
});

test('says that Go is too old', async () => {
  await goTool({ version: 'go1.9.7' });
  await expect(ensureOllama(options())).rejects.toThrow('needs Go 1.26 or newer, and this is go1.9.7');
});

test('refuses a source with another hash', async () => {
  await goTool({ hash: 'h1:other=' });
  await expect(ensureOllama(options())).rejects.toThrow('this is not the source it should be');
  expect(await builds()).toBe(0);
});

test('says that packages cannot be fetched, and what to do', async () => {
  await tool('apt-get', '[ "$1" = --version ] && exit 0; echo "E: Unable to locate package" >&2; exit 100');
  await expect(ensureOllama(options())).rejects.toThrow(/sudo apt-get update.*Unable to locate package/s);
});

test('leaves nothing of a build that failed, and shows why', async () => {
  await goTool({ install: 'echo "x.cpp:1: fatal error" >&2; exit 2' });
  await expect(ensureOllama(options())).rejects.toThrow('x.cpp:1: fatal error');
  expect(await readdir(path.dirname(program))).toEqual([]);
});

test('keeps it in the user’s cache folder', () => {
  expect(ollamaProgram({ XDG_CACHE_HOME: '/c' })).toBe('/c/gogrid/ollama-0.24.0/ollama');
  for (const env of [{}, { XDG_CACHE_HOME: '' }, { XDG_CACHE_HOME: 'relative' }]) {
    expect(ollamaProgram(env)).toMatch(/\/\.cache\/gogrid\/ollama-0\.24\.0\/ollama$/);
  }
});
