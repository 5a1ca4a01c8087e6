import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GoGridError } from '../../errors.ts';
import type { Signed } from '../../protocol/envelope.ts';
import { bytes, hex, Writer } from '../../testing/ledger/authors.ts';
import {
  a,
  b,
  cbor,
  GENESIS,
  hash32,
  holdOfA,
  holdOfB,
  MAX,
  mesh,
  none,
  other,
  refusalOf,
  sealedOver,
  transferFields,
  wire,
  withBody,
  withField,
} from '../../testing/ledger/raw-entry.ts';
import type { EntryBody, EntryName } from './entry.ts';
import { isEntrySigned, isEntrySignedAside, openEntry, readEntry, sealEntry } from './entry-codec.ts';

/* ---- arbitrary entries ---- */

const id = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((raw) => Buffer.from(raw).toString('hex'));
const notA = id.filter((key) => key !== a.id);
const uint = fc.oneof(fc.nat(300), fc.maxSafeNat(), fc.constantFrom(MAX, MAX - 1, 2 ** 32, 23, 24, 255, 256, 65_535));
const edges = [1n, 23n, 24n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, GENESIS - 1n, GENESIS];
const amount = fc.oneof(fc.bigInt({ min: 1n, max: GENESIS }), fc.constantFrom(...edges));
const name: fc.Arbitrary<EntryName> = fc.record({ author: id, sequence: uint, id });
const memo = fc
  .string({ unit: 'binary', maxLength: 60 })
  .filter((text) => Buffer.byteLength(text) <= 128 && !text.startsWith('\uFEFF') && text.isWellFormed());
const legs = fc.uniqueArray(fc.record({ payee: notA, max: amount }), {
  minLength: 1,
  maxLength: 4,
  selector: ({ payee }) => payee,
});
const leg = fc.nat(3);

/** Claims are of B's holds, whose vouchers a writer of tests can sign. */
const body: fc.Arbitrary<EntryBody> = fc.oneof(
  fc.record({ kind: fc.constant('transfer' as const), to: notA, amount, memo }),
  fc.record({ kind: fc.constant('accept' as const), transfer: name }),
  fc.record({ kind: fc.constant('hold' as const), legs }),
  fc.record({ sequence: uint, id, leg, amount: fc.oneof(fc.constant(0n), amount), last: fc.boolean() }).map((parts) => {
    const claimer = new Writer(mesh, 'A');
    const hold = { author: b.id, sequence: parts.sequence, id: parts.id };
    return claimer.claim(hold, parts.amount, { leg: parts.leg, last: parts.last }).body;
  }),
  fc.record({
    kind: fc.constant('release' as const),
    hold: fc.record({ author: fc.constant(a.id), sequence: uint, id }),
    leg,
    rest: fc.oneof(fc.record({ claim: name }), fc.record({ alone: fc.oneof(fc.constant(0n), amount) })),
  }),
);

