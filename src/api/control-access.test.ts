/** Every route of the control surface against whoever may not call it, with requests that would do something. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ControlRoute, controlRoutes } from '../contract/routes.ts';
import { nodeIdOf } from '../protocol/ids.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import {
  type Ask,
  ask,
  noCredits,
  noDoor,
  noPulls,
  type SmallApi,
  smallApi,
  testDecision,
  testJobId,
  testKey,
  testNetwork,
} from '../testing/small-api.ts';

const right = `Bearer ${testKey}`;
const peer = nodeIdOf(signerFromSeed(new Uint8Array(32)).publicKey);

/** What the routes that change something are sent, and what they then do. */
const changing: Readonly<Record<string, { readonly body?: object; readonly effect: string }>> = {
  'POST /stop': { effect: 'stop' },
  'POST /mesh/accept': { body: { peer }, effect: 'accept' },
  'POST /mesh/block': { body: { peer }, effect: 'block' },
  'POST /mesh/unblock': { body: { peer }, effect: 'unblock' },
  'POST /network/reissue': { body: { bootstrap: [] }, effect: 'reissue' },
  'POST /credits/transfer': { body: { to: peer, amountMicrocredits: '1' }, effect: 'transfer' },
  'POST /model/pull': { body: { model: 'tiny', stream: false }, effect: 'pull' },
  'DELETE /model/{name}': { effect: 'remove' },
  'POST /jobs/{id}/cancel': { effect: 'cancel' },
  'PUT /privacy/friends': { body: { friends: [peer] }, effect: 'befriend' },
  'PUT /privacy/friends/{id}': { effect: 'add a friend' },
  'DELETE /privacy/friends/{id}': { effect: 'remove a friend' },
  'POST /route/explain': { body: { model: 'tiny', messages: [{ role: 'user', content: 'hi' }] }, effect: 'explain' },
};

let small: SmallApi;
let effects: string[] = [];

beforeAll(async () => {
  const noted =
    <Rest extends readonly unknown[], Result>(effect: string, then: (...rest: Rest) => Result) =>
    (...rest: Rest): Result => {
      effects.push(effect);
      return then(...rest);
    };
  small = await smallApi(
    { allowedOrigins: ['https://app.example.org'] },
    {
      stopNode: noted('stop', () => ({ pid: 1, graceSecs: 1 })),
      doorkeeper: {
        accept: noted('accept', noDoor.accept),
        block: noted('block', noDoor.block),
        unblock: noted('unblock', noDoor.unblock),
      },
      friends: {
        list: () => [],
        replace: noted('befriend', async () => {}),
        add: noted('add a friend', async () => {}),
        remove: noted('remove a friend', async () => {}),
      },
      credits: {
        ...noCredits,
        accounts: () => ({ has: () => true, all: () => [] }),
        transfer: noted('transfer', noCredits.transfer),
      },
      explain: noted('explain', async () => testDecision),
      descriptor: { show: () => testNetwork, reissue: noted('reissue', async () => testNetwork) },
      pulls: { ...noPulls, pull: noted('pull', noPulls.pull), remove: noted('remove', noPulls.remove) },
      jobs: {
        list: async () => ({ jobs: [], total: 0 }),
        get: async () => undefined,
        cancel: noted('cancel', async () => undefined),
      },
    },
  );
});
afterAll(() => small.api.stop(0));
beforeEach(() => {
  effects = [];
});

const closed = (controlRoutes as readonly ControlRoute[]).filter(({ open }) => open !== true);

function call({ method, path }: ControlRoute, headers: Ask['headers'] = {}) {
  const filled = path.replace('{id}', path.startsWith('/privacy') ? peer : testJobId).replace('{name}', 'tiny');
  const body = changing[`${method} ${path}`]?.body;
  return ask(small.port, filled, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
}

describe.each(closed.map((route) => [`${route.method} ${route.path}`, route] as const))('%s', (name, route) => {
  it.each([
    ['without a key', {}, 401],
    ['with an empty key', { authorization: 'Bearer ' }, 401],
    ['with a wrong key', { authorization: `Bearer ${'b1'.repeat(32)}` }, 401],
    ['with the key as another kind of secret', { authorization: `Basic ${testKey}` }, 401],
    ['with the key in the wrong case', { 'x-api-key': testKey.toUpperCase() }, 401],
    ['under a foreign name', { host: 'evil.com', authorization: right }, 403],
    ['for a foreign page', { origin: 'https://evil.com', authorization: right }, 403],
    ['for a page without an origin', { origin: 'null', authorization: right }, 403],
    ['for a page of this machine', { origin: 'http://localhost:3000', authorization: right }, 403],
    ['for a page that may use the models', { origin: 'https://app.example.org', authorization: right }, 403],
  ] as const)('%s is refused, and nothing happens', async (_how, headers, status) => {
    const answer = await call(route, headers);
    expect(answer.status).toBe(status);
    expect(answer.headers['access-control-allow-origin']).toBeUndefined();
    expect(effects).toEqual([]);
  });

  // Events have no end; events.test.ts has the key.
  it.skipIf(route.events === true)('with the key is answered', async () => {
    const { status } = await call(route, { authorization: right });
    expect([401, 403]).not.toContain(status);
    expect(effects).toEqual(changing[name] === undefined ? [] : [changing[name].effect]);
  });
});

it('every route that changes something is among those', () => {
  const all = closed.map(({ method, path }) => `${method} ${path}`).filter((name) => !name.startsWith('GET '));
  expect(all.toSorted()).toEqual(Object.keys(changing).toSorted());
});
