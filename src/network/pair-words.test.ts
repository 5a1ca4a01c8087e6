import { describe, expect, it } from 'vitest';
import { MESH } from '../limits/mesh.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { PairWords } from './pair-words.ts';

function setUp(isWanted: (node: string) => boolean = () => true) {
  const clock = new VirtualClock();
  const made: { node: string; atMs: number }[] = [];
  let running = 0;
  let most = 0;
  const words = new PairWords({
    clock,
    log: silentLogger,
    isWanted,
    make: async (node) => {
      most = Math.max(most, ++running);
      await new Promise<void>((resolve) => clock.after(100, resolve));
      running--;
      made.push({ node, atMs: clock.elapsed() });
      if (node === 'broken') throw new Error('no memory');
      return `words of ${node}`;
    },
  });
  return { clock, words, made, most: () => most };
}

describe('four words in the background', () => {
  it('are made one at a time, with pauses, and once a peer', async () => {
    const { clock, words, made, most } = setUp();
    for (const node of ['a', 'b', 'c', 'a']) words.want(node);
    await clock.advance(10_000);
    expect(made.map(({ atMs }) => atMs)).toEqual([100, 600, 1100]);
    expect(most()).toBe(1);
    words.want('a');
    await clock.advance(10_000);
    expect(made).toHaveLength(3);
    expect(words.of('b')).toBe('words of b');
    words.want('d');
    await clock.advance(200);
    expect(words.of('d')).toBe('words of d');
  });

  it('are not made for those that have gone', async () => {
    const { clock, words, made } = setUp((node) => node !== 'gone');
    for (const node of ['a', 'gone', 'b']) words.want(node);
    await clock.advance(10_000);
    expect(made.map(({ node }) => node)).toEqual(['a', 'b']);
  });

  it('of one that stays are kept, however many come and go with new keys', async () => {
    const here = new Set(['stays']);
    const { clock, words, made } = setUp((node) => here.has(node));
    words.want('stays');
    await clock.advance(1_000);
    for (let n = 0; n <= MESH.maxConnections; n++) {
      here.add(`key ${n}`);
      words.want(`key ${n}`);
      await clock.advance(500);
      here.delete(`key ${n}`);
    }
    expect(made).toHaveLength(MESH.maxConnections + 2);
    expect(words.of('stays')).toBe('words of stays');
    // The bound holds all the same: the first that went is forgotten.
    expect([words.of('key 0'), words.of('key 9')]).toEqual([undefined, 'words of key 9']);
  });

  it('of one that is here are made, when the queue is full of those that have gone', async () => {
    const here = new Set<string>();
    const { clock, words } = setUp((node) => here.has(node));
    for (let n = 0; n <= MESH.maxConnections; n++) {
      here.add(`key ${n}`);
      words.want(`key ${n}`);
    }
    here.clear();
    here.add('stays');
    words.want('stays');
    await clock.advance(2_000);
    expect(words.of('stays')).toBe('words of stays');
  });

  it('are asked for again by whoever looks for them', async () => {
    const here = new Set<string>();
    const { clock, words, made } = setUp((node) => here.has(node));
    expect(words.of('a')).toBeUndefined();
    await clock.advance(1_000);
    expect(made).toEqual([]);
    here.add('a');
    expect(words.of('a')).toBeUndefined();
    await clock.advance(1_000);
    expect(words.of('a')).toBe('words of a');
  });

  it('that a person asks for are made at once, and kept', async () => {
    const { clock, words, made } = setUp();
    for (const node of ['a', 'b', 'c']) words.want(node);
    const asked = words.now('c');
    await clock.advance(100);
    expect(await asked).toBe('words of c');
    await clock.advance(10_000);
    expect(made.map(({ node }) => node).toSorted()).toEqual(['a', 'b', 'c']);
  });

  it('go on after one that failed', async () => {
    const { clock, words } = setUp();
    for (const node of ['broken', 'a']) words.want(node);
    await clock.advance(10_000);
    expect([words.of('broken'), words.of('a')]).toEqual([undefined, 'words of a']);
  });

  it('end with the node', async () => {
    const { clock, words, made } = setUp();
    for (const node of ['a', 'b']) words.want(node);
    words.stop();
    await clock.advance(10_000);
    expect(made.map(({ node }) => node)).toEqual(['a']);
    expect(clock.pending).toBe(0);
  });
});
