/**
 * The door of this node: what its user has decided about others, and what is shown to help with the decision. Admission
 * (`hello.ts`) asks here whom this side accepts, and is told when that changes.
 */

import type { Clock } from '../clock.ts';
import type { NodeId } from '../protocol/ids.ts';
import { wordsOf } from '../protocol/words.ts';
import type { Logger } from '../telemetry/logger.ts';
import { Acceptance, type AcceptRule } from './acceptance.ts';
import { PairWords } from './pair-words.ts';
import type { AcceptedPeer, AcceptedPeers } from './ports.ts';

export interface DoorOptions {
  readonly self: NodeId;
  /** 32 bytes. */
  readonly networkId: Uint8Array;
  readonly rule: AcceptRule;
}

export interface DoorDeps {
  readonly store: AcceptedPeers;
  /** Whether a connected peer waits until somebody accepts. */
  readonly waits: (node: NodeId) => boolean;
  readonly isAdmitted: (node: NodeId) => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Door {
  readonly acceptance: Acceptance;
  readonly #rule: AcceptRule;
  readonly #waits: (node: NodeId) => boolean;
  readonly #words: PairWords;

  constructor({ self, networkId, rule }: DoorOptions, { store, waits, isAdmitted, clock, log }: DoorDeps) {
    this.#rule = rule;
    this.#waits = waits;
    this.acceptance = new Acceptance(rule, store, log);
    this.#words = new PairWords({
      make: (node) => wordsOf(networkId, self, node),
      // Who lets everybody in has no need of words for those who are in; the user of one that waits compares them, there.
      isWanted: (node) => waits(node) || (rule === 'confirm' && isAdmitted(node)),
      clock,
      log,
    });
  }

  stop(): void {
    this.#words.stop();
  }

  /** A peer of this mesh is there: its words are made, where somebody is asked to compare them. */
  onPeer(node: NodeId): void {
    this.#words.want(node);
  }

  /** The four words, once they are made; of a peer that needs them and has none yet, they are made soon. */
  words(node: NodeId): string | undefined {
    return this.#words.of(node);
  }

  /** The four words, made now if they have to be; undefined under the rule `all`, of a node that does not wait. */
  async wordsNow(node: NodeId): Promise<string | undefined> {
    if (this.#rule === 'all' && !this.#waits(node)) return undefined;
    return this.#words.now(node);
  }

  blocked(): AcceptedPeer[] {
    return [...this.acceptance.blocked()];
  }
}
