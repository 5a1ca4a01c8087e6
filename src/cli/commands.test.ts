/** The commands against the real API, as a user has it. */

import { afterEach, describe, expect, it } from 'vitest';
import type { ApiDeps, ApiOptions } from '../api/server.ts';
import { model as modelSchema, type NodeStatusAnswer } from '../contract/control.ts';
import { ERRORS, GoGridError } from '../errors.ts';
import type { JobOutput, RunJob } from '../jobs/output.ts';
import {
  catalogueOf,
  done,
  jobRecord,
  noPulls,
  placed,
  type SmallApi,
  says,
  smallApi,
  testJobId,
  testKey,
  testModel,
  testPeer,
  testRuntime,
  testStatus,
  yields,
} from '../testing/small-api.ts';
import { type SmallWorldOptions, smallWorld } from '../testing/small-world.ts';
import { runCli } from './cli.ts';

let running: SmallApi | undefined;
afterEach(async () => {
  await running?.api.stop(0);
  running = undefined;
});

async function worldWith(
  args: readonly string[],
  deps: Partial<ApiDeps> = {},
  more: SmallWorldOptions & { api?: Partial<ApiOptions> } = {},
) {
  running = await smallApi(more.api, deps);
  return smallWorld(args, { node: { api: running.url, key: testKey }, ...more });
}

async function gogrid(
  args: string,
  deps: Partial<ApiDeps> = {},
  more: SmallWorldOptions & { api?: Partial<ApiOptions> } = {},
) {
  const small = await worldWith(args.split(' '), deps, more);
  const code = await runCli(small.world);
  return { code, out: small.stdout(), err: small.stderr() };
}

