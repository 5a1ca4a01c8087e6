/** `gogrid route`, `jobs --seen-by` and `peers friend` against the real API. */

import { afterEach, describe, expect, it } from 'vitest';
import type { ApiDeps } from '../api/server.ts';
import type { JobSpec } from '../jobs/output.ts';
import type { Decision } from '../jobs/routing/decision.ts';
import { nodeIdOf } from '../protocol/ids.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import {
  catalogueOf,
  fewFriends,
  jobRecord,
  recording,
  type SmallApi,
  says,
  smallApi,
  testDecision,
  testKey,
  testModel,
  testPeer,
  testRuntime,
} from '../testing/small-api.ts';
import { type SmallWorldOptions, smallWorld } from '../testing/small-world.ts';
import { runCli } from './cli.ts';

let running: SmallApi | undefined;
afterEach(async () => {
  await running?.api.stop(0);
  running = undefined;
});

async function gogrid(args: string, deps: Partial<ApiDeps> = {}, more: SmallWorldOptions = {}) {
  await running?.api.stop(0);
  running = await smallApi({}, deps);
  const small = smallWorld(args.split(' '), { node: { api: running.url, key: testKey }, ...more });
  const code = await runCli(small.world);
  return { code, out: small.stdout(), err: small.stderr() };
}

const nobody: Decision = { ...testDecision, candidates: [], choice: 'none' };

/** Keeps what was asked. */
function asked(decision: Decision = testDecision) {
  const specs: JobSpec[] = [];
  const explain: ApiDeps['explain'] = async (spec) => {
    specs.push(spec);
    return decision;
  };
  return { specs, explain };
}

describe('gogrid route', () => {
  it('says who would answer, why, what it takes, who cannot, and that nothing was run', async () => {
    const { code, out, err } = await gogrid('route tiny');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toBe(
      [
        'other would answer with tiny:latest, in about 2.1 s.',
        'It is the only machine that can.',
        '',
        'MACHINE  DONE IN  WAITING  LOADING  READING  WRITING   WAY',
        'other      2.1 s        -        -    0.1 s    2.0 s  2 ms',
        '',
        'Who cannot:',
        '  This machine does not have this model.',
        '',
        'Figured for a short question (--prompt takes a real one) and an answer of about 256 tokens. Privacy: mesh.',
        'Nothing was run, and the question did not leave this machine.',
        '',
      ].join('\n'),
    );
  });

  it('asks with the question and the tier that are given', async () => {
    const { specs, explain } = asked();
    const { out } = await gogrid('route tiny --prompt hello --privacy friends', { explain });
    expect(out).toContain('Figured for a question of about 12 tokens');
    expect(out).toContain('Privacy: friends.');
    await gogrid('route tiny --prompt -', { explain }, { stdin: 'from a pipe\n' });
    expect(specs).toMatchObject([
      { privacy: 'friends', input: { messages: [{ content: 'hello' }] } },
      { privacy: 'mesh', input: { messages: [{ content: 'from a pipe' }] } },
    ]);
  });

  it('says how many of yours wait for the same already, and for how long yours would', async () => {
    const waiting = { ahead: 3, estimateMs: 14_000 };
    const { out } = await gogrid('route tiny', { explain: async () => ({ ...testDecision, waiting }) });
    expect(out).toContain(
      '3 of your jobs wait for this already, since no machine takes another job of yours now: yours would come after them, about 14 s.',
    );
    const { out: json } = await gogrid('route tiny --json', { explain: async () => ({ ...testDecision, waiting }) });
    expect(JSON.parse(json)).toMatchObject({ waiting });
  });

  it('is the answer of the API for programs', async () => {
    const { out } = await gogrid('route tiny --json');
    expect(JSON.parse(out)).toMatchObject({ model: 'tiny:latest', choice: 'only', candidates: [{ name: 'other' }] });
  });

  it.each([
    ['not-taking-jobs', 1, 'other (idle) takes no jobs now.'],
    ['privacy', 5, 'other may not see the prompt: it stays on this machine (privacy local).'],
  ] as const)('when nobody can, for %s, ends with %i and says why', async (why, exit, sentence) => {
    const { explain } = asked({ ...nobody, excluded: [{ node: testPeer.peerId, why }] });
    const { code, out } = await gogrid('route tiny --privacy local', { explain });
    expect(code).toBe(exit);
    expect(out).toContain('Nobody would answer with tiny:latest now.');
    expect(out).toContain(sentence);
    expect((await gogrid('route tiny --privacy local --json', { explain })).code).toBe(exit);
  });

  it('of a model that nobody has says which one was probably meant', async () => {
    const { explain } = asked({ ...nobody, excluded: [{ node: testPeer.peerId, why: 'no-such-model' }] });
    const catalogue = catalogueOf([testModel()]);
    expect(await gogrid('route tinny', { explain, catalogue })).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringContaining("model 'tinny' not found; did you mean 'tiny'?"),
    });
  });

  it.each([
    ['route', 'route wants a model'],
    ['route tiny hello', '--prompt'],
    ['route tiny --privacy secret', "'secret' is not one of local, own, friends, mesh"],
    ['route tiny --prompt=', 'the prompt is empty'],
  ])('gogrid %s: exit 2', async (args, message) => {
    expect(await gogrid(args)).toMatchObject({ code: 2, out: '', err: expect.stringContaining(message) });
  });

  it('fits 80 columns', async () => {
    const { out } = await gogrid('route tiny', {}, { columns: 80, env: { NO_COLOR: '1' } });
    const table = out.split('\n').filter((line) => /^(MACHINE|other)/.test(line));
    for (const line of table) expect(line.length).toBeLessThanOrEqual(80);
  });
});

