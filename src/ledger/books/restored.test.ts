/** A ledger that begins with final books and goes on with the tail is the one that counted everything (property 12). */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { attest, certify, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import type { Attestation, Entry } from '../entries/entry.ts';
import { Books } from './books.ts';
import { Ledger } from './ledger.ts';

const mesh = meshOf({ witnesses: 4, genesis: 1_000n });
const NAMES = ['A', 'B', 'C'] as const;

/** Numbers that decide what happens in a history, so that fast-check can make it smaller. */
type Dice = readonly number[];

/** A history of honest authors who pay each other in every way there is, and of witnesses who attest what they come by. */
function* history(dice: Dice): Generator<Entry | readonly Attestation[]> {
  const founder = new Writer(mesh, FOUNDER, { signed: false });
  const writers = new Map(NAMES.map((name) => [name, new Writer(mesh, name, { signed: false })]));
  const holds: { hold: Entry; payer: Writer; payee: Writer; paid: bigint; over: boolean }[] = [];
  for (const [name, own] of writers) {
    const grant = founder.transfer(name, 100n);
    yield grant;
    yield own.accept(grant);
  }
  for (const die of dice) {
    const [from, to] = [NAMES[die % 3]!, NAMES[(die + 1 + (die % 2)) % 3]!];
    const [payer, payee] = [writers.get(from)!, writers.get(to)!];
    const open = holds[die % Math.max(holds.length, 1)];
    switch (die % 7) {
      case 0: {
        const paid = payer.transfer(to, BigInt(1 + (die % 50)));
        yield paid;
        yield payee.accept(paid);
        break;
      }
      case 1: {
        const hold = payer.hold([to, BigInt(1 + (die % 40))]);
        holds.push({ hold, payer, payee, paid: 0n, over: false });
        yield hold;
        break;
      }
      case 2:
      case 3: {
        if (open === undefined || open.over) break;
        open.paid += BigInt(die % 9);
        open.over = die % 7 === 3;
        const claim = open.payee.claim(open.hold, open.paid, { last: open.over });
        yield claim;
        yield certify(mesh, claim, { signed: false });
        if (open.over) yield open.payer.release(open.hold, claim);
        break;
      }
      case 4: {
        // After seven days witnesses attest it: all that the payee claimed so far is below.
        if (open === undefined || open.over) break;
        open.over = true;
        const release = open.payer.releaseAlone(open.hold, open.paid);
        yield release;
        if (die % 2 === 0) yield certify(mesh, release, { signed: false });
        break;
      }
      default: {
        const { tip } = die % 4 === 0 ? founder : payer;
        if (tip !== undefined && tip.body.kind !== 'release') yield certify(mesh, tip, { signed: false });
      }
    }
  }
}

function told(ledger: Ledger, things: Iterable<Entry | readonly Attestation[]>): void {
  for (const thing of things) {
    if ('body' in thing) expect(['taken', 'known', 'old']).toContain(ledger.add(thing).result);
    else
      for (const attestation of thing) expect(['taken', 'known', 'old']).toContain(ledger.attest(attestation).result);
  }
}

describe('a restored ledger', { timeout: 60_000 }, () => {
  test('is the full one, wherever it was restored', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(10_000), { maxLength: 60 }), fc.nat(100), (dice, percent) => {
        const all = [...history(dice)];
        const cut = Math.floor((all.length * percent) / 100);
        const full = new Ledger(mesh);
        told(full, all.slice(0, cut));
        const snapshot = full.finalBooks().encode();
        const restored = new Ledger(mesh, { final: Books.decode(snapshot, mesh) });
        // Its tail comes again from the disk, with what witnesses said of it; older things may come too.
        told(restored, all.slice(0, cut));
        for (const each of [full, restored]) told(each, all.slice(cut));
        const kept = new Ledger(mesh, { finalise: false });
        told(kept, all);

        expect(restored.finalBooks().encode()).toEqual(full.finalBooks().encode());
        for (const other of [restored, kept]) {
          expect(other.digest()).toBe(full.digest());
          expect(other.books().encode()).toEqual(full.books().encode());
        }
        expect(restored.root()).toEqual(full.root());
        // Counted anew or step by step, it comes to the same.
        const anew = new Ledger(mesh);
        for (const thing of all) if ('body' in thing) anew.add(thing);
        told(anew, all);
        expect(anew.books().encode()).toEqual(full.books().encode());
      }),
      { numRuns: 300 },
    );
  });

  test('takes nothing a second time that its checkpoint has closed', () => {
    const [f, a] = [new Writer(mesh, FOUNDER), new Writer(mesh, 'A')];
    const grant = f.transfer('A', 100n);
    const accept = a.accept(grant);
    const full = new Ledger(mesh);
    told(full, [grant, accept, certify(mesh, grant), certify(mesh, accept)]);
    const restored = new Ledger(mesh, { final: Books.decode(full.finalBooks().encode(), mesh) });
    expect([restored.add(grant).result, restored.add(accept).result]).toEqual(['old', 'old']);
    told(restored, [a.accept(grant)]);
    expect(restored.available(a.id)).toEqual({ available: 100n, final: 100n });
    expect(restored.counts()).toEqual({ entries: 3, authors: 2 });
    expect(restored.attest(attest(mesh, 'W4', grant)).result).toBe('old');
  });
});
