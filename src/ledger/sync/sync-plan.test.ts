import { describe, expect, it } from 'vitest';
import { type Line, lackOf, readLine } from './sync-plan.ts';

const author = 'aa'.repeat(32);
const id = (byte: string) => byte.repeat(32);

function line({ count = 0, tip = 'bb', certified = 0, final = 0, proof = '' } = {}): Line {
  return { author, count, tip: { author, sequence: Math.max(0, count - 1), id: id(tip) }, certified, final, proof };
}

describe('what a line says that this node lacks', () => {
  it('is nothing when the lines agree, or the peer is behind in all but its tip', () => {
    expect(lackOf(line({ count: 3 }), line({ count: 3 }))).toBeUndefined();
    expect(lackOf(line(), line({ count: 3, certified: 2, final: 1, proof: 'ab' }))).toBeUndefined();
  });

  it('is the rest of a longer chain', () => {
    expect(lackOf(line({ count: 5 }), line({ count: 3 }))).toMatchObject({
      chain: { from: 3, count: 5 },
      other: undefined,
    });
    expect(lackOf(line({ count: 5 }), undefined)).toMatchObject({ chain: { from: 0, count: 5 } });
  });

  it('may be another branch, when the newest entry is another one and not longer', () => {
    expect(lackOf(line({ count: 3, tip: 'cc' }), line({ count: 3 }))).toMatchObject({
      chain: undefined,
      other: { sequence: 2 },
    });
    expect(lackOf(line({ count: 2, tip: 'cc' }), line({ count: 3 }))).toMatchObject({ other: { sequence: 1 } });
  });

  it('is certificates from what is final here on', () => {
    const theirs = line({ count: 3, certified: 3 });
    expect(lackOf(theirs, line({ count: 3, certified: 2, final: 1 }))).toMatchObject({ certificatesFrom: 1 });
    expect(
      lackOf(line({ count: 3, certified: 2, final: 2 }), line({ count: 3, certified: 2, final: 1 })),
    ).toMatchObject({
      certificatesFrom: 1,
    });
  });

  it('is the proof of a fork, also of one that only cuts the peer', () => {
    expect(lackOf(line({ count: 3, proof: 'ab' }), line({ count: 3 }))).toMatchObject({ proof: true });
    expect(lackOf(line({ count: 2, tip: 'cc', proof: 'ab' }), line({ count: 3, proof: 'ab' }))).toMatchObject({
      proof: true,
    });
    expect(lackOf(line({ count: 3 }), line({ count: 3, proof: 'ab' }))).toBeUndefined();
  });

  it('knows an account of which nothing stands by the networkId', () => {
    const networkId = new Uint8Array(32).fill(9);
    const key = new Uint8Array(Buffer.from(author, 'hex'));
    expect(readLine([key, 0, networkId, 0, 0, new Uint8Array(0)], networkId)).toMatchObject({ author, count: 0 });
    expect(readLine([key, 4, key, 0, 0, new Uint8Array(0)], networkId)).toMatchObject({ count: 5 });
  });
});
