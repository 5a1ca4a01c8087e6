import { describe, expect, test } from 'vitest';
import { account, attest, certify, FOUNDER, meshOf, nameOf, Writer } from '../../testing/ledger/authors.ts';
import type { Entry } from '../entries/entry.ts';
import { Ledger } from './ledger.ts';

const GENESIS = 10_000n;
const mesh = meshOf({ witnesses: 4, genesis: GENESIS });
const id = (name: string) => account(name).id;
const writer = (name: string) => new Writer(mesh, name, { signed: false });

/** A ledger in which A, who cheats, and B, who does not, begin with final credits. */
function world(ofA = 100n, ofB = 10n) {
  const ledger = new Ledger(mesh);
  const take = (...entries: readonly Entry[]) => {
    for (const entry of entries) expect(ledger.add(entry).result).toBe('taken');
    expectConserved(ledger);
  };
  const certifyAt = (...entries: readonly Entry[]) => {
    for (const entry of entries) {
      for (const attestation of certify(mesh, entry, { signed: false })) ledger.attest(attestation);
    }
    expectConserved(ledger);
  };
  const [f, a, b] = [writer(FOUNDER), writer('A'), writer('B')];
  const [toA, toB] = [f.transfer('A', ofA), f.transfer('B', ofB)];
  const [startA, startB] = [a.accept(toA), b.accept(toB)];
  take(toA, toB, startA, startB);
  certifyAt(toB, startA, startB);
  const of = (...names: string[]) => names.map((name) => ledger.available(id(name)).available);
  const final = (...names: string[]) => names.map((name) => ledger.available(id(name)).final);
  return { ledger, take, certifyAt, of, final, f, a, b, startA, startB };
}

/** Credits only move, and no account is in debt, whatever was signed. */
function expectConserved(ledger: Ledger): void {
  for (const books of [ledger.books(), ledger.finalBooks()]) {
    let sum = 0n;
    for (const author of new Set([...books.authors(), mesh.founder])) {
      expect(books.available(author)).toBeGreaterThanOrEqual(0n);
      sum += books.available(author);
    }
    for (const { amount } of books.openTransfers()) sum += amount;
    for (const { max, paid, givenBack } of books.openLegs()) {
      expect(max - paid - givenBack).toBeGreaterThan(0n);
      sum += max - paid - givenBack;
    }
    expect(sum).toBe(GENESIS);
  }
}

