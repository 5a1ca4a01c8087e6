import { describe, expect, it } from 'vitest';
import { diagnosis as schema } from '../contract/doctor.ts';
import { diagnoseAbsence, diagnoseNode } from './checks.ts';
import type { AbsentFacts, MachineFacts, NodeFacts } from './facts.ts';

const machine: MachineFacts = {
  nodeVersion: '24.1.0',
  memory: { totalBytes: 16e9, freeBytes: 8e9 },
  home: { path: '/h', problem: undefined, freeBytes: 100e9 },
  cache: { path: '/c', problem: undefined, freeBytes: 90e9 },
  logBytes: 1200,
};
const node: NodeFacts = {
  engine: { kind: 'ollama', state: 'ready', version: '0.24.0', hint: undefined },
  models: { here: 2, inMesh: 5, coming: [] },
  api: 'http://127.0.0.1:4301',
  apiHost: '127.0.0.1',
  apiIsLocal: true,
  apiRequiresKey: false,
  network: { addresses: ['/ip4/192.168.1.2/tcp/8443/p2p/12D3'], wantedPort: 8443, port: 8443 },
  peers: { admitted: 1, waiting: [], bootstrap: [] },
  credits: {
    signing: 'ready',
    reason: undefined,
    attesting: undefined,
    ownFork: undefined,
    witnesses: { total: 4, quorum: 3, missing: [] },
    bookedEarly: '1 credit',
  },
  clock: { aheadMs: [12, -40], movedMs: 0 },
};
const bootstrap = '/ip4/192.168.1.9/tcp/8443/p2p/12D3KooWOther';

const at = (address: string, connected: boolean | undefined, waits = false) => ({ address, connected, waits });

/** The findings of one check, as `level: message → fix`. */
function of(check: string, changes: Partial<NodeFacts>, more: Partial<MachineFacts> = {}): string[] {
  const { findings } = diagnoseNode({ ...node, ...changes }, { ...machine, ...more });
  return findings
    .filter((finding) => finding.check === check)
    .map(({ level, message, fix }) => `${level}: ${message}${fix === undefined ? '' : ` → ${fix}`}`);
}

describe('a node with which all is well', () => {
  it('has no finding but ok (G56, N8)', () => {
    const diagnosis = diagnoseNode(node, machine);
    expect(schema.parse(diagnosis)).toEqual(diagnosis);
    expect(diagnosis).toMatchObject({ running: true, healthy: true });
    expect(diagnosis.findings.every(({ level }) => level === 'ok')).toBe(true);
    const checks = [
      'engine',
      'model',
      'api',
      'network',
      'peers',
      'credits',
      'clock',
      'home',
      'cache',
      'disk',
      'memory',
      'runtime',
    ];
    expect(diagnosis.findings.map(({ check }) => check)).toEqual(checks);
  });
});

describe('engine and models', () => {
  const lost = { kind: 'ollama', state: 'unreachable', version: '', hint: 'start Ollama' } as const;

  it('an engine that does not answer is an error, unless others have models', () => {
    const alone = { engine: lost, models: { here: 0, inMesh: 0, coming: [] } };
    expect(of('engine', alone)).toEqual(['error: ollama does not answer → start Ollama']);
    expect(of('engine', { engine: lost })[0]).toMatch(/^warn/);
    expect(diagnoseNode({ ...node, ...alone }, machine).healthy).toBe(false);
  });

  it('no model anywhere is an error with the command that gets one', () => {
    const models = { here: 0, inMesh: 0, coming: [] };
    expect(of('model', { models })[0]).toMatch(/^error: .* → gogrid models pull smollm2:135m.*ollama pull/);
    expect(of('model', { models, engine: lost })[0]).toMatch(/ollama\.com/);
    expect(of('model', { models: { ...models, coming: ['smollm2:135m'] } })[0]).toMatch(/^warn.*smollm2:135m/);
    expect(of('model', { models: { ...models, inMesh: 1 } })[0]).toMatch(/^ok/);
    // Whoever chose to run none has done nothing wrong.
    const none = { ...node, models, engine: { ...node.engine, kind: 'none' } };
    expect(of('model', none)).toEqual([
      expect.stringMatching(/^warn: .*this one runs none → .*gogrid config unset engine\.kind/),
    ]);
    expect(diagnoseNode(none, machine).healthy).toBe(true);
  });
});