it('run passes on who may see the prompt', async () => {
  const { specs, run } = recording(says('x'));
  await gogrid('run tiny hello --privacy friends', { runJob: run });
  await gogrid('run tiny hello --json --privacy local', { runJob: run });
  await gogrid('run tiny hello', { runJob: run });
  expect(specs.map(({ privacy }) => privacy)).toEqual(['friends', 'local', 'mesh']);
  for (const args of ['run tiny hello --privacy x', 'chat tiny --privacy x']) {
    expect(await gogrid(args)).toMatchObject({ code: 2, err: expect.stringContaining("'x' is not one of local") });
  }
});

describe('gogrid jobs', () => {
  const waiting = {
    ...jobRecord(),
    id: '0198c0de-0000-7000-8000-0000000000bb',
    state: 'queued' as const,
    provider: null,
    endedAt: null,
    waiting: { where: 'mesh' as const, ahead: 2, estimateMs: 14_000 },
  };
  const seen = { ...jobRecord(), requester: '12D3KooWSelf', seenBy: [testPeer.peerId, '12D3KooWGone'] };
  const theirs = {
    ...waiting,
    id: '0198c0de-0000-7000-8000-0000000000cc',
    direction: 'in' as const,
    requester: testPeer.peerId,
    provider: '12D3KooWSelf',
    waiting: { where: 'queue' as const, ahead: 1 },
  };
  const jobs: ApiDeps['jobs'] = {
    list: async () => ({ jobs: [waiting, theirs, seen], total: 3 }),
    get: async (id) => [waiting, theirs, seen].find((job) => job.id === id),
    cancel: async () => undefined,
  };

  it('says of what waits where, behind how many, and about how long', async () => {
    const { out } = await gogrid('jobs', { jobs }, { columns: 80, env: { NO_COLOR: '1' } });
    expect(out).toContain(
      '\nWaiting now:\n  0198c0de…0000bb  no machine takes another job of yours now, 2 before it, about 14 s\n',
    );
    expect(out).toContain('  0198c0de…0000cc  1 before it on this machine, for other\n');
    expect((await gogrid('jobs')).out).not.toContain('Waiting');
  });

  it('--seen-by names the machines that saw each prompt', async () => {
    const { out } = await gogrid('jobs --seen-by', { jobs });
    expect(out).toMatch(/^\S+aa .* mesh +other, 12D3KooWGone$/m);
    expect(out).toMatch(/^\S+cc .* other, this machine$/m);
    const narrow = await gogrid('jobs --seen-by', { jobs }, { columns: 80, env: { NO_COLOR: '1' } });
    expect(narrow.out, 'the answer itself is not cut').toContain('other, 12D3KooWGone');
    expect(out).toContain('Whoever runs a model reads the prompt.');
    expect(JSON.parse((await gogrid('jobs --seen-by --json', { jobs })).out).jobs[2].seenBy).toEqual(seen.seenBy);
  });

  it('show answers why there, how long, who saw it, before all else', async () => {
    const { code, out } = await gogrid('jobs show aa', { jobs });
    expect(code).toBe(0);
    expect(out).toMatch(
      /^completed after .*\n\nwhy there .*\n(?:.*\n)*how long .*\n(?:.*\n)*who saw it +other and 12D3KooWGone/,
    );
    expect(out).toMatch(/^job +0198c0de/m);
  });
});

