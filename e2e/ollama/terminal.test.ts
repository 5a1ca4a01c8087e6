/** Ollama's chat in a terminal, as a person uses it: an answer that streams, one that is stopped, and what goes wrong. */

import { expect } from 'vitest';
import type { NodeProcess } from '../harness/node-process.ts';
import { type Stage, scenario } from '../harness/stage.ts';
import { CTRL_C, ENTER, plain } from '../harness/terminal.ts';
import { until } from '../harness/until.ts';
import { ollamaTerminal, runOllama, startOllama } from './harness/command-line.ts';
import { realMesh } from './harness/mesh.ts';
import { endlessModel, tinyModel } from './harness/models.ts';

const PROMPT = />>> /;
const TWENTY_WORDS = /(?:\S+\s+){20}/;
/** One job at a time, and nobody waits. */
const NO_QUEUE = { GOGRID_WORKER_MAX_QUEUED_JOBS: '0', GOGRID_WORKER_MAX_WAITING_JOBS: '0' };

const open = (stage: Stage, node: NodeProcess, model: string) =>
  ollamaTerminal(stage, node.api, ['run', model, '--nowordwrap']);

const isFree = async (node: NodeProcess) => (await node.status()).queue.running === 0;

scenario('a chat in a terminal: the answer streams, Ctrl-C stops it, /bye ends', { within: 60_000 }, async (stage) => {
  const { mesh, daemon } = await realMesh(stage, { members: [[endlessModel()], undefined] });
  const chat = open(stage, mesh.node(1), 'endless');
  await chat.expect(PROMPT);
  chat.type(`Tell me a story${ENTER}`);
  // The answer has no end: whatever is on the screen has come while it was made.
  await chat.expect(TWENTY_WORDS);
  expect((await mesh.node(0).status()).queue.running).toBe(1);
  chat.type(CTRL_C);
  await until(() => isFree(mesh.node(0)), { what: 'the slot to be free', within: 2000 });
  await chat.expect(PROMPT);
  const [job] = (await mesh.node(1).jobs()).filter(({ kind }) => kind === 'chat');
  expect(job).toMatchObject({ state: 'cancelled', direction: 'out' });

  // The next question is answered behind the first one, which it carries along.
  chat.type(`And then?${ENTER}`);
  await chat.expect(TWENTY_WORDS);
  chat.type(CTRL_C);
  await chat.expect(PROMPT);
  chat.type(`/bye${ENTER}`);
  expect(await chat.exited).toBe(0);
  await until(() => isFree(mesh.node(0)), { what: 'the slot to be free again' });
  expect(await daemon(0).loaded()).toEqual(['endless:latest']);
});

scenario('a busy mesh says so in one line, serves its owner, and who comes back', { within: 60_000 }, async (stage) => {
  const { mesh } = await realMesh(stage, { members: [[endlessModel(), tinyModel()], undefined], env: NO_QUEUE });
  const chat = open(stage, mesh.node(1), 'endless');
  await chat.expect(PROMPT);
  chat.type(`Tell me a story${ENTER}`);
  await chat.expect(TWENTY_WORDS);

  const refused = await runOllama(['run', 'tiny', 'hi'], { home: stage.folder, api: mesh.node(1).api });
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(plain(refused.stderr)).toMatch(
    /Error: 503 Service Unavailable: overloaded: every provider of 'tiny:latest' is busy\n$/,
  );
  // The owner of the only provider goes first there, and the story goes on behind his question.
  const owner = await runOllama(['run', 'tiny', 'hi'], { home: stage.folder, api: mesh.node(0).api });
  expect(owner).toMatchObject({ code: 0, stdout: expect.stringMatching(/\w/) });
  await chat.expect(TWENTY_WORDS);
  chat.type(CTRL_C);
  await chat.expect(PROMPT);
  await until(() => isFree(mesh.node(0)), { what: 'the slot to be free' });
  const served = await runOllama(['run', 'tiny', 'hi'], { home: stage.folder, api: mesh.node(1).api });
  expect(served).toMatchObject({ code: 0, stdout: expect.stringMatching(/\w/) });
});

for (const who of ['node', 'daemon'] as const) {
  scenario(
    `the only provider's ${who} dies in mid-answer: an error, and an exit code`,
    { within: 60_000 },
    async (stage) => {
      const { mesh, daemon } = await realMesh(stage, { members: [[endlessModel()], undefined] });
      const options = { home: stage.folder, api: mesh.node(1).api };
      const answer = startOllama(['run', 'endless', 'Tell me a story'], options);
      await until(() => TWENTY_WORDS.test(answer.output.stdout), { what: 'some words' });
      if (who === 'node') await mesh.node(0).kill();
      else daemon(0).kill();
      const { code, stdout, stderr } = await answer.finished;
      expect(code).toBe(1);
      expect(stdout).toMatch(TWENTY_WORDS);
      expect(plain(stderr)).toMatch(/Error: [^\n]*(broke off|no other|no provider)[^\n]*\n$/);
    },
  );
}
