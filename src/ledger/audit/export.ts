/** Writes a whole ledger down, for whoever wants to check it without a node (`audit-export.ts`). */

import { GoGridError } from '../../errors.ts';
import type { NetworkDescriptor } from '../../protocol/descriptor.ts';
import { Ledger } from '../books/ledger.ts';
import { openAttestation } from '../entries/attestation.ts';
import type { LedgerMesh } from '../entries/entry.ts';
import { openEntry } from '../entries/entry-codec.ts';
import { hexOf } from '../entries/fields.ts';
import { type Found, inOrder, type Reading } from '../intake/in-order.ts';
import { meshOf } from '../mesh.ts';
import type { LedgerReads } from '../ports.ts';
import { writeAttestationLine, writeEntryLine, writeHead } from './export-lines.ts';

export interface ExportDeps {
  /** The disk as it was at one moment: it is read twice. */
  readonly store: Pick<LedgerReads, 'authors' | 'chain' | 'attestations'>;
  readonly descriptor: NetworkDescriptor;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Gives the event loop its turn. */
  readonly pause: () => Promise<void>;
}

/**
 * The lines of an export, without their ends. The first line says what is in the others, so all is read before it.
 * @throws GoGridError `damaged` when what lies on the disk cannot be read; `GET /ledger/verify` says what
 */
export async function* exportLines({ store, descriptor, now, pause }: ExportDeps): AsyncGenerator<string> {
  const mesh = meshOf(descriptor);
  const all = () => inOrder(store, hexOf(mesh.networkId), trustedReading(mesh));
  yield writeHead({ descriptor, ...(await lookOver(mesh, all(), pause)), madeAt: now });
  let n = 0;
  for await (const found of all()) {
    n++;
    if (found.kind === 'entry') yield writeEntryLine(n, found.entry);
    else if (found.kind === 'attestation') yield writeAttestationLine(n, found.attestation);
    else throw unreadable();
    if (n % PAUSE_EVERY === 0) await pause();
  }
}

/** What there is, and its digest. */
async function lookOver(mesh: LedgerMesh, all: AsyncIterable<Found>, pause: () => Promise<void>) {
  // Which entries stand does not hang on what is final, and where nothing is, no two certificates are in each other's way.
  const ledger = new Ledger(mesh, { finalise: false });
  let entries = 0;
  let attestations = 0;
  for await (const found of all) {
    if (found.kind === 'entry') {
      entries++;
      ledger.add(found.entry);
    } else if (found.kind === 'attestation') {
      attestations++;
      ledger.attest(found.attestation);
    } else throw unreadable();
    if ((entries + attestations) % PAUSE_EVERY === 0) await pause();
  }
  return { digest: ledger.digest(), entries, attestations };
}

/** Opening takes some 20 µs where no signature is checked, and taking in as much. */
const PAUSE_EVERY = 50;

/** What lies on the disk was checked when it came, and lies under a checksum. */
function trustedReading(mesh: LedgerMesh): Reading {
  return {
    entry: ({ sealed, id }) => {
      const entry = sealed.length === 0 ? undefined : openEntry(sealed, mesh, { trusted: true });
      return entry?.id === id ? entry : 'it is damaged on the disk';
    },
    attestation: ({ sealed }) =>
      sealed.length === 0 ? 'it is damaged on the disk' : openAttestation(sealed, mesh, { trusted: true }),
  };
}

function unreadable(): GoGridError {
  return new GoGridError({
    code: 'damaged',
    message: 'the ledger on the disk cannot be read whole',
    hint: '`gogrid ledger verify` says what of it is damaged; the node fetches that again at its next start',
  });
}
