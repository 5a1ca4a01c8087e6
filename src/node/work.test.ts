import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock as clock } from '../clock.ts';
import { JobBook } from '../jobs/book.ts';
import type { JobHistory, PeerLink } from '../jobs/ports.ts';
import { Provider } from '../jobs/provider.ts';
import type { Pull } from '../jobs/pull.ts';
import { Requester } from '../jobs/requester.ts';
import { createRouter } from '../jobs/routing/router.ts';
import type { Network } from '../network/network.ts';
import { UNKNOWN_RATES } from '../protocol/profile.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { type LoopbackNode, startLoopbackNode, stopLoopbackNodes } from '../testing/loopback-mesh.ts';
import { collect, question } from '../testing/small-mesh.ts';
import { answerTokens, promptOf, WordEngine } from '../testing/word-engine.ts';
import { buildPull, startPull } from './work.ts';
import type { Worker } from './worker.ts';

// Every wait ends with its condition; the bound is for machines that are busy with something else.
vi.setConfig({ testTimeout: 30_000 });
afterEach(stopLoopbackNodes);

const soon = { timeout: 20_000, interval: 10 };
const forgetful: JobHistory = { put: () => {}, get: async () => undefined, list: async () => ({ jobs: [], total: 0 }) };
const MODEL = 'words:latest';
const nothingWaits = { waiting: { depth: 0, room: 0, models: (): string[] => [] } };

/** A node that asks, over a network that knows what its directory knows. */
function requesterOn(node: LoopbackNode): Requester {
  const router = createRouter(
    { self: node.id },
    {
      engine: { models: () => [] },
      ownWaitMs: () => 0,
      ownRates: () => UNKNOWN_RATES,
      directory: node.directory,
      link: node.network,
      usable: (peer) => node.network.mayUse(peer),
      outOfReach: (peer) => node.network.isOutOfReach(peer),
      isFriend: () => false,
      clock,
      random: Math.random,
      hash: (text) => text,
    },
  );
  const link: Pick<PeerLink, 'self' | 'openJob' | 'route'> = node.network;
  return new Requester(
    { maxWaiting: 64, maxWaitMs: 60_000, credits: false },
    {
      router,
      link,
      handleLocally: () => {},
      ownModels: { trouble: () => undefined, arriving: () => undefined },
      book: new JobBook({ clock, history: forgetful, emit: () => {} }),
      clock,
      randomBytes: (size) => crypto.getRandomValues(new Uint8Array(size)),
      log: silentLogger,
    },
  );
}

/** A provider on a network, with an engine, and the pull loop of its node, not yet started. */
async function startWorker(bootstrap: string[]) {
  const engine = new WordEngine({ words: 12 });
  const heard: string[] = [];
  const node = await startLoopbackNode({
    bootstrap,
    models: [MODEL],
    onJob: (from, request, channel) => {
      pull.jobArrived(from);
      return provider.handleJob(from, request, channel);
    },
    onWorkAdvertised: (coordinator) => void heard.push(coordinator),
  });
  const provider: Provider = new Provider(
    { self: node.id, slots: 1, room: 0, maxJobMs: 60_000, freeJobsPerPeerPerMinute: 6, credits: false },
    {
      engine,
      book: new JobBook({ clock, history: forgetful, emit: () => {} }),
      clock,
      log: silentLogger,
      loadChanged: () => pull.loadChanged(),
      ratesChanged: () => {},
      turnedAway: () => {},
    },
  );
  const worker = { phase: 'running' as const, engine, provider };
  const pull: Pull = buildPull({ worker, network: node.network, requester: () => nothingWaits, log: silentLogger });
  return { node, engine, pull, heard };
}

