/**
 * Checkpoints: a quorum of witnesses signs the root of a final state. Signed is `"gogrid/checkpoint/1" ‖ 0 ‖` canonical CBOR of
 * `[networkId, root]`.
 */

import { encode } from '../../protocol/cbor.ts';
import { signedBytes } from '../../protocol/envelope.ts';
import { type Signer, verifySignature } from '../../protocol/signature.ts';
import { type AccountId, type LedgerMesh, quorumOf } from './entry.ts';
import { fromHex } from './fields.ts';

export interface CheckpointSignature {
  readonly witness: AccountId;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

/** @param root SHA-256 of a state in canonical form (`Books.encode`), 32 bytes */
export function signCheckpoint(networkId: Uint8Array, witness: Signer, root: Uint8Array): Uint8Array {
  return witness.sign(bytesOfCheckpoint(networkId, root));
}

/** Whether one witness's signature stands; never throws. */
export function verifyCheckpointSignature(
  networkId: Uint8Array,
  root: Uint8Array,
  { witness, signature }: CheckpointSignature,
): boolean {
  return verifySignature(fromHex(witness), bytesOfCheckpoint(networkId, root), signature);
}

/** Whether a quorum of the mesh's witnesses signed this root; never throws. */
export function isCheckpoint(
  mesh: Pick<LedgerMesh, 'networkId' | 'witnesses'>,
  root: Uint8Array,
  signatures: readonly CheckpointSignature[],
): boolean {
  const signed = mesh.witnesses.filter((witness) =>
    signatures.some((each) => each.witness === witness && verifyCheckpointSignature(mesh.networkId, root, each)),
  );
  return mesh.witnesses.length > 0 && signed.length >= quorumOf(mesh);
}

function bytesOfCheckpoint(networkId: Uint8Array, root: Uint8Array): Uint8Array {
  return signedBytes('checkpoint', encode([networkId, root]));
}
