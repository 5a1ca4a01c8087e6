/** Deciding about other machines, against the real API. */

import { afterEach, describe, expect, it } from 'vitest';
import type { ApiDeps } from '../api/server.ts';
import type { Peer } from '../contract/control.ts';
import { GoGridError } from '../errors.ts';
import { nodeIdOf } from '../protocol/ids.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { catalogueOf, type SmallApi, smallApi, testKey, testPeer, testRuntime, yields } from '../testing/small-api.ts';
import { smallWorld } from '../testing/small-world.ts';
import { runCli } from './cli.ts';

const id = (n: number) => nodeIdOf(signerFromSeed(new Uint8Array(32).fill(n)).publicKey);
const stranger: Peer = {
  ...testPeer,
  peerId: id(1),
  name: 'laptop',
  status: 'waiting',
  admitted: false,
  words: 'fine security recall expose',
  waitsFor: 'both',
  models: [],
  addresses: ['/ip4/10.0.0.7/tcp/8443'],
};

let running: SmallApi | undefined;
afterEach(async () => {
  await running?.api.stop(0);
  running = undefined;
});

/** A node whose peers are these; what its user decides is kept, and takes effect as it would. */
async function startNode(peers: Peer[]) {
  const decisions: string[] = [];
  const find = (node: string) => peers.find(({ peerId }) => peerId === node) ?? stranger;
  const change = (what: string, changes: (peer: Peer) => Partial<Peer>) => async (node: string) => {
    decisions.push(`${what} ${node}`);
    const peer = Object.assign(find(node), changes(find(node)));
    return { peerId: node, name: peer.name, admitted: peer.admitted, words: peer.words, waitsFor: peer.waitsFor };
  };
  const doorkeeper: ApiDeps['doorkeeper'] = {
    accept: change('accept', ({ waitsFor }) =>
      waitsFor === 'here' ? { admitted: true, status: 'idle', waitsFor: null } : { waitsFor: 'there' },
    ),
    block: change('block', () => ({ status: 'blocked', connected: false })),
    unblock: change('unblock', () => ({ status: 'waiting' })),
  };
  running = await smallApi({}, { runtime: { ...testRuntime, peers: () => peers }, doorkeeper });
  return { url: running.url, decisions };
}

async function gogrid(url: string, args: string, typed?: string, program = 'gogrid') {
  const terminal = typed === undefined ? {} : { columns: 100, env: { NO_COLOR: '1' } };
  const small = smallWorld(args.split(' '), {
    node: { api: url, key: testKey },
    wait: async () => {},
    program,
    ...terminal,
  });
  if (typed !== undefined) small.type(typed);
  const code = await runCli(small.world);
  return { code, out: small.stdout(), err: small.stderr() };
}

describe('gogrid peers', () => {
  it('with nobody but one that waits speaks of that one alone, and other commands of it too', async () => {
    const { url } = await startNode([{ ...stranger }]);
    const { out } = await gogrid(url, 'peers');
    expect(out).toMatch(/^One machine waits to be accepted\./);
    expect(out).not.toContain('No other node');
    expect((await gogrid(url, 'peers show laptop')).out).toMatch(/^comes from +10\.0\.0\.7$/m);
    await running?.api.stop(0);
    const nobody = new GoGridError({ code: 'model_not_found', message: 'nobody has it' });
    running = await smallApi(
      {},
      { runtime: { ...testRuntime, peers: () => [stranger] }, catalogue: catalogueOf([]), runJob: yields([], nobody) },
    );
    expect((await gogrid(running.url, 'models')).out).toMatch(/^laptop waits to be accepted: gogrid peers\n/);
    const asked = await gogrid(running.url, 'run tiny hello');
    expect(asked.err).toContain('laptop waits to be accepted: gogrid peers; or get one:');
    expect((await gogrid(running.url, 'chat')).err).toContain('laptop waits to be accepted');
  });

  it('spells the command for the other side as this one is started', async () => {
    const { url } = await startNode([{ ...stranger }]);
    const { out } = await gogrid(url, 'peers accept laptop --yes', undefined, 'npx gogrid');
    expect(out).toContain('run there: npx gogrid peers accept testbox\n');
  });

  it('shows those that wait apart, with their words and the commands for both sides', async () => {
    const { url } = await startNode([{ ...testPeer }, { ...stranger }]);
    const { out } = await gogrid(url, 'peers');
    expect(out).toMatch(/^other +12D3KooWPeer +idle/m);
    expect(out).not.toMatch(/^laptop/m);
    expect(out).toMatch(/^One machine waits to be accepted\./);
    expect(out).toMatch(/^ {2}laptop .*, 10\.0\.0\.7$/m);
    expect(out).toMatch(/^ {4}words {2}fine security recall expose$/m);
    expect(out).toMatch(/^ {4}here {3}gogrid peers accept laptop$/m);
    expect(out).toMatch(/^ {4}there {2}gogrid peers accept testbox$/m);
  });

  it('names by its id whoever has the name of another, or a name that is no word', async () => {
    const twins = [1, 2].map((n) => ({ ...stranger, peerId: id(n) }));
    const odd = { ...stranger, peerId: id(3), name: '--yes' };
    const { url } = await startNode([...twins, odd]);
    const { out } = await gogrid(url, 'peers');
    for (const n of [1, 2, 3]) expect(out).toContain(`gogrid peers accept ${id(n).slice(-8)}`);
  });

  it('shows who is blocked, and how to undo it', async () => {
    const { url } = await startNode([{ ...stranger, status: 'blocked', words: null, waitsFor: null }]);
    expect((await gogrid(url, 'peers')).out).toContain('gogrid peers unblock laptop');
  });
});

