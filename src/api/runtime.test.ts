/** What a node says of its own state. */

import { describe, expect, it } from 'vitest';
import { createRuntime, type RuntimeDeps, type WaitingLink } from './runtime.ts';

const link: WaitingLink = {
  node: '12D3KooWOther',
  name: 'kitchen',
  version: '0.1.0',
  address: '/ip4/10.0.0.7/tcp/8443',
  since: 1,
  connected: true,
  outOfReach: false,
  admitted: false,
  route: 'direct',
  latencyMs: undefined,
  transport: 'tcp',
  words: undefined,
  waitsFor: 'here',
};

/** A node that was told of another one. */
function state(facts: { admitted: number; waiting: readonly WaitingLink[]; expects?: boolean }) {
  const deps = {
    engine: { kind: 'none', status: () => ({ state: 'ready', version: '', hint: undefined }), models: () => [] },
    clock: { now: () => 1, elapsed: () => 1 },
    facts: () => ({ phase: 'running', engineFailed: false, running: 0 }),
    admittedPeers: () => facts.admitted,
    waiting: () => facts.waiting,
  } as unknown as RuntimeDeps;
  const options = { self: '12D3KooWSelf', name: 'x', version: '1', publicKey: '', network: 'local', networkId: '' };
  const runtime = createRuntime({ ...options, expectsPeers: () => facts.expects ?? true }, deps);
  const { state: name, reason } = runtime.health();
  return `${name}: ${reason ?? ''}`;
}

describe('a peer', () => {
  it.each([
    [false, 'busy'],
    [true, 'unreachable'],
  ])('is what its last beat says, unless it was not reached since (%s)', (outOfReach, status) => {
    const profile = { name: 'kitchen', version: '0.1.0', region: '', models: [], addresses: [], hardware: {} };
    const known = { node: link.node, profile, beat: { status: 'busy', queueDepth: 0, running: 1 }, beatAt: 0 };
    const deps = {
      clock: { now: () => 1, elapsed: () => 1 },
      directory: { nodes: () => [known] },
      link: () => ({ ...link, connected: !outOfReach, outOfReach }),
      waiting: () => [],
      blocked: () => [],
      isFriend: () => false,
    } as unknown as RuntimeDeps;
    expect(createRuntime({} as never, deps).peers()).toMatchObject([{ status, connected: !outOfReach }]);
  });
});

describe('a node that was told of others', () => {
  it('is disconnected when nobody is there', () => {
    expect(state({ admitted: 0, waiting: [] })).toMatch(/^disconnected: .*network\.bootstrap/);
    expect(state({ admitted: 1, waiting: [] })).toBe('idle: ');
    expect(state({ admitted: 0, waiting: [], expects: false })).toBe('idle: ');
  });

  it.each([
    ['here', /'kitchen' waits for you here: .*gogrid peers accept/],
    ['both', /'kitchen' waits for you here: .*gogrid peers accept/],
    ['there', /'kitchen' waits for the user there: gogrid peers accept NAME, on that machine/],
  ] as const)('has found one that waits (%s), and says who has to accept', (waitsFor, reason) => {
    const said = state({ admitted: 0, waiting: [{ ...link, waitsFor }] });
    expect(said).toMatch(/^idle: no peer is admitted/);
    expect(said).toMatch(reason);
    expect(state({ admitted: 1, waiting: [{ ...link, waitsFor }] })).toBe('idle: ');
  });

  it('names first what its own user can do', () => {
    const waiting = (['there', 'here', 'both'] as const).map((waitsFor) => ({ ...link, waitsFor }));
    expect(state({ admitted: 0, waiting })).toContain('2 machines wait for you here');
  });
});

describe('its status', () => {
  const status = (phase: string, models: readonly string[]) => {
    const deps = {
      engine: {
        kind: 'ollama',
        status: () => ({ state: 'ready', version: '' }),
        models: () => models.map((name) => ({ name, digest: name, capabilities: [] })),
      },
      clock: { now: () => 1, elapsed: () => 1 },
      facts: () => ({ phase, engineFailed: false, running: 0 }),
      book: { totals: () => ({ running: 0, queued: 0 }) },
      directory: { nodes: () => [] },
      provider: { tokens: { in: 0, out: 0, perSecond: 0 } },
      queue: () => ({ depth: 0, running: 0, slots: 1, room: 32, lanes: { owner: 0, paid: 0, free: 0 }, estimateMs: 0 }),
      inMesh: () => ({ depth: 0, room: 64, models: [] }),
      addresses: () => ['/ip4/10.0.0.7/tcp/8443'],
      drainEndsAt: () => undefined,
      admittedPeers: () => 1,
      waiting: () => [],
    } as unknown as RuntimeDeps;
    const options = { self: '12D3KooWSelf', name: 'x', version: '1', publicKey: '', network: 'local', networkId: '' };
    return createRuntime({ ...options, expectsPeers: () => false }, deps).status();
  };

  it('offers room for jobs only where they would be taken', () => {
    expect(status('running', ['m']).queue.room).toBe(32);
    expect(status('running', []).queue.room).toBe(0);
    expect(status('draining', ['m']).queue.room).toBe(0);
  });

  it('has the addresses', () => {
    expect(status('running', []).addresses).toEqual(['/ip4/10.0.0.7/tcp/8443']);
  });
});

it('whoever is away keeps its last name, and is not listed twice', () => {
  const deps = {
    clock: { now: () => 1, elapsed: () => 1 },
    directory: { nodes: () => [] },
    waiting: () => [{ ...link, node: 'waits', name: 'here' }],
    blocked: () => [],
    isFriend: () => false,
    knownNames: () =>
      [
        ['gone', 'attic'],
        ['gone', 'attic 2'],
        ['waits', 'x'],
      ] as const,
  } as unknown as RuntimeDeps;
  const options = { self: '12D3KooWSelf', name: 'x', version: '1', publicKey: '', network: 'local', networkId: '' };
  const runtime = createRuntime({ ...options, expectsPeers: () => false }, deps);
  expect(runtime.away()).toEqual([{ peerId: 'gone', name: 'attic 2' }]);
});