describe('a job that waits since every provider its node knows is full', () => {
  async function stage() {
    // Full for a minute, as it says; a requester that believes it asks again in 5 s at the soonest.
    const full = await startLoopbackNode({
      models: [MODEL],
      onJob: (_from, _request, channel) => {
        channel.send({ type: 'busy', queue: 3, estimateMs: 60_000 });
        channel.close();
      },
    });
    const offered = vi.fn<(node: string, models: readonly string[], slots: number) => number>((...offer) =>
      requester.offer(...offer),
    );
    const asker = await startLoopbackNode({ bootstrap: [full.address()], onIdle: offered });
    const requester: Requester = requesterOn(asker);
    await vi.waitFor(() => expect(asker.directory.get(full.id)).toBeDefined(), soon);
    // From here on it hears of nobody new: its gossip is lost.
    asker.facts.deaf = true;
    const worker = await startWorker([full.address()]);
    await vi.waitFor(() => expect(worker.node.network.admitted()).toBeGreaterThan(1), soon);
    const stopPull = startPull(worker.pull, requester, asker.network);
    const client = new AbortController();
    const answers = [1, 2, 3].map((number) => collect(requester.run(question(`${number}`), client.signal)));
    for (const answer of answers) answer.catch(() => {});
    const stop = () => {
      client.abort();
      stopPull();
    };
    return { full, asker, requester, worker, answers, offered, stop };
  }

  it('is fetched by a worker that its node has never heard of, and would wait without it', async () => {
    const { asker, requester, worker, answers, offered, stop } = await stage();
    await vi.waitFor(() => expect(worker.heard).toEqual([asker.id]), soon);
    // The record stands, the worker is idle and connected; and as long as it does not pull nothing happens.
    expect(requester.waiting.depth).toBe(3);
    expect(asker.directory.get(worker.node.id)).toBeUndefined();
    expect(worker.engine.calls).toHaveLength(0);
    asker.facts.deaf = false;
    const since = performance.now();
    worker.pull.heardOf(asker.id);
    for (const [i, answer] of answers.entries()) {
      const text = answerTokens(promptOf(question(`${i + 1}`).input), 12).join('');
      expect((await answer).text).toBe(text);
    }
    process.stdout.write(`three waiting jobs pulled and done in ${(performance.now() - since).toFixed(0)} ms\n`);
    expect(offered.mock.results[0]).toMatchObject({ value: 1 });
    expect(worker.engine.calls).toHaveLength(3);
    stop();
  });
});

describe('a worker', () => {
  afterEach(() => void vi.useRealTimers());

  it('asks nobody while it does not take jobs, is taken, or jobs of its own wait', async () => {
    vi.useFakeTimers();
    const load = { depth: 0, running: 0, slots: 2, room: 4, estimateMs: 0, lanes: { owner: 0, paid: 0, free: 0 } };
    const facts = { phase: 'running' as Worker['phase'], load, waiting: [] as string[] };
    const askWork = vi.fn<Network['askWork']>(async () => 0);
    const pull = buildPull({
      worker: {
        engine: new WordEngine(),
        get phase() {
          return facts.phase;
        },
        provider: {
          counterOf: () => 0,
          servedTo: () => 0,
          get load() {
            return facts.load;
          },
        },
      },
      network: { findWork: async () => [], askWork },
      requester: () => ({ waiting: { depth: facts.waiting.length, room: 64, models: () => facts.waiting } }),
      log: silentLogger,
    });
    const asksWith = async (change: Partial<typeof facts>) => {
      const before = { ...facts };
      Object.assign(facts, change);
      askWork.mockClear();
      pull.heardOf('a');
      await vi.advanceTimersByTimeAsync(1000);
      Object.assign(facts, before);
      return askWork.mock.calls.map(([, models, slots]) => ({ models, slots }));
    };
    expect(await asksWith({})).toEqual([{ models: [MODEL], slots: 2 }]);
    expect(await asksWith({ waiting: ['other:latest'] })).toEqual([{ models: [MODEL], slots: 2 }]);
    expect(await asksWith({ load: { ...load, running: 1 } })).toEqual([{ models: [MODEL], slots: 1 }]);
    expect(await asksWith({ load: { ...load, running: 2 } })).toEqual([]);
    expect(await asksWith({ load: { ...load, depth: 1 } })).toEqual([]);
    expect(await asksWith({ waiting: [MODEL] })).toEqual([]);
    for (const phase of ['starting', 'draining'] as const) expect(await asksWith({ phase })).toEqual([]);
    pull.stop();
  });
});
