import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { resolveConfig } from '../config/resolve.ts';
import { buildDoctor, type DoctorDeps } from './doctor.ts';

const folder = tmpdir();
const seed = '/ip4/192.168.1.9/tcp/8443/p2p/12D3KooWSeed';

/** A node that was told of a seed, which is connected and waits for this one; what its doctor says of peers. */
async function findings(waitsFor: 'here' | 'there' | 'both') {
  const link = { node: '12D3KooWSeed', name: 'seed', connected: true, waitsFor };
  const parts = {
    config: resolveConfig({}).config,
    deps: { home: { folder, cacheFolder: folder, logFile: path.join(folder, 'gogrid-no.log') } },
    worker: {
      engine: { kind: 'none', status: () => ({ state: 'ready', version: '', hint: undefined }), models: () => [] },
      directory: { nodes: () => [] },
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
  return diagnosis.findings.filter(({ check }) => check === 'peers');
}

it.each([
  ['here', 'waits for you here'],
  ['both', 'waits for you here, and for the user there'],
  ['there', 'waits for the user there'],
] as const)('says of a bootstrap node that waits (%s) whom for, and that it is no error', async (waitsFor, said) => {
  expect(await findings(waitsFor)).toEqual([
    { check: 'peers', level: 'warn', message: `'seed' ${said}`, fix: expect.stringContaining('gogrid peers') },
  ]);
});
