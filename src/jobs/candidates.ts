/** Who could run a model: this machine and every admitted peer that announces it and takes jobs now. */

import type { Directory } from '../capabilities/directory.ts';
import type { NodeStatus } from '../protocol/beat.ts';
import type { Engine, PeerLink } from './ports.ts';
import type { Provider } from './provider.ts';
import type { Candidates, KnownProvider } from './requester.ts';

const TAKES_JOBS: ReadonlySet<NodeStatus> = new Set(['idle', 'busy']);

export interface CandidateDeps {
  readonly engine: Engine;
  readonly provider: Provider;
  readonly directory: Directory;
  readonly link: PeerLink;
  /** Whether a peer is past `hello` and the admission rule, or not known to be refused. */
  readonly usable: (node: string) => boolean;
}

export function createCandidates(deps: CandidateDeps): Candidates {
  const { engine, provider, directory, link, usable } = deps;

  function ownModel(model: string): KnownProvider | undefined {
    const own = engine.models().find((candidate) => candidate.name === model);
    if (own === undefined) return undefined;
    const { depth, running } = provider.load;
    return { node: link.self, local: true, digest: own.digest, load: depth + running, latencyMs: 0 };
  }

  return {
    isKnown: (model) => !directory.providersOf(model).next().done,
    trouble: () => (engine.status().state === 'unreachable' ? engine.status().hint : undefined),
    providersOf(model) {
      const own = ownModel(model);
      const found: KnownProvider[] = own === undefined ? [] : [own];
      for (const { node, model: announced } of directory.providersOf(model)) {
        const { beat } = node;
        if (!TAKES_JOBS.has(beat.status) || !usable(node.node)) continue;
        found.push({
          node: node.node,
          local: false,
          digest: announced.digest,
          load: beat.queueDepth + beat.running,
          latencyMs: link.latencyMs(node.node),
        });
      }
      return found;
    },
  };
}