describe('a payer', () => {
  test('releases at once what he promised by voucher, spends it again, and is claimed: 190 from 100', () => {
    const { take, certifyAt, of, a, b } = world();
    const hold = a.hold(['B', 90n]);
    // He has no claim of B to name, so he names one of his own making, and one that does not close.
    const early = b.claim(hold, 1n);
    take(hold, early);
    take(a.release(hold, early), a.transfer('K', 100n));
    take(b.claim(hold, 90n));
    certifyAt(a.tip!, b.tip!);
    expect(of('A', 'B')).toEqual([10n, 100n]);
  });

  test('releases alone below his voucher, and spends the rest before the payee is back', () => {
    const { ledger, take, certifyAt, of, a, b } = world();
    const hold = a.hold(['B', 90n]);
    take(hold);
    certifyAt(hold);
    // B claims in time, so honest witnesses, all but one of four, do not attest the release; without them it is nothing.
    const claim = b.claim(hold, 90n);
    take(claim);
    certifyAt(claim);
    const release = a.releaseAlone(hold, 0n);
    take(release, a.transfer('K', 100n));
    ledger.attest(attest(mesh, 'W4', release));
    expect(of('A', 'B', 'K')).toEqual([10n, 100n, 0n]);
  });

  test('takes back twice what one leg left over', () => {
    const { take, certifyAt, of, a, b } = world();
    const hold = a.hold(['B', 90n]);
    const last = b.claim(hold, 30n, { last: true });
    take(hold, last);
    certifyAt(hold, last);
    take(a.release(hold, last), a.release(hold, last), a.releaseAlone(hold, 30n), a.releaseAlone(hold, 30n));
    certifyAt(a.tip!);
    expect(of('A', 'B')).toEqual([70n, 40n]);
  });

  test('releases alone at the max, gets nothing, and releases again at 0 what the payee may still claim', () => {
    const { take, certifyAt, of, a, b } = world();
    const hold = a.hold(['B', 90n]);
    take(hold, a.releaseAlone(hold, 90n), a.releaseAlone(hold, 0n));
    certifyAt(a.tip!);
    take(b.claim(hold, 90n));
    expect(of('A', 'B')).toEqual([10n, 100n]);
  });

  test('releases alone a leg of another hold, or one that he has not', () => {
    const { take, certifyAt, of, a } = world();
    const [hold, over] = [a.hold(['B', 90n]), a.hold(['B', 5_000n])];
    take(hold, over, a.releaseAlone(over, 0n), a.releaseAlone(hold, 0n, 3));
    certifyAt(a.tip!);
    expect(of('A')).toEqual([10n]);
  });

  test('pays ten of his own keys by ten entries for one place, and has them spend at once: 1,000 from 100', () => {
    const { ledger, take, certifyAt, of, final, a, startA } = world();
    const keys = Array.from({ length: 10 }, (_, i) => `K${i}`);
    const seller = writer('S');
    for (const name of keys) {
      const paid = a.behind(startA).transfer(name, 100n);
      const key = writer(name);
      take(paid, key.accept(paid));
      const spent = key.transfer('S', 100n);
      take(spent, seller.accept(spent));
    }
    // One of ten was there alone for a while; then nothing of it stood, and whoever sold was paid by nobody.
    expect(of('A', 'S', ...keys)).toEqual([100n, ...new Array(11).fill(0n)]);
    expect(final('S')).toEqual([0n]);
    certifyAt([...ledger.tail()].find(({ author, sequence }) => author === id('A') && sequence === 1)!);
    expect(of('A', 'S')).toEqual([0n, 100n]);
  });

  test('signs nine more entries for a place a year later, and takes back 900 of 1,000', () => {
    const { ledger, take, certifyAt, of, a, b, startA } = world(1_000n);
    const paid = a.transfer('B', 1_000n);
    take(paid, b.accept(paid));
    certifyAt(paid, b.tip!);
    for (let i = 0; i < 9; i++) {
      const late = a.behind(startA).transfer(`K${i}`, 1_000n);
      expect(ledger.add(late)).toEqual({ result: 'old' });
      ledger.noteFork(paid, late);
      // An entry that names it is taken in, and worth nothing.
      expect(ledger.add(writer(`K${i}`).accept(late), [late])).toEqual({ result: 'taken' });
    }
    expect(of('A', 'B', 'K0', 'K8')).toEqual([0n, 1_010n, 0n, 0n]);
    expect(ledger.forks()).toMatchObject([{ author: id('A'), sequence: 1, resolved: paid.id }]);
  });

  test('launders a fork over a second key: two sellers with final credits from one', () => {
    const { take, certifyAt, of, final, a, startA } = world();
    const [k, l, s, t] = ['K', 'L', 'S', 'T'].map(writer) as [Writer, Writer, Writer, Writer];
    const [one, two] = [a.behind(startA).transfer('K', 100n), a.behind(startA).transfer('L', 100n)];
    take(one, k.accept(one), two, l.accept(two));
    const [sold, soldToo] = [k.hold(['S', 100n]), l.hold(['T', 100n])];
    take(sold, soldToo, s.claim(sold, 100n), t.claim(soldToo, 100n));
    // Every chain has its certificates, but of A's place only one can have: what rests on the other is worth nothing.
    certifyAt(k.tip!, l.tip!, s.tip!, t.tip!);
    expect(final('S', 'T')).toEqual([0n, 0n]);
    certifyAt(two);
    expect(final('S', 'T')).toEqual([0n, 100n]);
    expect(of('A', 'K', 'L', 'S', 'T')).toEqual([0n, 0n, 0n, 0n, 100n]);
  });

  test('lets a void hold look good until something arrives later', () => {
    const { take, of, f, a, b } = world(10n);
    const hold = a.hold(['B', 50n]);
    const more = f.transfer('A', 1_000n);
    take(hold, more, a.accept(more), b.claim(hold, 50n));
    // What an entry is worth hangs on its own past alone: the hold stays void, and nothing after it flips.
    expect(of('A', 'B')).toEqual([1_010n, 10n]);
  });
});

