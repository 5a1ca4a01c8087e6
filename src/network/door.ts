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
  readonly isConnected: (node: NodeId) => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Door {
  readonly acceptance: Acceptance;
  readonly #rule: AcceptRule;
  readonly #words: PairWords;
  readonly #makeWords: (node: NodeId) => Promise<string>;

  constructor({ self, networkId, rule }: DoorOptions, { store, isConnected, clock, log }: DoorDeps) {
    this.#rule = rule;
    this.acceptance = new Acceptance(rule, store, log);
    this.#makeWords = (node) => wordsOf(networkId, self, node);
    this.#words = new PairWords({ make: this.#makeWords, isWanted: isConnected, clock, log });
  }

  stop(): void {
    this.#words.stop();
  }

  /** A peer of this mesh is there: its words are made. Where nobody is asked to compare them there are none. */
  onPeer(node: NodeId): void {
    if (this.#rule === 'confirm') this.#words.want(node);
  }

  /** The four words, once they are made. */
  words(node: NodeId): string | undefined {
    return this.#words.of(node);
  }

  /** The four words, made now if they have to be; undefined under the rule `all`. */
  async wordsNow(node: NodeId): Promise<string | undefined> {
    if (this.#rule === 'all') return undefined;
    return this.#words.of(node) ?? (await this.#makeWords(node));
  }

  blocked(): AcceptedPeer[] {
    return [...this.acceptance.blocked()];
  }
}