describe('network and peers', () => {
  it('says who can reach it', () => {
    const addresses = ['/ip4/127.0.0.1/tcp/8443/p2p/12D3'];
    const network = { ...node.network, addresses };
    expect(of('network', { network })[0]).toMatch(/^ok: only this machine/);
    const peers = { ...node.peers, bootstrap: [{ address: bootstrap, connected: true, waits: false }] };
    expect(of('network', { network, peers })[0]).toMatch(/^warn: only this machine.*network\.listen 0\.0\.0\.0/);
    expect(of('network', { network: { ...network, port: 40123 } })[0]).toMatch(
      /^warn: port 8443 was in use.*40123.*at later starts.*gogrid config set network\.port 8443/,
    );
    expect(of('network', { network: { ...network, wantedPort: 0, port: 40123 } })[0]).toMatch(/^ok/);
    expect(of('network', { network: { ...network, addresses: [] } })[0]).toMatch(/^error/);
  });

  it('a bootstrap node that is not connected is an error, and a warning beside others', () => {
    const lost = { bootstrap: [{ address: bootstrap, connected: false, waits: false }], waiting: [] };
    expect(of('peers', { peers: { admitted: 0, ...lost } })).toEqual([
      expect.stringMatching(/^error: not connected to/),
    ]);
    expect(of('peers', { peers: { admitted: 2, ...lost } })).toEqual([
      'ok: 2 peers connected',
      expect.stringMatching(/^warn: not connected to .*192\.168\.1\.9/),
    ]);
    const unnamed = { admitted: 0, waiting: [], bootstrap: [at('/ip4/1.2.3.4/tcp/1', undefined)] };
    expect(of('peers', { peers: unnamed })[0]).toMatch(/^error/);
  });

  it('who waits is named, with whom for and what to do', () => {
    const waiting = [
      { name: 'kitchen', waitsFor: 'here' },
      { name: 'cellar', waitsFor: 'there' },
      { name: 'attic', waitsFor: 'here' },
      { name: 'shed', waitsFor: 'both' },
    ] as const;
    expect(of('peers', { peers: { admitted: 0, waiting, bootstrap: [] } })).toEqual([
      expect.stringMatching(/^warn: 'kitchen', 'attic' wait for you here → .*gogrid peers accept/),
      expect.stringMatching(/^warn: 'shed' waits for you here, and for the user there → .*gogrid peers accept/),
      expect.stringMatching(/^warn: 'cellar' waits for the user there → on that machine: gogrid peers/),
    ]);
  });

  it.each(['here', 'there', 'both'] as const)('a bootstrap node that waits (%s) has been found', (waitsFor) => {
    const waiting = [{ name: 'seed', waitsFor }];
    for (const told of [[at(bootstrap, true, true)], [at('/ip4/1.2.3.4/tcp/1', undefined)]]) {
      const said = of('peers', { peers: { admitted: 0, waiting, bootstrap: told } });
      expect(said).toEqual([expect.stringMatching(/^warn: 'seed' waits for/)]);
    }
    const other = at('/ip4/192.168.1.7/tcp/1/p2p/12D3KooWThird', false);
    const one = of('peers', { peers: { admitted: 0, waiting, bootstrap: [at(bootstrap, true, true), other] } });
    expect(one[0]).toMatch(/^warn: not connected to .*Third/);
    // A stranger that waits is no word of the node that is missing.
    const peers = { admitted: 0, waiting, bootstrap: [at(bootstrap, false)] };
    expect(of('peers', { peers })[0]).toMatch(/^error: not connected to/);
  });

  it('being alone without having been told of anybody is no fault', () => {
    expect(of('peers', { peers: { admitted: 0, waiting: [], bootstrap: [] } })[0]).toMatch(/^ok/);
  });
});

