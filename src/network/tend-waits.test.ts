import { describe, expect, it } from 'vitest';
import { MESH } from '../limits/mesh.ts';
import { nodeIdOf } from '../protocol/ids.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { Tend } from './tend.ts';

const RECONNECT_MS = 10_000;
const NODES = Array.from({ length: 100 }, (_, n) => nodeIdOf(signerFromSeed(new Uint8Array(32).fill(n)).publicKey));
const id = (n: number) => NODES[n] ?? '';
const at = (n: number) => `/ip4/10.0.0.${n}/tcp/8443`;
const named = (n: number) => `${at(n)}/p2p/${id(n)}`;

/** A node that looks after its connections, in a world where dials take no time and end as they are told. */
function setUp(
  options: { bootstrap?: number[]; directory?: number[]; known?: string[]; up?: number[]; unwanted?: number[] } = {},
) {
  const clock = new VirtualClock();
  const up = new Set((options.up ?? []).map(id));
  const dials: { node: number; atMs: number }[] = [];
  const saved: (readonly string[])[] = [];
  const nodes = new Map((options.directory ?? []).map((n) => [id(n), n]));
  const number = (node: string) => NODES.indexOf(node);
  const entry = (node: string) => ({ node, profile: { number: 1, addresses: [at(number(node))], models: [] } });
  const tend: Tend = new Tend(
    { self: id(0), bootstrap: (options.bootstrap ?? []).map(named), reconnectDelayMs: RECONNECT_MS },
    {
      clock,
      random: () => 0.5,
      wants: (node) => !(options.unwanted ?? []).map(id).includes(node),
      log: silentLogger,
      knownPeers: { load: async () => options.known ?? [], save: (list) => void saved.push(list) },
      directory: {
        get: (node: string) => (nodes.has(node) ? entry(node) : undefined),
        nodes: () => [...nodes.keys()].map(entry),
      } as never,
      dialer: {
        reach: async (node: string) => {
          dials.push({ node: number(node), atMs: clock.elapsed() });
          if (!up.has(node)) throw new Error('refused');
          tend.onAdmitted(node, named(number(node)));
        },
      } as never,
    },
  );
  return { clock, tend, dials, saved, up };
}

describe('a bootstrap node', () => {
  it('that was never reached is tried soon at first, then less and less, and never given up', async () => {
    const { clock, tend, dials } = setUp({ bootstrap: [1] });
    await tend.start();
    await clock.advance(600_000);
    const waits = dials.slice(1).map(({ atMs }, i) => Math.round((atMs - (dials[i]?.atMs ?? 0)) / 1000));
    expect(waits.slice(0, 7)).toEqual([1, 2, 4, 8, 16, 32, 60]);
    expect(waits.slice(7).every((secs) => secs === 60)).toBe(true);
    expect(dials.length).toBeGreaterThan(12);
  });

  it('that is lost is tried again after the configured wait, however many peers there are', async () => {
    const others = Array.from({ length: 30 }, (_, i) => i + 2);
    const { clock, tend, dials, up } = setUp({ bootstrap: [1], directory: others, up: [1, ...others] });
    await tend.start();
    await clock.advance(60_000);
    up.delete(id(1));
    tend.onLeft(id(1));
    dials.length = 0;
    const lostAt = clock.elapsed();
    await clock.advance(RECONNECT_MS * 2.5);
    expect(dials.filter(({ node }) => node === 1).map(({ atMs }) => Math.round((atMs - lostAt) / 1000))).toEqual([
      10, 20,
    ]);
  });
});

