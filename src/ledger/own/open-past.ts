/** What an entry rests on, as far as it is not final. */

import { LEDGER } from '../../limits/ledger.ts';
import { type Entry, type EntryName, namesIn } from '../entries/entry.ts';
import type { LedgerView } from '../views.ts';

/**
 * These entries, those before them and those they name, and so on back to what is final: each once, those of one chain from
 * the newest on, not more than `most`.
 */
export function* openPast(
  of: readonly EntryName[],
  ledger: Pick<LedgerView, 'find'>,
  most: number = LEDGER.maxUnsettledSeen,
): Generator<Entry> {
  const seen = new Set<string>();
  const ahead = [...of];
  // What is looked at names more to look at.
  for (const { id } of ahead) {
    for (let entry = ledger.find(id); entry !== undefined && !seen.has(entry.id); entry = ledger.find(entry.previous)) {
      if (seen.size >= most) return;
      seen.add(entry.id);
      yield entry;
      ahead.push(...namesIn(entry.body));
    }
  }
}

/**
 * Whether an entry may never be final: it rests on a release alone that no certificate covers, which witnesses may refuse for
 * ever, or on too much to say. Who books such a thing has it in the past of its own log, and may never be final again either.
 */
export function isDoubtful(name: EntryName, ledger: Pick<LedgerView, 'find' | 'status'>): boolean {
  let left = LEDGER.maxBookedPast;
  for (const entry of openPast([name], ledger, left + 1)) {
    if (left-- === 0) return true;
    const { body } = entry;
    const isAlone = body.kind === 'release' && 'alone' in body.rest;
    if (isAlone && ledger.status(entry) !== 'certified') return true;
  }
  return false;
}
