/**
 * Putting an entry or an attestation into the ledger, then what waited for it, then what waited for that: a work list, however
 * long.
 */

import type { Attested, Ledger, Taken } from '../books/ledger.ts';
import type { Attestation, Entry } from '../entries/entry.ts';
import type { Waiting } from './waiting.ts';

export interface Placing {
  readonly ledger: Ledger;
  readonly waiting: Waiting;
  /** Entries are taken in however many of their author do not stand: they were taken in before. */
  readonly keepsAll?: boolean;
  /** An entry was put in, or not. What waits is in the waiting room already. */
  readonly onAdded: (entry: Entry, taken: Taken) => void;
  /** The same of an attestation. */
  readonly onAttested: (attestation: Attestation, attested: Attested) => void;
}

export type Item =
  /** `dead`: entries that it names and that only the disk has. */
  { readonly entry: Entry; readonly dead?: readonly Entry[] } | { readonly attestation: Attestation };

export function place(first: Item, { ledger, waiting, keepsAll = false, onAdded, onAttested }: Placing): void {
  const todo: Item[] = [first];
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    if ('entry' in next) {
      const { entry, dead = [] } = next;
      const taken = ledger.add(entry, dead, keepsAll || waiting.isWanted(entry.id));
      if (taken.result === 'waits') waiting.add(entry, taken.missing, ledger.tip(entry.author) === undefined);
      onAdded(entry, taken);
      if (taken.result !== 'taken') continue;
      const { entries, attestations } = waiting.release(entry.id);
      todo.push(...attestations.map((waited) => ({ attestation: waited })));
      todo.push(...entries.toReversed().map((waited) => ({ entry: waited })));
    } else {
      const { attestation } = next;
      const wasCovered = ledger.isCovered(attestation);
      const attested = ledger.attest(attestation);
      if (attested.result === 'waits') waiting.addAttestation(attestation);
      onAttested(attestation, attested);
      if (attested.result !== 'taken' || wasCovered || !ledger.isCovered(attestation)) continue;
      // At a place that a certificate covers nothing has to be waited for any more: what is missing there is worth nothing.
      const entries = waiting.releaseAt(attestation.author, attestation.sequence);
      todo.push(...entries.toReversed().map((waited) => ({ entry: waited })));
    }
  }
}
