import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GoGridError } from '../../errors.ts';
import { encode } from '../../protocol/cbor.ts';
import { type Signed, signedBytes } from '../../protocol/envelope.ts';
import { account, attest, bytes, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { cbor, Raw } from '../../testing/ledger/raw-entry.ts';
import {
  isAttestationSigned,
  isAttestationSignedAside,
  openAttestation,
  readAttestation,
  sealAttestation,
} from './attestation.ts';
import { isCheckpoint, signCheckpoint, verifyCheckpointSignature } from './checkpoint.ts';
import type { EntryName } from './entry.ts';
import { openEntry } from './entry-codec.ts';
import { signVoucher, type Voucher, verifyVoucher } from './voucher.ts';

const mesh = meshOf({ witnesses: 4, genesis: 2n ** 63n - 1n });
const other = meshOf({ witnesses: 4, network: 'another mesh' });
const w1 = account('W1');
const entryName: EntryName = { author: account('A').id, sequence: 7, id: 'ab'.repeat(32) };
const TAGS: readonly Signed[] = ['profile', 'beat', 'descriptor', 'entry', 'voucher', 'attestation', 'checkpoint'];

function refusalOf(sealed: Uint8Array, ofMesh = mesh): string | undefined {
  try {
    openAttestation(sealed, ofMesh);
    return undefined;
  } catch (error) {
    if (!(error instanceof GoGridError)) throw error;
    return error.data?.signature === false ? 'signature' : error.code;
  }
}

function bitFlips(of: Uint8Array): Uint8Array[] {
  return Array.from({ length: of.length * 8 }, (_, bit) => {
    const flipped = Uint8Array.from(of);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    return flipped;
  });
}

/** The same, some of it encoded in an odd way. */
function sealedRaw(fields: readonly unknown[]): Uint8Array {
  const payload = cbor(fields);
  return encode([w1.signer.publicKey, payload, w1.signer.sign(signedBytes('attestation', payload))]);
}

/** An attestation of W1 over these fields, under any tag. */
function sealedOver(fields: readonly unknown[], tag: Signed = 'attestation', signer = w1.signer): Uint8Array {
  const payload = encode(fields);
  return encode([w1.signer.publicKey, payload, signer.sign(signedBytes(tag, payload))]);
}

describe('an attestation as bytes', () => {
  const fields: readonly unknown[] = [mesh.networkId, bytes(entryName.author), 7, bytes(entryName.id), 0];

  test('is what docs/ledger.md says, and opens as what was sealed', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.boolean(), fc.constantFrom('W1', 'W2', 'W4'), (sequence, late, witness) => {
        const name = { ...entryName, sequence };
        const sealed = sealAttestation(mesh, account(witness).signer, name, late);
        expect(sealed).toEqual(attest(mesh, witness, name, late));
        expect(openAttestation(sealed.sealed, mesh)).toEqual(sealed);
        expect(openAttestation(sealed.sealed, mesh, { trusted: true })).toEqual(sealed);
        expect(readAttestation(sealed.sealed, mesh)).toEqual(sealed);
        expect(isAttestationSigned(sealed)).toBe(true);
        expect(sealed.sealed.length).toBeLessThanOrEqual(216);
      }),
      { numRuns: 30 },
    );
  });

  test('of a key that is no witness of the mesh is refused before its signature is looked at', async () => {
    expect(refusalOf(attest(mesh, 'A', entryName).sealed)).toBe('protocol_violation');
    expect(refusalOf(attest(mesh, 'A', entryName, false, false).sealed)).toBe('protocol_violation');
    expect(refusalOf(attest(mesh, 'W1', entryName, false, false).sealed)).toBe('signature');
    expect(isAttestationSigned(attest(mesh, 'W1', entryName, false, false))).toBe(false);
    expect(await isAttestationSignedAside(attest(mesh, 'W1', entryName, false, false))).toBe(false);
    expect(await isAttestationSignedAside(attest(mesh, 'W1', entryName))).toBe(true);
    expect(openAttestation(attest(mesh, 'W1', entryName, false, false).sealed, mesh, { trusted: true }).id).toBe(
      entryName.id,
    );
  });

  test("property 7: another network's or tag's signature is rejected", () => {
    expect(refusalOf(attest(other, 'W1', entryName).sealed)).toBe('wrong_network');
    expect(refusalOf(attest(other, 'W1', entryName).sealed, other)).toBeUndefined();
    for (const tag of TAGS) {
      expect(refusalOf(sealedOver(fields, tag))).toBe(tag === 'attestation' ? undefined : 'signature');
    }
    expect(refusalOf(sealedOver(fields, 'attestation', account('W2').signer))).toBe('signature');
  });

  test('property 8: with any flipped bit it is refused', () => {
    const { sealed } = attest(mesh, 'W1', entryName, true);
    expect(bitFlips(sealed).filter((flipped) => refusalOf(flipped) === undefined)).toEqual([]);
  });

  test.each<[string, Uint8Array]>([
    ['late 2', sealedOver(fields.with(4, 2))],
    ['late false', sealedOver(fields.with(4, false))],
    ['a sequence of 2^53', sealedOver(fields.with(2, 2n ** 53n))],
    ['a negative sequence', sealedOver(fields.with(2, -1))],
    ['a sequence of 1.5', sealedOver(fields.with(2, 1.5))],
    ['a short author', sealedOver(fields.with(1, new Uint8Array(31)))],
    ['a short id', sealedOver(fields.with(3, new Uint8Array(31)))],
    ['a field too few', sealedOver(fields.slice(0, 4))],
    ['a field too many', sealedOver([...fields, 0])],
    ['a map', sealedOver({ ...fields } as never)],
    ['a sequence as a float', sealedRaw(fields.with(2, new Raw('f94700')))],
    ['a sequence in two bytes', sealedRaw(fields.with(2, new Raw('1807')))],
    ['a tagged id', sealedRaw(fields.with(3, new Raw(`c25820${entryName.id}`)))],
    ['late null', sealedRaw(fields.with(4, new Raw('f6')))],
    ['a byte behind the payload', sealedRaw(fields.with(4, new Raw('0000')))],
    ['an envelope of two', encode([encode(fields), new Uint8Array(64)])],
    ['a payload that is no bytes', encode([w1.signer.publicKey, fields, new Uint8Array(64)])],
    ['a byte behind', Uint8Array.of(...sealedOver(fields), 0)],
    ['more than 256 bytes', new Uint8Array(257)],
    ['a nesting bomb', new Uint8Array(256).fill(0x81)],
  ])('rightly signed, but %s, it is refused', (_what, sealed) => {
    expect(refusalOf(sealed)).toBe('protocol_violation');
  });

  test('its size is looked at before anything in it is', () => {
    expect(() => openAttestation(new Uint8Array(1 << 20).fill(0x81), mesh)).toThrow(/more than 256 bytes/);
  });

  test('whatever bytes come, only an error of ours is thrown', () => {
    const { sealed } = attest(mesh, 'W1', entryName);
    const mutated = fc
      .tuple(fc.nat(sealed.length), fc.nat(3), fc.uint8Array({ maxLength: 4 }))
      .map(([at, cut, put]) => Uint8Array.of(...sealed.subarray(0, at), ...put, ...sealed.subarray(at + cut)));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated), (some) => {
        const same = Buffer.compare(some, sealed) === 0;
        expect(refusalOf(some) === undefined).toBe(same);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('a voucher', () => {
  const payer = account('A').signer;
  const voucher: Voucher = { hold: entryName, leg: 1, cumulative: 2n ** 60n, receiptHash: new Uint8Array(32).fill(9) };
  const signature = signVoucher(mesh.networkId, payer, voucher);

  test('stands for its payer, hold, leg, amount, receipt and mesh alone (properties 7 and 8)', () => {
    expect(verifyVoucher(mesh.networkId, voucher, signature)).toBe(true);
    const others: Voucher[] = [
      { ...voucher, leg: 2 },
      { ...voucher, cumulative: 2n ** 60n + 1n },
      { ...voucher, receiptHash: new Uint8Array(32) },
      { ...voucher, hold: { ...entryName, sequence: 8 } },
      { ...voucher, hold: { ...entryName, id: 'ac'.repeat(32) } },
      { ...voucher, hold: { ...entryName, author: account('B').id } },
    ];
    expect(others.filter((each) => verifyVoucher(mesh.networkId, each, signature))).toEqual([]);
    expect(verifyVoucher(other.networkId, voucher, signature)).toBe(false);
    expect(bitFlips(signature).filter((each) => verifyVoucher(mesh.networkId, voucher, each))).toEqual([]);
  });

  test('is what a claim carries', () => {
    const claim = new Writer(mesh, 'B').claim(entryName, 5n, { leg: 1 });
    const { body } = openEntry(claim.sealed, mesh);
    if (body.kind !== 'claim') throw new Error('not a claim');
    expect(verifyVoucher(mesh.networkId, body, body.voucherSignature)).toBe(true);
    expect(signVoucher(mesh.networkId, payer, body)).toEqual(body.voucherSignature);
  });
});

describe('a checkpoint', () => {
  const root = new Uint8Array(32).fill(4);
  const signed = (witness: string, of = root, network = mesh.networkId) => ({
    witness: account(witness).id,
    signature: signCheckpoint(network, account(witness).signer, of),
  });

  test('is a quorum of different witnesses over one root', () => {
    const three = ['W1', 'W2', 'W3'].map((witness) => signed(witness));
    expect(isCheckpoint(mesh, root, three)).toBe(true);
    expect(isCheckpoint(mesh, root, three.slice(1))).toBe(false);
    expect(isCheckpoint(mesh, root, [...three.slice(1), signed('W2')])).toBe(false);
    expect(isCheckpoint(mesh, root, [...three.slice(1), signed('A')])).toBe(false);
    expect(isCheckpoint(mesh, root, [...three.slice(1), signed('W1', new Uint8Array(32))])).toBe(false);
    expect(isCheckpoint(mesh, root, [...three.slice(1), { ...three[0]!, witness: account('W4').id }])).toBe(false);
    expect(isCheckpoint({ ...mesh, witnesses: [] }, root, three)).toBe(false);
  });

  test("property 7: another network's signature is rejected", () => {
    expect(verifyCheckpointSignature(mesh.networkId, root, signed('W1'))).toBe(true);
    expect(verifyCheckpointSignature(mesh.networkId, root, signed('W1', root, other.networkId))).toBe(false);
  });
});

describe('no statement is another', () => {
  test('what one kind was signed for opens as no other kind', () => {
    const entry = new Writer(mesh, 'W1').transfer('B', 5n);
    const attestation = attest(mesh, 'W1', entryName);
    expect(() => openEntry(attestation.sealed, mesh)).toThrow(GoGridError);
    expect(refusalOf(entry.sealed)).toBe('protocol_violation');

    // The very bytes of one kind's payload, signed as what they are, in the clothes of another.
    const payloads: Record<string, readonly unknown[]> = {
      attestation: [mesh.networkId, bytes(entryName.author), 7, bytes(entryName.id), 0],
      voucher: [mesh.networkId, [bytes(entryName.author), 7, bytes(entryName.id)], 0, 5, new Uint8Array(32)],
      checkpoint: [mesh.networkId, new Uint8Array(32)],
    };
    for (const [what, fields] of Object.entries(payloads)) {
      for (const tag of TAGS) {
        const opens = refusalOf(sealedOver(fields, tag)) === undefined;
        expect([what, tag, opens]).toEqual([what, tag, what === 'attestation' && tag === 'attestation']);
        const payload = encode(fields);
        const asEntry = encode([payload, w1.signer.sign(signedBytes(tag, payload))]);
        expect(() => openEntry(asEntry, mesh)).toThrow(GoGridError);
      }
    }
  });
});
