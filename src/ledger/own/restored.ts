/** A data folder that was copied, or put back from a backup, may know less of the vouchers given than their payees do. */

import type { AccountId } from '../entries/entry.ts';
import type { LedgerStore } from '../ports.ts';
import type { LedgerView } from '../views.ts';
import { OwnNotes } from './own-notes.ts';

export interface RestoredDeps {
  readonly ledger: Pick<LedgerView, 'tip'>;
  readonly store: Pick<LedgerStore, 'chain' | 'notes'>;
}

/**
 * Notes that of every hold on this disk, so that no rest of it is taken back alone (`lone-release.ts`); of holds that only others have
 * the author notes it when it finds them. On disk when it resolves.
 * @throws GoGridError `damaged`, `disk_full`, `home_unusable`
 */
export async function noteRestored(self: AccountId, { ledger, store }: RestoredDeps): Promise<void> {
  const notes = new OwnNotes(self, store.notes);
  let newest = ledger.tip(self)?.sequence ?? -1;
  for await (const { sequence } of store.chain(self, newest + 1)) newest = sequence;
  if (newest > ((await notes.restoredUpTo()) ?? -1)) await notes.restored(newest);
}
