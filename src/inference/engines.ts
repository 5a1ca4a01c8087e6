/** Several engines as one: their models side by side, every call to the engine that has its model. */

import type { Engine, EngineModel } from '../jobs/ports.ts';

/** An engine with a life: it is looked after between `start` and `stop`. */
export interface LivingEngine extends Engine {
  start(): Promise<void>;
  stop(): void;
  /** Looks now at the models there are; resolves when `models()` says so. */
  refresh(): Promise<void>;
}

/**
 * @param engines in the order of preference: where two have a model of one name, the first one's counts
 * @param kind what the whole is called
 */
export function combineEngines(engines: readonly [LivingEngine, ...LivingEngine[]], kind: string): LivingEngine {
  const [preferred] = engines;
  const has = (engine: Engine, model: string) => engine.models().some((each) => each.name === model);
  /** Nobody has it: then the one that is there says so in its own words. */
  const ownerOf = (model: string): Engine =>
    engines.find((engine) => has(engine, model)) ??
    engines.find((engine) => engine.status().state === 'ready') ??
    preferred;
  return {
    kind,
    async start() {
      await Promise.all(engines.map((engine) => engine.start()));
    },
    stop() {
      for (const engine of engines) engine.stop();
    },
    async refresh() {
      await Promise.all(engines.map((engine) => engine.refresh()));
    },
    status() {
      const serving = engines.find((engine) => engine.models().length > 0);
      // One that is ready and has nothing is no reason to be silent about one that is missing.
      const chosen = serving ?? preferred;
      return { ...chosen.status(), kind: chosen.kind };
    },
    models() {
      const byName = new Map<string, EngineModel>();
      for (const engine of engines) {
        for (const model of engine.models()) if (!byName.has(model.name)) byName.set(model.name, model);
      }
      return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    async loaded(signal) {
      const lists = await Promise.all(
        engines.map(async (engine) => {
          // One engine that does not answer does not hide what another one has loaded.
          const loaded = await engine.loaded(signal).catch(() => []);
          return loaded.filter((model) => ownerOf(model.name) === engine);
        }),
      );
      return lists.flat();
    },
    describe: (model, signal) => ownerOf(model).describe(model, signal),
    run: (call, signal) => ownerOf(call.model).run(call, signal),
    onChange(listener) {
      const stops = engines.map((engine) => engine.onChange(listener));
      return () => {
        for (const stop of stops) stop();
      };
    },
  };
}
