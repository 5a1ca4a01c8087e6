/** What becomes of the entries and attestations that came in together. */

import type { NodeId } from '../../protocol/ids.ts';
import type { AccountId, Attestation, Entry, EntryName } from '../entries/entry.ts';
import type { Forked } from './late-forks.ts';

/** What has just been taken in, in this order. */
export interface News {
  readonly entries: readonly Entry[];
  readonly attestations: readonly Attestation[];
  /** Pairs of entries of one author at one place, one of which is new. */
  readonly forks: readonly Forked[];
  /** Undefined: this node. */
  readonly from: NodeId | undefined;
  /** It came by gossip, which passes it on by itself. */
  readonly hinted: boolean;
}

/** What a peer's page was worth. */
export interface PageOutcome {
  /** Entries and attestations that were new and are in the ledger now. */
  readonly taken: number;
  readonly known: number;
  /** Entries whose past is missing. */
  readonly waiting: number;
  /** Entries that break a rule for ever, and those of a chain that has too many of no worth. */
  readonly refused: number;
  /** Of a form, mesh or signature that does not stand: no honest node sends them. */
  readonly bad: number;
  /** Authors of whom more came than is taken in at once; their rest is to be asked for later. */
  readonly limited: ReadonlySet<AccountId>;
}

type Result = 'taken' | 'known' | 'old' | 'waits' | 'refused' | 'ignored';

export class Round {
  readonly from: NodeId | undefined;
  readonly hinted: boolean;
  entries: Entry[] = [];
  attestations: Attestation[] = [];
  forks: Forked[] = [];
  /** Whose place is final already. */
  readonly old: Entry[] = [];
  /** Which name what only the disk may have. */
  readonly buried: Entry[] = [];
  readonly missing: EntryName[] = [];
  readonly limited = new Set<AccountId>();
  /** What is on the disk already. */
  readonly onDisk = new Set<Entry | Attestation>();
  taken = 0;
  known = 0;
  waiting = 0;
  refused = 0;
  bad = 0;
  /** Attestations of keys that are no witness here. */
  strange = 0;
  newKeys = 0;

  /** @param from undefined: this node */
  constructor(from: NodeId | undefined, hinted: boolean) {
    this.from = from;
    this.hinted = hinted;
  }

  count(result: Result, entry: Entry): void {
    if (result === 'taken') {
      this.taken++;
      this.entries.push(entry);
    } else if (result === 'known') this.known++;
    else if (result === 'waits') this.waiting++;
    else if (result !== 'old') this.refused++;
  }

  /** What was taken in since this was asked last; undefined for nothing. */
  news(): News | undefined {
    const { entries, attestations, forks, from, hinted } = this;
    if (entries.length + attestations.length + forks.length === 0) return undefined;
    this.entries = [];
    this.attestations = [];
    this.forks = [];
    return { entries, attestations, forks, from, hinted };
  }

  outcome(): PageOutcome {
    const { taken, known, waiting, refused, bad, limited } = this;
    return { taken, known, waiting, refused, bad, limited };
  }
}
