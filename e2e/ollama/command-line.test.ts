/** Ollama's own command line against a node that runs the models, and against one that has them from the mesh. */

import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Ollama } from 'ollama';
import { describe, expect, test } from 'vitest';
import { ask, ollama, openai } from '../harness/clients.ts';
import { sharedStage } from '../harness/stage.ts';
import { plain } from '../harness/terminal.ts';
import { until } from '../harness/until.ts';
import { runOllama } from './harness/command-line.ts';
import { realMesh } from './harness/mesh.ts';
import { openModel, tinyModel } from './harness/models.ts';

const QUESTION = 'Name three things';

const shared = sharedStage('command-line', async (stage) => {
  const real = await realMesh(stage, { members: [[tinyModel(), openModel()], undefined] });
  const { response } = await new Ollama({ host: real.daemon(0).url }).generate({ model: 'tiny', prompt: QUESTION });
  return { ...real, answer: response };
});

const places = [
  ['on the machine that has the models', 0],
  ['across the mesh', 1],
] as const;

describe.each(places)('ollama %s', (_, index) => {
  const node = () => shared().mesh.node(index);
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await runOllama(args, { home: shared().stage.folder, api: node().api });
    return { code, stdout: plain(stdout), stderr: plain(stderr) };
  };

  test('--version finds a daemon of its own version', async () => {
    expect(await run('--version')).toEqual({ code: 0, stdout: 'ollama version is 0.24.0\n', stderr: '' });
  });

  test('ls lists the models of the mesh', async () => {
    const { code, stdout } = await run('ls');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^NAME +ID +SIZE +MODIFIED/);
    expect(stdout).toMatch(/^tiny:latest +[0-9a-f]{12} +\d+ KB +\S/m);
    expect(stdout).toMatch(/^tiny-open:latest +[0-9a-f]{12} +\d+ KB +\S/m);
  });

  test('show describes one', async () => {
    const { code, stdout } = await run('show', 'tiny');
    expect(code).toBe(0);
    expect(stdout).toMatch(/architecture +llama/);
    expect(stdout).toMatch(/context length +4096/);
    expect(stdout).toMatch(/Capabilities\n +completion/);
  });

  test('run gives the very words of the daemon, and what it took', async () => {
    const { code, stdout, stderr } = await run('run', 'tiny', QUESTION, '--nowordwrap', '--verbose');
    expect(code).toBe(0);
    expect(stdout).toBe(`${shared().answer}\n\n`);
    expect(stderr).toMatch(/eval count: +\d+ token/);
    expect(stderr).toMatch(/total duration: +\d/);
  });

  test('ps tells what is loaded, here and elsewhere', async () => {
    expect((await run('run', 'tiny', QUESTION)).code).toBe(0);
    await until(async () => /^tiny:latest +[0-9a-f]{12} .*CPU/m.test((await run('ps')).stdout), {
      what: 'ps to list the model',
    });
  });

  test('pull of what the mesh has succeeds at once', async () => {
    const { code, stderr } = await run('pull', 'tiny');
    expect(code).toBe(0);
    expect(stderr).toContain('success');
  });

  test('an unknown model: a sentence that says what to do', async () => {
    const sentence =
      "Error: 403 Forbidden: no machine of the mesh has the model 'nobody', and what changes this machine needs its key " +
      '(run `gogrid models pull nobody`, or send `Authorization: Bearer <the line in api.key>`)\n';
    for (const args of [
      ['run', 'nobody', 'hi'],
      ['pull', 'nobody'],
    ]) {
      const { code, stdout, stderr } = await run(...args);
      expect({ code, stdout }, args[0]).toEqual({ code: 1, stdout: '' });
      expect(stderr.trimStart()).toBe(sentence);
    }
    expect(await run('show', 'nobody')).toEqual({ code: 1, stdout: '', stderr: "Error: model 'nobody' not found\n" });
    expect((await run('stop', 'nobody')).stderr).toBe('Error: couldn\'t find model "nobody" to stop\n');
  });

  test('rm without the key deletes nothing, and says why', async () => {
    const { code, stderr } = await run('rm', 'tiny');
    expect(code).toBe(1);
    expect(stderr).toContain('Error: ');
    expect(stderr).toContain('gogrid models rm tiny');
    expect((await run('ls')).stdout).toContain('tiny:latest');
  });

  test('cp and create are for Ollama itself', async () => {
    const sentence = 'a node makes, copies and pushes no models (do it with Ollama itself';
    expect((await run('cp', 'tiny', 'other')).stderr).toContain(`Error: ${sentence}`);
    const { folder } = shared().stage;
    await writeFile(path.join(folder, 'tiny.gguf'), tinyModel().gguf);
    for (const from of ['tiny', './tiny.gguf']) {
      await writeFile(path.join(folder, 'Modelfile'), `FROM ${from}\n`);
      const { code, stderr } = await run('create', 'other');
      expect(code).toBe(1);
      expect(stderr).toContain(sentence);
    }
  });

  test('the packages say the same', async () => {
    const messages = ask(QUESTION);
    const native = await ollama(node()).chat({ model: 'tiny', messages });
    expect(native).toMatchObject({ done: true, done_reason: 'stop' });
    expect(native.eval_count).toBeGreaterThan(0);
    const whole = await openai(node()).chat.completions.create({ model: 'tiny', messages });
    expect(whole.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: native.message.content } });
    expect(whole.usage?.completion_tokens).toBe(native.eval_count);
    const { embeddings } = await ollama(node()).embed({ model: 'tiny', input: ['harbor', 'a candle'] });
    const { data } = await openai(node()).embeddings.create({ model: 'tiny', input: ['harbor', 'a candle'] });
    expect(embeddings.map(({ length }) => length)).toEqual([64, 64]);
    expect(data.map(({ embedding }) => embedding)).toEqual(embeddings.map((vector) => vector.map(Math.fround)));
  });
});

describe('ollama stop', () => {
  const at = (index: number) => ({ home: shared().stage.folder, api: shared().mesh.node(index).api });
  const loaded = async () => (await shared().daemon(0).loaded()).includes('tiny:latest');

  test('unloads a model of this machine', async () => {
    expect((await runOllama(['run', 'tiny', QUESTION], at(0))).code).toBe(0);
    expect(await loaded()).toBe(true);
    expect(await runOllama(['stop', 'tiny'], at(0))).toMatchObject({ code: 0, stdout: '' });
    await until(async () => !(await loaded()), { what: 'the daemon to have unloaded it' });
    expect((await runOllama(['ps'], at(0))).stdout).not.toContain('tiny:latest');
  });

  test('neither unloads a model of another machine nor loads it there, and says so', async () => {
    expect(await loaded()).toBe(false);
    const { code, stderr } = await runOllama(['stop', 'tiny'], at(1));
    expect(code).toBe(1);
    expect(plain(stderr)).toContain("Error: 400 Bad Request: 'tiny' is not unloaded: it is on other machines");
    expect(await loaded()).toBe(false);
  });
});
