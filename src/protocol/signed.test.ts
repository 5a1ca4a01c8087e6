import { generateKeyPairSync } from 'node:crypto';
import { Point } from '@noble/ed25519';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MESH } from '../limits/mesh.ts';
import { profileWith } from '../testing/builders.ts';
import { NODE_STATUSES, openBeat, sealBeat } from './beat.ts';
import { decode, decodeCanonical, encode } from './cbor.ts';
import { open, seal } from './envelope.ts';
import { isNodeId, LOCAL_NETWORK, networkIdOf, newJobId, nodeIdOf, publicKeyOf } from './ids.ts';
import { openProfile, sealProfile } from './profile.ts';
import { signerFromSeed, verifySignature } from './signature.ts';

const network = networkIdOf(LOCAL_NETWORK);
const signer = signerFromSeed(new Uint8Array(32).fill(7));
const beat = { sequence: 1, status: 'idle', queueDepth: 0, running: 0, profileNumber: 1, ttlMs: 90_000 } as const;

describe('identities', () => {
  test('a PeerId holds its public key', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
        expect(publicKeyOf(nodeIdOf(key))).toEqual(key);
      }),
    );
    expect(nodeIdOf(signer.publicKey)).toMatch(/^12D3Koo/);
  });

  test('other text is no PeerId', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String()), (text) => {
        expect(isNodeId(text)).toBe(false);
      }),
    );
  });

  test('the id of the mesh `local` never changes', () => {
    expect(Buffer.from(network).toString('hex')).toBe(
      '5e0437037537bd6fbf1c891fde3111c929e56bc10b21c37db1648cf1c8dd85b2',
    );
  });

  test('job ids are UUIDs of version 7 and sort by time', () => {
    fc.assert(
      fc.property(
        fc.nat(2 ** 47),
        fc.nat(1000),
        fc.uint8Array({ minLength: 10, maxLength: 10 }),
        (at, later, random) => {
          const id = newJobId(at, random);
          expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
          if (later > 0) expect(newJobId(at + later, random) > id).toBe(true);
        },
      ),
    );
  });
});

describe('signatures', () => {
  test('stand for what was signed and for nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.nat(63 * 8), (bytes, bit) => {
        const signature = signer.sign(bytes);
        expect(verifySignature(signer.publicKey, bytes, signature)).toBe(true);
        const flipped = Uint8Array.from(signature);
        flipped[bit >> 3]! ^= 1 << (bit & 7);
        expect(verifySignature(signer.publicKey, bytes, flipped)).toBe(false);
        expect(verifySignature(signer.publicKey, Uint8Array.of(...bytes, 0), signature)).toBe(false);
      }),
      { numRuns: 50 },
    );
  });

  test('are those of node:crypto', () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32);
    const other = signerFromSeed(seed);
    const bytes = Buffer.from('x');
    expect(verifySignature(other.publicKey, bytes, other.sign(bytes))).toBe(true);
  });

  test('of a key of small order never stand', () => {
    // The neutral element as key, with R = [S]B: a signature over everything, if the key were let in.
    const neutral = Point.ZERO.toBytes();
    const forged = new Uint8Array(64);
    forged.set(Point.BASE.toBytes());
    forged[32] = 1;
    expect(verifySignature(neutral, Buffer.from('anything'), forged)).toBe(false);
  });

  test('of the wrong length do not throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.uint8Array({ maxLength: 80 }), (key, signature) => {
        expect(verifySignature(key, new Uint8Array(1), signature)).toBe(false);
      }),
    );
  });
});

