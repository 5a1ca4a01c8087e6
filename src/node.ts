/**
 * The composition root: every part of a node is built here, started in this order, and stopped in reverse. How each part is
 * put together stands in `node/`.
 */

import { systemClock as clock, every } from './clock.ts';
import type { Config } from './config/schema.ts';
import { MESH } from './limits.ts';
import { buildApi } from './node/api.ts';
import type { NodeDeps } from './node/deps.ts';
import { buildMesh, followEngine } from './node/mesh.ts';
import { openStores } from './node/stores.ts';
import { buildWorker } from './node/worker.ts';

/** Part of the grace time that is kept for closing what is open: last words to clients, goodbye to the mesh, the disk. */
const CLOSING_MS = 2_000;
/** What a node is to the program that runs it. */
export interface Node {
  /** Resolves when the API answers. @throws GoGridError */
  start(): Promise<void>;
  /** Drains and closes everything, within `node.shutdown_grace_secs`. */
  stop(): Promise<void>;
  /** Where it answers; valid after `start`. */
  ready(): { api: string; peerId: string; addresses: readonly string[]; pid: number };
  /** Sentences that its user should read at the start. */
  notices(): readonly string[];
  models(): readonly { readonly name: string }[];
  engine(): { kind: string; state: string; hint: string | undefined };
}

/** Opens the home and builds a node; nothing answers before its `start`. @throws GoGridError */
export async function createNode(config: Config, deps: NodeDeps): Promise<Node> {
  const stores = await openStores(deps);
  const worker = buildWorker(config, deps, stores);
  const mesh = buildMesh(config, deps, stores, worker);
  const api = buildApi(config, deps, stores, worker, mesh);

  const { engine, provider, directory } = worker;
  const { network, announcer } = mesh;
  const notices = [...stores.warnings];
  const stops: (() => Promise<void> | void)[] = [() => stores.close()];
  // What is left after the jobs have had their time closes the network and the database.
  const graceMs = Math.max(0, config.node.shutdown_grace_secs * 1000 - CLOSING_MS);
  let apiUrl = '';

  async function start(): Promise<void> {
    const engineReady = engine.start();
    stops.push(() => engine.stop());

    stops.push(() => network.stop());
    const listening = await network.start();
    if (listening.tookFreePort) {
      notices.push(`network port ${config.network.port} is busy; this node listens on ${listening.port} instead`);
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

    apiUrl = await api.start();
    stops.push(() => drain());
  }

  /** Who waits for an answer gets it, within the grace time. */
  async function drain(): Promise<void> {
    worker.phase = 'draining';
    announcer.loadChanged();
    provider.drain();
    await Promise.all([api.stop(graceMs), provider.finish(AbortSignal.timeout(graceMs))]);
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
    ready: () => ({ api: apiUrl, peerId: stores.self, addresses: network.addresses(), pid: process.pid }),
    notices: () => notices,
    models: () => engine.models(),
    engine: () => ({ kind: engine.kind, state: engine.status().state, hint: engine.status().hint }),
  };
}
