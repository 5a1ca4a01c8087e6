import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { GoGridError } from '../../errors.ts';
import { decode, decodeCanonical, encode } from '../../protocol/cbor.ts';
import { bytes, hex, Writer } from '../../testing/ledger/authors.ts';
import {
  a,
  cbor,
  GENESIS,
  holdOfA,
  holdOfB,
  mesh,
  none,
  Raw,
  refusalOf,
  voucher64,
  wire,
} from '../../testing/ledger/raw-entry.ts';
import type { Entry, EntryBody } from './entry.ts';
import { readEntry } from './entry-codec.ts';

describe('whatever bytes come', () => {
  const samples: readonly Entry[] = samplesOf();

  test('only an error of ours is thrown, and only what was signed opens', () => {
    const known = new Set(samples.map(({ sealed }) => hex(sealed)));
    fc.assert(
      fc.property(mutated(samples), (sealed) => {
        expect(refusalOf(sealed) === undefined).toBe(known.has(hex(sealed)));
      }),
      { numRuns: 2_000 },
    );
  });

  test('cborg and a schema take and refuse the same, and what is read is what its author encodes, bit by bit', () => {
    // Bytes changed at random are hardly ever well-formed: so values are changed too, and single ones encoded in an odd way.
    const counts = { read: 0, refused: 0 };
    const payloads = fc.oneof(mutatedPayloads(samples), changedValues(samples), oddlyEncoded(samples));
    fc.assert(
      fc.property(payloads, (payload) => {
        const entry = readOrRefused(payload);
        expect(entry !== undefined).toBe(isTakenByReference(payload));
        counts[entry === undefined ? 'refused' : 'read']++;
        if (entry === undefined) return;
        const { author, sequence, previous, timestamp, body } = entry;
        const kind = 1 + ['transfer', 'accept', 'hold', 'claim', 'release'].indexOf(body.kind);
        const fields = [bytes(author), sequence, bytes(previous), timestamp, kind, wireBody(body)];
        expect(hex(encode([1, mesh.networkId, ...fields]))).toBe(hex(payload));
      }),
      { numRuns: 5_000 },
    );
    expect(counts.read).toBeGreaterThan(200);
    expect(counts.refused).toBeGreaterThan(1_000);
  });
});

/* ---- docs/ledger.md once more, in cborg's words and a schema's ---- */

const key = z.instanceof(Uint8Array).refine(({ length }) => length === 32);
const size = (length: number) => z.instanceof(Uint8Array).refine((some) => some.length === length);
const uint = z.int().min(0);
const microcredits = (min: bigint) =>
  z
    .union([z.int(), z.bigint()])
    .transform(BigInt)
    .refine((amount) => amount >= min && amount <= GENESIS);
const name = z.tuple([key, uint, key]);
const legNumber = uint.max(3);
const notOfA = key.refine((payee) => hex(payee) !== a.id);
const bodies: Readonly<Record<number, z.ZodType>> = {
  1: z.tuple([notOfA, microcredits(1n), z.string().refine((memo) => Buffer.byteLength(memo) <= 128)]),
  2: z.tuple([name]),
  3: z
    .array(z.tuple([notOfA, microcredits(1n)]))
    .min(1)
    .max(4)
    .refine((legs) => new Set(legs.map(([payee]) => hex(payee))).size === legs.length),
  4: z.union([
    z.tuple([name, legNumber, z.literal(0), size(0), size(0), uint.max(1)]),
    z.tuple([name, legNumber, microcredits(1n), size(32), size(64), uint.max(1)]),
  ]),
  5: z.union([z.tuple([name, legNumber, name]), z.tuple([name, legNumber, z.tuple([]), microcredits(0n)])]),
};
const payloadOfA = z
  .tuple([z.literal(1), key, key, uint, key, uint, uint.min(1).max(5), z.unknown()])
  .refine(([, network]) => hex(network) === hex(mesh.networkId))
  .refine(([, , , sequence, previous]) => sequence > 0 || hex(previous) === hex(mesh.networkId))
  // The fuzzed payloads are of A; of others only the schema of a body that names its author differs.
  .refine(([, , author, , , , kind, body]) => hex(author) === a.id && bodies[kind]?.safeParse(body).success === true)
  .refine(([, , , , , , kind, body]) => kind !== 4 || hex((body as Uint8Array[][])[0]![0]!) !== a.id)
  .refine(([, , , , , , kind, body]) => kind !== 5 || hex((body as Uint8Array[][])[0]![0]!) === a.id);

function isTakenByReference(payload: Uint8Array): boolean {
  try {
    return payloadOfA.safeParse(decodeCanonical(payload, 'x')).success;
  } catch {
    return false;
  }
}

/** Only payloads of A are compared: all others count as refused. */
function readOrRefused(payload: Uint8Array): Entry | undefined {
  try {
    const entry = readEntry(encode([payload, new Uint8Array(64)]), mesh);
    return entry.author === a.id ? entry : undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(GoGridError);
    return undefined;
  }
}

/* ---- what is tried ---- */

