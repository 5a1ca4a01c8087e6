/** What runs models on this machine, and what is known of who else does. */

import { Directory } from '../capabilities/directory.ts';
import type { StatusFacts } from '../capabilities/status.ts';
import { systemClock as clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import { createNoEngine } from '../inference/none.ts';
import { createOllamaEngine } from '../inference/ollama/engine.ts';
import { JobBook } from '../jobs/book.ts';
import type { Engine } from '../jobs/ports.ts';
import { Provider } from '../jobs/provider.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { NodeDeps } from './deps.ts';
import type { Stores } from './stores.ts';

export interface Worker {
  readonly engine: LivingEngine;
  readonly book: JobBook;
  readonly directory: Directory;
  readonly provider: Provider;
  phase: StatusFacts['phase'];
  facts(): StatusFacts;
  /** Told by the provider; the announcer listens as soon as it is there. */
  onLoadChanged: () => void;
}

export function buildWorker(config: Config, { logger }: NodeDeps, stores: Stores): Worker {
  const { history, self } = stores;
  const engine = createEngine(config, logger);
  const book = new JobBook({ clock, history, emit: () => {} });
  const directory = new Directory({ self, networkId: stores.networkId }, { clock, emit: () => {} });
  const { max_concurrent_jobs: slots, max_queued_jobs: room, max_job_secs: maxJobSecs } = config.worker;
  const provider = new Provider(
    { self, slots, room, maxJobMs: maxJobSecs * 1000 },
    { engine, book, clock, log: logger.child({ part: 'provider' }), loadChanged: () => worker.onLoadChanged() },
  );
  const worker: Worker = {
    engine,
    book,
    directory,
    provider,
    phase: 'starting',
    facts: () => ({
      phase: worker.phase,
      engineFailed: config.engine.kind === 'ollama' && engine.status().state === 'unreachable',
      running: provider.load.running,
    }),
    onLoadChanged: () => {},
  };
  return worker;
}

/** An engine with a life: it is looked after between `start` and `stop`. */
type LivingEngine = Engine & { start(): Promise<void>; stop(): void };

function createEngine(config: Config, logger: Logger): LivingEngine {
  if (config.engine.kind === 'none') return { ...createNoEngine(), start: async () => {}, stop: () => {} };
  return createOllamaEngine({ url: config.engine.ollama_url }, { logger, clock });
}
