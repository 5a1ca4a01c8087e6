/** Checks the ledger on the disk, from the first entry to the last: nothing is believed because it was checked before. */

import { toGoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { openAttestation } from '../entries/attestation.ts';
import type { Entry, EntryName, LedgerMesh } from '../entries/entry.ts';
import { openEntry } from '../entries/entry-codec.ts';
import { hexOf } from '../entries/fields.ts';
import { accountText } from '../entries/readable.ts';
import { inOrder, type Reading } from '../intake/in-order.ts';
import type { LedgerReads, StoredAttestation, StoredEntry } from '../ports.ts';
import { Audit, type Problem } from './audit.ts';

export interface StoreAuditDeps {
  readonly mesh: LedgerMesh;
  readonly store: Pick<LedgerReads, 'authors' | 'chain' | 'attestations' | 'entry'>;
  /** Gives the event loop its turn. */
  readonly pause: () => Promise<void>;
}

/** Every signature, chain and amount; whoever asked has it finished. Takes 0.2 to 0.5 ms for an entry or an attestation. */
export async function auditStore(deps: StoreAuditDeps): Promise<Audit> {
  const audit = await goOver(deps, true);
  if (audit.contradiction === undefined) return audit;
  const again = await goOver(deps, false);
  again.problem({ what: audit.contradiction });
  return again;
}

async function goOver({ mesh, store, pause }: StoreAuditDeps, finalise: boolean): Promise<Audit> {
  const reading = fullReading(mesh);
  const audit = new Audit(mesh, (name) => entryIn(store, reading, name), finalise);
  let looked = 0;
  for await (const found of inOrder(store, hexOf(mesh.networkId), reading)) {
    if (++looked % LEDGER.checkBatch === 0) await pause();
    if (found.kind === 'entry') {
      const why = await audit.entry(found.entry);
      if (why !== undefined) audit.problem({ what: why, ...nameOf(found.entry) });
    } else if (found.kind === 'attestation') {
      const why = audit.attestation(found.attestation);
      if (why !== undefined) audit.problem({ what: why, ...attestationName(found.attestation) });
    } else if (found.kind === 'damaged') audit.problem({ what: found.why, ...nameOf(found.stored) });
    else audit.problem({ what: found.why, ...attestationName(found.stored) });
  }
  return audit;
}

async function entryIn(store: StoreAuditDeps['store'], reading: Reading, name: EntryName): Promise<Entry | undefined> {
  const sealed = await store.entry(name);
  const entry = sealed === undefined ? undefined : reading.entry({ ...name, sealed });
  return typeof entry === 'string' ? undefined : entry;
}

/** Opens with every check that an entry of a stranger gets, and compares it with the name it lies under. */
function fullReading(mesh: LedgerMesh): Reading {
  return {
    entry: (stored) =>
      readAs(stored, () => {
        const entry = openEntry(stored.sealed, mesh);
        return isSame(entry, stored) ? entry : 'it is not the entry whose name it lies under';
      }),
    attestation: (stored) =>
      readAs(stored, () => {
        const attestation = openAttestation(stored.sealed, mesh);
        const same = isSame(attestation, stored) && attestation.witness === stored.witness;
        return same && attestation.late === stored.late
          ? attestation
          : 'it is not the attestation whose name it lies under';
      }),
  };
}

function readAs<T>({ sealed }: StoredEntry, open: () => T | string): T | string {
  if (sealed.length === 0) return 'it is damaged on the disk';
  try {
    return open();
  } catch (thrown) {
    return toGoGridError(thrown).message;
  }
}

function isSame(one: EntryName, other: EntryName): boolean {
  return one.id === other.id && one.author === other.author && one.sequence === other.sequence;
}

function nameOf({ author, sequence, id }: EntryName): Omit<Problem, 'what'> {
  return { author: accountText(author), sequence, id };
}

function attestationName(attestation: EntryName & Pick<StoredAttestation, 'witness'>): Omit<Problem, 'what'> {
  return { ...nameOf(attestation), witness: accountText(attestation.witness) };
}
