import { describe, expect, it } from 'vitest';
import { LEDGER } from '../../limits/ledger.ts';
import { attest, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { Waiting } from './waiting.ts';

const mesh = meshOf({ witnesses: 4 });
const chain = (name: string, count: number) => {
  const writer = new Writer(mesh, name, { signed: false });
  return Array.from({ length: count }, () => writer.transfer('B', 1n));
};
const bounds = { entries: 10, perAuthor: 3, attestations: 5, strangers: 10 };

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
    expect(waiting.releaseAt(named!.author, -1)).toEqual([]);
    expect(waiting.releaseAt(named!.author, 0)).toEqual([entry]);
    expect(waiting.drain()).toEqual({ entries: [], attestations: [] });
  });

  it('has a part for strangers, who do not push out others', () => {
    const waiting = new Waiting({ entries: 10, perAuthor: 10, attestations: 5, strangers: 4 });
    const [named, ...known] = chain('A', 6);
    for (const entry of known) waiting.add(entry, [named!]);
    const strangers = Array.from({ length: 20 }, (_, index) => chain(`x${index}`, 1)[0]!);
    for (const entry of strangers) waiting.add(entry, [{ ...entry, id: 'e'.repeat(64) }], true);
    expect(waiting.size).toBe(9);
    expect(known.every(({ id }) => waiting.has(id))).toBe(true);
    expect(strangers.slice(-4).every(({ id }) => waiting.has(id))).toBe(true);
  });

  it('asks for what it has not asked for before what it has', () => {
    const waiting = new Waiting();
    const entries = Array.from({ length: 5 }, (_, index) => chain(`x${index}`, 1)[0]!);
    for (const [index, entry] of entries.entries()) waiting.add(entry, [{ ...entry, id: `${index}`.repeat(64) }]);
    const asked = () => waiting.missing(2).map(({ id }) => id[0]);
    expect([asked(), asked(), asked()]).toEqual([
      ['0', '1'],
      ['2', '3'],
      ['4', '0'],
    ]);
  });

  it('lets go of what has waited too long', () => {
    let now = 0;
    const waiting = new Waiting(undefined, () => now);
    const [missing, first, second] = chain('A', 3);
    waiting.add(first!, [missing!]);
    now = LEDGER.waitingKeptMs;
    waiting.add(second!, [missing!]);
    expect(waiting.size).toBe(2);
    now++;
    waiting.add(chain('B', 1)[0]!, [missing!]);
    expect([waiting.has(first!.id), waiting.has(second!.id)]).toEqual([false, true]);
  });
});