describe('credits', () => {
  const credits = {
    signing: 'ready',
    reason: undefined,
    attesting: undefined,
    ownFork: undefined,
    witnesses: { total: 4, quorum: 3, missing: [] },
    bookedEarly: '2.5 credits',
  } as const;

  it('a mesh without any has no finding of them', () => {
    expect(of('credits', { credits: undefined })).toEqual([]);
    expect(of('credits', {})).toEqual(['ok: ready to pay and to book; 4 of 4 witnesses in sight']);
  });

  it('a node that signs nothing says why, and what to do', () => {
    const starting = { ...credits, signing: 'starting', reason: 'no peer is connected' } as const;
    expect(of('credits', { credits: starting })).toEqual([
      expect.stringMatching(/^warn: .*signs nothing yet.*: no peer is connected → .*gogrid peers/),
      'ok: 4 of 4 witnesses in sight',
    ]);
    const stopped = { ...credits, signing: 'stopped', reason: 'its key is in use elsewhere' } as const;
    expect(of('credits', { credits: stopped })[0]).toMatch(/^error: .*any more.*elsewhere → .*copied home/);
    expect(diagnoseNode({ ...node, credits: stopped }, machine).healthy).toBe(false);
  });

  it('a witness that attests nothing says why, and what to do', () => {
    const said = (attesting: object | undefined) => of('credits', { credits: { ...credits, attesting } as never });
    expect(said({ state: 'running' })).toHaveLength(1);
    expect(said({ state: 'starting', reason: 'no peer is connected' })[0]).toMatch(
      /^warn: this node is a witness, and attests nothing yet: no peer is connected → .*gogrid peers/,
    );
    expect(said({ state: 'stopped', reason: 'another process attests with its key' })[0]).toMatch(
      /^error: .*any more: another process .* → end the other program/,
    );
  });

  it('a log of its own that forked is an error while it is cut', () => {
    const cut = { ...credits, ownFork: { sequence: 7, isCut: true } };
    expect(of('credits', { credits: cut })[0]).toMatch(/^error: .*place 7 .*cut there.* → let one node alone/);
    expect(of('credits', { credits: { ...credits, ownFork: { sequence: 7, isCut: false } } })[0]).toMatch(/^warn/);
  });

  it('too few witnesses are named, since nothing becomes final', () => {
    const without = (missing: readonly string[], more: object = {}) =>
      of('credits', { credits: { ...credits, witnesses: { ...credits.witnesses, missing }, ...more } });
    expect(without(['seed'])).toEqual(['ok: ready to pay and to book; 3 of 4 witnesses in sight, seed not']);
    const two = without(['seed', 'attic']);
    expect(two).toEqual([
      'warn: 2 of 4 witnesses in sight, so nothing becomes final → ' +
        'start seed, attic: payments above 2.5 credits wait until 3 of 4 are there',
    ]);
    expect(without(['seed', 'attic'], { bookedEarly: undefined })[0]).toMatch(
      /every payment waits until 3 of 4 are there$/,
    );
  });
});

describe('the clock', () => {
  it('is compared with the middle one of the peers, so that one wrong clock is not believed', () => {
    expect(of('clock', { clock: { aheadMs: [10, 3_600_000, -30], movedMs: 0 } })[0]).toMatch(/^ok/);
    const behind = { aheadMs: [60_000, 61_000, 59_000], movedMs: 0 };
    expect(of('clock', { clock: behind })[0]).toMatch(/^warn: the clock is 60 s behind those of 3 peers/);
    expect(of('clock', { clock: { aheadMs: [-6_000], movedMs: 0 } })[0]).toMatch(/6 s ahead of that of the only peer/);
  });

  it('without peers is watched for jumps', () => {
    expect(of('clock', { clock: { aheadMs: [], movedMs: 4_000 } })[0]).toMatch(/^ok/);
    expect(of('clock', { clock: { aheadMs: [], movedMs: -90_000 } })[0]).toMatch(/^warn: .*moved by 90 s/);
  });
});

