/**
 * What this node tells the mesh without being asked: the entries and attestations that it has signed, and proofs of forks that it
 * met in a sync. They are gathered for a moment and sent together. A hint may be lost: sync is the truth.
 */

import type { Clock, Timer } from '../../clock.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { encode } from '../../protocol/cbor.ts';
import type { News } from '../intake/ingest.ts';
import type { LedgerLink } from '../ports.ts';

export interface HintsDeps {
  readonly ingest: { onTaken(listener: (news: News) => void): () => void };
  readonly link: Pick<LedgerLink, 'publish'>;
  readonly clock: Pick<Clock, 'after'>;
}

export class Hints {
  readonly #deps: HintsDeps;
  #entries: Uint8Array[] = [];
  #attestations: Uint8Array[] = [];
  #timer: Timer | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(deps: HintsDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#unsubscribe = this.#deps.ingest.onTaken((news) => this.#onTaken(news));
  }

  /** Sends what was gathered. */
  stop(): void {
    this.#unsubscribe?.();
    this.#timer?.cancel();
    this.#send();
  }

  #onTaken({ entries, attestations, forks, from, hinted }: News): void {
    if (from === undefined) {
      for (const { sealed } of entries) this.#entries.push(sealed);
      for (const { sealed } of attestations) this.#attestations.push(sealed);
    }
    // Gossip passes a hint on by itself, but not to those who took another branch for the only one and wait for nothing.
    if (!hinted || from === undefined) for (const { sealed } of forks.flat()) this.#entries.push(sealed);
    if (this.#entries.length + this.#attestations.length === 0) return;
    this.#timer ??= this.#deps.clock.after(LEDGER.hintGatherMs, () => this.#send());
  }

  #send(): void {
    this.#timer = undefined;
    const entries = this.#entries;
    const attestations = this.#attestations;
    this.#entries = [];
    this.#attestations = [];
    for (const hint of hintsOf(entries, attestations)) this.#deps.link.publish(hint);
  }
}

/** Cut into messages of bounded size, in their order: an entry goes out before what says something of it. */
export function hintsOf(entries: readonly Uint8Array[], attestations: readonly Uint8Array[]): Uint8Array[] {
  const hints: Uint8Array[] = [];
  let hint: [Uint8Array[], Uint8Array[]] = [[], []];
  let bytes = 0;
  const add = (part: Uint8Array, kind: 0 | 1) => {
    const isFull = hint[0].length + hint[1].length >= LEDGER.maxHintParts;
    if (isFull || bytes + part.length + PART_OVERHEAD > LEDGER.maxHintBytes - PART_OVERHEAD) {
      hints.push(encode(hint));
      hint = [[], []];
      bytes = 0;
    }
    hint[kind].push(part);
    bytes += part.length + PART_OVERHEAD;
  };
  for (const entry of entries) add(entry, 0);
  for (const attestation of attestations) add(attestation, 1);
  if (bytes > 0) hints.push(encode(hint));
  return hints;
}

/** More than the CBOR around a part, and around all of them, takes. */
const PART_OVERHEAD = 16;