describe('CBOR', () => {
  test('gives back what it was given', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(decode(encode(value), 'x')).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test('refuses rubbish, and a second encoding of one value, with an error of ours', () => {
    const refuses = (bytes: Uint8Array) => expect(() => decodeCanonical(bytes, 'x')).toThrow(/x is not/);
    refuses(Uint8Array.of(0x18, 0x01)); // 1 in two bytes
    refuses(Uint8Array.of(0x9f, 0xff)); // a list without a length
    refuses(Uint8Array.of(0x01, 0x01)); // something behind the value
    refuses(Uint8Array.of(0xc0, 0x01)); // a tag
    refuses(new Uint8Array(100_000).fill(0x81)); // nested beyond every stack
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        try {
          decode(bytes, 'x');
        } catch (error) {
          expect(error).toMatchObject({ code: 'protocol_violation' });
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('the envelope', () => {
  const bytes = seal('beat', network, signer, [1, 'x']);

  test('opens for its kind and its mesh alone', () => {
    expect(open('beat', network, bytes)).toEqual({ author: signer.publicKey, fields: [1, 'x'] });
    expect(() => open('profile', network, bytes)).toThrow(/signature/);
    expect(() => open('beat', new Uint8Array(32), bytes)).toThrow(/another mesh/);
  });

  test('with any bit flipped does not open', () => {
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Uint8Array.from(bytes);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => open('beat', network, flipped), `bit ${bit}`).toThrow();
    }
  });
});

describe('beats and profiles', () => {
  test('travel unchanged', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.constantFrom(...NODE_STATUSES),
        fc.nat(),
        fc.nat(),
        (sequence, status, queueDepth, running) => {
          const sent = { ...beat, sequence, status, queueDepth, running };
          expect(openBeat(network, sealBeat(network, signer, sent))).toEqual({
            ...sent,
            node: nodeIdOf(signer.publicKey),
          });
        },
      ),
      { numRuns: 50 },
    );
    const profile = profileWith({ models: ['llama3.2:3b', 'nomic-embed-text:latest'] });
    expect(openProfile(network, sealProfile(network, signer, profile))).toEqual({
      ...profile,
      node: nodeIdOf(signer.publicKey),
    });
  });

  test('a beat is at most 250 bytes, whatever it says', () => {
    const large = { ...beat, sequence: Number.MAX_SAFE_INTEGER, queueDepth: 1e6, running: 1e6, profileNumber: 2 ** 52 };
    expect(sealBeat(network, signer, large).length).toBeLessThanOrEqual(MESH.maxBeatBytes);
  });

  test('of a later version, with more fields, still open', () => {
    const fields = [1, 1, 0, 0, 1, 90_000, 'a field of the future'];
    expect(openBeat(network, seal('beat', network, signer, fields))).toMatchObject({ status: 'idle' });
  });

  test('of an earlier version, without the rates that were appended, still open', () => {
    const model = ['a:latest', new Uint8Array(32), 1, 1, '', '', 0, [], 0, 1, 12_500];
    const fields = (...more: number[]) => [1, 1, 'desk', '0.1.0', '', [], [1, 1, '', 0], [[...model, ...more]], []];
    const opened = (...more: number[]) => openProfile(network, seal('profile', network, signer, fields(...more)));
    expect(opened().models).toMatchObject([{ tokensPerSecond: 12.5, prefillTokensPerSecond: 0, loadMs: 0 }]);
    expect(opened(250_000, 1_500, 7).models).toMatchObject([{ prefillTokensPerSecond: 250, loadMs: 1_500 }]);
    expect(() => opened(-1)).toThrow(/field/);
  });

  test('that boast of what no machine does count as the fastest that there may be', () => {
    const model = ['a:latest', new Uint8Array(32), 1, 1, '', '', 0, [], 0, 1, 9e15, 9e15, 0];
    const fields = [1, 1, 'desk', '0.1.0', '', [], [1, 1, '', 0], [model], []];
    expect(openProfile(network, seal('profile', network, signer, fields)).models).toMatchObject([
      { tokensPerSecond: MESH.maxTokensPerSecond, prefillTokensPerSecond: MESH.maxPrefillTokensPerSecond },
    ]);
  });

  test('malformed are refused with an error that names the field', () => {
    expect(() => openBeat(network, seal('beat', network, signer, [1, 99, 0, 0, 1, 90_000]))).toThrow(/field 1/);
    expect(() => openBeat(network, seal('beat', network, signer, [-1, 1, 0, 0, 1, 90_000]))).toThrow(/field 0/);
    expect(() => openBeat(network, seal('beat', network, signer, [1.5, 1, 0, 0, 1, 90_000]))).toThrow(/field 0/);
    expect(() => openProfile(network, seal('profile', network, signer, ['x']))).toThrow(/field/);
  });
});
