/** Nothing of a prompt or an answer is on any disk or in any log, whatever happened to the job, at the chattiest level. */

import { expect } from 'vitest';
import { findTraces } from '../harness/canary.ts';
import { ask, ollama, openai, streamChat } from '../harness/clients.ts';
import { answerTo, WORDS } from '../harness/expected.ts';
import { scenario } from '../harness/stage.ts';

scenario('no trace of prompts and answers (G84)', { within: 60_000 }, async (stage) => {
  const { random } = stage;
  const canaries: string[] = [];
  /** A word that nobody writes by chance, remembered for the search. */
  const canary = () => {
    const word = `q${random.word(11)}`;
    canaries.push(word);
    return word;
  };
  const engine = {
    tokensPerSecond: 150,
    models: [
      WORDS,
      { name: 'vectors', capabilities: ['embedding'] },
      { name: 'caller', capabilities: ['completion', 'tools'] },
    ],
  };
  const env = { GOGRID_LOGGING_LEVEL: 'trace' };
  const mesh = await stage.mesh([{}, { engine }, { engine }], { env });

  // Where nothing goes wrong: here, and there; every kind of job, every field that holds a user's text.
  for (const index of [1, 0]) {
    const content = `${canary()} words=30`;
    canaries.push(...telling(answerTo(content)));
    expect((await streamChat(openai(mesh.node(index)), { content })).text).toBe(answerTo(content));
    const client = openai(mesh.node(index));
    await client.chat.completions.create({
      model: 'words',
      messages: [
        { role: 'system', content: canary() },
        { role: 'user', content: [{ type: 'text', text: canary() }] },
      ],
      stop: [canary()],
      user: canary(),
    });
    await client.chat.completions.create({
      model: 'caller',
      messages: ask(`${canary()} call tool`),
      tools: [
        { type: 'function', function: { name: 'tool', description: canary(), parameters: schemaWith(canary()) } },
      ],
    });
    await client.embeddings.create({ model: 'vectors', input: [canary()] });
    await ollama(mesh.node(index)).generate({ model: 'words', prompt: `${canary()} words=3`, system: canary() });
  }

  // Where a provider dies in the middle.
  const moved = `${canary()} words=60`;
  canaries.push(...telling(answerTo(moved)));
  let killed = 0;
  const streamed = await streamChat(openai(mesh.node(0)), {
    content: moved,
    onChunk: async ({ chunks, provider }) => {
      if (chunks !== 20) return;
      killed = mesh.indexOf(provider);
      await mesh.node(killed).kill();
    },
  });
  expect(streamed.text).toBe(answerTo(moved));
  const left = killed === 1 ? 2 : 1;

  // Where jobs fail: before the engine, in it, by the client's will, by a request that cannot be read.
  const client = openai(mesh.node(0));
  await expect(client.chat.completions.create({ model: 'nobody', messages: ask(canary()) })).rejects.toThrow();
  await expect(client.chat.completions.create({ model: 'words', messages: canary() as never })).rejects.toThrow();
  const faults = ['error', 'garbage', 'cut', 'oom'] as const;
  for (const kind of faults) {
    // The engine itself repeats what it was given: its error text must not get through to a log.
    await mesh
      .engine(left)
      .control({ faults: [{ kind, afterTokens: 2, times: 9, message: `cannot answer ${canary()}` }] });
    await expect(streamChat(client, { content: `${canary()} words=20` })).rejects.toThrow();
  }
  await mesh.engine(left).control({ faults: [] });
  const hangUp = new AbortController();
  const aborted = streamChat(client, {
    content: `${canary()} words=1000`,
    signal: hangUp.signal,
    onChunk: ({ chunks }) => {
      if (chunks === 3) hangUp.abort();
    },
  });
  await aborted.catch(() => undefined);
  for (const path of ['/v1/chat/completions', '/api/chat']) {
    for (const body of [
      `{"model":"words","messages":[{"role":"user","content":"${canary()}`,
      canary(),
      `["${canary()}"]`,
    ]) {
      expect((await fetch(mesh.node(0).api + path, { method: 'POST', body })).status).toBe(400);
    }
  }

  // What is on disk now is what would be found after a crash; what is there after the end is what stays.
  const outputs = () =>
    new Map(
      stage.nodes.flatMap((node) => [
        [`stdout of ${node.name}`, node.stdout],
        [`stderr of ${node.name}`, node.stderr],
      ]),
    );
  expect(await findTraces(canaries, stage.folder, outputs())).toEqual([]);
  for (const node of stage.nodes) await node.stop();
  expect(await findTraces(canaries, stage.folder, outputs())).toEqual([]);
  // The search does see these folders: the model's name is not secret.
  expect(await findTraces(['words:latest'], stage.folder, new Map())).not.toEqual([]);
});

/** Words of an answer that are not found elsewhere by chance: long ones, which end in their number. */
function telling(answer: string): string[] {
  return answer.split(/\s+/).filter((word) => Buffer.byteLength(word) >= 8);
}

function schemaWith(word: string): Record<string, unknown> {
  return { type: 'object', properties: { [word]: { type: 'string', description: word } } };
}
