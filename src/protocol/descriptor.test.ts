import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DESCRIPTOR } from '../limits/mesh.ts';
import { decode, encode } from './cbor.ts';
import {
  ADMISSION_RULES,
  createDescriptor,
  isLocal,
  LOCAL_DESCRIPTOR,
  type NetworkDescriptor,
  openDescriptor,
  reissue,
  sealDescriptor,
  supersedes,
} from './descriptor.ts';
import { readDescriptor, writeDescriptor } from './descriptor-file.ts';
import { LOCAL_NETWORK, networkIdOf, nodeIdOf } from './ids.ts';
import { type Signer, signerFromSeed } from './signature.ts';

const founder = signerFromSeed(new Uint8Array(32).fill(1));
const stranger = signerFromSeed(new Uint8Array(32).fill(2));
const address = `/ip4/192.168.1.10/tcp/8443/p2p/${nodeIdOf(founder.publicKey)}`;
const made = createDescriptor(
  { name: 'home', genesisMicrocredits: 5_000_000n, createdAt: 1_763_707_725_000 },
  { bootstrap: [address], params: { window: 3, note: 'hello' } },
  founder,
);

const keys = fc.uint8Array({ minLength: 32, maxLength: 32 }).filter((bytes) => bytes.length === 32);
const params = fc.dictionary(
  fc.stringMatching(/^[a-z][a-z0-9_.]{0,20}$/),
  fc.oneof(fc.nat(2 ** 40), fc.stringMatching(/^[ -~]{0,40}$/)),
  { maxKeys: 8 },
);
const descriptors = fc
  .record({
    seed: keys,
    name: fc.stringMatching(/^[\p{L}\p{N} _.-]{1,60}$/u).filter((name) => name.trim() !== '' && name !== 'local'),
    genesisMicrocredits: fc.bigInt(0n, DESCRIPTOR.maxGenesisMicrocredits),
    createdAt: fc.nat(2 ** 43),
    admission: fc.constantFrom(...ADMISSION_RULES),
    bootstrap: fc.array(fc.integer({ min: 1, max: 65_535 }), { maxLength: 5 }),
    witnesses: fc.uniqueArray(keys, { maxLength: 4, selector: (bytes) => Buffer.from(bytes).toString('hex') }),
    params,
  })
  .filter(({ name }) => name.length <= DESCRIPTOR.maxNameChars)
  .map(({ seed, name, genesisMicrocredits, createdAt, bootstrap, ...terms }) => {
    const signer = signerFromSeed(seed);
    const addresses = bootstrap.map((port) => `/dns4/example.org/tcp/${port}/p2p/${nodeIdOf(signer.publicKey)}`);
    return createDescriptor({ name, genesisMicrocredits, createdAt }, { ...terms, bootstrap: addresses }, signer);
  });

describe('the mesh `local`', () => {
  test('is the one that every version knows, and needs no signature', () => {
    expect(LOCAL_DESCRIPTOR.networkId).toEqual(networkIdOf(LOCAL_NETWORK));
    expect(Buffer.from(LOCAL_DESCRIPTOR.networkId).toString('hex')).toBe(
      '5e0437037537bd6fbf1c891fde3111c929e56bc10b21c37db1648cf1c8dd85b2',
    );
    expect(isLocal(LOCAL_DESCRIPTOR)).toBe(true);
    expect(isLocal(made)).toBe(false);
  });

  test('cannot be written down, sent or reissued by anybody', () => {
    expect(() => readDescriptor(writeDescriptor(LOCAL_DESCRIPTOR))).toThrow();
    expect(() => openDescriptor(sealDescriptor(LOCAL_DESCRIPTOR))).toThrow(/founder/);
    expect(() => reissue(LOCAL_DESCRIPTOR, { bootstrap: [] }, founder)).toThrow(/no founder/);
    expect(() => createDescriptor({ ...made.core, name: 'local' }, {}, founder)).toThrow(/'local'/);
  });
});