describe('an entry as bytes', () => {
  test('is what docs/ledger.md says, and opens as what was sealed', () => {
    fc.assert(
      fc.property(body, fc.boolean(), uint, id, fc.maxSafeNat(), (what, first, sequence, previous, timestamp) => {
        const place = first || sequence === 0 ? { sequence: 0, previous: hex(mesh.networkId) } : { sequence, previous };
        const sealed = sealEntry(mesh, a.signer, { ...place, timestamp, body: what });
        expect(openEntry(sealed.sealed, mesh)).toEqual(sealed);
        expect(openEntry(sealed.sealed, mesh, { trusted: true })).toEqual(sealed);
        expect(sealed).toMatchObject({ author: a.id, ...place, timestamp, body: what });
        if (place.sequence === 0) expect(sealed).toEqual(new Writer(mesh, 'A').write(what, timestamp));
        expect(sealed.sealed.length).toBeLessThan(500);
      }),
      { numRuns: 150 },
    );
  });

  test('does not keep the frame it came in', () => {
    const entry = new Writer(mesh, 'A').claim(holdOfB, 5n);
    const frame = Buffer.concat([Buffer.alloc(100_000), entry.sealed, Buffer.alloc(9)]);
    const opened = openEntry(frame.subarray(100_000, 100_000 + entry.sealed.length), mesh);
    expect(opened).toEqual(entry);
    const { receiptHash, voucherSignature } = opened.body as Extract<EntryBody, { kind: 'claim' }>;
    expect(opened.sealed.buffer.byteLength).toBe(entry.sealed.length);
    for (const part of [opened.sealed, receiptHash, voucherSignature]) {
      expect(part.constructor).toBe(Uint8Array);
      expect(part.buffer).toBe(opened.sealed.buffer);
    }
  });

  test('from our own disk is not verified, and its id tells whether its payload is whole', () => {
    const entry = new Writer(mesh, 'A', { signed: false }).transfer('B', 5n);
    expect(refusalOf(entry.sealed)).toBe('signature');
    expect(openEntry(entry.sealed, mesh, { trusted: true })).toEqual(entry);
    const damaged = Uint8Array.from(entry.sealed);
    damaged[damaged.indexOf(5, 150)]! ^= 2;
    expect(openEntry(damaged, mesh, { trusted: true }).id).not.toBe(entry.id);
  });

  test('can be read first and verified later, also on other threads', async () => {
    const claim = new Writer(mesh, 'A').claim(holdOfB, 5n);
    const unsigned = new Writer(mesh, 'A', { signed: false }).claim(holdOfB, 5n);
    expect(readEntry(claim.sealed, mesh)).toEqual(claim);
    expect(isEntrySigned(claim, mesh)).toBe(true);
    expect(isEntrySigned(readEntry(unsigned.sealed, mesh), mesh)).toBe(false);
    // The author's signature stands over a voucher that does not.
    const forged = { ...claim.body, cumulative: 6n } as EntryBody;
    const lying = new Writer(mesh, 'A').write(forged);
    expect(isEntrySigned(readEntry(lying.sealed, mesh), mesh)).toBe(false);
    for (const entry of [
      claim,
      unsigned,
      lying,
      new Writer(mesh, 'A').claim(holdOfB, 0n),
      new Writer(mesh, 'A').accept(holdOfB),
    ]) {
      expect(await isEntrySignedAside(entry, mesh)).toBe(isEntrySigned(entry, mesh));
    }
    expect(refusalOf(lying.sealed)).toBe('signature');
  });

  test('is never sealed when no node would take it', () => {
    const place = { sequence: 0, previous: hex(mesh.networkId), timestamp: 1 };
    const seal =
      (what: EntryBody, changes = {}) =>
      () =>
        sealEntry(mesh, a.signer, { ...place, ...changes, body: what });
    const gift = { kind: 'transfer', to: b.id, amount: 5n, memo: '' } as const;
    expect(seal(gift)).not.toThrow();
    expect(seal({ ...gift, amount: 0n })).toThrow(/amount/);
    expect(seal({ ...gift, to: a.id })).toThrow(/own author/);
    expect(seal({ ...gift, memo: 'é'.repeat(65) })).toThrow(/memo/);
    expect(seal({ ...gift, memo: '\uFEFFx' })).toThrow(GoGridError);
    expect(seal(gift, { sequence: 1.5 })).toThrow(/sequence/);
    expect(seal(gift, { previous: 'ab' })).toThrow(/previous/);
    const unsigned = new Writer(mesh, 'A', { signed: false }).claim(holdOfB, 5n);
    expect(seal(unsigned.body)).toThrow(/voucher/);
    // A lone surrogate has no bytes of its own: what comes back is what everybody reads.
    const odd = seal({ ...gift, memo: 'a\uD800' })();
    expect(odd.body).toMatchObject({ memo: 'a\uFFFD' });
    expect(openEntry(odd.sealed, mesh)).toEqual(odd);
  });
});
describe('the edges that are taken', () => {
  test.each<[string, Uint8Array]>([
    ['a sequence of 2^53 - 1', sealedOver(cbor(transferFields.with(3, MAX).with(4, hash32)))],
    ['a timestamp of 0', withField(5, 0)],
    ['a timestamp of 2^53 - 1', withField(5, MAX)],
    ['an amount of 2^53 - 1', withBody(1, [bytes(b.id), MAX, ''])],
    ['an amount of 2^53', withBody(1, [bytes(b.id), 2n ** 53n, ''])],
    ['the genesis amount', withBody(1, [bytes(b.id), GENESIS, ''])],
    ['a memo of 128 bytes', withBody(1, [bytes(b.id), 1, 'é'.repeat(64)])],
    ['a memo with a mark inside', withBody(1, [bytes(b.id), 1, 'a\uFEFF\u0000'])],
    [
      'four legs that together are above genesis',
      withBody(
        3,
        [1, 2, 3, 4].map((n) => [new Uint8Array(32).fill(n), GENESIS]),
      ),
    ],
    ['a claim of 0', withBody(4, [wire(holdOfB), 3, 0, none, none, 1])],
    ['a release alone of 0', withBody(5, [wire(holdOfA), 3, [], 0])],
  ])('%s', (_what, sealed) => {
    expect(refusalOf(sealed)).toBeUndefined();
  });
});

describe('signatures', () => {
  test("property 7: another network's or tag's signature is rejected", () => {
    const theirs = new Writer(other, 'A').claim(holdOfB, 5n);
    expect(refusalOf(theirs.sealed)).toBe('wrong_network');
    expect(refusalOf(theirs.sealed, other)).toBeUndefined();
    // Their voucher within an entry of ours.
    expect(refusalOf(new Writer(mesh, 'A').write(theirs.body).sealed)).toBe('signature');
    const tags: Signed[] = ['profile', 'beat', 'descriptor', 'voucher', 'attestation', 'checkpoint'];
    for (const tag of tags) expect(refusalOf(sealedOver(cbor(transferFields), tag))).toBe('signature');
    expect(refusalOf(sealedOver(cbor(transferFields), 'entry', b.signer))).toBe('signature');
    expect(refusalOf(sealedOver(cbor(transferFields), 'entry'))).toBeUndefined();
  });

  test('property 8: an entry with any flipped bit is refused', () => {
    const claim = new Writer(mesh, 'A').claim(holdOfB, 5n).sealed;
    const opened: number[] = [];
    for (let bit = 0; bit < claim.length * 8; bit++) {
      const flipped = Uint8Array.from(claim);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      if (refusalOf(flipped) === undefined) opened.push(bit);
    }
    expect(opened).toEqual([]);
  });
});