function samplesOf(): Entry[] {
  const writer = new Writer(mesh, 'A');
  return [
    writer.transfer('B', 2n ** 60n, 'thanks'),
    writer.accept(holdOfB),
    writer.hold(['B', 5n], ['C', 300n], ['D', 2n ** 53n]),
    writer.claim(holdOfB, 1_000n, { leg: 1, last: true }),
    writer.claim(holdOfB, 0n),
    writer.release(holdOfA, holdOfB),
    writer.releaseAlone(holdOfA, 70_000n, 2),
  ];
}

/** Random bytes, and entries of which bytes were changed, cut out, put in, or joined from two. */
function mutated(from: readonly Entry[]): fc.Arbitrary<Uint8Array> {
  return mutatedBytes(from.map(({ sealed }) => sealed));
}

function mutatedPayloads(from: readonly Entry[]): fc.Arbitrary<Uint8Array> {
  return mutatedBytes(from.map(({ sealed }) => (decode(sealed, 'x') as Uint8Array[])[0]!)).filter(
    ({ length }) => length < 900,
  );
}

function mutatedBytes(from: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const one = fc.constantFrom(...from);
  const pieces = { head: fc.nat(400), cut: fc.nat(3), put: fc.uint8Array({ maxLength: 4 }) };
  return fc.oneof(
    fc.uint8Array({ maxLength: 1_100 }),
    one,
    fc.tuple(one, pieces.head, pieces.cut, pieces.put).map(([sealed, head, cut, put]) => {
      const at = head % sealed.length;
      return new Uint8Array(Buffer.concat([sealed.subarray(0, at), put, sealed.subarray(at + cut)]));
    }),
    fc.tuple(one, one, pieces.head).map(([left, right, head]) => {
      return new Uint8Array(Buffer.concat([left.subarray(0, head), right.subarray(head)]));
    }),
  );
}

/** Payloads of which one value, at any depth, is another one. */
function changedValues(from: readonly Entry[]): fc.Arbitrary<Uint8Array> {
  const values = fc.oneof(
    fc.constantFrom<unknown>(0, 1, 5, -1, 1.5, 2 ** 60, 2n ** 53n, 2n ** 64n - 1n, null, true, '', none, [], voucher64),
    fc.uint8Array({ minLength: 32, maxLength: 32 }),
    fc.string({ unit: 'binary' }),
    fc.maxSafeNat(),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  );
  return fc.tuple(fc.constantFrom(...from), fc.array(fc.nat(7), { minLength: 1, maxLength: 3 }), values).map((all) => {
    const [{ sealed }, path, value] = all;
    return encode(changedAt(decode((decode(sealed, 'x') as Uint8Array[])[0]!, 'x'), path, value));
  });
}

/** Payloads of which one value, at any depth, is encoded as no author would: another form of a number, a tag, cut off. */
function oddlyEncoded(from: readonly Entry[]): fc.Arbitrary<Uint8Array> {
  const odd = [
    'f90000',
    'f93c00',
    'fa3f800000',
    'f98000',
    'fb3ff0000000000000',
    '1801',
    '190001',
    '1a00000001',
    'c101',
  ];
  const odder = [
    '1b0000000000000001',
    '20',
    'f6',
    'f7',
    'f4',
    'a0',
    '80',
    '40',
    '60',
    'ff',
    '9fff',
    '5fff',
    '1c',
    'c24101',
  ];
  const rare = ['1b0020000000000000', '1b001fffffffffffff', '1b7fffffffffffffff', '1bffffffffffffffff', '63efbbbf'];
  const raw = fc.oneof(
    fc.constantFrom(...odd, ...odder, ...rare),
    fc.uint8Array({ maxLength: 6 }).map((some) => Buffer.from(some).toString('hex')),
  );
  return fc.tuple(fc.constantFrom(...from), fc.array(fc.nat(7), { minLength: 1, maxLength: 3 }), raw).map((all) => {
    const [{ sealed }, path, bytesOfIt] = all;
    const tree = decode((decode(sealed, 'x') as Uint8Array[])[0]!, 'x');
    return new Uint8Array(cbor(changedAt(tree, path, new Raw(bytesOfIt))));
  });
}

function changedAt(tree: unknown, [at, ...rest]: readonly number[], value: unknown): unknown {
  if (at === undefined || !Array.isArray(tree)) return value;
  return tree.map((item, index) => (index === at % tree.length ? changedAt(item, rest, value) : item));
}

/** A body as the table of docs/ledger.md has it, by the test's own reading of it. */
function wireBody(what: EntryBody): unknown {
  switch (what.kind) {
    case 'transfer':
      return [bytes(what.to), what.amount, what.memo];
    case 'accept':
      return [wire(what.transfer)];
    case 'hold':
      return what.legs.map(({ payee, max }) => [bytes(payee), max]);
    case 'claim':
      return [wire(what.hold), what.leg, what.cumulative, what.receiptHash, what.voucherSignature, Number(what.last)];
    case 'release':
      return [wire(what.hold), what.leg, ...('claim' in what.rest ? [wire(what.rest.claim)] : [[], what.rest.alone])];
  }
}
