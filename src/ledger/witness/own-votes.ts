/** What comes back to a witness of its own key: what it made itself, or another process, or one before a backup was taken. */

import type { Attestation, Entry } from '../entries/entry.ts';
import type { LedgerView } from '../views.ts';
import type { WitnessRecord } from './witness-record.ts';

type Tree = Pick<LedgerView, 'find' | 'status'>;

/** Whether it is one that this witness has made, as far as that can be told. */
export function agrees({ author, sequence, id }: Attestation, record: WitnessRecord, ledger: Tree): boolean {
  const tip = record.tip(author);
  if (tip === undefined || sequence > tip.sequence) return false;
  if (sequence === tip.sequence) return id === tip.id;
  let next = ledger.find(tip.id);
  while (next !== undefined && next.sequence > sequence + 1) next = ledger.find(next.previous);
  // Final entries are no longer in memory. And it may have attested a branch that a certificate then took it away from.
  if (next === undefined || next.previous === id) return true;
  const status = ledger.status({ author, sequence, id: next.previous });
  return status === 'certified' || status === 'final';
}

/** Notes what the key attested, though this process did not make it. @param now milliseconds since 1970 */
export function learn(attestation: Attestation, record: WitnessRecord, ledger: Tree, now: number): void {
  const entry = ledger.find(attestation.id);
  if (entry === undefined) record.adopt(attestation);
  else for (const one of unattested(entry, record, ledger)) record.attested(one, now);
}

/** An entry, and those before it that are not attested: who attested it has attested them. */
function unattested(entry: Entry, record: WitnessRecord, ledger: Tree): Entry[] {
  const known = record.tip(entry.author)?.sequence ?? -1;
  const all: Entry[] = [];
  let at: Entry | undefined = entry;
  while (at !== undefined && at.sequence > known) {
    all.push(at);
    at = ledger.find(at.previous);
  }
  // At a place that it attested another way already it only learns what it says of the leg.
  return all.length === 0 ? [entry] : all.reverse();
}
