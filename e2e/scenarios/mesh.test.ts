/** Nodes that find one another, leave, and come back. */

import { expect } from 'vitest';
import { openai, streamChat } from '../harness/clients.ts';
import { answerTo, generations } from '../harness/expected.ts';
import { scenario } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

scenario('the bootstrap node dies, and comes back (G53, E32, E43)', { within: 60_000 }, async (stage) => {
  const engine = { tokensPerSecond: 400 };
  const mesh = await stage.mesh([{}, { engine }, {}, { engine }]);
  const ask = async (index: number) => {
    const content = `${stage.random.word(8)} words=20`;
    expect((await streamChat(openai(mesh.node(index)), { content })).text).toBe(answerTo(content));
  };
  await ask(0);
  await mesh.node(0).kill();
  await ask(2);
  await ask(1);
  await until(
    async () => (await mesh.node(2).peers()).every(({ name, connected }) => name !== 'node-1' || !connected),
    {
      what: 'the others to know that it is gone',
    },
  );
  await mesh.settled();
  await ask(3);
  const before = mesh.node(0).peerId;
  const again = await mesh.restart(0);
  expect(again.peerId).toBe(before);
  await mesh.settled(30_000);
  await ask(0);
});

scenario('a model that is pulled later is known to all (C8, E28)', { within: 30_000 }, async (stage) => {
  const mesh = await stage.mesh([{ engine: {} }, {}, {}]);
  await mesh.engine(0).control({ models: [{ name: 'words:latest' }, { name: 'late:7b' }] });
  await until(async () => (await mesh.node(2).models()).some(({ name }) => name === 'late:7b'), {
    what: 'the new model to be listed everywhere',
    within: 12_000,
  });
  const content = `${stage.random.word(8)} words=5`;
  const { text } = await streamChat(openai(mesh.node(2)), { content, model: 'late:7b' });
  expect(text).toBe(answerTo(content, { name: 'late:7b' }));
  expect(await generations(mesh.engine(0))).toHaveLength(1);
});

scenario('twenty nodes see one another', { within: 120_000 }, async (stage) => {
  const startedAt = performance.now();
  const members = Array.from({ length: 20 }, (_, index) => (index % 5 === 0 ? { engine: {} } : {}));
  const mesh = await stage.mesh(members, { within: 60_000 });
  const took = ((performance.now() - startedAt) / 1000).toFixed(1);
  const slowest = Math.max(...mesh.members.map(({ node }) => node.startedInMs));
  process.stdout.write(
    `20 nodes: started and each listing the 19 others after ${took} s (slowest start ${slowest.toFixed(0)} ms)\n`,
  );
  const content = `${stage.random.word(8)} words=20`;
  const index = stage.random.pick([1, 7, 13, 19]);
  expect((await streamChat(openai(mesh.node(index)), { content })).text).toBe(answerTo(content));
  expect((await mesh.node(index).models())[0]?.providers).toHaveLength(4);
});