describe('gogrid peers accept', () => {
  it('asks whether the words are the same, and says what happens next', async () => {
    const { url, decisions } = await startNode([{ ...stranger }]);
    const { code, out } = await gogrid(url, 'peers accept laptop', 'y');
    expect(out).toContain('fine security recall expose');
    expect(out).toContain('run there: gogrid peers accept testbox');
    expect([code, decisions]).toEqual([0, [`accept ${id(1)}`]]);
  });

  it('says that both work together when the other side has accepted already', async () => {
    const { url } = await startNode([{ ...stranger, waitsFor: 'here' }]);
    const { code, out } = await gogrid(url, 'peers accept laptop', 'yes');
    expect(out).toMatch(/laptop and this machine now work together\.\n$/);
    expect(code).toBe(0);
    expect((await gogrid(url, 'peers accept laptop')).out).toContain('work together already');
  });

  it.each(['n', '', 'ja', 'yes please'])('changes nothing when the answer is %j', async (typed) => {
    const { url, decisions } = await startNode([{ ...stranger }]);
    const { code, out } = await gogrid(url, 'peers accept laptop', typed);
    expect([code, decisions]).toEqual([1, []]);
    expect(out).toContain('gogrid peers block laptop');
  });

  it('where nobody can be asked ends with exit 2 and the words, unless it is told --yes', async () => {
    const { url, decisions } = await startNode([{ ...stranger }]);
    const { code, err } = await gogrid(url, 'peers accept laptop');
    expect(err).toContain('fine security recall expose');
    expect(err).toContain('gogrid peers accept laptop --yes');
    expect([code, decisions]).toEqual([2, []]);
    expect((await gogrid(url, 'peers accept laptop --json')).code).toBe(2);
    expect((await gogrid(url, 'peers accept laptop --yes')).code).toBe(0);
    expect(JSON.parse((await gogrid(url, 'peers accept laptop --yes --json')).out)).toMatchObject({
      waitsFor: 'there',
    });
  });

  it.each([
    ['of one that waits', { words: null, waitsFor: 'here' }, /are not made yet.*nothing was changed/],
    ['of one whose side nobody names', { words: null, waitsFor: null }, /are not made yet/],
    ['of one that is blocked', { words: null, waitsFor: null, status: 'blocked' }, /is blocked.*gogrid peers unblock/s],
    ['of one that is not connected', { words: null, waitsFor: null, status: 'idle' }, /is not connected/],
  ] as const)('accepts nobody without words to compare, %s, unless it is told --yes', async (_who, changes, said) => {
    const { url, decisions } = await startNode([{ ...stranger, ...changes }]);
    const { code, out, err } = await gogrid(url, 'peers accept laptop', 'y');
    expect(out + err).toMatch(said);
    expect(out + err).toContain('gogrid peers accept laptop --yes');
    expect([code, decisions]).toEqual([2, []]);
    expect((await gogrid(url, 'peers accept laptop --yes')).code).toBe(0);
    expect(decisions).toEqual([`accept ${id(1)}`]);
  });

  it('means one that waits, not a friend whose name it has taken', async () => {
    const { url, decisions } = await startNode([{ ...testPeer, name: 'laptop' }, { ...stranger }]);
    await gogrid(url, 'peers accept laptop --yes');
    expect(decisions).toEqual([`accept ${id(1)}`]);
  });

  it('does not choose between two of one name', async () => {
    const { url, decisions } = await startNode([1, 2].map((n) => ({ ...stranger, peerId: id(n) })));
    const { code, err } = await gogrid(url, 'peers accept laptop --yes');
    expect([code, decisions]).toEqual([2, []]);
    expect(err).toContain(id(2));
    expect((await gogrid(url, `peers accept ${id(2).slice(-8)} --yes`)).code).toBe(0);
  });

  it('of nobody says so', async () => {
    const { url } = await startNode([]);
    expect(await gogrid(url, 'peers accept laptop --yes')).toMatchObject({
      code: 1,
      err: expect.stringContaining("there is no peer 'laptop'"),
    });
  });
});

describe('gogrid peers block', () => {
  it('keeps a machine out, until unblock', async () => {
    const { url, decisions } = await startNode([{ ...stranger }]);
    expect((await gogrid(url, 'peers block laptop')).out).toContain('gogrid peers unblock laptop');
    expect((await gogrid(url, 'peers unblock laptop')).code).toBe(0);
    expect((await gogrid(url, 'peers unblock laptop')).code).toBe(1);
    expect(decisions).toEqual([`block ${id(1)}`, `unblock ${id(1)}`]);
  });
});