describe('friends', () => {
  const id = (n: number) => nodeIdOf(signerFromSeed(new Uint8Array(32).fill(n)).publicKey);

  /** A node whose list of peers knows who is a friend. */
  function befriending(...start: { node: string; name: string }[]) {
    const friends = fewFriends(start);
    const isFriend = (peerId: string) => friends.list().some(({ node }) => node === peerId);
    const peers = () =>
      [
        { ...testPeer, peerId: id(1), name: 'kitchen' },
        { ...testPeer, peerId: id(2), name: 'laptop', admitted: false, status: 'waiting' },
      ].map((peer) => ({ ...peer, friend: isFriend(peer.peerId) }));
    return { friends, runtime: { ...testRuntime, peers } };
  }

  it('are made by name, marked in the list, and unmade', async () => {
    const deps = befriending();
    expect((await gogrid('peers', deps)).out).not.toContain('PRIVACY');
    const made = await gogrid('peers friend kitchen', deps);
    expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/^kitchen \(12D3KooW\S+\) is a friend/) });
    expect(made.out).toContain('Whoever runs a model reads the prompt.');
    expect(deps.friends.list()).toEqual([{ node: id(1), name: 'kitchen' }]);
    expect((await gogrid('peers', deps)).out).toMatch(/^kitchen +\S+ +friend +idle/m);
    expect((await gogrid('peers show kitchen', deps)).out).toMatch(/^privacy +a friend/m);
    expect((await gogrid('peers friend kitchen', deps)).out).toMatch(/^kitchen \(12D3KooW\S+\) is a friend already/);
    expect((await gogrid('peers unfriend kitchen', deps)).out).toContain('no friend any more');
    expect(deps.friends.list()).toEqual([]);
    expect(await gogrid('peers unfriend kitchen', deps)).toMatchObject({
      code: 1,
      err: expect.stringContaining("there is no friend 'kitchen'"),
    });
  });

  it('that are away are listed, and can be unmade', async () => {
    const deps = befriending({ node: id(7), name: 'cellar' });
    expect((await gogrid('peers', deps)).out).toMatch(/^Friends that are away: cellar \(12D3/m);
    expect(await gogrid('peers unfriend cellar', deps)).toMatchObject({ code: 0 });
    expect(deps.friends.list()).toEqual([]);
  });

  it('that are not admitted are told to be of no use yet', async () => {
    const deps = befriending();
    const { out } = await gogrid('peers friend laptop', deps);
    expect(out).toContain('not admitted, so nothing goes to it yet: gogrid peers accept laptop');
    expect(JSON.parse((await gogrid('peers friend kitchen --json', deps)).out)).toMatchObject({ total: 2 });
  });

  it('are not made by a name that another machine has which is away: trust goes to an id', async () => {
    for (const known of ['a friend', 'was here']) {
      const deps = befriending(...(known === 'a friend' ? [{ node: id(7), name: 'Kitchen ' }] : []));
      const away = () => (known === 'was here' ? [{ peerId: id(7), name: 'KITCHEN' }] : []);
      const all = { ...deps, runtime: { ...deps.runtime, away } };
      const before = deps.friends.list();
      expect(await gogrid('peers friend kitchen', all), known).toMatchObject({
        code: 2,
        err: expect.stringMatching(new RegExp(`2 machines are called 'kitchen'.*${id(1)}, ${id(7)}`, 's')),
      });
      expect(deps.friends.list()).toEqual(before);
      expect(await gogrid(`peers friend ${id(1)}`, all)).toMatchObject({ code: 0 });
    }
  });

  it('a friend that is made while another is unmade undoes nothing', async () => {
    const deps = befriending({ node: id(7), name: 'cellar' });
    running = await smallApi({}, deps);
    const node = { api: running.url, key: testKey };
    const worlds = ['unfriend cellar', 'friend kitchen'].map((what) =>
      smallWorld(['peers', ...what.split(' ')], { node }),
    );
    expect(await Promise.all(worlds.map(({ world }) => runCli(world)))).toEqual([0, 0]);
    expect(deps.friends.list()).toEqual([{ node: id(1), name: 'kitchen' }]);
  });
});
