/** This node's jobs at other nodes, and what those said of their lines: a beat is older than both. */

import type { Clock } from '../../clock.ts';
import { JOB, ROUTING } from '../../limits/jobs.ts';
import type { NodeId } from '../../protocol/ids.ts';
import { RecentMap } from '../recent-map.ts';
import type { OwnJobs } from './expected.ts';

interface AtNode {
  open: number;
  /** Begun and ended jobs, the oldest first. */
  readonly changes: { readonly at: number; readonly by: 1 | -1 }[];
  said: { readonly waitMs: number; readonly at: number; readonly open: number } | undefined;
  gaveBackAt: number | undefined;
}

/** One job at one node. */
export interface OpenVisit {
  /** The node says that the job waits, or would have to wait, so long. */
  waits(estimateMs: number): void;
  /** The node gives the job back for its owner, and says that it would have to wait there so long; 0 when it does not. */
  givenBack(estimateMs: number): void;
  /** Once. */
  close(): void;
}

const NO_JOBS: OwnJobs = { open: 0, since: () => 0, said: undefined, gaveBackAt: undefined };

export class Visits {
  readonly #clock: Clock;
  /** Bounded by eviction of nodes visited long ago; a living visit holds its own entry. */
  readonly #nodes = new RecentMap<NodeId, AtNode>(ROUTING.maxNodes);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  open(node: NodeId): OpenVisit {
    const there = this.#nodes.get(node) ?? { open: 0, changes: [], said: undefined, gaveBackAt: undefined };
    this.#nodes.set(node, there);
    let open = true;
    this.#change(there, 1);
    const waits = (waitMs: number) => {
      there.said = { waitMs, at: this.#clock.elapsed(), open: there.open };
    };
    return {
      waits,
      givenBack: (estimateMs) => {
        waits(Math.max(JOB.minOwnerUseMs, estimateMs));
        there.gaveBackAt = this.#clock.elapsed();
      },
      close: () => {
        if (open) this.#change(there, -1);
        open = false;
      },
    };
  }

  at(node: NodeId): OwnJobs {
    const there = this.#nodes.get(node);
    if (there === undefined) return NO_JOBS;
    const { open, said, gaveBackAt } = there;
    return {
      open,
      gaveBackAt,
      since: (at) => there.changes.reduce((sum, change) => (change.at > at ? sum + change.by : sum), 0),
      // A newcomer stands behind the job that was told so, as long as that is there.
      said: said === undefined ? undefined : { waitMs: said.waitMs, at: said.at, ahead: 1 + open - said.open },
    };
  }

  #change(there: AtNode, by: 1 | -1): void {
    there.open += by;
    there.changes.push({ at: this.#clock.elapsed(), by });
    if (there.changes.length > ROUTING.maxChangesPerNode) there.changes.shift();
  }
}
