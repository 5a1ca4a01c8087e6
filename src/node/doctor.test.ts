import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { resolveConfig } from '../config/resolve.ts';
import { MESH } from '../limits/mesh.ts';
import { buildDoctor, type DoctorDeps, isInSight } from './doctor.ts';

const folder = tmpdir();
const seed = '/ip4/192.168.1.9/tcp/8443/p2p/12D3KooWSeed';

/** A node that was told of a seed, which is connected and waits for this one, and knows these nodes; what its doctor says. */
async function findings(check: string, waitsFor: 'here' | 'there' | 'both' = 'here', nodes: () => object[] = () => []) {
  const link = { node: '12D3KooWSeed', name: 'seed', connected: true, waitsFor };
  const parts = {
    config: resolveConfig({}).config,
    deps: { home: { folder, cacheFolder: folder, logFile: path.join(folder, 'gogrid-no.log') } },
    worker: {
      engine: { kind: 'none', status: () => ({ state: 'ready', version: '', hint: undefined }), models: () => [] },
      directory: { nodes },
    },
    network: {
      self: '12D3KooWSelf',
      addresses: () => [],
      admitted: () => 0,
      waiting: () => [link],
      view: () => link,
    },
    pulls: { states: () => [] },
    bootstrap: () => [seed],
    credits: () => undefined,
    meshModels: () => 0,
    api: () => 'http://127.0.0.1:4301',
  };
  const diagnosis = await buildDoctor(parts as unknown as DoctorDeps)();
  return diagnosis.findings.filter((finding) => finding.check === check);
}

it.each([
  ['here', 'waits for you here'],
  ['both', 'waits for you here, and for the user there'],
  ['there', 'waits for the user there'],
] as const)('says of a bootstrap node that waits (%s) whom for, and that it is no error', async (waitsFor, said) => {
  expect(await findings('peers', waitsFor)).toEqual([
    { check: 'peers', level: 'warn', message: `'seed' ${said}`, fix: expect.stringContaining('gogrid peers') },
  ]);
});

it.each([
  [0, /^the clock is 6\d\d s behind that of the only peer/],
  [600_000, /no peer to compare it with/],
])('reads the clock of a peer from its beat, unless its numbers are %d ms ahead of that', async (aheadMs, said) => {
  const now = Date.now() + 610_000 - aheadMs;
  const profile = { number: now + aheadMs, issuedAt: now };
  const peer = { profile, beat: { sequence: now + aheadMs + 30_000 }, beatAt: performance.now() };
  expect(await findings('clock', 'here', () => [peer])).toEqual([
    expect.objectContaining({ message: expect.stringMatching(said) }),
  ]);
});

describe('a witness', () => {
  const seen = (connected: boolean, peers: number, heardOf: boolean) =>
    isInSight(
      '12D3KooWSeed',
      { view: () => ({ connected }) as never, admitted: () => peers },
      { get: () => (heardOf ? ({} as never) : undefined) },
    );

  it('is gone with its connection, where this node is connected to all that it can reach', () => {
    expect(seen(true, 1, false)).toBe(true);
    // Its last beat holds for a minute and a half.
    expect(seen(false, 3, true)).toBe(false);
    expect(seen(false, 0, true)).toBe(false);
  });

  it('is heard of through others in a mesh in which nobody is connected to all', () => {
    expect(seen(false, MESH.targetPeers, true)).toBe(true);
    expect(seen(false, MESH.targetPeers, false)).toBe(false);
  });
});
