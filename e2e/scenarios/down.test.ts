/** `gogrid down` and `gogrid doctor` with real nodes. */

import { createServer } from 'node:net';
import { expect } from 'vitest';
import { diagnosis } from '../../src/contract/doctor.ts';
import { openai, streamChat } from '../harness/clients.ts';
import { answerTo } from '../harness/expected.ts';
import { type Stage, scenario } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

const BUDGET = { within: 30_000 };

scenario('down stops the node in order, and says so', BUDGET, async (stage) => {
  const node = await stage.node();
  const home = ['--home', node.home];
  const down = await stage.gogrid(['down', ...home]);
  expect(down).toMatchObject({ code: 0, stderr: '' });
  expect(down.stdout).toMatch(/Stopping the node \(process \d+\)[^\n]*\nThe node has stopped/);
  expect(await node.exited).toEqual({ code: 0, signal: null });
  expect(await stage.gogrid(['down', ...home])).toMatchObject({ code: 3, stdout: '' });
});

scenario('a node that drains can be asked what it waits for', BUDGET, async (stage) => {
  const mesh = await stage.mesh([{ engine: { tokensPerSecond: 30 } }]);
  const node = mesh.node(0);
  const home = ['--home', node.home];
  const content = `${stage.random.word(8)} words=120`;
  let down: ReturnType<Stage['gogrid']> | undefined;
  const answer = streamChat(openai(node), {
    content,
    onChunk: ({ chunks }) => {
      if (chunks === 5) down = stage.gogrid(['down', ...home]);
    },
  });
  await until(async () => (await node.status()).state === 'draining', { what: 'the node to drain' });
  const status = await stage.gogrid(['status', ...home]);
  expect(status).toMatchObject({ code: 0, stderr: '' });
  expect(status.stdout).toMatch(/^state +draining.*\n +it ends: one job may go on for \d+ s more$/m);
  expect(await stage.gogrid(['jobs', ...home])).toMatchObject({ code: 0, stdout: expect.stringContaining('running') });
  expect(await stage.gogrid(['run', 'words', 'late', ...home])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('shutting down'),
  });
  expect((await answer).text).toBe(answerTo(content));
  expect((await down)?.stdout).toMatch(/It waits: one job may go on[\s\S]*The node has stopped/);
  expect((await down)?.code).toBe(0);
});

scenario('doctor finds nothing wrong with a node that answers', BUDGET, async (stage) => {
  const mesh = await stage.mesh([{}, { engine: {} }]);
  for (const index of [0, 1]) {
    const { code, stdout } = await stage.gogrid(['doctor', '--json', '--home', mesh.node(index).home]);
    const { running, healthy, findings } = diagnosis.parse(JSON.parse(stdout));
    expect({ code, running, healthy }).toEqual({ code: 0, running: true, healthy: true });
    const clock = findings.find(({ check }) => check === 'clock');
    expect(clock).toMatchObject({ level: 'ok', message: expect.stringContaining('agrees with') });
  }
  const shown = await stage.gogrid(['doctor', '--home', mesh.node(1).home]);
  expect(shown.stdout).toMatch(/^ok +engine +ollama 0\.\d+\.\d+ answers$/m);
  expect(shown.stdout).toMatch(/^ok +peers +1 peer connected$/m);
});

scenario('doctor names a peer that is gone, with exit code 1', BUDGET, async (stage) => {
  const env = { GOGRID_NETWORK_RECONNECT_DELAY_SECS: '1' };
  const mesh = await stage.mesh([{ engine: {} }, {}], { env });
  await mesh.engine(0).stop();
  await mesh.node(0).kill();
  const look = () => stage.gogrid(['doctor', '--home', mesh.node(1).home]);
  const found = await until(
    async () => {
      const ended = await look();
      return ended.code === 1 && /^error +peers/m.test(ended.stdout) ? ended : undefined;
    },
    { what: 'the peer to be missed' },
  );
  expect(found.stdout).toMatch(/^error +peers +not connected to \/ip4\/127\.0\.0\.1\/\S+\n +→ /m);
});

scenario('doctor says how to get an engine and a model', BUDGET, async (stage) => {
  const node = await stage.node({ engineUrl: 'http://127.0.0.1:9' });
  const { code, stdout } = await stage.gogrid(['doctor', '--home', node.home]);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^error +engine +ollama does not answer\n +→ /m);
  expect(stdout).toMatch(/^error +model +no machine of the mesh has a model\n +→ gogrid models --home \S+ pull/m);
});

scenario('doctor without a node tells a port that is taken', BUDGET, async (stage) => {
  const taken = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as { port: number };
  const env = { GOGRID_API_PORT: String(port), GOGRID_NETWORK_PORT: '0', GOGRID_ENGINE_KIND: 'none' };
  const home = ['--home', `${stage.folder}/home`];
  const busy = await stage.gogrid(['doctor', ...home], { env });
  expect(busy.code).toBe(1);
  expect(busy.stdout).toMatch(new RegExp(`^error +api +127\\.0\\.0\\.1:${port} is in use by another program$`, 'm'));
  await new Promise((resolve) => taken.close(resolve));
  const free = await stage.gogrid(['doctor', ...home], { env });
  expect(free).toMatchObject({ code: 0, stderr: '' });
  expect(free.stdout).toMatch(/^warn +node +no node is running/m);
});
