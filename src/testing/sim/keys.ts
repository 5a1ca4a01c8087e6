/** Keys of simulated nodes, the same in every history: checking a key costs milliseconds, once. */

import { createHash } from 'node:crypto';
import { type NodeId, nodeIdOf } from '../../protocol/ids.ts';
import { type Signer, signerFromSeed } from '../../protocol/signature.ts';

const signers: Signer[] = [];
const ids: NodeId[] = [];

export function signerOf(index: number): Signer {
  const known = signers[index];
  if (known !== undefined) return known;
  const seed = createHash('sha256').update(`simulated node ${index}`).digest();
  const fresh = signerFromSeed(seed);
  signers[index] = fresh;
  return fresh;
}

export function idOf(index: number): NodeId {
  ids[index] ??= nodeIdOf(signerOf(index).publicKey);
  return ids[index];
}