describe('a descriptor', () => {
  test('is what it was, after the wire and after the file', () => {
    fc.assert(
      fc.property(descriptors, (descriptor) => {
        expect(openDescriptor(sealDescriptor(descriptor))).toEqual(descriptor);
        expect(readDescriptor(writeDescriptor(descriptor))).toEqual(descriptor);
      }),
      { numRuns: 60 },
    );
  });

  test('has the id of its core, whatever its terms', () => {
    expect(made.networkId).toEqual(networkIdOf(made.core));
    expect(reissue(made, { admission: 'confirm' }, founder).networkId).toEqual(made.networkId);
  });

  test('with any bit changed is refused', () => {
    const bytes = sealDescriptor(made);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Uint8Array.from(bytes);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => openDescriptor(flipped), `bit ${bit}`).toThrow();
    }
  });

  test('with any character of its file changed is refused, or says the same', () => {
    const text = writeDescriptor(made);
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.constantFrom(...'0123456789abcdef"{}[],: xZ'), (at, char) => {
        const changed = text.slice(0, at) + char + text.slice(at + 1);
        let read: NetworkDescriptor | undefined;
        try {
          read = readDescriptor(changed);
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid_descriptor' });
        }
        if (read !== undefined) expect(read).toEqual(made);
      }),
      { numRuns: 1_000 },
    );
  });

  test('signed by another key is refused, also where that key stands as founder', () => {
    const other = createDescriptor(made.core, made.terms, stranger);
    expect(() => openDescriptor(sealDescriptor({ ...made, signature: other.signature }))).toThrow(/signature/);
    // With the other's key in its core it is another mesh, and none of this one.
    expect(supersedes(other, made)).toBe(false);
    expect(() => reissue(made, { bootstrap: [] }, stranger)).toThrow(expect.objectContaining({ code: 'not_founder' }));
  });

  test('has one encoding: any other of the same values is refused', () => {
    const [payload, signature] = decode(sealDescriptor(made), 'x') as [Uint8Array, Uint8Array];
    // The array of two, written with its length in a byte of its own.
    const longer = Uint8Array.of(0x98, 0x02, ...payload.subarray(1));
    expect(() => openDescriptor(encode([longer, signature]))).toThrow(/CBOR/);
    expect(() => openDescriptor(encode([payload, signature, 1]))).toThrow(/\[payload, signature\]/);
    // Parameters in another order are other bytes: signed or not, nobody takes them.
    const [core, terms] = decode(payload, 'x') as [unknown[], unknown[]];
    const turned = encode([core, [...terms.slice(0, 4), (terms[4] as unknown[]).toReversed()]]);
    const signed = signOver(turned, founder);
    expect(() => openDescriptor(encode([turned, signed]))).toThrow(/params is not in order/);
  });

  test('never brings down who reads it', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), fc.uint8Array(), (text, bytes) => {
        expect(() => readDescriptor(text)).toThrow(expect.objectContaining({ code: 'invalid_descriptor' }));
        expect(() => openDescriptor(bytes)).toThrow(expect.objectContaining({ code: 'protocol_violation' }));
      }),
    );
    const bomb = '['.repeat(200_000);
    expect(() => readDescriptor(bomb)).toThrow(expect.objectContaining({ code: 'invalid_descriptor' }));
  });
});

/** A genuine signature over a payload that this program would not write. */
function signOver(payload: Uint8Array, signer: Signer): Uint8Array {
  return signer.sign(Buffer.concat([Buffer.from('gogrid/descriptor/1\0'), payload]));
}

describe('bounds', () => {
  const make = (core: object, terms: object = {}) =>
    createDescriptor({ name: 'home', genesisMicrocredits: 0n, createdAt: 1, ...core }, terms, founder);

  test.each([
    ['an empty name', { name: '' }, {}, /^name is empty/],
    ['a name of blanks', { name: '   ' }, {}, /^name is empty/],
    ['a name that moves a cursor', { name: 'a\u001b[2Jb' }, {}, /^name has a character/],
    ['a name that turns its text around', { name: 'a\u202eb' }, {}, /^name has a character/],
    ['a long name', { name: 'x'.repeat(65) }, {}, /^name is longer than 64/],
    ['2^63 microcredits', { genesisMicrocredits: 2n ** 63n }, {}, /^genesisMicrocredits is not between/],
    ['less than nothing', { genesisMicrocredits: -1n }, {}, /^genesisMicrocredits/],
    ['half a millisecond', { createdAt: 1.5 }, {}, /^createdAt/],
    ['an address without an id', {}, { bootstrap: [address, '/ip4/1.2.3.4/tcp/1'] }, /^bootstrap 2 is not a multiaddr/],
    ['an address with a blank', {}, { bootstrap: [`/dns/a b/tcp/1/p2p/${address.slice(-52)}`] }, /^bootstrap 1/],
    ['65 addresses', {}, { bootstrap: Array(65).fill(address) }, /^bootstrap has more than 64/],
    ['a rule of its own', {}, { admission: 'friends' }, /^admission is none of all, confirm, members/],
    [
      '33 witnesses',
      {},
      { witnesses: Array.from({ length: 33 }, (_, at) => new Uint8Array(32).fill(at)) },
      /^witnesses/,
    ],
    ['a witness twice', {}, { witnesses: [founder.publicKey, founder.publicKey] }, /^witnesses names a key twice/],
    ['half a key', {}, { witnesses: [new Uint8Array(16)] }, /^witnesses 1 is not a public key/],
    ['an odd parameter', {}, { params: { A: 1 } }, /^params 1/],
    ['a long parameter', {}, { params: { a: 'x'.repeat(129) } }, /^params 1/],
    ['a parameter below 0', {}, { params: { a: -1 } }, /^params 1/],
    [
      '33 parameters',
      {},
      { params: Object.fromEntries(Array.from({ length: 33 }, (_, at) => [`p${at}`, at])) },
      /^params/,
    ],
  ])('%s is refused by name', (_, core, terms, sentence) => {
    expect(() => make(core, terms)).toThrow(expect.objectContaining({ code: 'invalid_descriptor' }));
    expect(() => make(core, terms)).toThrow(sentence);
  });

  test('the largest that they allow fits what is sent and what is read', () => {
    const largest = make(
      { name: '木'.repeat(64), genesisMicrocredits: DESCRIPTOR.maxGenesisMicrocredits, createdAt: 2 ** 53 - 1 },
      {
        bootstrap: Array(DESCRIPTOR.maxBootstrap).fill(`/dns/${'x'.repeat(188)}/tcp/1/p2p/${address.slice(-52)}`),
        witnesses: Array.from({ length: DESCRIPTOR.maxWitnesses }, (_, at) => new Uint8Array(32).fill(at)),
        params: Object.fromEntries(
          Array.from({ length: DESCRIPTOR.maxParams }, (_, at) => [
            `p${String(at).padStart(63, '0')}`,
            '木'.repeat(128),
          ]),
        ),
      },
    );
    expect(largest.terms.bootstrap[0]!.length).toBeGreaterThan(250);
    expect(sealDescriptor(largest).length).toBeLessThan(DESCRIPTOR.maxBytes);
    expect(writeDescriptor(largest).length).toBeLessThan(DESCRIPTOR.maxFileBytes);
    expect(() => openDescriptor(new Uint8Array(DESCRIPTOR.maxBytes + 1))).toThrow(/more than/);
  });
});