describe('a payee', () => {
  test('closes in league with his payer, who spends the rest, and claims the old voucher all the same', () => {
    const { take, certifyAt, of, a, b } = world();
    const hold = a.hold(['B', 90n]);
    const close = b.claim(hold, 0n, { last: true });
    take(hold, close, a.release(hold, close), a.transfer('K', 100n), b.claim(hold, 90n));
    certifyAt(a.tip!, b.tip!);
    expect(of('A', 'B')).toEqual([0n, 10n]);
  });

  test('closes one leg by two claims, at 0 for the payer and at 90 for himself', () => {
    const { ledger, take, of, a, b, startB } = world();
    const hold = a.hold(['B', 90n]);
    const [low, high] = [b.behind(startB).claim(hold, 0n, { last: true }), b.claim(hold, 90n, { last: true })];
    take(hold, low, a.release(hold, low), a.transfer('K', 100n));
    expect(of('A')).toEqual([0n]);
    // It is a fork of his own log: neither counts, and the payer's release, which named the one, is nothing either.
    take(high);
    expect(of('A', 'B')).toEqual([10n, 10n]);
    expect(ledger.openLegsTo(id('B'))).toMatchObject([{ paid: 0n, closedBy: undefined }]);
  });

  test('claims more than the leg holds, in 2⁶⁴ − 1 steps or one', () => {
    const { take, of, a, b } = world();
    const hold = a.hold(['B', 90n]);
    take(hold, b.claim(hold, 2n ** 64n - 1n), b.claim(hold, 90n));
    expect(of('B')).toEqual([100n]);
  });

  test('accepts one transfer twice, before and after it is final', () => {
    const { ledger, take, certifyAt, of, a, b } = world();
    const paid = a.transfer('B', 100n);
    take(paid, b.accept(paid), b.accept(paid));
    expect(of('B')).toEqual([110n]);
    certifyAt(paid, b.tip!);
    // The transfer has left memory. Its name says where it was, so missing is not mistaken for not booked.
    expect(ledger.find(paid.id)).toBeUndefined();
    take(b.accept(paid));
    expect(of('B')).toEqual([110n]);
    const restored = new Ledger(mesh, { final: ledger.finalBooks().clone() });
    expect(restored.add(b.tip!)).toEqual({ result: 'taken' });
    expect(restored.available(id('B')).available).toBe(110n);
  });

  test('stays away with voucher, claim and close: the payer gets his rest by a certified release alone', () => {
    const { ledger, take, certifyAt, of, final, a, b } = world();
    const hold = a.hold(['B', 90n]);
    take(hold);
    certifyAt(hold);
    const release = a.releaseAlone(hold, 30n);
    take(release);
    certifyAt(release);
    expect([of('A'), final('A')]).toEqual([[70n], [70n]]);
    // And what he may have promised stays where the payee finds it.
    const claim = b.claim(hold, 90n);
    take(claim);
    // He was late, and witnesses say so; the release that came before is final, so what it left is his for ever.
    for (const attestation of certify(mesh, claim, { late: true })) ledger.attest(attestation);
    expect([of('B'), final('B')]).toEqual([[40n], [40n]]);
  });
});

