import { describe, expect, it } from 'vitest';
import { attest, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { Waiting } from './waiting.ts';

const mesh = meshOf({ witnesses: 4 });
const chain = (name: string, count: number) => {
  const writer = new Writer(mesh, name, { signed: false });
  return Array.from({ length: count }, () => writer.transfer('B', 1n));
};
const bounds = { entries: 10, perAuthor: 3, attestations: 5 };

describe('the waiting room', () => {
  it('gives back what waited for an entry, in the order in which it came', () => {
    const [first, second, third] = chain('A', 3);
    const other = chain('C', 1)[0]!;
    const waiting = new Waiting();
    waiting.add(other, [first!]);
    waiting.add(third!, [second!]);
    waiting.add(second!, [first!]);
    expect(waiting.missing(10).map(({ id }) => id)).toEqual([first!.id]);
    expect(waiting.release(first!.id).entries).toEqual([other, second]);
    expect(waiting.release(second!.id).entries).toEqual([third]);
    expect(waiting.size).toBe(0);
    expect(waiting.missing(10)).toEqual([]);
  });

  it('lets go of the oldest of an author, and of all', () => {
    const waiting = new Waiting(bounds);
    const [gone, ...kept] = chain('A', 5).slice(1);
    for (const entry of [gone!, ...kept]) waiting.add(entry, [{ ...entry, sequence: 0, id: 'f'.repeat(64) }]);
    expect(kept.map(({ id }) => waiting.has(id))).toEqual([true, true, true]);
    expect(waiting.has(gone!.id)).toBe(false);
    for (let author = 0; author < 20; author++) {
      const entry = chain(`x${author}`, 1)[0]!;
      waiting.add(entry, [{ ...entry, id: 'e'.repeat(64) }]);
    }
    expect(waiting.size).toBe(bounds.entries);
    expect(waiting.countOf(kept[0]!.author)).toBe(0);
    // What is gone is asked for no more.
    expect(waiting.missing(100)).toHaveLength(1);
  });

  it('knows what waiting attestations certify, and drops the oldest', () => {
    const waiting = new Waiting(bounds);
    const [first, second] = chain('A', 2);
    for (const witness of ['W1', 'W2', 'W3']) waiting.addAttestation(attest(mesh, witness, second!));
    waiting.addAttestation(attest(mesh, 'W3', second!));
    expect(waiting.certifiedOf(first!.author, 3)).toBe(1);
    expect(waiting.certifiedOf(first!.author, 4)).toBe(-1);
    for (const witness of ['W1', 'W2', 'W3']) waiting.addAttestation(attest(mesh, witness, first!));
    expect(waiting.certifiedOf(first!.author, 3)).toBe(0);
    expect(waiting.release(first!.id).attestations).toHaveLength(3);
    expect(waiting.certifiedOf(first!.author, 1)).toBe(-1);
  });

  it('lets go of what waits for places that are settled', () => {
    const waiting = new Waiting();
    const [named] = chain('A', 1);
    const entry = new Writer(mesh, FOUNDER, { signed: false }).accept(named!);
    waiting.add(entry, [named!]);
    expect(waiting.releaseAt(named!.author, 0, () => false)).toEqual([]);
    expect(waiting.releaseAt(named!.author, 0, ({ sequence }) => sequence === 0)).toEqual([entry]);
    expect(waiting.drain()).toEqual({ entries: [], attestations: [] });
  });
});
