/** `gogrid chat` in a pseudo-terminal, as a person uses it. */

import { describe, expect, test } from 'vitest';
import type { FakeEngine } from '../engine/start.ts';
import { answerTo, generations } from '../harness/expected.ts';
import type { Mesh } from '../harness/mesh.ts';
import { type Stage, scenario, sharedStage } from '../harness/stage.ts';
import { CTRL_C, CTRL_D, ENTER, hasTerminals, Terminal } from '../harness/terminal.ts';
import { until } from '../harness/until.ts';

const PROMPT = />>> $/;
const isFree = async (engine: FakeEngine) => (await engine.report()).totals.open === 0;

/** A prompt, and behind it the answer to what is typed there. */
async function ask(terminal: Terminal, question: string): Promise<string> {
  terminal.type(question + ENTER);
  return terminal.expect(/tokens\/s\n[\s\S]*>>> $/);
}

function chatWith(mesh: Mesh, stage: Stage, ...args: string[]): Terminal {
  return Terminal.open(stage, ['chat', ...args, '--home', mesh.node(0).home]);
}

describe.skipIf(!hasTerminals)('in a terminal', () => {
  const shared = sharedStage('chat', async (stage) => ({
    mesh: await stage.mesh([{}, { engine: { tokensPerSecond: 100 } }]),
  }));

  test('a question is answered by another machine, which is named, and Ctrl-D leaves', async () => {
    const { stage, mesh } = shared();
    const terminal = chatWith(mesh, stage);
    expect(await terminal.expect(PROMPT)).toContain('Talking to words:latest on node-2.');
    const said = await ask(terminal, 'first words=20');
    const words = answerTo('first words=20').split(/\s+/).filter(Boolean);
    for (const word of words) expect(said).toContain(word);
    expect(said).toMatch(/answered by node-2 \(direct\), 20 tokens, [0-9.]+ tokens\/s/);
    const prompts = (await generations(mesh.engine(1))).length;
    await ask(terminal, 'second words=5');
    expect(await generations(mesh.engine(1))).toHaveLength(prompts + 1);
    terminal.type(CTRL_D);
    expect(await terminal.exited).toBe(0);
  });

  test('Ctrl-C ends the answer and frees its provider, and the chat goes on', async () => {
    const { stage, mesh } = shared();
    const terminal = chatWith(mesh, stage, 'words');
    await terminal.expect(PROMPT);
    terminal.type(`a long one words=100000${ENTER}`);
    await terminal.expect(/(\S+\s+){10}/);
    expect(await isFree(mesh.engine(1))).toBe(false);
    terminal.type(CTRL_C);
    await terminal.expect(/Cancelled\. The chat goes on from what came\.\n[\s\S]*>>> $/);
    await until(() => isFree(mesh.engine(1)), { what: 'the engine to be free', within: 2_000 });
    const [job] = await mesh.node(0).jobs();
    expect(job).toMatchObject({ state: 'cancelled' });
    expect(await ask(terminal, 'and now words=5')).toMatch(/answered by node-2/);
    terminal.type(CTRL_C);
    await terminal.expect(/Ctrl-C once more, Ctrl-D or \/bye leaves\.\n[\s\S]*>>> $/);
    terminal.type(CTRL_C);
    expect(await terminal.exited).toBe(0);
  });

  test('arrow up brings the last question back, and """ holds several lines together', async () => {
    const { stage, mesh } = shared();
    const terminal = chatWith(mesh, stage, 'words');
    await terminal.expect(PROMPT);
    const first = await ask(terminal, 'again words=4');
    terminal.type(`\u001b[A${ENTER}`);
    expect(await terminal.expect(/tokens\/s\n[\s\S]*>>> $/)).toContain('again words=4');
    expect(first).toContain('4 tokens');
    terminal.type(`"""one${ENTER}`);
    await terminal.expect(/\.\.\. $/);
    terminal.type(`two words=6"""${ENTER}`);
    expect(await terminal.expect(/tokens\/s\n[\s\S]*>>> $/)).toContain('6 tokens');
    terminal.type(`/bye${ENTER}`);
    expect(await terminal.exited).toBe(0);
  });

  test('an unknown model is told with the nearest one', async () => {
    const { stage, mesh } = shared();
    const terminal = chatWith(mesh, stage, 'wrods');
    await terminal.expect(/error: model 'wrods' not found; did you mean 'words'\?/);
    expect(await terminal.exited).toBe(1);
  });
});

/** Where there is no pseudo-terminal, there is nothing to see. */
function inTerminal(name: string, play: (stage: Stage) => Promise<void>): void {
  if (hasTerminals) scenario(name, { within: 30_000 }, play);
  else test.skip(name, () => {});
}

inTerminal('a model that loads shows a sign of life', async (stage) => {
  const mesh = await stage.mesh([{}, { engine: { loadMs: 4_000 } }]);
  const terminal = chatWith(mesh, stage);
  await terminal.expect(PROMPT);
  terminal.type(`hello words=3${ENTER}`);
  await terminal.expect(/…loading words:latest on node-2/);
  await terminal.expect(/answered by node-2/);
  terminal.type(CTRL_D);
  expect(await terminal.exited).toBe(0);
});

inTerminal('a machine that dies is replaced in the midst of a line', async (stage) => {
  const engine = { tokensPerSecond: 40 };
  const mesh = await stage.mesh([{}, { engine }, { engine }]);
  const terminal = chatWith(mesh, stage);
  await terminal.expect(PROMPT);
  terminal.type(`a story words=120${ENTER}`);
  await terminal.expect(/(\S+\s+){10}/);
  const [job] = await mesh.node(0).jobs();
  const first = mesh.indexOf(job?.provider);
  await mesh.node(first).kill();
  const other = `node-${first === 1 ? 3 : 2}`;
  await terminal.expect(new RegExp(`⟨${other} goes on⟩`));
  expect(await terminal.expect(/tokens\/s/)).toMatch(
    new RegExp(`answered by (node-${first + 1}|\\S+), then ${other} \\(direct\\), 120 tokens`),
  );
  terminal.type(CTRL_D);
  expect(await terminal.exited).toBe(0);
});