describe('the machine', () => {
  it('a home that cannot be written is an error, a cache a warning', () => {
    const folder = { path: '/h', problem: 'this user may not write there', freeBytes: 1e12 };
    expect(of('home', {}, { home: folder })[0]).toMatch(/^error.*may not write.*--home/);
    expect(of('cache', {}, { cache: folder })[0]).toMatch(/^warn/);
  });

  it('the tighter of the two disks counts', () => {
    const cache = (freeBytes: number | undefined) => ({ cache: { ...machine.cache, freeBytes } });
    expect(of('disk', {}, cache(1e9))[0]).toMatch(/^warn: 1\.0 GB free for \/c/);
    expect(of('disk', {}, cache(1e6))[0]).toMatch(/^error: only 1\.0 MB/);
    expect(of('disk', {}, cache(undefined))[0]).toMatch(/^ok: 100 GB free for \/h/);
  });

  it('little memory is a warning', () => {
    expect(of('memory', {}, { memory: { totalBytes: 2e9, freeBytes: 1e8 } })[0]).toMatch(/^warn/);
  });
});

describe('where no node runs', () => {
  const absent: AbsentFacts = {
    diedAs: undefined,
    startWith: 'gogrid up',
    config: { problem: undefined },
    ports: [
      { name: 'api.port', facts: { at: '127.0.0.1:4301', state: 'free', by: undefined } },
      { name: 'network.port', facts: { at: '127.0.0.1:8443', state: 'free', by: undefined } },
    ],
    ollama: { url: 'http://127.0.0.1:11434', version: '0.24.0' },
  };
  const say = (changes: Partial<AbsentFacts>) => {
    const { findings, healthy } = diagnoseAbsence({ ...absent, ...changes }, machine);
    return { healthy, text: findings.map(({ check, level, message }) => `${check} ${level} ${message}`).join('\n') };
  };

  it('says so, and how to start one, and that is no error', () => {
    expect(diagnoseAbsence(absent, machine)).toMatchObject({
      running: false,
      healthy: true,
      findings: [
        { check: 'node', level: 'warn', fix: 'start one with: gogrid up' },
        { check: 'config', level: 'ok' },
        {},
        {},
        {},
        {},
        {},
        {},
        {},
        {},
      ],
    });
    expect(say({ diedAs: 77 }).text).toContain('process 77');
  });

  it('a busy API port would keep it from starting, a busy network port would not', () => {
    const busy = (name: 'api.port' | 'network.port') =>
      say({ ports: [{ name, facts: { at: 'x:1', state: 'taken', by: 'Ollama' } }] });
    expect(busy('api.port')).toMatchObject({
      healthy: false,
      text: expect.stringContaining('api error x:1 is in use by Ollama'),
    });
    expect(busy('network.port')).toMatchObject({ healthy: true, text: expect.stringContaining('network warn') });
    const facts = { at: 'x:1', state: 'refused', by: undefined } as const;
    expect(say({ ports: [{ name: 'network.port', facts }] }).healthy).toBe(false);
    for (const [name, address] of [
      ['api.port', 'api.host'],
      ['network.port', 'network.listen'],
    ] as const) {
      const { findings } = diagnoseAbsence({ ...absent, ports: [{ name, facts }] }, machine);
      const fix = findings.find(({ level }) => level === 'error')?.fix;
      expect(fix).toContain(`gogrid config set ${address} `);
      expect(fix).toContain(`gogrid config set ${name} `);
    }
  });

  it('a configuration that is refused is told with its own words', () => {
    const problem = { message: "api.port: 'x' is no number", hint: 'take one' };
    const { findings } = diagnoseAbsence({ ...absent, config: { problem }, ports: [], ollama: undefined }, machine);
    expect(findings[1]).toEqual({ check: 'config', level: 'error', message: problem.message, fix: problem.hint });
    expect(findings.some(({ check }) => check === 'engine')).toBe(false);
  });

  it('no Ollama is no error', () => {
    expect(say({ ollama: { url: 'http://127.0.0.1:11434', version: undefined } })).toMatchObject({
      healthy: true,
      text: expect.stringContaining('engine warn no Ollama answers'),
    });
  });
});

it('says to whom the API answers by the address it listens on', () => {
  expect(of('api', {})).toEqual(['ok: answers at http://127.0.0.1:4301, to this machine only']);
  expect(of('api', { apiHost: '0.0.0.0', apiIsLocal: false })).toEqual([
    'ok: answers at http://127.0.0.1:4301, to other machines too (api.host is 0.0.0.0), with the key alone',
  ]);
  expect(of('api', { apiRequiresKey: true })).toEqual([
    'ok: answers at http://127.0.0.1:4301, to this machine only, with the key alone',
  ]);
});
