/** How models come to this machine. */

import path from 'node:path';
import { systemClock as clock, type Timer } from '../clock.ts';
import type { Config } from '../config/settings.ts';
import { createOllamaModels } from '../inference/ollama/pull.ts';
import { CATALOGUE, STARTER } from '../inference/store/catalogue.ts';
import { Pulls } from '../inference/store/pulls.ts';
import { ModelStore } from '../inference/store/store.ts';
import { modelPath } from '../inference/store/ways.ts';
import type { Arriving } from '../jobs/failure.ts';
import { STORE } from '../limits/engine.ts';
import { canonicalModelName } from '../protocol/model-name.ts';
import { makeFolder, resolveInHome } from '../storage/home.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { NodeDeps } from './deps.ts';

/** Where the models lie that this program runs itself. */
export function modelFolders(config: Config, { home, userFolder }: Pick<NodeDeps, 'home' | 'userFolder'>) {
  const { models_dir: chosen } = config.engine;
  return {
    models: chosen === '' ? home.modelsFolder : resolveInHome(home, userFolder, chosen),
    shared: sharedFolder(home),
  };
}

function sharedFolder(home: NodeDeps['home']): string {
  return path.join(home.cacheFolder, 'models');
}

/** Where the starter model is, or will be. */
export function starterFile({ home }: Pick<NodeDeps, 'home'>): string {
  return modelPath({ cacheFolder: sharedFolder(home), modelsFolder: home.modelsFolder }, STARTER);
}

export interface NodePulls {
  readonly pulls: Pulls;
  /** Gets the starter model in the background, unless it is here or was removed by its user; who wants to know how far it is asks `pulls`. */
  fetchStarter(): void;
  /** How far a model is on its way, by canonical name; undefined when nobody pulls it. */
  arriving(model: string): Arriving | undefined;
  stop(): Promise<void>;
}

/** What the pulls need of the engines. */
interface EnginesSide {
  models(): readonly { readonly capabilities: readonly string[] }[];
  /** Looks at the models there are now. */
  refresh(): Promise<void>;
}

export function buildPulls(config: Config, deps: NodeDeps, engines: EnginesSide): NodePulls {
  const { kind, ollama_url: ollamaUrl } = config.engine;
  const log = deps.logger.child({ part: 'models' });
  const store = kind === 'auto' || kind === 'embedded' ? openStore(config, deps, log) : undefined;
  const ollama = kind === 'auto' || kind === 'ollama' ? createOllamaModels(ollamaUrl, clock) : undefined;
  const pulls = new Pulls({ store, ollama, refresh: () => engines.refresh(), clock, log });
  const starter = new StarterFetch(pulls, engines);
  return {
    pulls,
    fetchStarter() {
      if (store !== undefined) starter.begin();
    },
    arriving(model) {
      const pull = pulls.states().find((each) => each.endedAt === null && canonicalModelName(each.model) === model);
      if (pull === undefined) return undefined;
      const { bytes, totalBytes, secondsLeft } = pull;
      return {
        percent: totalBytes > 0 ? (100 * bytes) / totalBytes : undefined,
        secondsLeft: secondsLeft ?? undefined,
      };
    },
    async stop() {
      starter.stop();
      await pulls.stop();
      ollama?.stop();
    },
  };
}

function openStore(config: Config, deps: NodeDeps, log: Logger): ModelStore {
  const { shared, models } = modelFolders(config, deps);
  const options = { cacheFolder: shared, modelsFolder: models, ollamaFolders: ollamaFolders(deps), env: deps.env };
  return new ModelStore({ ...options, catalogue: CATALOGUE }, { clock, log, makeFolder });
}

/** Listens to the pull of the starter model so that it goes on, and begins anew while it fails and nothing else came. */
class StarterFetch {
  readonly #pulls: Pulls;
  readonly #engines: EnginesSide;
  readonly #stopped = new AbortController();
  #running = false;
  #retryMs: number = STORE.starterRetryMs;
  #timer: Timer | undefined;

  constructor(pulls: Pulls, engines: EnginesSide) {
    this.#pulls = pulls;
    this.#engines = engines;
  }

  begin(): void {
    if (this.#running || this.#stopped.signal.aborted || this.#pulls.wasRemoved(STARTER.name)) return;
    this.#timer?.cancel();
    void this.#run();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#stopped.abort();
  }

  async #run(): Promise<void> {
    this.#running = true;
    try {
      for await (const _ of this.#pulls.pullFromCatalogue(STARTER.name, this.#stopped.signal));
      this.#retryMs = STORE.starterRetryMs;
    } catch {
      // Why is in the list of pulls.
      if (!this.#stopped.signal.aborted) this.#timer = clock.after(this.#retryMs, () => this.#again());
      this.#retryMs = Math.min(this.#retryMs * 2, STORE.maxStarterRetryMs);
    } finally {
      this.#running = false;
    }
  }

  #again(): void {
    const speaks = this.#engines.models().some((model) => model.capabilities.includes('completion'));
    if (!speaks) this.begin();
  }
}

/** Where Ollama keeps its models: the user's own, and on Linux that of its system service. */
function ollamaFolders({ userFolder }: NodeDeps): string[] {
  const system = process.platform === 'linux' ? ['/usr/share/ollama/.ollama/models'] : [];
  return [path.join(userFolder, '.ollama', 'models'), ...system];
}
