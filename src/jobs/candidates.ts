/** Who could run a model: this machine and every admitted peer that announces it and takes jobs now. */

import type { Directory } from '../capabilities/directory.ts';
import type { NodeStatus } from '../protocol/beat.ts';
import type { Engine, PeerLink } from './ports.ts';
import type { Provider } from './provider.ts';
import type { Candidate } from './ranking.ts';

/** Who could run a model, from what is known here. */
export interface Candidates {
  /** Providers of this model that take jobs now, this machine included. */
  providersOf(model: string): readonly KnownProvider[];
  /** Whether anybody is known to have this model, even if nobody takes jobs now. */
  isKnown(model: string): boolean;
  /** Why the models of this machine are not known now, and what to do; undefined when they are. */
  trouble(): string | undefined;
  /** How far this model is on its way to this machine; undefined when it is not. */
  arriving(model: string): Arriving | undefined;
}

/** A model that this machine is fetching. */
export interface Arriving {
  /** 0 to 100; undefined while the size is not known. */
  readonly percent: number | undefined;
  readonly secondsLeft: number | undefined;
}

export type KnownProvider = Omit<Candidate, 'failed' | 'otherDigest'>;

const TAKES_JOBS: ReadonlySet<NodeStatus> = new Set(['idle', 'busy']);

export interface CandidateDeps {
  readonly engine: Engine;
  readonly provider: Provider;
  readonly directory: Directory;
  readonly link: PeerLink;
  /** Whether a peer is past `hello` and the admission rule, or not known to be refused. */
  readonly usable: (node: string) => boolean;
  /** How far a model is on its way to this machine. */
  readonly arriving: Candidates['arriving'];
}

export function createCandidates(deps: CandidateDeps): Candidates {
  const { engine, provider, directory, link, usable, arriving } = deps;

  function ownModel(model: string): KnownProvider | undefined {
    const own = engine.models().find((candidate) => candidate.name === model);
    if (own === undefined) return undefined;
    const { depth, running } = provider.load;
    return { node: link.self, local: true, digest: own.digest, load: depth + running, latencyMs: 0 };
  }

  return {
    isKnown: (model) => !directory.providersOf(model).next().done,
    arriving,
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
