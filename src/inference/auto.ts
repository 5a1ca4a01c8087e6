/**
 * What `engine.kind = auto` means. Ollama, when it answers and has a model that speaks; the embedded engine beside it, with
 * the models that lie in the models folder; and where Ollama has none, the starter model, so that a machine with nothing on
 * it can answer. Once the starter is awake it stays so for this run: models do not come and go under their users.
 *
 * With `engine.kind = embedded` there is no Ollama, and the starter is awake from the beginning.
 */

import type { Clock, Timer } from '../clock.ts';
import type { Engine } from '../jobs/ports.ts';
import { EMBEDDED } from '../limits/engine.ts';
import type { EmbeddedEngine } from './embedded/engine.ts';
import { combineEngines, type LivingEngine } from './engines.ts';

export interface AutoParts {
  /** Undefined where it is not to be used. */
  readonly ollama: LivingEngine | undefined;
  readonly embedded: EmbeddedEngine;
  readonly clock: Clock;
}

export interface AutoEngine extends LivingEngine {
  /** Nothing on this machine can speak: the starter model should be fetched. Valid after `start`. */
  wantsStarter(): boolean;
  /** Calls back when `wantsStarter` turns true, also during `start`; returns the way to stop it. */
  onStarterWanted(listener: () => void): () => void;
}

export function createAutoEngine({ ollama, embedded, clock }: AutoParts): AutoEngine {
  const engine =
    ollama === undefined ? combineEngines([embedded], embedded.kind) : combineEngines([ollama, embedded], 'auto');
  const listeners = new Set<() => void>();
  let awake = false;
  let wanted = false;
  let patience: Timer | undefined;
  let stopListening = () => {};

  const ollamaSpeaks = () => ollama !== undefined && speaks(ollama);
  const wantsStarter = () => awake && !ollamaSpeaks() && !embedded.hasModels && embedded.status().state === 'ready';

  function wake(): void {
    awake = true;
    embedded.offerStarter();
    look();
  }

  function look(): void {
    if (!awake) {
      waitForOllama();
      return;
    }
    const before = wanted;
    wanted = wantsStarter();
    if (wanted && !before) for (const listener of listeners) listener();
  }

  /** An Ollama that is started again, or told to forget its last model, is not yet a machine without models. */
  function waitForOllama(): void {
    if (ollamaSpeaks()) {
      patience?.cancel();
      patience = undefined;
    } else {
      patience ??= clock.after(EMBEDDED.starterAfterMs, wake);
    }
  }

  return {
    ...engine,
    async start() {
      await engine.start();
      stopListening = engine.onChange(look);
      if (ollamaSpeaks()) look();
      else wake();
    },
    stop() {
      stopListening();
      patience?.cancel();
      listeners.clear();
      engine.stop();
    },
    status() {
      const status = engine.status();
      if (status.hint === undefined || !wantsStarter()) return status;
      return { ...status, hint: `${STARTER_HINT}, or ${status.hint}` };
    },
    wantsStarter,
    onStarterWanted(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

const STARTER_HINT = 'get the starter model (`gogrid models pull smollm2:135m`)';

function speaks(engine: Engine): boolean {
  return engine.models().some((model) => model.capabilities.includes('completion'));
}
