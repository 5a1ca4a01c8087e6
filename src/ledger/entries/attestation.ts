/**
 * Attestations as bytes: `[witness, payload, signature]`, where payload is the canonical CBOR of `[networkId, author, sequence,
 * id, late]`. Signed is `"gogrid/attestation/1" ‖ 0 ‖ payload`.
 */

import { LEDGER } from '../../limits/ledger.ts';
import { encode } from '../../protocol/cbor.ts';
import { signedBytes } from '../../protocol/envelope.ts';
import { type Signer, verifySignature, verifySignatureAside } from '../../protocol/signature.ts';
import type { Attestation, EntryName, LedgerMesh } from './entry.ts';
import type { OpenOptions } from './entry-codec.ts';
import { accountOf, expectMesh, fromHex, keptBytes, violation } from './fields.ts';
import { Reader } from './reader.ts';

const WHAT = 'an attestation';

type WitnessedMesh = Pick<LedgerMesh, 'networkId' | 'witnesses'>;

/** @param late whether it is a claim above what a release alone, attested before, left of its leg */
export function sealAttestation(mesh: WitnessedMesh, witness: Signer, name: EntryName, late: boolean): Attestation {
  const { author, sequence, id } = name;
  const payload = encode([mesh.networkId, fromHex(author), sequence, fromHex(id), late ? 1 : 0]);
  const signature = witness.sign(signedBytes('attestation', payload));
  const sealed = new Uint8Array(encode([witness.publicKey, payload, signature]));
  return { author, sequence, id, witness: accountOf(witness.publicKey), late, sealed };
}

/**
 * Checks size, encoding, fields, mesh, whether the mesh has this witness, and the signature, cheapest first.
 * @throws GoGridError `protocol_violation`, or `wrong_network` for another mesh's
 */
export function openAttestation(
  bytes: Uint8Array,
  mesh: WitnessedMesh,
  { trusted = false }: OpenOptions = {},
): Attestation {
  const attestation = readWire(bytes, mesh);
  if (!mesh.witnesses.includes(attestation.witness)) throw violation(`${WHAT} of a node that is no witness here`);
  if (!trusted && !isAttestationSigned(attestation)) {
    throw violation(`the signature of ${WHAT} does not stand`, { signature: false });
  }
  return attestation;
}

/**
 * All of `openAttestation` but the signature, which takes most of the time, and whether its key is a witness's here: it may be
 * one's by a newer descriptor.
 * @throws GoGridError `protocol_violation`, or `wrong_network` for another mesh's
 */
export function readAttestation(bytes: Uint8Array, mesh: Pick<LedgerMesh, 'networkId'>): Attestation {
  return readWire(bytes, mesh);
}

/** Whether the witness's signature stands in what `readAttestation` gave. */
export function isAttestationSigned({ sealed }: Attestation): boolean {
  const { witness, payload, signature } = partsOf(sealed);
  return verifySignature(witness, signedBytes('attestation', payload), signature);
}

/** `isAttestationSigned` on another thread: see `verifySignatureAside`. */
export function isAttestationSignedAside({ sealed }: Attestation): Promise<boolean> {
  const { witness, payload, signature } = partsOf(sealed);
  return verifySignatureAside(witness, signedBytes('attestation', payload), signature);
}

function readWire(bytes: Uint8Array, mesh: Pick<LedgerMesh, 'networkId'>): Attestation {
  const sealed = keptBytes(bytes, LEDGER.maxAttestationBytes, WHAT);
  const { witness: key, payload } = partsOf(sealed);
  const reader = new Reader(payload, WHAT);
  reader.array(5, 5, 'payload');
  expectMesh(reader.bytes(32, 32, 'networkId'), mesh.networkId, WHAT);
  const author = reader.hex32('author');
  const sequence = reader.uint(Number.MAX_SAFE_INTEGER, 'sequence');
  const id = reader.hex32('id');
  const late = reader.uint(1, 'late') === 1;
  reader.end();
  const witness = accountOf(key);
  return { author, sequence, id, witness, late, sealed };
}

function partsOf(sealed: Uint8Array): { witness: Uint8Array; payload: Uint8Array; signature: Uint8Array } {
  const reader = new Reader(sealed, WHAT);
  reader.array(3, 3, 'envelope');
  const witness = reader.bytes(32, 32, 'witness');
  const payload = reader.bytes(0, LEDGER.maxAttestationBytes, 'payload');
  const signature = reader.bytes(64, 64, 'signature');
  reader.end();
  return { witness, payload, signature };
}