describe('status', () => {
  it('says what the node is', async () => {
    const { code, out, err } = await gogrid('status');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^state +idle, up 1s$/m);
    expect(out).toMatch(/^engine +ollama 0\.24\.0, ready$/m);
    expect(out).toMatch(/^API +http:\/\/127\.0\.0\.1:\d+$/m);
    expect(out).toMatch(/^addresses +none/m);
  });

  it('is coloured on a terminal', async () => {
    expect((await gogrid('status', {}, { columns: 80 })).out).toContain('\u001b[32midle, up 1s\u001b[0m');
  });

  it('is the answer of the API for programs', async () => {
    expect(JSON.parse((await gogrid('status --json')).out)).toMatchObject({ name: 'testbox', queue: { slots: 1 } });
  });

  it('says at a glance what stops, who is there, and who waits, within 80 columns', async () => {
    const status: NodeStatusAnswer = {
      ...testStatus,
      state: 'draining',
      reason: 'it ends: one job may go on for 12 s more',
    };
    const stranger = { ...testPeer, peerId: '12D3KooWStranger', name: 'cellar', admitted: false, status: 'waiting' };
    const runtime = { ...testRuntime, status: () => status, peers: () => [testPeer, stranger] };
    const { out } = await gogrid('status', { runtime }, { columns: 80, env: { NO_COLOR: '1' } });
    expect(out).toMatch(/^state +draining, up 1s\n +it ends: one job may go on for 12 s more$/m);
    expect(out).toMatch(/^mesh +local, 2 peers\n +other \(idle\)\n +cellar not accepted yet: gogrid peers$/m);
    expect(out).toMatch(/^models +tiny:latest here, 1 in the mesh$/m);
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('with a key of another home is refused, exit 1', async () => {
    const { code, err } = await gogrid('status', {}, { api: { key: 'b1'.repeat(32) } });
    expect(code).toBe(1);
    expect(err).toContain("does not accept this home's API key");
  });
});

describe('lists', () => {
  it('peers', async () => {
    expect((await gogrid('peers')).out).toBe(
      [
        'NAME   PEER          STATUS  ROUTE   LATENCY  JOBS  MODELS',
        'other  12D3KooWPeer  idle    direct   1.2 ms   0+0  tiny:latest',
        '',
      ].join('\n'),
    );
    expect(JSON.parse((await gogrid('peers list --json')).out)).toMatchObject({ total: 1, peers: [{ name: 'other' }] });
  });

  it('peers, and which of them has no connection or was not reached', async () => {
    const away = { ...testPeer, transport: null, connected: false, latencyMs: null };
    const peers = [
      { ...away, name: 'far' },
      { ...away, name: 'gone', status: 'unreachable', runningJobs: 1 },
    ];
    const runtime = { ...testRuntime, peers: () => peers };
    const { out } = await gogrid('peers', { runtime });
    expect(out).toMatch(/^far +12D3KooWPeer +idle +- +- /m);
    expect(out).toMatch(/^gone +12D3KooWPeer +not reached +- +- /m);
    expect((await gogrid('peers show gone', { runtime })).out).toMatch(/^route +none: not connected now$/m);
  });

  it('models', async () => {
    const { out } = await gogrid('models');
    expect(out).toMatch(/^tiny:latest +here +650 kB +135M +Q4_K_M +2048 +yes +completion, tools$/m);
    const { models } = JSON.parse((await gogrid('models --json')).out);
    expect(modelSchema.safeParse(models[0]).success).toBe(true);
  });

  it('models of peers, by their names', async () => {
    const ids = ['12D3KooWPeer', 'unknown-peer', 'c', 'd', 'e'];
    const models = [
      testModel({ local: false, providers: ids }),
      testModel({ name: 'b:latest', providers: ['12D3KooWSelf', '12D3KooWPeer'] }),
    ];
    const { out } = await gogrid('models', { catalogue: { ...catalogueOf(models) } });
    expect(out).toMatch(/^tiny:latest +other, unknown-peer, c, 2 more +650 kB/m);
    expect(out).toMatch(/^b:latest +here, other +650 kB/m);
  });

  it('jobs', async () => {
    const { out } = await gogrid('jobs');
    const id = '0198c0de-0000-7000-8000-0000000000aa';
    expect(out).toMatch(
      new RegExp(`^${id} +completed +out +tiny:latest +12D3KooWProvider +2 +666\\.0 +\\d+d ago$`, 'm'),
    );
    const onTerminal = await gogrid('jobs', {}, { columns: 120 });
    expect(onTerminal.out).toMatch(/^0198c0de…0000aa /m);
    expect(
      (
        await gogrid('jobs', {
          jobs: {
            list: async () => ({ jobs: [jobRecord()], total: 5 }),
            get: async () => undefined,
            cancel: async () => undefined,
          },
        })
      ).out,
    ).toContain('and 4 older');
  });

  it('of nothing say so', async () => {
    const none = {
      list: async () => ({ jobs: [], total: 0 }),
      get: async () => undefined,
      cancel: async () => undefined,
    };
    expect((await gogrid('jobs', { jobs: none })).out).toContain('No job');
    expect(
      (
        await gogrid('models', {
          catalogue: { models: () => [], describe: async () => undefined, loaded: async () => [] },
          pulls: { ...noPulls, states: () => [] },
        })
      ).out,
    ).toContain('gogrid models pull smollm2:135m');
  });
});

describe('one of a list', () => {
  it.each(['other', testPeer.peerId, 'Peer', '12D3'])('is the peer %s', async (text) => {
    const { code, out } = await gogrid(`peers show ${text}`);
    expect(code).toBe(0);
    expect(out).toMatch(/^peer id +12D3KooWPeer$/m);
    expect(out).toMatch(/^hardware +2 cores/m);
  });

  it.each([testJobId, '0198c0de…0000aa', '0198', 'aa'])('is the job %s', async (text) => {
    const { code, out } = await gogrid(`jobs show ${text}`);
    expect(code).toBe(0);
    expect(out).toContain(testJobId);
    expect(out).toMatch(/^attempts +12D3KooWProvider, tokens 0 to 2, to the end$/m);
  });

  it('is not there', async () => {
    expect(await gogrid('peers show nobody')).toMatchObject({
      code: 1,
      err: expect.stringContaining("there is no peer 'nobody'"),
    });
    expect(await gogrid('jobs show nothing')).toMatchObject({
      code: 1,
      err: expect.stringContaining("there is no job 'nothing'"),
    });
  });

  it('is two jobs when a peer has chosen the same id: both are shown, our own first', async () => {
    const own = jobRecord();
    const theirs = { ...own, direction: 'in' as const, requester: '12D3KooWStranger' };
    const jobs = {
      list: async () => ({ jobs: [theirs, own], total: 2 }),
      get: async (id: string) => (id === own.id ? own : undefined),
      cancel: async () => undefined,
    };
    for (const text of ['0198', 'aa']) {
      const { code, out } = await gogrid(`jobs show ${text}`, { jobs });
      expect(code).toBe(0);
      expect(out.match(/^requester .*$/gm)).toEqual([
        expect.stringContaining('12D3KooWRequester'),
        expect.stringContaining('12D3KooWStranger'),
      ]);
      expect(out).toContain('2 jobs have this id');
    }
    // A whole id is looked up by itself, as the API does it: the list may hold a thousand.
    const unlisted = { ...jobs, list: () => Promise.reject(new Error('listed')) };
    for (const flag of ['', ' --json']) {
      const { code, out } = await gogrid(`jobs show ${testJobId}${flag}`, { jobs: unlisted });
      expect(code).toBe(0);
      expect(out).toContain('12D3KooWRequester');
    }
  });

  it('is cancelled', async () => {
    expect(await gogrid('jobs cancel 0198')).toMatchObject({ code: 0, out: 'Job 0198c0de…0000aa is cancelled.\n' });
  });
});

describe('logs', () => {
  it('shows the last lines', async () => {
    const { out } = await gogrid('logs -n 1');
    expect(out).toMatch(/warn {2}network {3}two code=x\n$/);
    expect(JSON.parse((await gogrid('logs -n 1 --json')).out)).toMatchObject({ message: 'two' });
  });

  it('follows until Ctrl-C', async () => {
    let bring: ((message: string) => void) | undefined;
    const small = await worldWith(['logs', '-f', '--level', 'warn'], {
      logs: {
        tail: async () => [],
        follow: (level, listener) => {
          bring = (message) => listener({ time: 0, level, message });
          return () => {};
        },
      },
    });
    const code = runCli(small.world);
    await expect.poll(() => bring).toBeDefined();
    bring?.('it happened');
    await expect.poll(() => small.stdout()).toMatch(/warn {2}it happened\n$/);
    small.signal();
    expect(await code).toBe(0);
  });
});

describe('run', () => {
  it('says when the answer wanted to go on', async () => {
    const runJob = yields([placed, { type: 'chunk', tokens: 1, text: 'And so' }, { ...done, reason: 'length' }]);
    const small = await worldWith(['run', 'tiny', 'A story'], { runJob });
    expect(await runCli(small.world)).toBe(0);
    expect(small.stderr()).toMatch(/tokens\/s, cut off at its limit of tokens\n$/);
  });

  it('prints the answer, and who gave it on standard error', async () => {
    const specs: unknown[] = [];
    const runJob: RunJob = (spec, signal) => {
      specs.push(spec);
      return says('The sky', ' is blue.')(spec, signal);
    };
    const small = await worldWith(['run', 'tiny', 'Why is', 'the sky blue?'], { runJob });
    expect(await runCli(small.world)).toBe(0);
    expect(small.stdout()).toBe('The sky is blue.\n');
    expect(small.stderr()).toMatch(/^answered by 12D3KooWProvider \(direct\), 2 tokens, [0-9.]+ tokens\/s\n$/);
    expect(specs).toMatchObject([
      { model: 'tiny', input: { messages: [{ role: 'user', content: 'Why is the sky blue?' }] } },
    ]);
  });

  it.each([
    [['run', 'tiny'], 'from a pipe'],
    [['run', 'tiny', 'sum up:', '-'], 'sum up:\n\nfrom a pipe'],
    [['run', 'tiny', '--', '--json'], '--json'],
  ])('%j asks %j', async (args, prompt) => {
    const specs: unknown[] = [];
    const runJob: RunJob = (spec, signal) => {
      specs.push(spec);
      return says('x')(spec, signal);
    };
    const small = await worldWith(args, { runJob }, { stdin: 'from a pipe\n' });
    expect(await runCli(small.world)).toBe(0);
    expect(specs).toMatchObject([{ input: { messages: [{ content: prompt }] } }]);
  });

  it('passes lines on for programs', async () => {
    const { out, err } = await gogrid('run tiny hello --json');
    const lines = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.at(0)).toMatchObject({ message: { content: 'Hello' }, done: false });
    expect(lines.at(-1)).toMatchObject({ done: true });
    expect(err).toBe('');
  });

  it('lets no answer steer the terminal, and changes none in a pipe', async () => {
    const runJob = says('a\u001b[2Jb\n\tc');
    expect((await gogrid('run tiny hello', { runJob }, { columns: 80 })).out).toBe('a[2Jb\n\tc\n');
    expect((await gogrid('run tiny hello', { runJob })).out).toBe('a\u001b[2Jb\n\tc\n');
    const json = await gogrid('run tiny hello --json', { runJob: says('a\u009b2J') }, { columns: 80 });
    expect(json.out).not.toMatch(/(?!\n)\p{Cc}/u);
    expect(JSON.parse(json.out.split('\n')[0] ?? '')).toMatchObject({ message: { content: 'a\u009b2J' } });
  });

  it('of a model that nobody has says which one was probably meant', async () => {
    const runJob = yields([], new GoGridError({ code: 'model_not_found', message: "model 'tinny' not found" }));
    const { code, err } = await gogrid('run tinny hello', { runJob });
    expect(code).toBe(1);
    expect(err).toContain("model 'tinny' not found; did you mean 'tiny'?");
    expect(err).toContain('gogrid models');
  });

  it('fails with what the node says', async () => {
    const runJob = yields([], new GoGridError({ code: 'model_not_found', message: "model 'tiny' not found" }));
    expect(await gogrid('run tiny hello', { runJob })).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringContaining("model 'tiny' not found"),
    });
  });

  it('fails when the answer breaks in the middle, and keeps what came', async () => {
    const chunk: JobOutput = { type: 'chunk', tokens: 1, text: 'The sky' };
    const runJob = yields([placed, chunk], new GoGridError({ code: 'provider_lost', message: 'the provider is gone' }));
    const { code, out, err } = await gogrid('run tiny hello', { runJob });
    expect(code).toBe(1);
    expect(out).toContain('The sky');
    expect(err).toContain('the provider is gone');
  });

  it.each(['privacy_unserved', 'deadline_exceeded'] as const)('with --json exits as without: %s', async (refused) => {
    const error = new GoGridError({ code: refused, message: 'no', data: { job: testJobId } });
    const whole = await gogrid('run tiny hello', { runJob: yields([], error) });
    expect(whole.code).toBe(ERRORS[refused].exit);
    const before = await gogrid('run tiny hello --json', { runJob: yields([], error) });
    expect(before).toMatchObject({ code: whole.code, out: '' });
    expect(JSON.parse(before.err)).toMatchObject({ error: { code: refused, message: 'no' } });
    const chunk: JobOutput = { type: 'chunk', tokens: 1, text: 'The sky' };
    const midway = await gogrid('run tiny hello --json', { runJob: yields([placed, chunk], error) });
    expect(midway).toMatchObject({ code: whole.code, err: before.err });
  });

  it('cancels the job at Ctrl-C', async () => {
    let cancelled = false;
    const runJob: RunJob = async function* endless(_spec, signal) {
      yield placed;
      yield { type: 'chunk', tokens: 1, text: 'and' };
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      cancelled = true;
      yield done;
    };
    const small = await worldWith(['run', 'tiny', 'hello'], { runJob });
    const code = runCli(small.world);
    await expect.poll(() => small.stdout()).toBe('and');
    small.signal();
    expect(await code).toBe(1);
    await expect.poll(() => cancelled).toBe(true);
    expect(small.stderr()).toContain('cancelled');
  });
});
