/** What of a network descriptor the ledger lives by. */

import { isLocal, type NetworkDescriptor } from '../protocol/descriptor.ts';
import type { LedgerMesh } from './entries/entry.ts';
import { hexOf } from './entries/fields.ts';

/** Where the descriptor names no witness, the founder is the one. */
export function meshOf(descriptor: NetworkDescriptor): LedgerMesh {
  const { core, terms, networkId } = descriptor;
  const founder = hexOf(core.founder);
  const named = terms.witnesses.map(hexOf);
  const witnesses = named.length > 0 || isLocal(descriptor) ? named : [founder];
  return { networkId, founder, genesis: core.genesisMicrocredits, witnesses };
}
