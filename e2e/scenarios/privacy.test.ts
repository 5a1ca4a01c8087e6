/** Privacy tiers: a prompt goes where its tier allows, and nowhere else, whatever that costs. */

import { expect } from 'vitest';
import { friendList } from '../../src/contract/privacy.ts';
import { jobOf, startAsking, WAYS } from '../harness/asking.ts';
import { ask, rawPost } from '../harness/clients.ts';
import { answerTo, generations } from '../harness/expected.ts';
import type { Mesh } from '../harness/mesh.ts';
import type { NodeProcess } from '../harness/node-process.ts';
import { type Stage, scenario } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

const FRIENDS = { 'x-gogrid-privacy': 'friends' };
const WORDS = { tokensPerSecond: 200 };

/** What a raw client gets. */
async function refusal(node: NodeProcess, path: string, headers: Record<string, string>) {
  const body = JSON.stringify({ model: 'words', messages: ask('hi words=5'), stream: false });
  const response = await fetch(node.api + path, { method: 'POST', headers, body });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  };
}

/** How often each engine was asked to write. */
async function written(mesh: Mesh, indices: readonly number[]): Promise<number[]> {
  return Promise.all(indices.map(async (index) => (await generations(mesh.engine(index))).length));
}

const peers = (stage: Stage, node: NodeProcess, ...args: string[]) =>
  stage.gogrid(['peers', ...args, '--home', node.home]);

scenario(
  'a tier that nobody can serve is refused in every dialect, and nothing leaves the machine',
  { within: 30_000 },
  async (stage) => {
    const mesh = await stage.mesh([{}, { engine: WORDS }]);
    const node = mesh.node(0);
    for (const tier of ['local', 'own', 'friends']) {
      const header = { 'x-gogrid-privacy': tier };
      const byOpenai = await refusal(node, '/v1/chat/completions', header);
      expect(byOpenai.status, tier).toBe(403);
      expect(byOpenai.headers.get('x-should-retry')).toBe('false');
      expect(byOpenai.headers.get('retry-after')).toBeNull();
      expect(byOpenai.body).toMatchObject({ error: { code: 'privacy_unserved', type: 'permission_error' } });
      const { jobId } = byOpenai.body.error as { jobId: string };
      expect(await node.job(jobId)).toMatchObject({
        state: 'failed',
        reason: 'privacy_unserved',
        privacy: tier,
        seenBy: [],
      });
      expect(byOpenai.headers.get('x-gogrid-job')).toBe(jobId);

      const byOllama = await refusal(node, '/api/chat', header);
      expect(byOllama).toMatchObject({
        status: 403,
        body: { error: expect.stringMatching(/words/), code: 'privacy_unserved' },
      });
      expect(byOllama.headers.get('x-should-retry')).toBe('false');
      for (const way of WAYS) {
        const asking = startAsking(node, way, { content: 'hi', headers: header });
        await expect(asking.ended, `${tier}, ${way}`).rejects.toThrow();
        expect(asking.heard.status).toBe(403);
      }
    }
    const unknown = await refusal(node, '/v1/chat/completions', { 'x-gogrid-privacy': 'Mesh' });
    expect(unknown).toMatchObject({ status: 400, body: { error: { param: 'x-gogrid-privacy' } } });
    expect(await written(mesh, [1])).toEqual([0]);
    expect(await mesh.node(1).jobs()).toEqual([]);
    // The command line says so too, as refused by policy.
    const run = (...more: string[]) => stage.gogrid(['run', 'words', 'hi', '--home', node.home, ...more]);
    expect(await run('--privacy', 'friends')).toMatchObject({ code: 5, stdout: '' });
    expect(await run('--privacy', 'friends', '--json')).toMatchObject({ code: 5, stdout: '' });
    expect(await run()).toMatchObject({ code: 0, stdout: `${answerTo('hi')}\n` });
  },
);

scenario('privacy.default holds for requests that name no tier', { within: 30_000 }, async (stage) => {
  const mesh = await stage.mesh([{ env: { GOGRID_PRIVACY_DEFAULT: 'local' } }, { engine: WORDS }]);
  const run = await stage.gogrid(['run', 'words', 'hi', '--home', mesh.node(0).home]);
  expect(run).toMatchObject({ code: 5, stdout: '' });
  expect(run.stderr).toContain('words');
  expect(await written(mesh, [1])).toEqual([0]);
  const opened = startAsking(mesh.node(0), 'openai whole', { content: 'hi', headers: { 'x-gogrid-privacy': 'mesh' } });
  expect((await opened.ended).text).toBe(answerTo('hi'));
});

