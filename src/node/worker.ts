/** What runs models on this machine, and what is known of who else does. */

import path from 'node:path';
import { Directory } from '../capabilities/directory.ts';
import type { StatusFacts } from '../capabilities/status.ts';
import { systemClock as clock } from '../clock.ts';
import type { Config } from '../config/settings.ts';
import { createAutoEngine } from '../inference/auto.ts';
import { createEmbeddedEngine } from '../inference/embedded/engine.ts';
import type { LivingEngine } from '../inference/engines.ts';
import { createNoEngine } from '../inference/none.ts';
import { createOllamaEngine } from '../inference/ollama/engine.ts';
import { CATALOGUE } from '../inference/store/catalogue.ts';
import { JobBook } from '../jobs/book.ts';
import type { Arriving } from '../jobs/failure.ts';
import { Provider } from '../jobs/provider.ts';
import { RecentMap } from '../jobs/recent-map.ts';
import { MESH } from '../limits/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { NodeDeps } from './deps.ts';
import { modelFolders, starterFile } from './pulls.ts';
import type { Stores } from './stores.ts';

/** Jobs cannot be paid for yet. */
export const CREDITS = false;

export interface Worker {
  readonly engine: LivingEngine;
  readonly book: JobBook;
  readonly directory: Directory;
  readonly provider: Provider;
  phase: StatusFacts['phase'];
  /** `Clock.elapsed()` by which a drain ends what still runs. */
  drainEndsAt: number | undefined;
  facts(): StatusFacts;
  /** Somebody asks through the API that the node stops. */
  stopAsked: () => void;
  /** Told by the provider; the announcer listens as soon as it is there. */
  onLoadChanged: () => void;
  onRatesChanged: () => void;
  /** Told by the provider when a peer's job finds its queue full. */
  onTurnedAway: (from: NodeId) => void;
  /** Told by the directory: a node with these models came, or is otherwise than before. */
  onModelsThere: (models: readonly string[]) => void;
  /** Told by the engine when this machine has no model that speaks; the pulls listen as soon as they are there. */
  onStarterWanted: () => void;
  /** What the nodes that were met called themselves last: history tells of those that are away. */
  readonly lastNames: RecentMap<NodeId, string>;
  /** How far a model is on its way to this machine, as soon as the pulls are there to be asked. */
  arriving: (model: string) => Arriving | undefined;
}

export function buildWorker(config: Config, deps: NodeDeps, stores: Stores): Worker {
  const { logger } = deps;
  const { history, self } = stores;
  const engine = createEngine(config, deps, () => worker.onStarterWanted());
  const book = new JobBook({ clock, history, emit: () => {} });
  const directory = new Directory(
    { self, networkId: stores.networkId },
    {
      clock,
      emit: (event) => {
        if (event.type === 'node-gone') return;
        const { name, models } = event.node.profile;
        worker.lastNames.set(event.node.node, name);
        worker.onModelsThere(models.map((model) => model.name));
      },
    },
  );
  const { max_concurrent_jobs: slots, max_queued_jobs: room, max_job_secs: maxJobSecs } = config.worker;
  const { free_jobs_per_peer_per_minute: freeJobsPerPeerPerMinute } = config.worker;
  const provider = new Provider(
    { self, slots, room, maxJobMs: maxJobSecs * 1000, freeJobsPerPeerPerMinute, credits: CREDITS },
    {
      engine,
      book,
      clock,
      log: logger.child({ part: 'provider' }),
      loadChanged: () => worker.onLoadChanged(),
      ratesChanged: () => worker.onRatesChanged(),
      turnedAway: (from) => worker.onTurnedAway(from),
    },
  );
  const worker: Worker = {
    engine,
    book,
    directory,
    provider,
    lastNames: new RecentMap(MESH.maxLastNames),
    phase: 'starting',
    drainEndsAt: undefined,
    facts: () => ({
      phase: worker.phase,
      engineFailed: config.engine.kind === 'ollama' && engine.status().state === 'unreachable',
      running: provider.load.running,
    }),
    stopAsked: () => {},
    onLoadChanged: () => {},
    onRatesChanged: () => {},
    onTurnedAway: () => {},
    onModelsThere: () => {},
    onStarterWanted: () => {},
    arriving: () => undefined,
  };
  return worker;
}

function createEngine(config: Config, deps: NodeDeps, starterWanted: () => void): LivingEngine {
  const { kind, ollama_url: url } = config.engine;
  const { logger } = deps;
  if (kind === 'none') {
    return { ...createNoEngine(), start: async () => {}, stop: () => {}, refresh: async () => {} };
  }
  const ollama = kind === 'embedded' ? undefined : createOllamaEngine({ url }, { logger, clock });
  if (kind === 'ollama' && ollama !== undefined) return ollama;
  const { models } = modelFolders(config, deps);
  const files = {
    folders: [models],
    starter: starterFile(deps),
    digestFile: path.join(models, 'digests.json'),
    catalogue: CATALOGUE,
  };
  const engine = createAutoEngine({ ollama, embedded: createEmbeddedEngine(files, { logger, clock }), clock });
  engine.onStarterWanted(starterWanted);
  return engine;
}