describe('other nodes', () => {
  it('are dialed at once up to what gossip needs, then a few at a time, up to the target', async () => {
    const all = Array.from({ length: 40 }, (_, i) => i + 1);
    const { clock, tend, dials } = setUp({ directory: all, up: all });
    await tend.start();
    expect(dials).toHaveLength(MESH.urgentPeers);
    await clock.advance(MESH.tendEveryMs);
    expect(dials).toHaveLength(MESH.urgentPeers + MESH.calmDials);
    await clock.advance(20 * MESH.tendEveryMs);
    expect(dials).toHaveLength(MESH.targetPeers);
  });

  it('that are lost without a word are probed once, those that said they leave are not', async () => {
    const { clock, tend, dials, up } = setUp({ directory: [1], up: [1, 2], known: [named(2)] });
    await tend.start();
    up.clear();
    dials.length = 0;
    tend.onLeft(id(1));
    await clock.advance(2 * MESH.probeAfterMs + 1);
    expect(dials.filter(({ node }) => node === 1)).toHaveLength(1);
  });

  it('of another mesh are left alone for as long as any wait lasts', async () => {
    const { clock, tend, dials } = setUp({ directory: [1] });
    tend.onRefused(id(1));
    await tend.start();
    await clock.advance(MESH.reconnectMaxMs - 1000);
    expect(dials).toEqual([]);
    await clock.advance(2000);
    expect(dials.map(({ node }) => node)).toEqual([1]);
  });
});

describe('known peers', () => {
  it('of an earlier run are dialed, and kept with those of this one, the latest first', async () => {
    const { clock, tend, dials, saved } = setUp({ known: [named(7), named(8)], directory: [1], up: [1, 8] });
    await tend.start();
    await clock.advance(MESH.tendEveryMs);
    expect(new Set(dials.map(({ node }) => node))).toEqual(new Set([1, 7, 8]));
    tend.stop();
    const last = saved.at(-1) ?? [];
    expect(last).toContain(named(7));
    expect(last.indexOf(named(7))).toBe(last.length - 1);
    expect(last.filter((address) => address === named(1))).toHaveLength(1);
  });

  it('are on disk soon after the first was met, and not once for every other', async () => {
    const all = Array.from({ length: 20 }, (_, n) => n + 1);
    const { clock, tend, saved } = setUp({ directory: all, up: all });
    await tend.start();
    await clock.advance(MESH.rememberAfterMs + 1);
    expect(saved).toHaveLength(1);
    expect(saved[0]).toHaveLength(MESH.urgentPeers);
    tend.stop();
  });

  it('that name no node, or this one, are not dialed', async () => {
    const { clock, tend, dials } = setUp({ known: ['/ip4/10.0.0.1/tcp/1', 'rubbish', named(0)], bootstrap: [0] });
    await tend.start();
    await clock.advance(60_000);
    expect(dials).toEqual([]);
  });

  it('are not looked after once stopped', async () => {
    const { clock, tend, dials } = setUp({ bootstrap: [1] });
    await tend.start();
    tend.stop();
    dials.length = 0;
    await clock.advance(600_000);
    expect(dials).toEqual([]);
  });
});

describe('nodes of the local network', () => {
  it('are dialed as soon as they show themselves, and are no known peers until they were met', async () => {
    const { clock, tend, dials, saved } = setUp({ up: [2] });
    await tend.start();
    await clock.advance(100);
    for (const n of [1, 2]) tend.onFound(id(n), [at(n)]);
    await clock.advance(50);
    expect(dials.map(({ node }) => node).toSorted()).toEqual([1, 2]);
    tend.stop();
    expect(saved.at(-1)).toEqual([named(2)]);
  });

  it('are tried again less and less when they do not answer, however often they show themselves', async () => {
    const { clock, tend, dials } = setUp();
    await tend.start();
    for (let secs = 0; secs < 600; secs += 10) {
      tend.onFound(id(1), [at(1)]);
      await clock.advance(10_000);
    }
    expect(dials.length).toBeGreaterThan(3);
    expect(dials.length).toBeLessThan(15);
  });

  it('that the user does not want are left alone', async () => {
    const { clock, tend, dials } = setUp({ bootstrap: [1], unwanted: [1, 2] });
    await tend.start();
    tend.onFound(id(2), [at(2)]);
    await clock.advance(60_000);
    expect(dials).toEqual([]);
  });
});

describe('a node that stops', () => {
  it('leaves no timer behind, also of those that have just gone', async () => {
    const { clock, tend } = setUp({ directory: [2, 3], up: [2, 3] });
    await tend.start();
    await clock.advance(10_000);
    for (const n of [2, 3]) tend.onLeft(id(n));
    expect(clock.pending).toBeGreaterThan(2);
    tend.stop();
    tend.onLeft(id(2));
    expect(clock.pending).toBe(0);
  });
});
