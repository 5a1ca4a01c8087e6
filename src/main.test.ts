/** The process itself: what no test of a part can see. Few, because each starts a Node. */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const main = fileURLToPath(new URL('./main.ts', import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gogrid-main-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const starts = ['--import', import.meta.resolve('tsx'), main];

function environment(env: Record<string, string>): Record<string, string> {
  const { PATH = '', HOME = folder } = process.env;
  return { PATH, HOME, GOGRID_HOME: path.join(folder, 'home'), ...env };
}

/** Typed in the test's own folder. */
function gogrid(args: string[], env: Record<string, string> = {}): Promise<Ended> {
  const options = { env: environment(env), cwd: folder };
  return new Promise((resolve, reject) => {
    const child = execFile(process.execPath, [...starts, ...args], options, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== 'number') reject(error);
      else resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
    child.stdin?.end();
  });
}

describe('the process', () => {
  it('prints its version and nothing else', async () => {
    expect(await gogrid(['--version'])).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^gogrid \S+\n$/),
      stderr: '',
    });
  });

  it('takes the home from its flag before its variable, and writes the file there', async () => {
    const other = path.join(folder, 'other');
    const set = await gogrid(['config', 'set', 'api.port', '5000', '--home', other]);
    expect(set).toMatchObject({ code: 0, stderr: '' });
    expect(await readFile(path.join(other, 'config.toml'), 'utf8')).toContain('port = 5000');
    expect(await gogrid(['config', 'get', 'api.port'])).toMatchObject({ stdout: '4301\n' });
    expect(await gogrid(['config', 'get', 'api.port'], { GOGRID_HOME: other })).toMatchObject({ stdout: '5000\n' });
  });

  it('refuses what it does not understand with 2, before it touches anything', async () => {
    const wrong = await gogrid(['up', '--json'], { GOGRID_API_PROT: '1', GOGRID_NETWORK_ACCEPT: 'confirm' });
    expect(wrong.code).toBe(2);
    expect(wrong.stdout).toBe('');
    expect(JSON.parse(wrong.stderr)).toMatchObject({ error: { code: 'invalid_config' } });
    expect(wrong.stderr).toContain('GOGRID_API_PORT');
    await expect(readFile(path.join(folder, 'home', 'api.key'))).rejects.toThrow('ENOENT');
  });

  it('says which folder it cannot use, with 1', async () => {
    const file = path.join(folder, 'file');
    await writeFile(file, '');
    const unusable = await gogrid(['up', '--home', file]);
    expect(unusable).toMatchObject({ code: 1, stdout: '' });
    expect(unusable.stderr).toContain(file);
    expect(unusable.stderr).toContain('--home DIR');
  });

  it('takes a relative path of a variable from the working folder, where it was typed', async () => {
    const made = await gogrid(['network', 'create', '--name', 'mine', '--home', path.join(folder, 'founder')]);
    expect(made).toMatchObject({ code: 0, stderr: '' });
    const shown = await gogrid(['network', '--json'], { GOGRID_NETWORK_DESCRIPTOR: 'founder/network.json' });
    expect(JSON.parse(shown.stdout)).toMatchObject({ name: 'mine' });
    const wrong = await gogrid(['network'], { GOGRID_NETWORK_DESCRIPTOR: './network.json' });
    expect(wrong).toMatchObject({ code: 2, stdout: '' });
    expect(wrong.stderr).toContain(`${path.join(folder, 'network.json')}, and there is no such file`);
  });

  it('runs on when nobody reads its standard output any more, and stops in order', async () => {
    const home = path.join(folder, 'unread');
    const settings = { API_PORT: '0', NETWORK_PORT: '0', NETWORK_MDNS: 'false', ENGINE_KIND: 'none' };
    const env = Object.fromEntries(Object.entries(settings).map(([name, value]) => [`GOGRID_${name}`, value]));
    const child = spawn(process.execPath, [...starts, 'up', '--home', home], {
      env: environment(env),
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const ended = once(child, 'exit');
    // Its banner meets a pipe without a reader.
    child.stdout.destroy();
    const log = () => readFile(path.join(home, 'logs', 'gogrid.log'), 'utf8').catch(() => '');
    await expect.poll(log, { timeout: 20_000 }).toContain('"ready"');
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    expect(await log()).toContain('"asked to stop"');
  }, 30_000);
});
