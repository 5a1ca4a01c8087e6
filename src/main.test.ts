/** The process itself: what no test of a part can see. Few, because each starts a Node. */

import { execFile } from 'node:child_process';
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

function gogrid(args: string[], env: Record<string, string> = {}): Promise<Ended> {
  const { PATH = '', HOME = folder } = process.env;
  const options = { env: { PATH, HOME, GOGRID_HOME: path.join(folder, 'home'), ...env } };
  return new Promise((resolve, reject) => {
    const child = execFile(process.execPath, ['--import', 'tsx', main, ...args], options, (error, stdout, stderr) => {
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
});
