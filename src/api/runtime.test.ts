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
