import { describe, expect, it } from 'vitest';
import type { ResolvedConfig } from '../config/resolve.ts';
import { readyEvent } from '../contract/control.ts';
import { GoGridError } from '../errors.ts';
import { CLI } from '../limits/program.ts';
import { type SmallWorldOptions, smallWorld } from '../testing/small-world.ts';
import { type BannerFacts, renderBanner } from './banner.ts';
import { runCli } from './cli.ts';
import type { RunningNode } from './world.ts';

const PEER_ID = '12D3KooWGzBkQ3nCqVdQZ8XtT9uEJ1vVYV1Y1B1Fq1mH9m2a7bCd';
const ready = {
  api: 'http://127.0.0.1:4301',
  peerId: PEER_ID,
  addresses: [`/ip4/127.0.0.1/tcp/8443/p2p/${PEER_ID}`],
  pid: 7,
};

/** A node that remembers what was done with it. */
function nodeOf(more: Partial<RunningNode> = {}): { node: RunningNode; calls: string[] } {
  const calls: string[] = [];
  const node: RunningNode = {
    start: async () => void calls.push('start'),
    stop: async () => void calls.push('stop'),
    ready: () => ready,
    onStopAsked: () => () => {},
    onNews: () => () => {},
    mesh: () => ({ name: 'local', descriptor: undefined, mdns: true }),
    notices: () => [],
    models: () => [{ name: 'llama3.2:latest' }],
    engine: () => ({ kind: 'ollama', state: 'ready', hint: undefined }),
    pulls: () => [],
    ...more,
  };
  return { node, calls };
}

function up(args: string[], node: RunningNode, more: SmallWorldOptions = {}) {
  const small = smallWorld(['up', ...args], { runningNode: node, ...more });
  return { ...small, code: runCli(small.world) };
}

describe('gogrid up', () => {
  it('for programs prints exactly the ready event, and stops at a signal with 0', async () => {
    const { node, calls } = nodeOf();
    const announced: unknown[] = [];
    const run = up(['--json'], node, {
      session: {
        announce: async (api, pid) => void announced.push(api, pid),
        close: async () => void calls.push('close'),
      },
    });
    await expect.poll(() => run.stdout()).not.toBe('');
    expect(run.stdout()).toBe(`${JSON.stringify({ event: 'ready', ...ready })}\n`);
    expect(readyEvent.safeParse(JSON.parse(run.stdout())).success).toBe(true);
    expect(announced).toEqual([ready.api, 7]);
    run.signal();
    expect(await run.code).toBe(0);
    expect(calls).toEqual(['start', 'stop', 'close']);
    expect(run.stdout().split('\n')).toHaveLength(2);
  });

  it('for people waits for the engine, and says what to try', async () => {
    let looks = 0;
    const { node } = nodeOf({ engine: () => ({ kind: 'ollama', state: ++looks < 3 ? 'starting' : 'ready' }) });
    const run = up([], node);
    await expect.poll(() => run.stdout()).toContain('curl http://127.0.0.1:4301/v1/chat/completions');
    expect(run.stdout()).toContain('llama3.2:latest');
    run.signal();
    expect(await run.code).toBe(0);
  });

  it('takes settings from flags, lists in several too', async () => {
    const seen: ResolvedConfig[] = [];
    const { node } = nodeOf();
    const args = [
      '--json',
      '--api-port',
      '0',
      '--no-network-mdns',
      '--api-allowed-hosts',
      'a,b',
      '--api-allowed-hosts=c',
    ];
    const run = up(args, node, {
      env: { GOGRID_API_PORT: '1', GOGRID_ENGINE_KIND: 'none' },
      config: '[worker]\nmax_job_secs = 9\n',
      home: {
        openNode: async (resolved) => {
          seen.push(resolved);
          throw new GoGridError({ code: 'home_in_use', message: 'taken' });
        },
      },
    });
    expect(await run.code).toBe(4);
    expect(seen[0]?.config).toMatchObject({
      api: { port: 0, allowed_hosts: ['a', 'b', 'c'] },
      network: { mdns: false },
      engine: { kind: 'none' },
      worker: { max_job_secs: 9 },
    });
  });

  it('with a wrong setting starts nothing', async () => {
    const { node, calls } = nodeOf();
    const run = up(['--network-accept', 'members'], node);
    expect(await run.code).toBe(2);
    expect(calls).toEqual([]);
    expect(run.stderr()).toContain('not built yet');
  });

  it('that cannot start ends with the reason, closed', async () => {
    const { node, calls } = nodeOf({
      start: async () => {
        throw new GoGridError({ code: 'port_in_use', message: 'port 4301 is taken' });
      },
    });
    const run = up(['--json'], node, { session: { close: async () => void calls.push('close') } });
    expect(await run.code).toBe(1);
    expect(calls).toEqual(['close']);
    expect(run.stdout()).toBe('');
  });

  it('stops when a signal comes while it starts', async () => {
    const [entered, started] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const { node, calls } = nodeOf({
      start() {
        entered.resolve();
        return started.promise;
      },
    });
    const run = up(['--json'], node, { session: { close: async () => void calls.push('close') } });
    await entered.promise;
    run.signal();
    started.resolve();
    expect(await run.code).toBe(0);
    expect(calls).toEqual(['stop', 'close']);
  });

  it('stops at a signal while it waits for the engine, without a banner', async () => {
    const waits = Promise.withResolvers<void>();
    const { node, calls } = nodeOf({
      engine() {
        waits.resolve();
        return { kind: 'ollama', state: 'starting' };
      },
    });
    const run = up([], node, { wait: (ms) => (ms === CLI.engineLookMs ? new Promise(() => {}) : undefined) });
    await waits.promise;
    run.signal();
    expect(await run.code).toBe(0);
    expect(calls).toEqual(['start', 'stop']);
    expect(run.stdout()).toBe('');
  });

  it('ends at once at a second signal', async () => {
    const { node } = nodeOf({ stop: () => new Promise(() => {}) });
    let flushed = false;
    const run = up(['--json'], node, {
      session: {
        flushSync: () => {
          flushed = true;
        },
      },
    });
    await expect.poll(() => run.stdout()).toContain('ready');
    run.signal();
    expect(() => run.signal()).toThrow('ended with 1');
    expect(run.exits).toEqual([1]);
    expect(flushed).toBe(true);
  });

  it('does not wait for ever for a node that does not stop', async () => {
    const { node } = nodeOf({ stop: () => new Promise(() => {}) });
    const run = up(['--json', '--node-shutdown-grace-secs', '0'], node);
    await expect.poll(() => run.stdout()).toContain('ready');
    run.signal();
    expect(await run.code).toBe(0);
  });

  it('logs a defect, stops in order and ends with 1', async () => {
    const { node, calls } = nodeOf();
    const run = up(['--json'], node);
    await expect.poll(() => run.stdout()).toContain('ready');
    run.crash(new Error('nobody caught me'));
    expect(await run.code).toBe(1);
    expect(calls).toEqual(['start', 'stop']);
  });
});

