/** A message of gossip: entries and attestations, as they were signed. */

import { LEDGER } from '../../limits/ledger.ts';
import { decode } from '../../protocol/cbor.ts';
import { type LedgerHint, ledgerHint } from '../../protocol/ledger.ts';
import type { Checked } from './checked.ts';
import type { Round } from './round.ts';

/** `accept`: new and true, pass it on. `ignore`: nothing new, or not sure. `reject`: its sender should not have sent it. */
export type Verdict = 'accept' | 'ignore' | 'reject';

/** @returns undefined for what is too long or no hint */
export function readHint(bytes: Uint8Array): LedgerHint | undefined {
  if (bytes.length > LEDGER.maxHintBytes) return undefined;
  try {
    return ledgerHint.safeParse(decode(bytes, 'a hint of the ledger')).data;
  } catch {
    return undefined;
  }
}

/** What a hint takes of its sender's rate: what was checked before costs little. */
export function costOf([entries, attestations]: LedgerHint, checked: Pick<Checked, 'has'>): number {
  const count = entries.length + attestations.length;
  const seen = [...entries, ...attestations].filter((sealed) => checked.has(sealed)).length;
  return count - seen + Math.ceil(seen / LEDGER.seenPartsPerNew);
}

/** @param round in which all of the hint was taken */
export function verdictOn({ bad, limited, strange, taken, known }: Round): Verdict {
  if (bad > 0) return 'reject';
  // What was not checked may not be passed on: who passes on what does not stand pays for it.
  if (limited.size > 0 || strange > 0) return 'ignore';
  // Nor may what all have already, behind a little that is new: the whole mesh would carry it.
  return taken > 0 && known <= taken ? 'accept' : 'ignore';
}
