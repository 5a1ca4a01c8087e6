/** Pull, put together: this node tells where its jobs wait, and fetches jobs of others while it has nothing to do. */

import { systemClock as clock } from '../clock.ts';
import type { Engine } from '../jobs/ports.ts';
import type { Provider } from '../jobs/provider.ts';
import { Pull } from '../jobs/pull.ts';
import type { Requester } from '../jobs/requester.ts';
import type { Network } from '../network/network.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Worker } from './worker.ts';

export interface PullParts {
  readonly worker: Pick<Worker, 'phase'> & {
    readonly engine: Pick<Engine, 'models'>;
    readonly provider: Pick<Provider, 'load' | 'counterOf' | 'servedTo'>;
  };
  readonly network: Pick<Network, 'findWork' | 'askWork'>;
  /** Built later than this: nothing is asked of it before the first job. */
  readonly requester: () => Pick<Requester, 'waiting'>;
  readonly log: Logger;
}

/** The worker's side. */
export function buildPull({ worker, network, requester, log }: PullParts): Pull {
  const { engine, provider } = worker;
  const models = () => engine.models().map(({ name }) => name);
  /** Own jobs that wait come before those of others, in the provider's queue and in the requester's line. */
  const waitsHere = () => {
    const waiting = requester().waiting.models();
    return provider.load.depth > 0 || (waiting.length > 0 && models().some((model) => waiting.includes(model)));
  };
  return new Pull({
    clock,
    random: Math.random,
    log,
    models,
    freeSlots: () => {
      const { running, slots } = provider.load;
      return worker.phase === 'running' && !waitsHere() ? Math.max(0, slots - running) : 0;
    },
    findWork: (model, signal, skip) => network.findWork(model, signal, skip),
    askWork: (node, names, slots, signal) => network.askWork(node, names, slots, signal),
    counterOf: (node) => provider.counterOf(node),
    servedTo: (node) => provider.servedTo(node),
  });
}

/** Starts both sides; returns the way to stop them. */
export function startPull(
  pull: Pull,
  requester: Pick<Requester, 'waiting' | 'onWaitingChanged'>,
  network: Pick<Network, 'advertiseWork'>,
): () => void {
  const stopAdvertising = requester.onWaitingChanged(() => network.advertiseWork(requester.waiting.models()));
  pull.start();
  return () => {
    stopAdvertising();
    network.advertiseWork([]);
    pull.stop();
  };
}