describe('witnesses', () => {
  test('who vouch for both sides of a fork, one too many of them, mint nothing', () => {
    const { ledger, take, certifyAt, of, a, startA } = world();
    const [k, l] = [writer('K'), writer('L')];
    const [one, two] = [a.behind(startA).transfer('K', 100n), a.behind(startA).transfer('L', 100n)];
    take(one, two, k.accept(one), l.accept(two));
    certifyAt(one, k.tip!);
    expect(of('A', 'K', 'L')).toEqual([0n, 100n, 0n]);
    const said = certify(mesh, two).map((attestation) => ledger.attest(attestation).result);
    expect(said.at(-1)).toBe('contradiction');
    expectConserved(ledger);
    // Counted anew with all that was signed, A's chain is cut below both, wherever it is counted, in whatever order.
    const all = new Ledger(mesh, { finalise: false });
    const first = writer(FOUNDER).transfer('A', 100n);
    for (const entry of [first, startA, two, one, l.tip!, k.tip!]) all.add(entry);
    for (const attestation of [...certify(mesh, two), ...certify(mesh, one)]) all.attest(attestation);
    expectConserved(all);
    expect(['A', 'K', 'L'].map((name) => all.available(id(name)).available)).toEqual([100n, 0n, 0n]);
  });

  test('who split their votes cut the one who forks, and nobody else', () => {
    const { ledger, take, certifyAt, of, a, b, startA } = world();
    const [one, two] = [a.behind(startA).transfer('B', 50n), a.behind(startA).transfer('B', 60n)];
    take(one, two);
    for (const [witness, entry] of [
      ['W1', one],
      ['W2', one],
      ['W3', two],
      ['W4', two],
    ] as const) {
      ledger.attest(attest(mesh, witness, entry));
    }
    take(b.accept(one));
    certifyAt(b.tip!);
    expect(of('A', 'B')).toEqual([100n, 10n]);
    expect(ledger.finalTip(id('B'))?.sequence).toBe(0);
  });

  test('f of them lie as they like: a place has one certificate, and a final entry stays', () => {
    const { ledger, take, certifyAt, final, a, b, startA } = world();
    const [one, two] = [a.behind(startA).transfer('B', 100n), a.behind(startA).transfer('K', 100n)];
    take(one, two, b.accept(one));
    // W4 signs both; three honest ones sign what they saw first.
    for (const witness of ['W1', 'W2', 'W4']) ledger.attest(attest(mesh, witness, one));
    for (const witness of ['W4']) ledger.attest(attest(mesh, witness, two));
    certifyAt(b.tip!);
    expect(final('B')).toEqual([110n]);
    expect(ledger.attest(attest(mesh, 'W4', two)).result).toBe('old');
    expect(final('B')).toEqual([110n]);
  });

  test('of another mesh, or none, count for nothing', () => {
    const { ledger, take, a } = world();
    const paid = a.transfer('B', 1n);
    take(paid);
    for (const name of ['A', 'B', 'X', 'Y', 'Z'])
      expect(ledger.attest(attest(mesh, name, paid)).result).toBe('refused');
    expect(ledger.status(paid)).toBe('stands');
  });
});

describe('who would fill every disk', () => {
  test('with 10,000 fresh keys has nothing that a ledger takes', () => {
    const { ledger, startA } = world();
    const before = ledger.counts();
    for (let i = 0; i < 10_000; i++) {
      const author = i.toString(16).padStart(64, '0');
      const body = { kind: 'transfer', to: id('A'), amount: 1n, memo: '' } as const;
      const first = { ...startA, author, id: (i + 1).toString(16).padStart(64, 'f'), body };
      expect(ledger.add(first).result).toBe('refused');
    }
    expect(ledger.counts()).toEqual(before);
    expect([...ledger.tail()]).toEqual([]);
  });

  test('with entries far ahead of his log is told what is missing, and none is kept', () => {
    const { ledger, a } = world();
    const hidden = a.transfer('B', 1n);
    for (let i = 0; i < 1_000; i++) {
      const entry = a.transfer('B', 1n);
      expect(ledger.add(entry)).toMatchObject({ result: 'waits', missing: [{ sequence: entry.sequence - 1 }] });
    }
    expect([...ledger.tail()]).toEqual([]);
    expect(ledger.heads(id('A'))).toHaveLength(1);
    expect(hidden.sequence).toBe(1);
  });
});

describe('the founder', () => {
  test('cannot make credits: what he has is what the mesh was made with', () => {
    const { take, of, f } = world();
    const over = f.transfer('K', GENESIS);
    take(over, writer('K').accept(over));
    expect(of(FOUNDER, 'K')).toEqual([GENESIS - 110n, 0n]);
  });

  test('who signs two first entries shows nothing to anybody', () => {
    const ledger = new Ledger(mesh);
    for (const amount of [1n, GENESIS]) expect(ledger.add(writer(FOUNDER).transfer('A', amount)).result).toBe('taken');
    expect(ledger.available(mesh.founder).available).toBe(GENESIS);
    expect(ledger.counts()).toEqual({ entries: 0, authors: 0 });
  });
});

test('replayed entries and attestations change nothing', () => {
  const { ledger, take, certifyAt, a, b } = world();
  const paid = a.transfer('B', 5n);
  take(paid, b.accept(paid));
  certifyAt(paid);
  const state = ledger.books().encode();
  for (const entry of [paid, b.tip!]) expect(['known', 'old']).toContain(ledger.add(entry).result);
  for (const attestation of certify(mesh, paid)) expect(ledger.attest(attestation).result).toBe('old');
  expect(ledger.books().encode()).toEqual(state);
  expect(ledger.tip(id('B'))).toEqual(nameOf(b.tip!));
});