describe('the banner', () => {
  const facts: BannerFacts = {
    version: '1.2.3',
    ...ready,
    mesh: { name: 'local', descriptor: undefined, mdns: true },
    models: [],
    coming: [],
    engine: { kind: 'ollama', state: 'unreachable' },
    ollamaUrl: 'http://127.0.0.1:11434',
    ollamaConfigured: false,
    keyCommand: undefined,
    notices: [],
    flags: '',
  };
  const banner = (more: Partial<BannerFacts>) => renderBanner({ ...facts, ...more }, (_, text) => text);

  it('tells somebody without Ollama how to get it', () => {
    for (const step of ['ollama.com/download', 'ollama serve', 'ollama pull llama3.2', 'engine.ollama_url']) {
      expect(banner({})).toContain(step);
    }
    expect(banner({})).not.toContain('curl');
    expect(banner({ ollamaConfigured: true, ollamaUrl: 'http://box:1' })).toContain('does not answer at http://box:1');
  });

  it('tells the other states apart', () => {
    expect(banner({ engine: { kind: 'ollama', state: 'ready' } })).toContain('ollama pull');
    expect(banner({ engine: { kind: 'none', state: 'ready' } })).toContain('engine.kind is none');
    expect(banner({ engine: { kind: 'ollama', state: 'starting' } })).toContain('not known yet');
  });

  it('offers a line to try with a model that is there, and the key where one is needed', () => {
    const models = ['a:latest', 'b', 'c', 'd', 'e', 'f'];
    const text = banner({
      models,
      engine: { kind: 'ollama', state: 'ready' },
      keyCommand: '$(cat /h/api.key)',
      flags: ' --home /h',
    });
    expect(text).toContain('a:latest, b, c, d and 2 more: gogrid models --home /h');
    expect(text).toContain('-H "Authorization: Bearer $(cat /h/api.key)" -d \'{"model":"a:latest"');
    expect(text).toContain('OLLAMA_HOST=127.0.0.1:4301  for its clients that can send the key');
    expect(text).not.toContain('any API key');
    expect(banner({ models })).toContain('as base URL, any API key');
  });

  it.each([
    [['--api-host', '0.0.0.0'], true],
    [['--api-host', '127.0.0.1', '--api-require-key'], true],
    [['--api-host', '127.0.0.2'], false],
  ])('with %j goes by who can come in whether a key is needed', async (args, needsKey) => {
    const run = up(args, nodeOf().node);
    await expect.poll(() => run.stdout()).toContain('Try it');
    expect(run.stdout().includes('Bearer $(cat /h/api.key)')).toBe(needsKey);
    expect(run.stdout().includes('any API key')).toBe(!needsKey);
    run.signal();
    expect(await run.code).toBe(0);
  });

  it('makes no command of what a model is called', () => {
    const text = banner({ models: ["x'; touch /tmp/pwn; '"], engine: { kind: 'ollama', state: 'ready' } });
    expect(text).toContain(`-d '{"model":"x'\\''; touch /tmp/pwn; '\\''"`);
  });

  it('says how another machine joins, or that none can', () => {
    expect(banner({})).toContain('Mesh    local: reachable from this machine only');
    const address = `/ip4/192.168.1.10/tcp/8443/p2p/${PEER_ID}`;
    const addresses = [...ready.addresses, address];
    const local = facts.mesh;
    expect(banner({ addresses })).toContain(
      'Mesh    local: machines of this network find it by themselves (gogrid peers)\n',
    );
    expect(banner({ addresses, mesh: { ...local, mdns: false } })).toContain(
      `local: other machines join with --network-bootstrap ${address}\n`,
    );
    const own = { name: 'home', descriptor: '/h/network.json', mdns: true };
    expect(banner({ addresses, mesh: own })).toContain(
      'Mesh    home: other machines join with --network-descriptor /h/network.json (a copy of that file)\n',
    );
    expect(banner({ addresses, mesh: { ...own, mdns: false } })).toContain(
      `--network-descriptor /h/network.json --network-bootstrap ${address} (`,
    );
  });

  it('shows what its user should know', () => {
    expect(banner({ notices: ['port 8443 was busy'] })).toContain('Note    port 8443 was busy');
  });
});
