import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { LOCAL_NETWORK, networkIdOf, nodeIdOf } from './ids.ts';
import { signerFromSeed } from './signature.ts';
import { wordsOf } from './words.ts';

const id = (n: number) => nodeIdOf(signerFromSeed(new Uint8Array(32).fill(n)).publicKey);
const local = networkIdOf(LOCAL_NETWORK);

describe('the four words', () => {
  it('are these for these two nodes: a program that shows others is not understood', async () => {
    expect(await wordsOf(local, id(1), id(2))).toBe('fine security recall expose');
  });

  it('are the same from both sides, whoever they are', async () => {
    for (let round = 0; round < 4; round++) {
      const [one, other] = [randomBytes(32), randomBytes(32)].map((seed) => nodeIdOf(signerFromSeed(seed).publicKey));
      const words = await wordsOf(local, one!, other!);
      expect(words).toBe(await wordsOf(local, other!, one!));
      expect(words).toMatch(/^[a-z]+ [a-z]+ [a-z]+ [a-z]+$/);
    }
  });

  it('depend on the mesh and on either node', async () => {
    const elsewhere = networkIdOf({ ...LOCAL_NETWORK, name: 'elsewhere' });
    const all = await Promise.all([
      wordsOf(local, id(1), id(2)),
      wordsOf(elsewhere, id(1), id(2)),
      wordsOf(local, id(1), id(3)),
      wordsOf(local, id(3), id(2)),
    ]);
    expect(new Set(all).size).toBe(all.length);
  });

  it('cost time, which is what makes a search for a second key that fits expensive', async () => {
    const since = process.cpuUsage();
    await wordsOf(local, id(1), id(2));
    const { user, system } = process.cpuUsage(since);
    expect((user + system) / 1000).toBeGreaterThan(20);
  });
});
