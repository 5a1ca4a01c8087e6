/**
 * The composition root: every part of a node is built here, started in this order, and stopped in reverse. How each part is
 * put together stands in `node/`.
 */

import { systemClock as clock, every } from './clock.ts';
import type { Config } from './config/settings.ts';
import type { News } from './contract/news.ts';
import type { PullState } from './contract/pulls.ts';
import { MESH } from './limits/mesh.ts';
import { STOP } from './limits/program.ts';
import { buildApi } from './node/api.ts';
import type { NodeDeps } from './node/deps.ts';
import { openLedger } from './node/ledger.ts';
import { buildMesh, followEngine, type Mesh, wantedPort } from './node/mesh.ts';
import { followNews, type Look } from './node/news.ts';
import { buildPulls } from './node/pulls.ts';
import { openStores } from './node/stores.ts';
import { startPull } from './node/work.ts';
import { buildWorker, type Worker } from './node/worker.ts';
import { isLocal } from './protocol/descriptor.ts';

/** What a node is to the program that runs it. */
export interface Node {
  /** Resolves when the API answers. @throws GoGridError */
  start(): Promise<void>;
  /** Drains and closes everything, within `node.shutdown_grace_secs`. */
  stop(): Promise<void>;
  /** Where it answers; valid after `start`. */
  ready(): { api: string; peerId: string; addresses: readonly string[]; pid: number };
  /** Calls back when somebody asks through the API that the node stops; returns the way to stop that. */
  onStopAsked(listener: () => void): () => void;
  /** The mesh it is in; `descriptor` is the file that others need, undefined for `local`. */
  mesh(): { name: string; descriptor: string | undefined; mdns: boolean };
  /** Sentences that its user should read at the start. */
  notices(): readonly string[];
  models(): readonly { readonly name: string }[];
  engine(): { kind: string; state: string; version: string; hint: string | undefined };
  /** Calls back when something happens that a person at its terminal wants to hear of; returns the way to stop that. */
  onNews(listener: (news: News) => void): () => void;
  /** Models that are being pulled, then the last that were. */
  pulls(): readonly PullState[];
}

/** Opens the home and builds a node; nothing answers before its `start`. @throws GoGridError */
export async function createNode(config: Config, deps: NodeDeps): Promise<Node> {
  const stores = await openStores(deps);
  const opened = await openLedger(config, deps, stores).catch(async (thrown: unknown) => {
    await stores.close();
    throw thrown;
  });
  const worker = buildWorker(config, deps, stores);
  const mesh = buildMesh(config, deps, stores, worker, opened);
  const pulls = buildPulls(config, deps, worker.engine);
  worker.onStarterWanted = () => pulls.fetchStarter();
  worker.arriving = (model) => pulls.arriving(model);
  const api = buildApi(config, deps, stores, worker, mesh, pulls);

  const { engine, provider, directory } = worker;
  const { network, ledger, announcer } = mesh;
  const notices = [...stores.warnings];
  const stops: (() => Promise<void> | void)[] = [() => stores.close()];
  if (ledger !== undefined) stops.push(() => ledger.close());
  // What is left after the jobs have had their time closes the network and the database.
  const graceMs = Math.max(0, config.node.shutdown_grace_secs * 1000 - STOP.closingMs);
  let apiUrl = '';

  async function start(): Promise<void> {
    // It ends last: whoever asks meanwhile is told what the node waits for.
    stops.push(() => api.stop(0));
    const engineReady = engine.start();
    // It is awaited below, which may be long after it failed.
    engineReady.catch(() => undefined);
    stops.push(() => engine.stop());
    stops.push(() => pulls.stop());

    stops.push(() => network.stop());
    stops.push(() => mesh.spread.stop());
    const listening = await network.start();
    if (listening.tookFreePort) {
      stores.port.remember(listening.port);
      notices.push(
        `network port ${wantedPort(config, deps, stores)} is busy; this node listens on ${listening.port} instead, now and at later starts`,
      );
    }

    if (ledger !== undefined) {
      stops.push(() => ledger.stop());
      await ledger.start();
    }

    await engineReady;
    worker.phase = 'running';
    announcer.start();
    stops.push(() => announcer.stop());

    const stopFollowing = followEngine(worker, mesh);
    const sweep = every(clock, MESH.tendEveryMs, () => directory.expire());
    stops.push(() => {
      sweep.cancel();
      stopFollowing();
    });
    stops.push(startPull(mesh.pull, mesh.requester, network));

    api.credits.start();
    stops.push(() => api.credits.stop());
    apiUrl = await api.start();
    stops.push(() => drain());
  }

  /** Who waits for an answer gets it, within the grace time. */
  async function drain(): Promise<void> {
    worker.phase = 'draining';
    worker.drainEndsAt = clock.elapsed() + graceMs;
    announcer.loadChanged();
    provider.drain();
    await Promise.all([api.drain(graceMs), provider.finish(AbortSignal.timeout(graceMs))]);
  }

  async function stop(): Promise<void> {
    for (const stopPart of stops.splice(0).reverse()) {
      try {
        await stopPart();
      } catch (error) {
        deps.logger.error({ error }, 'a part did not stop in order');
      }
    }
  }

  return {
    async start() {
      try {
        await start();
      } catch (thrown) {
        await stop();
        throw thrown;
      }
    },
    stop,
    onStopAsked(listener) {
      worker.stopAsked = listener;
      return () => {
        worker.stopAsked = () => {};
      };
    },
    ready: () => ({ api: apiUrl, peerId: stores.self, addresses: network.addresses(), pid: process.pid }),
    mesh: () => ({
      name: stores.descriptor.current.core.name,
      descriptor: isLocal(stores.descriptor.current) ? undefined : deps.home.networkFile,
      mdns: config.network.mdns,
    }),
    notices: () => notices,
    models: () => engine.models(),
    pulls: () => pulls.pulls.states(),
    engine: () => ({ kind: engine.kind, ...engine.status() }),
    onNews: (listener) => followNews(() => lookAt(worker, mesh), clock, listener),
  };
}

function lookAt({ engine, directory }: Worker, { network }: Mesh): Look {
  const { kind = engine.kind, state, version } = engine.status();
  return {
    engine: { kind, state, version },
    models: engine.models().map(({ name }) => name),
    peers: network.peers().map(({ node, name }) => ({
      id: node,
      name,
      models: directory.get(node)?.profile.models.map((model) => model.name) ?? [],
    })),
    waiting: network
      .waiting()
      .filter(({ waitsFor }) => waitsFor !== 'there')
      .map(({ node, name, words }) => ({ id: node, name, words })),
  };
}
