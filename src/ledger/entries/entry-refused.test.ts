import { describe, expect, test } from 'vitest';
import { encode } from '../../protocol/cbor.ts';
import { bytes } from '../../testing/ledger/authors.ts';
import {
  a,
  b,
  cbor,
  GENESIS,
  hash32,
  holdOfA,
  holdOfB,
  mesh,
  none,
  Raw,
  refusalOf,
  sealedOver,
  someId,
  transferFields,
  voucher64,
  wire,
  withBody,
  withField,
} from '../../testing/ledger/raw-entry.ts';
import type { EntryName } from './entry.ts';
import { openEntry } from './entry-codec.ts';

/** A name as CBOR. */
const hexOf = (name: EntryName) => cbor(wire(name)).toString('hex');

describe('refused, although rightly signed:', () => {
  test.each<[string, Uint8Array]>([
    ['version 0', withField(0, 0)],
    ['version 2', withField(0, 2)],
    ['a short networkId', withField(1, new Uint8Array(31))],
    ['a short author', withField(2, new Uint8Array(31))],
    ['a sequence of 2^53', withField(3, 2n ** 53n)],
    ['a sequence of 2^64 - 1', withField(3, 2n ** 64n - 1n)],
    ['a previous at sequence 0 that is not the networkId', withField(4, hash32)],
    ['a previous of 33 bytes', sealedOver(cbor(transferFields.with(3, 1).with(4, new Uint8Array(33))))],
    ['a timestamp of 2^53', withField(5, 2n ** 53n)],
    ['kind 0', withField(6, 0)],
    ['kind 6', withField(6, 6)],
    ['kind as text', withField(6, '1')],
    ['a body that is no array', withField(7, 1)],
    ['a field too few', sealedOver(cbor(transferFields.slice(0, 7)))],
    ['a field too many', sealedOver(cbor([...transferFields, 0]))],
    ['a transfer of 0', withBody(1, [bytes(b.id), 0, ''])],
    ['a transfer above the genesis amount', withBody(1, [bytes(b.id), GENESIS + 1n, ''])],
    ['a transfer of 2^64 - 1', withBody(1, [bytes(b.id), 2n ** 64n - 1n, ''])],
    ['a transfer to its author', withBody(1, [bytes(a.id), 5, ''])],
    ['a memo of 129 bytes', withBody(1, [bytes(b.id), 5, 'x'.repeat(129)])],
    ['a memo of 65 letters in 130 bytes', withBody(1, [bytes(b.id), 5, 'é'.repeat(65)])],
    ['a memo of bytes', withBody(1, [bytes(b.id), 5, none])],
    ['a transfer without a memo', withBody(1, [bytes(b.id), 5])],
    ['an accept of nothing', withBody(2, [])],
    ['an accept of two', withBody(2, [wire(holdOfA), wire(holdOfB)])],
    ['an accept whose name is a bare id', withBody(2, [hash32])],
    ['an accept with a sequence of 2^53', withBody(2, [[hash32, 2n ** 53n, hash32]])],
    ['a hold of no leg', withBody(3, [])],
    [
      'a hold of five legs',
      withBody(
        3,
        [1, 2, 3, 4, 5].map((n) => [new Uint8Array(32).fill(n), n]),
      ),
    ],
    [
      'a hold with a payee twice',
      withBody(3, [
        [bytes(b.id), 1],
        [bytes(b.id), 2],
      ]),
    ],
    [
      'a hold for its author',
      withBody(3, [
        [bytes(b.id), 1],
        [bytes(a.id), 2],
      ]),
    ],
    ['a leg of 0', withBody(3, [[bytes(b.id), 0]])],
    ['a leg above the genesis amount', withBody(3, [[bytes(b.id), GENESIS + 1n]])],
    ['a claim of an own hold', withBody(4, [wire(holdOfA), 0, 0, none, none, 0])],
    ['a claim of leg 4', withBody(4, [wire(holdOfB), 4, 0, none, none, 0])],
    ['a claim of 0 with a receipt hash', withBody(4, [wire(holdOfB), 0, 0, hash32, none, 0])],
    ['a claim of 0 with a voucher', withBody(4, [wire(holdOfB), 0, 0, none, voucher64, 0])],
    ['a claim without a receipt hash', withBody(4, [wire(holdOfB), 0, 5, none, voucher64, 0])],
    ['a claim without a voucher', withBody(4, [wire(holdOfB), 0, 5, hash32, none, 0])],
    ['a claim above the genesis amount', withBody(4, [wire(holdOfB), 0, GENESIS + 1n, hash32, voucher64, 0])],
    ['a claim with last 2', withBody(4, [wire(holdOfB), 0, 0, none, none, 2])],
    ['a claim with last true', withBody(4, [wire(holdOfB), 0, 0, none, none, true])],
    ["a release of another's hold", withBody(5, [wire(holdOfB), 0, wire(holdOfB)])],
    ['a release of leg 4', withBody(5, [wire(holdOfA), 4, wire(holdOfB)])],
    ['a release by no claim', withBody(5, [wire(holdOfA), 0, []])],
    ['a release by a claim and a cumulative', withBody(5, [wire(holdOfA), 0, wire(holdOfB), 0])],
    ['a release alone above the genesis amount', withBody(5, [wire(holdOfA), 0, [], GENESIS + 1n])],
    ['a release alone without a cumulative', withBody(5, [wire(holdOfA), 0, [], null])],
  ])('%s', (_what, sealed) => {
    expect(refusalOf(sealed)).toBe('protocol_violation');
  });

  /** Other encodings, of the value 7 or of nothing at all, in the place of a number. */
  const oddNumbers = {
    'float 7 of 16 bits': '4700'.padStart(6, 'f9'),
    'float 7 of 32 bits': 'fa40e00000',
    'float 7 of 64 bits': 'fb401c000000000000',
    'minus zero': 'f98000',
    'float 2^60': 'fa5d800000',
    infinity: 'f97c00',
    'not a number': 'f97e00',
    'a negative': '26',
    'minus 2^64': '3bffffffffffffffff',
    null: 'f6',
    undefined: 'f7',
    true: 'f5',
    'simple value 24': 'f818',
    'seven in two bytes': '1807',
    'seven in three bytes': '190007',
    'seven in five bytes': '1a00000007',
    'seven in nine bytes': '1b0000000000000007',
    'a bignum of 7': 'c24107',
    'a tagged 7': 'c107',
    'a tag of tags': 'c1c1c107',
    'an empty map': 'a0',
    'a map': 'a10707',
    'an array': '8107',
    'text 7': '6137',
    'bytes 7': '4107',
    'a break': 'ff',
    'a list without a length': '9f07ff',
    'a reserved length': '1c',
    nothing: '',
  };
  const numberPlaces: readonly (readonly [what: string, at: (raw: Raw) => Uint8Array])[] = [
    ['version', (raw) => withField(0, raw)],
    ['sequence', (raw) => withField(3, raw)],
    ['timestamp', (raw) => withField(5, raw)],
    ['kind', (raw) => withField(6, raw)],
    ['amount', (raw) => withBody(1, [bytes(b.id), raw, ''])],
    ['max', (raw) => withBody(3, [[bytes(b.id), raw]])],
    ['leg', (raw) => withBody(4, [wire(holdOfB), raw, 0, none, none, 0])],
    ['cumulative', (raw) => withBody(4, [wire(holdOfB), 0, raw, none, none, 0])],
    ['last', (raw) => withBody(4, [wire(holdOfB), 0, 0, none, none, raw])],
    ['sequence of a name', (raw) => withBody(2, [[hash32, raw, hash32]])],
    ['cumulative of a release', (raw) => withBody(5, [wire(holdOfA), 0, [], raw])],
  ];
  test.each(numberPlaces)('odd numbers as %s', (_what, at) => {
    const opened = Object.entries(oddNumbers).filter(([, raw]) => refusalOf(at(new Raw(raw))) !== 'protocol_violation');
    expect(opened).toEqual([]);
  });

  const key = Buffer.from(b.id, 'hex');
  test.each<[string, Uint8Array]>([
    ['a key in two pieces', withBody(1, [new Raw(`5f50${b.id.slice(0, 32)}50${b.id.slice(32)}ff`), 5, ''])],
    ['a key with a longer length than needed', withBody(1, [new Raw(`590020${b.id}`), 5, ''])],
    ['a key as text', withBody(1, [new Raw(`7820${'61'.repeat(32)}`), 5, ''])],
    ['a key as numbers', withBody(1, [[...key].map((byte) => byte & 1).slice(0, 20), 5, ''])],
    ['a tagged key', withBody(1, [new Raw(`d8405820${b.id}`), 5, ''])],
    ['a byte order mark', withBody(1, [key, 5, new Raw('64efbbbf61')])],
    ['a byte order mark alone', withBody(1, [key, 5, new Raw('63efbbbf')])],
    ['half a surrogate pair', withBody(1, [key, 5, new Raw('63eda080')])],
    ['an overlong letter', withBody(1, [key, 5, new Raw('62c1a1')])],
    ['half a letter', withBody(1, [key, 5, new Raw('61c3')])],
    ['text without a length', withBody(1, [key, 5, new Raw('7f6161ff')])],
    ['text with a longer length than needed', withBody(1, [key, 5, new Raw('780161')])],
    ['an array without a length', withBody(2, [new Raw(`9f5820${b.id}005820${someId}ff`)])],
    ['an array with a longer length than needed', withBody(2, [new Raw(`98035820${b.id}005820${someId}`)])],
    ['a claim that says it has seven fields, and has six', withBody(4, new Raw(`87${hexOf(holdOfB)}0000404000`))],
    ['a list within a release that takes the cumulative in', withBody(5, new Raw(`84${hexOf(holdOfA)}008105`))],
    ['a byte behind the payload', sealedOver(Buffer.concat([cbor(transferFields), Buffer.of(0)]))],
    ['a payload that is a map', sealedOver(Buffer.from('a0', 'hex'))],
    ['an empty payload', sealedOver(none)],
    ['a nesting bomb as payload', sealedOver(Buffer.alloc(900, 0x81))],
    ['a nesting bomb of tags', sealedOver(Buffer.alloc(900, 0xc1))],
    ['an array that says it has 2^32 - 1', sealedOver(Buffer.from('9affffffff', 'hex'))],
    ['an array that says it has 2^64 - 1', sealedOver(Buffer.from('9bffffffffffffffff', 'hex'))],
    ['bytes that say they are 2^64 - 1', sealedOver(Buffer.from('885bffffffffffffffff', 'hex'))],
  ])('%s', (_what, sealed) => {
    expect(refusalOf(sealed)).toBe('protocol_violation');
  });

  const right = sealedOver(cbor(transferFields));
  test.each<[string, Uint8Array]>([
    ['a byte behind the envelope', Buffer.concat([right, Buffer.of(0)])],
    ['an envelope without a length', Buffer.concat([Buffer.of(0x9f), right.subarray(1), Buffer.of(0xff)])],
    ['an envelope of three', Buffer.concat([Buffer.of(0x83), right.subarray(1), Buffer.of(0)])],
    ['a tagged envelope', Buffer.concat([Buffer.of(0xc1), right])],
    ['a signature of 63 bytes', encode([cbor(transferFields), new Uint8Array(63)])],
    ['a payload that is not bytes', encode([transferFields, new Uint8Array(64)])],
    ['nothing', none],
    ['more than 1,024 bytes', new Uint8Array(1_025)],
    ['a nesting bomb of a megabyte', Buffer.alloc(1 << 20, 0x81)],
    ['a nesting bomb that just fits', Buffer.alloc(1_024, 0x81)],
  ])('%s', (_what, sealed) => {
    expect(refusalOf(right)).toBeUndefined();
    expect(refusalOf(sealed)).toBe('protocol_violation');
  });
  test('more than 1,024 bytes, before anything in them is looked at', () => {
    expect(() => openEntry(Buffer.alloc(1 << 20, 0x81), mesh)).toThrow(/more than 1024 bytes/);
  });
});