scenario('prompts for friends go to friends alone (N4)', { within: 60_000 }, async (stage) => {
  const mesh = await stage.mesh([{}, { engine: { tokensPerSecond: 60 } }, { engine: WORDS }]);
  const [node, friend, stranger] = [mesh.node(0), mesh.node(1), mesh.node(2)];
  const made = await peers(stage, node, 'friend', friend.name);
  expect(made).toMatchObject({ code: 0, stdout: expect.stringContaining('Whoever runs a model reads the prompt.') });
  expect((await peers(stage, node)).stdout).toMatch(new RegExp(`^${friend.name} +\\S+ +friend +`, 'm'));
  expect(friendList.parse(await node.get('/privacy/friends')).friends).toEqual([
    { peerId: friend.peerId, name: friend.name },
  ]);

  // Even while the friend is busy and the stranger idle and faster: they wait for the friend.
  const contents = [0, 1, 2, 3].map((at) => `${stage.random.word(6)} ${at} words=40`);
  const asking = contents.map((content, at) =>
    startAsking(node, WAYS[at] ?? 'openai whole', { content, headers: FRIENDS }),
  );
  const heard = await Promise.all(asking.map(({ ended }) => ended));
  expect(heard.map(({ text }) => text)).toEqual(contents.map((content) => answerTo(content)));
  for (const each of heard) {
    expect(each.headers?.get('x-gogrid-provider')).toBe(friend.peerId);
    expect(await node.job(jobOf(each) ?? '')).toMatchObject({ privacy: 'friends', seenBy: [friend.peerId] });
  }
  expect(await written(mesh, [1, 2])).toEqual([4, 0]);
  expect((await stage.gogrid(['jobs', '--seen-by', '--home', node.home])).stdout).not.toContain(stranger.name);

  // The list survives a restart.
  await node.stop();
  const again = await mesh.restart(0);
  await mesh.settled();
  const routed = await stage.gogrid(['route', 'words', '--privacy', 'friends', '--home', again.home]);
  expect(routed.stdout).toMatch(new RegExp(`^${friend.name} would answer`));
  expect(routed.stdout).toContain(`${stranger.name} is not on the list of friends`);

  // A friend that dies in mid-answer leaves the answer to friends, and there is no other.
  const broken = startAsking(again, 'openai streamed', { content: 'long words=300', headers: FRIENDS });
  const end = broken.ended.catch((thrown: unknown) => thrown);
  await until(() => broken.heard.pieces > 10, { what: 'the answer to begin' });
  await friend.kill();
  expect(await end).toBeInstanceOf(Error);
  expect(await written(mesh, [2]), 'the stranger saw nothing of it').toEqual([0]);

  // Whoever is a friend no more is asked no more; and a block unmakes a friend.
  expect((await peers(stage, again, 'friend', stranger.name)).code).toBe(0);
  const now = startAsking(again, 'ollama whole', { content: 'hello words=5', headers: FRIENDS });
  expect((await now.ended).text).toBe(answerTo('hello words=5'));
  expect((await peers(stage, again, 'unfriend', stranger.name)).code).toBe(0);
  await expect(startAsking(again, 'ollama whole', { content: 'hi', headers: FRIENDS }).ended).rejects.toThrow();
  await peers(stage, again, 'friend', stranger.name);
  await peers(stage, again, 'block', stranger.name);
  expect(friendList.parse(await again.get('/privacy/friends')).friends.map(({ peerId }) => peerId)).toEqual([
    friend.peerId,
  ]);
  expect(await written(mesh, [2])).toEqual([1]);
});

scenario('a model here serves every tier', { within: 30_000 }, async (stage) => {
  const mesh = await stage.mesh([{ engine: WORDS }, { engine: WORDS }]);
  for (const tier of ['local', 'own', 'friends']) {
    const { text, headers } = await startAsking(mesh.node(0), 'openai whole', {
      content: `${tier} words=5`,
      headers: { 'x-gogrid-privacy': tier },
    }).ended;
    expect(text).toBe(answerTo(`${tier} words=5`));
    expect(headers?.get('x-gogrid-route')).toBe('local');
  }
  expect(await written(mesh, [1])).toEqual([0]);
  const { response } = await rawPost(`${mesh.node(0).api}/route/explain`, {});
  expect(response.statusCode, 'explaining needs the key').toBe(401);
  response.destroy();
});
