/** The engine of `engine.kind = none`: a node that runs no models itself and uses those of its mesh. */

import { GoGridError } from '../errors.ts';
import type { Engine } from '../jobs/ports.ts';

const HINT = 'set engine.kind to auto or ollama to run models on this machine, or ask a peer that has the model';

export function createNoEngine(): Engine {
  return {
    kind: 'none',
    status: () => ({ state: 'ready', version: '', hint: undefined }),
    models: () => [],
    loaded: () => Promise.resolve([]),
    describe: (model) =>
      Promise.reject(new GoGridError({ code: 'model_not_found', message: `model '${model}' not found`, hint: HINT })),
    // biome-ignore lint/correctness/useYield: it has nothing to say.
    async *run() {
      throw new GoGridError({
        code: 'engine_unavailable',
        message: 'this node runs no models itself (engine.kind is none)',
        hint: HINT,
      });
    },
    // Nothing ever changes.
    onChange: () => () => {},
  };
}
