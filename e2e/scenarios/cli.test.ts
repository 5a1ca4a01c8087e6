/** The command line against real nodes, as people and as programs use it. */

import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { jobList, logList, modelList, nodeStatus, peerList } from '../../src/contract/control.ts';
import type { CommandOptions } from '../harness/command.ts';
import { answerTo } from '../harness/expected.ts';
import { scenario, sharedStage } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

describe('with a running node', () => {
  const shared = sharedStage('cli', async (stage) => ({
    mesh: await stage.mesh([{}, { engine: { tokensPerSecond: 400 } }, {}]),
  }));
  const gogrid = (args: readonly string[], options: Partial<CommandOptions> = {}) =>
    shared().stage.gogrid([...args, '--home', shared().mesh.node(0).home], options);
  const json = async (...args: string[]): Promise<unknown> => {
    const { code, stdout, stderr } = await gogrid([...args, '--json']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return JSON.parse(stdout);
  };
  const table = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await gogrid(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colour is for terminals, and this is none.
    expect(stdout).not.toMatch(/\u001b/);
    return stdout;
  };

  test('run streams the answer, and says who answered', async () => {
    const prompt = 'from the command line words=25';
    const { code, stdout, stderr } = await gogrid(['run', 'words', ...prompt.split(' ')]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${answerTo(prompt)}\n` });
    expect(stderr).toMatch(/node-2 \(direct\), 25 tokens/);
    const piped = await gogrid(['run', 'words'], { stdin: `${prompt}\n` });
    expect(piped).toMatchObject({ code: 0, stdout: `${answerTo(prompt)}\n` });
    const lines = await gogrid(['run', 'words', prompt, '--json']);
    const parts = lines.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(parts.map((part) => part.message.content).join('')).toBe(answerTo(prompt));
    expect(parts.at(-1)).toMatchObject({ done: true, done_reason: 'stop' });
  });

  test('run fails when there is nothing to run, or it breaks off', async () => {
    expect(await gogrid(['run', 'nobody', 'hi'])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining("model 'nobody' not found"),
    });
    await shared()
      .mesh.engine(1)
      .control({ faults: [{ kind: 'cut', afterTokens: 3, times: 9 }] });
    const broken = await gogrid(['run', 'words', 'break words=20']);
    await shared().mesh.engine(1).control({ faults: [] });
    expect(broken.code).toBe(1);
    expect(broken.stderr).toMatch(/^error: /m);
  });

  test('status', async () => {
    const { mesh } = shared();
    expect(nodeStatus.parse(await json('status'))).toMatchObject({
      peerId: mesh.node(0).peerId,
      name: 'node-1',
      peers: 2,
    });
    const shown = await table('status');
    expect(shown).toContain(mesh.node(0).peerId);
    expect(shown).toContain(mesh.node(0).api);
    expect(shown).toContain(mesh.node(0).addresses[0]);
  });

  test('peers', async () => {
    const { peers, total } = peerList.parse(await json('peers'));
    expect(total).toBe(2);
    expect(peers.map(({ name }) => name).toSorted()).toEqual(['node-2', 'node-3']);
    const shown = await table('peers');
    expect(shown).toMatch(/node-2.*words/);
    expect(await table('peers', 'show', 'node-2')).toContain(shared().mesh.node(1).peerId);
    expect(await gogrid(['peers', 'show', 'nobody'])).toMatchObject({ code: 1, stdout: '' });
  });

  test('models', async () => {
    const { models } = modelList.parse(await json('models'));
    expect(models).toMatchObject([{ name: 'words:latest', local: false, providers: [shared().mesh.node(1).peerId] }]);
    expect(await table('models')).toMatch(/words:latest.*node-2/);
  });

  test('jobs', async () => {
    const { jobs } = jobList.parse(await json('jobs'));
    const done = jobs.find(({ state }) => state === 'completed');
    expect(done).toMatchObject({ direction: 'out', model: 'words:latest' });
    const shown = await table('jobs');
    expect(shown).toMatch(/completed/);
    expect(shown).toMatch(/failed/);
    expect(await table('jobs', 'show', done?.id ?? '')).toContain(done?.id);
    expect(await json('jobs', 'show', done?.id ?? '')).toMatchObject({ id: done?.id, state: 'completed' });
    expect(jobList.parse(await json('jobs', '--limit', '1')).jobs).toHaveLength(1);
    expect(await gogrid(['jobs', 'show', 'nobody'])).toMatchObject({ code: 1, stdout: '' });
  });

  test('jobs cancel ends a job that runs', async () => {
    const { stage, mesh } = shared();
    const running = stage.background(['run', 'words', 'long words=100000', '--home', mesh.node(0).home]);
    const job = await until(async () => (await mesh.node(0).jobs()).find(({ state }) => state === 'running'), {
      what: 'the job to run',
    });
    expect(await gogrid(['jobs', 'cancel', job.id])).toMatchObject({ code: 0 });
    expect((await running.finished).code).not.toBe(0);
    await until(async () => (await mesh.engine(1).report()).totals.open === 0, { what: 'the engine to be free' });
  });

  test('Ctrl-C of run cancels the job', async () => {
    const { stage, mesh } = shared();
    const running = stage.background(['run', 'words', 'long words=100000', '--home', mesh.node(0).home]);
    await until(() => running.output.stdout.length > 20, { what: 'the answer to begin' });
    running.signal('SIGINT');
    expect((await running.finished).code).not.toBe(0);
    await until(async () => (await mesh.engine(1).report()).totals.open === 0, { what: 'the engine to be free' });
  });

  test('logs', async () => {
    const { stdout, code } = await gogrid(['logs', '--json', '--lines', '5']);
    expect(code).toBe(0);
    const lines =
      stdout.trim().startsWith('{"lines"') || stdout.trim().startsWith('{\n')
        ? logList.parse(JSON.parse(stdout)).lines
        : stdout
            .trimEnd()
            .split('\n')
            .map((line) => JSON.parse(line));
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThanOrEqual(5);
    expect((await table('logs', '--lines', '3')).trimEnd().split('\n').length).toBeLessThanOrEqual(3);
    expect(await gogrid(['logs', '--level', 'loud'])).toMatchObject({ code: 2 });
  });

  test('wrong usage is told with exit code 2', async () => {
    const wrong = [
      ['statsu'],
      ['status', '--jsn'],
      ['peers', 'show'],
      ['run'],
      ['jobs', '--limit', 'many'],
      ['config', 'get', 'api.prot'],
    ];
    for (const args of wrong) {
      const { code, stdout, stderr } = await gogrid(args);
      expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: '' });
      expect(stderr).toMatch(/^error: /);
    }
    expect((await gogrid(['statsu'])).stderr).toContain('status');
    expect((await gogrid(['config', 'get', 'api.prot'])).stderr).toContain('api.port');
    expect((await gogrid(['top'])).stderr).toMatch(/not built/);
  });
});

scenario('without a node: exit code 3, and how to start one', { within: 20_000 }, async (stage) => {
  for (const args of [['status'], ['peers'], ['models'], ['jobs'], ['run', 'words', 'hi']]) {
    const ended = await stage.gogrid([...args, '--home', `${stage.folder}/nobody`]);
    expect(ended).toMatchObject({ code: 3, stdout: '' });
    expect(ended.stderr).toContain('gogrid up');
    const forPrograms = await stage.gogrid([...args, '--home', `${stage.folder}/nobody`, '--json']);
    expect(forPrograms).toMatchObject({ code: 3, stdout: '' });
    expect(JSON.parse(forPrograms.stderr)).toMatchObject({ error: { code: 'node_not_running' } });
  }
});

scenario('after a crash the same, and the log can still be read', { within: 20_000 }, async (stage) => {
  const node = await stage.node();
  // A line that was not on the disk yet goes with the process.
  await until(async () => (await node.log()) !== '', { what: 'the first line of the log' });
  await node.kill();
  const home = ['--home', node.home];
  expect(await stage.gogrid(['status', ...home])).toMatchObject({ code: 3, stdout: '' });
  const logs = await stage.gogrid(['logs', ...home]);
  expect(logs.code).toBe(0);
  expect(logs.stdout).not.toBe('');
});

scenario('config shows, sets and unsets, and keeps comments', { within: 20_000 }, async (stage) => {
  const home = ['--home', `${stage.folder}/home`];
  const config = (...args: string[]) => stage.gogrid(['config', ...args, ...home]);
  expect((await config('get', 'api.port')).stdout.trim()).toBe('4301');
  expect(await config('set', 'api.port', '5000')).toMatchObject({ code: 0 });
  expect((await config('get', 'api.port')).stdout.trim()).toBe('5000');
  expect((await config()).stdout).toMatch(/api\.port.*5000/);
  const file = (await config('path')).stdout.trim();
  await writeFile(file, `# mine\n${await readFile(file, 'utf8')}`);
  expect(await config('set', 'api.port', '5001')).toMatchObject({ code: 0 });
  expect(await readFile(file, 'utf8')).toMatch(/^# mine\n[\s\S]*port = 5001/);
  expect(await config('unset', 'api.port')).toMatchObject({ code: 0 });
  expect((await config('get', 'api.port')).stdout.trim()).toBe('4301');
  expect(await config('set', 'api.port', 'high')).toMatchObject({ code: 2 });
  expect((await config('get', 'api.port')).stdout.trim()).toBe('4301');
  const shown = await stage.gogrid(['config', '--json', ...home]);
  expect(() => JSON.parse(shown.stdout)).not.toThrow();
});

scenario('--help and --version need nothing', { within: 20_000 }, async (stage) => {
  const help = await stage.gogrid(['--help']);
  expect(help).toMatchObject({ code: 0, stderr: '' });
  expect(help.stdout).toContain('gogrid up');
  expect((await stage.gogrid(['up', '--help'])).stdout).toContain('--api-port');
  expect((await stage.gogrid(['--version'])).stdout).toMatch(/^gogrid \d+\.\d+\.\d+/);
});
