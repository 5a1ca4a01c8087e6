/**
 * How a node comes to know the mesh, and the mesh to know it. Who joins asks its first peers for everybody they know; both
 * sides of a new link ask for one another, and what is new to one of them it passes on by gossip, so that the rest of the
 * mesh hears of a node that has just come. A profile that gossip did not bring is asked for.
 */

import type { Connection } from '@libp2p/interface';
import type { Clock, Timer } from '../clock.ts';
import { toGoGridError } from '../errors.ts';
import { MESH } from '../limits/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Gossip } from './gossip.ts';
import type { Directory } from './ports.ts';
import type { Scope, StateExchange } from './state.ts';

export interface LearnDeps {
  readonly state: StateExchange;
  readonly gossip: Gossip;
  readonly directory: Directory;
  readonly clock: Clock;
  readonly log: Logger;
  /** An open connection to an admitted peer. */
  readonly connectionTo: (node: NodeId) => Connection | undefined;
}

interface Missing {
  readonly profileNumber: number;
  /** A peer that should have it. */
  readonly from: NodeId;
}

export class Learning {
  readonly #deps: LearnDeps;
  readonly #stop = new AbortController();
  /** Peers that were asked for everybody since this node was last alone. */
  #asked = 0;
  #peers = 0;
  /** Authors whose profile is missing. */
  readonly #missing = new Map<NodeId, Missing>();
  #again: Timer | undefined;
  #catchUp: Timer | undefined;
  #caughtUpAt = Number.NEGATIVE_INFINITY;

  constructor(deps: LearnDeps) {
    this.#deps = deps;
  }

  stop(): void {
    this.#stop.abort();
    this.#again?.cancel();
    this.#catchUp?.cancel();
  }

  onAdmitted(connection: Connection): void {
    this.#peers++;
    const all = this.#asked < MESH.joinAskPeers;
    if (all && this.#asked++ === 0) this.#askAgainLater(connection.remotePeer.toString());
    void this.#ask(connection, all ? 'all' : 'self').then((ok) => {
      if (!ok && all) this.#asked--;
    });
  }

  /**
   * Between the first answer and the moment when gossip reaches this node others may have joined: whole meshes start at
   * once. One more question closes the gap.
   */
  #askAgainLater(node: NodeId): void {
    this.#again?.cancel();
    this.#again = this.#deps.clock.after(MESH.catchUpAfterMs, () => {
      const connection = this.#deps.connectionTo(node);
      if (connection !== undefined) void this.#ask(connection, 'all');
    });
  }

  onLeft(): void {
    this.#peers--;
    if (this.#peers === 0) this.#asked = 0;
  }

  /** A beat names a profile that is not here. Gossip is given a moment to bring it. */
  onMissingProfile(author: NodeId, profileNumber: number, from: NodeId): void {
    if (this.#missing.size < MESH.maxDirectory) this.#missing.set(author, { profileNumber, from });
    if (this.#catchUp !== undefined || this.#stop.signal.aborted) return;
    const { clock } = this.#deps;
    const restMs = this.#caughtUpAt + MESH.catchUpEveryMs - clock.elapsed();
    this.#catchUp = clock.after(Math.max(MESH.catchUpAfterMs, restMs), () => void this.#fetchMissing());
  }

  /** An author that is a peer is asked itself; of all others one peer is asked that passed on a beat of theirs. */
  async #fetchMissing(): Promise<void> {
    const { clock, directory, connectionTo } = this.#deps;
    this.#caughtUpAt = clock.elapsed();
    const missing = [...this.#missing].filter(
      ([author, { profileNumber }]) => (directory.get(author)?.profile.number ?? -1) < profileNumber,
    );
    this.#missing.clear();
    let helper: Connection | undefined;
    for (const [author, { from }] of missing) {
      const direct = connectionTo(author);
      if (direct === undefined) helper ??= connectionTo(from);
      else await this.#ask(direct, 'self');
    }
    if (helper !== undefined) await this.#ask(helper, 'all');
    this.#catchUp = undefined;
  }

  /** Returns whether the peer answered. */
  async #ask(connection: Connection, scope: Scope): Promise<boolean> {
    const { state, gossip, log } = this.#deps;
    const totalMs = scope === 'all' ? MESH.stateTotalMs : MESH.stateTimeoutMs;
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(totalMs)]);
    try {
      const { self, nodes } = await state.ask(connection, scope, signal);
      // What is new of the rest came from a mesh whose gossip has carried it; who joined behind us asks us.
      if (self !== undefined) {
        gossip.publishProfile(self.profile);
        gossip.publishBeat(self.beat);
      }
      log.debug({ scope, nodes }, 'asked a peer for its state');
      return true;
    } catch (thrown) {
      log.debug({ scope, code: toGoGridError(thrown).code }, 'a peer did not tell its state');
      return false;
    }
  }
}
