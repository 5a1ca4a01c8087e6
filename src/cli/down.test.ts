import { afterEach, expect, it } from 'vitest';
import { type SmallApi, smallApi, testKey } from '../testing/small-api.ts';
import { type SmallWorldOptions, smallWorld } from '../testing/small-world.ts';
import { runCli } from './cli.ts';

let running: SmallApi | undefined;
afterEach(async () => {
  await running?.api.stop(0);
  running = undefined;
});

/** A process that is there until `end`, and started when its mark says. */
function processOf(startedAt: number | 'unknown' = 1) {
  let alive = true;
  let looksLeft = Number.POSITIVE_INFINITY;
  const terminated: number[] = [];
  return {
    end: () => {
      alive = false;
    },
    /** Lets it be found alive this many times more. */
    endAfterLooks: (looks: number) => {
      looksLeft = looks;
    },
    /** How many of those are left. */
    looksLeft: () => looksLeft,
    terminated,
    processes: {
      isAlive: () => alive && looksLeft-- > 0,
      startedAt: async () => (startedAt === 'unknown' ? undefined : startedAt),
      terminate: (pid: number) => {
        terminated.push(pid);
        alive = false;
      },
    },
  };
}

async function down(args: readonly string[], world: SmallWorldOptions) {
  const small = smallWorld(['down', ...args], world);
  const code = await runCli(small.world);
  return { code, out: small.stdout(), err: small.stderr() };
}

it('asks through the API, and waits until the process is gone', async () => {
  const child = processOf();
  running = await smallApi(
    {},
    {
      stopNode: () => {
        child.endAfterLooks(2);
        return { pid: 4711, graceSecs: 20 };
      },
    },
  );
  const world = { node: { api: running.url, key: testKey }, processes: child.processes };
  const { code, out, err } = await down([], world);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toMatch(/^Stopping the node \(process 4711\).*20 s\.\nThe node has stopped/);
  expect(child.looksLeft()).toBeLessThan(0);
  expect(child.terminated).toEqual([]);
});

it('tells programs how it ended', async () => {
  const child = processOf();
  running = await smallApi(
    {},
    {
      stopNode: () => {
        child.end();
        return { pid: 4711, graceSecs: 20 };
      },
    },
  );
  const { code, out } = await down(['--json'], {
    node: { api: running.url, key: testKey },
    processes: child.processes,
  });
  expect(code).toBe(0);
  expect(JSON.parse(out)).toEqual({ stopped: true, pid: 4711, by: 'api', tookMs: expect.any(Number) });
});

it('sends SIGTERM where the API does not answer', async () => {
  const child = processOf();
  const { code, out } = await down([], { node: { api: 'http://127.0.0.1:1', key: 'k' }, processes: child.processes });
  expect(code).toBe(0);
  expect(child.terminated).toEqual([4711]);
  expect(out).toContain('process 4711 is sent SIGTERM');
});

it.each<[string, number | 'unknown']>([
  ['younger than the mark', 60_000],
  ['of unknown age', 'unknown'],
])('never sends it to a process that is %s', async (_, startedAt) => {
  const child = processOf(startedAt);
  const { code, err } = await down([], { node: { api: 'http://127.0.0.1:1', key: 'k' }, processes: child.processes });
  expect(code).toBe(3);
  expect(child.terminated).toEqual([]);
  expect(err).toContain('seems to be another program');
});

it('without a node ends with 3', async () => {
  expect(await down([], {})).toMatchObject({ code: 3, err: expect.stringContaining('no node is running') });
  const dead = { node: { api: 'http://127.0.0.1:1', key: 'k', alive: false } };
  expect(await down([], dead)).toMatchObject({ code: 3, err: expect.stringContaining('process 4711') });
});
