/** What the owner of a node asks about routing and privacy, over the real API. */

import { afterEach, describe, expect, it } from 'vitest';
import { GoGridError } from '../errors.ts';
import type { JobSpec } from '../jobs/output.ts';
import { MESH } from '../limits/mesh.ts';
import { nodeIdOf } from '../protocol/ids.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import {
  ask,
  fewFriends,
  type SmallApi,
  smallApi,
  testDecision,
  testKey,
  testPeer,
  testRuntime,
} from '../testing/small-api.ts';
import type { ApiDeps, ApiOptions } from './server.ts';

let small: SmallApi | undefined;
afterEach(async () => {
  await small?.api.stop(0);
  small = undefined;
});

async function start(deps: Partial<ApiDeps> = {}, options: Partial<ApiOptions> = {}) {
  small = await smallApi(options, deps);
  const { port } = small;
  return async (method: string, path: string, body?: unknown, more: Record<string, string> = {}) => {
    const headers = { authorization: `Bearer ${testKey}`, ...more };
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await ask(port, path, { method, headers, ...sent });
    return { status: answer.status, headers: answer.headers, body: JSON.parse(answer.text) };
  };
}

const question = { model: 'Tiny', messages: [{ role: 'user', content: 'hi' }] };

describe('POST /route/explain', () => {
  it('gives the decision, with the names of those that are known', async () => {
    const specs: JobSpec[] = [];
    const send = await start({
      runJob: () => {
        throw new Error('nothing may be run');
      },
      explain: async (spec) => {
        specs.push(spec);
        const [candidate] = testDecision.candidates;
        const stranger = { node: '12D3KooWStranger', why: 'not-admitted' } as const;
        return { ...testDecision, candidates: [candidate!], excluded: [...testDecision.excluded, stranger] };
      },
    });
    const { status, body } = await send('POST', '/route/explain', { ...question, max_tokens: 9 });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      model: 'tiny:latest',
      privacy: 'mesh',
      choice: 'only',
      priceMicrocredits: '0',
      candidates: [{ node: testPeer.peerId, name: 'other', expectedMs: { decode: 2000 } }],
      excluded: [
        { node: '12D3KooWSelf', name: 'testbox', status: 'idle', why: 'no-such-model' },
        { node: '12D3KooWStranger', name: '', status: '', why: 'not-admitted' },
      ],
    });
    expect(specs).toMatchObject([{ model: 'Tiny', privacy: 'mesh', input: { options: { num_predict: 9 } } }]);
  });

  it('takes the tier of the header, else of the setting, and the errors of a question', async () => {
    const tiers: string[] = [];
    const explain: ApiDeps['explain'] = async ({ privacy }) => {
      tiers.push(privacy);
      return testDecision;
    };
    const send = await start({ explain }, { privacy: 'friends' });
    expect((await send('POST', '/route/explain', question)).body).toMatchObject({ privacy: 'friends' });
    await send('POST', '/route/explain', question, { 'x-gogrid-privacy': 'local' });
    expect(tiers).toEqual(['friends', 'local']);
    const wrong = await send('POST', '/route/explain', question, { 'x-gogrid-privacy': 'secret' });
    expect(wrong).toMatchObject({ status: 400, body: { error: { code: 'invalid_request' } } });
    expect(await send('POST', '/route/explain', { model: 'tiny' })).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringContaining('messages') } },
    });
    expect(tiers).toHaveLength(2);
  });

  it('passes on why there is no decision', async () => {
    const explain: ApiDeps['explain'] = async () => {
      throw new GoGridError({ code: 'prompt_too_long', message: 'prompt is too long' });
    };
    const send = await start({ explain });
    expect(await send('POST', '/route/explain', question)).toMatchObject({
      status: 400,
      body: { error: { code: 'prompt_too_long' } },
    });
  });
});

describe('/privacy/friends', () => {
  const id = (n: number) => nodeIdOf(signerFromSeed(new Uint8Array(32).fill(n)).publicKey);

  it('is replaced as a whole, each with the name it has or had', async () => {
    const friends = fewFriends([{ node: id(1), name: 'as it was' }]);
    const runtime = { ...testRuntime, peers: () => [{ ...testPeer, peerId: id(2), name: 'kitchen' }] };
    const send = await start({ friends, runtime });
    expect((await send('GET', '/privacy/friends')).body).toEqual({
      friends: [{ peerId: id(1), name: 'as it was' }],
      total: 1,
    });
    const both = {
      friends: [
        { peerId: id(1), name: 'as it was' },
        { peerId: id(2), name: 'kitchen' },
        { peerId: id(3), name: '' },
      ],
      total: 3,
    };
    const sent = await send('PUT', '/privacy/friends', { friends: [id(1), id(2), id(3), id(2)] });
    expect(sent).toMatchObject({ status: 200, body: both });
    expect(friends.list()).toEqual(both.friends.map(({ peerId, name }) => ({ node: peerId, name })));
    expect((await send('PUT', '/privacy/friends', { friends: [] })).body).toEqual({ friends: [], total: 0 });
  });

  it('takes and loses one at a time, so that two at once undo nothing', async () => {
    const friends = fewFriends([{ node: id(1), name: 'one' }]);
    const send = await start({ friends });
    const both = await Promise.all([
      send('PUT', `/privacy/friends/${id(2)}`),
      send('DELETE', `/privacy/friends/${id(1)}`),
      send('DELETE', `/privacy/friends/${id(4)}`),
    ]);
    expect(both.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect((await send('GET', '/privacy/friends')).body).toEqual({
      friends: [{ peerId: id(2), name: '' }],
      total: 1,
    });
    for (const method of ['PUT', 'DELETE']) {
      expect(await send(method, '/privacy/friends/kitchen')).toMatchObject({
        status: 400,
        body: { error: { message: "id: 'kitchen' is not the id of a node" } },
      });
    }
  });

  it('a block that came meanwhile wins', async () => {
    const friends = fewFriends();
    const peers = () => [{ ...testPeer, peerId: id(2), status: 'blocked' }];
    const send = await start({ friends, runtime: { ...testRuntime, peers } });
    for (const sent of [
      await send('PUT', `/privacy/friends/${id(2)}`),
      await send('PUT', '/privacy/friends', { friends: [id(2)] }),
    ]) {
      expect(sent).toMatchObject({ status: 400, body: { error: { message: expect.stringContaining('is blocked') } } });
    }
    expect(friends.list()).toEqual([]);
  });

  it.each([
    [{ friends: ['kitchen'] }, "friends[0]: 'kitchen' is not the id of a node"],
    [{ friends: [id(1), testPeer.peerId] }, 'friends[1]'],
    [{ friends: [id(9)] }, 'friends[0]: that is this node itself'],
    [{ friends: id(1) }, 'friends: expected a list, got a string'],
    [{}, 'friends: expected a list, got nothing'],
    [{ friends: Array.from({ length: MESH.maxFriends + 1 }, () => id(1)) }, 'friends: expected at most 1024'],
  ])('refuses %j, and changes nothing', async (body, message) => {
    const friends = fewFriends([{ node: id(5), name: 'x' }]);
    const runtime = { ...testRuntime, identity: () => ({ ...testRuntime.identity(), peerId: id(9) }) };
    const send = await start({ friends, runtime });
    expect(await send('PUT', '/privacy/friends', body)).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_request', message: expect.stringContaining(message) } },
    });
    expect(friends.list()).toHaveLength(1);
  });
});