describe('the file', () => {
  const changed = (changes: object) => JSON.stringify({ ...JSON.parse(writeDescriptor(made)), ...changes });

  test('is readable: bytes as hex, credits as a decimal text', () => {
    expect(JSON.parse(writeDescriptor(made))).toMatchObject({
      name: 'home',
      founder: Buffer.from(founder.publicKey).toString('hex'),
      genesisMicrocredits: '5000000',
      bootstrap: [address],
      admission: 'all',
      revision: 1,
    });
  });

  test.each([
    ['another name', { name: 'hom3' }, /signature/],
    ['more credits', { genesisMicrocredits: '5000001' }, /signature/],
    ['another revision', { revision: 2 }, /signature/],
    ['another address', { bootstrap: [] }, /signature/],
    ['another id', { networkId: '00'.repeat(32) }, /networkId is not/],
    ['a field beside it', { motto: 'x' }, /knows no field 'motto'/],
    ['no signature', { signature: undefined }, /signature is missing/],
    ['credits as a number', { genesisMicrocredits: 5 }, /genesisMicrocredits is missing or of the wrong kind/],
    ['credits with a nought in front', { genesisMicrocredits: '05000000' }, /genesisMicrocredits/],
    ['a version of the future', { version: 2 }, /version is not 1/],
  ])('with %s is refused', (_, changes, sentence) => {
    expect(() => readDescriptor(changed(changes))).toThrow(sentence);
  });
});

describe('a reissue', () => {
  test('has the next revision, and changes what it was told to', () => {
    const next = reissue(made, { admission: 'confirm' }, founder);
    expect(next.terms).toEqual({ ...made.terms, revision: 2, admission: 'confirm' });
    expect(openDescriptor(sealDescriptor(next))).toEqual(next);
  });

  test('cannot change the witnesses before there is a ledger', () => {
    const withOne = createDescriptor(made.core, { witnesses: [stranger.publicKey] }, founder);
    const same = { witnesses: [Uint8Array.from(stranger.publicKey)] };
    expect(reissue(withOne, same, founder).terms.revision).toBe(2);
    for (const witnesses of [[], [founder.publicKey]]) {
      expect(() => reissue(withOne, { witnesses }, founder)).toThrow(/needs the ledger/);
    }
  });

  test('supersedes what was before, of its own mesh only', () => {
    const next = reissue(made, {}, founder);
    const other = reissue(createDescriptor({ ...made.core, name: 'other' }, {}, founder), {}, founder);
    expect(supersedes(next, made)).toBe(true);
    expect(supersedes(made, next)).toBe(false);
    expect(supersedes(made, made)).toBe(false);
    expect(supersedes(other, made)).toBe(false);
  });

  test('of one revision, signed twice: every node keeps the same one, whatever it heard first', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 65_535 }), { minLength: 2, maxLength: 6 }), (ports) => {
        const drawn = ports.map((port) => reissue(made, { params: { port } }, founder));
        const keep = (order: readonly NetworkDescriptor[]) =>
          order.reduce((held, heard) => (supersedes(heard, held) ? heard : held), made);
        expect(keep(drawn.toReversed())).toEqual(keep(drawn));
        expect(keep([...drawn.slice(1), drawn[0]!])).toEqual(keep(drawn));
      }),
      { numRuns: 30 },
    );
  });
});
