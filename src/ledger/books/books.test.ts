import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { account, FOUNDER, meshOf, nameOf, Writer } from '../../testing/ledger/authors.ts';
import type { Entry, EntryName } from '../entries/entry.ts';
import { Books, type Cap } from './books.ts';
import { encodeState, legKey } from './state.ts';

const GENESIS = 1_000n;
const mesh = meshOf({ genesis: GENESIS });
const id = (name: string) => account(name).id;

/** Books into which entries are counted as they are written, and what the rules say over all of them. */
function newBooks() {
  const books = new Books(mesh);
  const writer = (name: string) => new Writer(mesh, name, { signed: false });
  const founder = writer(FOUNDER);
  const count = (entry: Entry, certified = false) => {
    const before = books.available(entry.author);
    const { result, moved } = books.apply(entry, { certified });
    expect(books.available(entry.author)).toBe(before + moved);
    expect(sumOf(books)).toBe(GENESIS);
    return result;
  };
  /** A writer with this much. */
  const rich = (name: string, amount: bigint) => {
    const own = writer(name);
    const grant = founder.transfer(name, amount);
    expect([count(grant), count(own.accept(grant))]).toEqual(['counted', 'counted']);
    return own;
  };
  return { books, count, founder, rich, writer };
}

function sumOf(books: Books): bigint {
  let sum = 0n;
  for (const author of new Set([...books.authors(), mesh.founder])) sum += books.available(author);
  for (const { amount } of books.openTransfers()) sum += amount;
  for (const { max, paid, givenBack } of books.openLegs()) sum += max - paid - givenBack;
  return sum;
}

describe('transfer and accept', () => {
  test('the founder begins with all there is, and nobody else with anything', () => {
    const { books } = newBooks();
    expect([books.available(mesh.founder), books.available(id('A'))]).toEqual([GENESIS, 0n]);
  });

  test('what is transferred is in neither account until the payee books it', () => {
    const { books, count, founder, writer } = newBooks();
    const grant = founder.transfer('A', 300n);
    expect(count(grant)).toBe('counted');
    expect([books.available(mesh.founder), books.available(id('A'))]).toEqual([700n, 0n]);
    expect(books.transfer(grant)).toMatchObject({ to: id('A'), amount: 300n });
    expect(count(writer('A').accept(grant))).toBe('counted');
    expect([books.available(id('A')), books.transfer(grant)]).toEqual([300n, undefined]);
  });

  test('a transfer of more than is available is void, and moves nothing ever', () => {
    const { books, count, rich, writer } = newBooks();
    const over = rich('A', 100n).transfer('B', 101n);
    expect(count(over)).toBe('void');
    expect(count(writer('B').accept(over))).toBe('not-open');
    expect(books.available(id('A'))).toBe(100n);
  });

  test('a transfer is booked once, by the account it is for', () => {
    const { books, count, founder, writer } = newBooks();
    const grant = founder.transfer('A', 300n);
    count(grant);
    expect(count(writer('B').accept(grant))).toBe('not-yours');
    const a = writer('A');
    expect([count(a.accept(grant)), count(a.accept(grant))]).toEqual(['counted', 'not-open']);
    expect(books.available(id('A'))).toBe(300n);
  });

  test('who names the right id at a wrong place books nothing', () => {
    const { count, founder, writer } = newBooks();
    const grant = founder.transfer('A', 300n);
    count(grant);
    expect(count(writer('A').accept({ ...grant, sequence: 1 }))).toBe('not-open');
    expect(count(writer('A').accept({ ...grant, author: id('B') }))).toBe('not-open');
  });
});

describe('hold and claim', () => {
  test('a hold sets all of its legs aside, or none', () => {
    const { books, count, rich } = newBooks();
    const a = rich('A', 100n);
    expect(count(a.hold(['B', 60n], ['C', 41n]))).toBe('void');
    const hold = a.hold(['B', 60n], ['C', 40n]);
    expect(count(hold)).toBe('counted');
    expect(books.available(id('A'))).toBe(0n);
    expect([...books.openLegs()].map(({ leg, payee, max }) => [leg, payee, max])).toEqual([
      [0, id('B'), 60n],
      [1, id('C'), 40n],
    ]);
  });

  test('claims are cumulative, and pay up to the max of the leg', () => {
    const { books, count, rich, writer } = newBooks();
    const hold = rich('A', 100n).hold(['B', 60n]);
    count(hold);
    const b = writer('B');
    expect([count(b.claim(hold, 25n)), books.available(id('B'))]).toEqual(['counted', 25n]);
    expect([count(b.claim(hold, 20n)), books.available(id('B'))]).toEqual(['nothing-new', 25n]);
    expect([count(b.claim(hold, 900n)), books.available(id('B'))]).toEqual(['counted', 60n]);
    expect([count(b.claim(hold, 901n)), books.leg(hold, 0)]).toEqual(['not-open', undefined]);
  });

  test('only the payee of a leg claims it', () => {
    const { books, count, rich, writer } = newBooks();
    const hold = rich('A', 100n).hold(['B', 50n], ['C', 50n]);
    count(hold);
    expect(count(writer('C').claim(hold, 50n, { leg: 0 }))).toBe('not-yours');
    expect(count(writer('B').claim(hold, 50n, { leg: 3 }))).toBe('not-open');
    expect(count(writer('B').claim({ ...hold, sequence: 0 }, 50n))).toBe('not-open');
    expect(count(writer('B').claim({ ...hold, author: id('C') }, 50n))).toBe('not-open');
    expect([books.available(id('B')), books.available(id('C'))]).toEqual([0n, 0n]);
  });

  test('the last claim closes the leg: what comes after it is worth nothing', () => {
    const { books, count, rich, writer } = newBooks();
    const hold = rich('A', 100n).hold(['B', 60n]);
    const b = writer('B');
    count(hold);
    const last = b.claim(hold, 10n, { last: true });
    expect([count(last), count(b.claim(hold, 60n))]).toEqual(['counted', 'not-open']);
    expect([books.available(id('B')), books.leg(hold, 0)?.closedBy]).toEqual([10n, nameOf(last)]);
  });
});

describe('release by name', () => {
  test('gives back the rest of a leg that its payee closed, once', () => {
    const { books, count, rich, writer } = newBooks();
    const a = rich('A', 100n);
    const hold = a.hold(['B', 60n]);
    count(hold);
    const last = writer('B').claim(hold, 10n, { last: true });
    count(last);
    expect([count(a.release(hold, last)), books.available(id('A'))]).toEqual(['counted', 90n]);
    expect([count(a.release(hold, last)), books.available(id('A'))]).toEqual(['not-open', 90n]);
  });

  test('gives back nothing while the leg is not closed, or when another claim closed it', () => {
    const { books, count, rich, writer } = newBooks();
    const a = rich('A', 100n);
    const hold = a.hold(['B', 60n]);
    const b = writer('B');
    count(hold);
    const first = b.claim(hold, 10n);
    count(first);
    expect(count(a.release(hold, first))).toBe('not-closed');
    const last = b.claim(hold, 20n, { last: true });
    count(last);
    expect(count(a.release(hold, first))).toBe('not-closed');
    expect(count(a.release(hold, { ...last, sequence: 5 }))).toBe('not-closed');
    expect(books.available(id('A'))).toBe(40n);
  });
});

describe('release alone', () => {
  test('counts only with a certificate', () => {
    const { books, count, rich } = newBooks();
    const a = rich('A', 100n);
    const hold = a.hold(['B', 60n]);
    count(hold);
    expect(count(a.releaseAlone(hold, 0n))).toBe('not-certified');
    expect([count(a.releaseAlone(hold, 20n), true), books.available(id('A'))]).toEqual(['counted', 80n]);
  });

  test('leaves in the leg what claims may still take, and no more', () => {
    const { books, count, rich, writer } = newBooks();
    const a = rich('A', 100n);
    const hold = a.hold(['B', 60n]);
    count(hold);
    count(a.releaseAlone(hold, 20n), true);
    expect(books.leg(hold, 0)).toMatchObject({ max: 60n, paid: 0n, givenBack: 40n, cap: 20n });
    expect([count(writer('B').claim(hold, 60n)), books.available(id('B'))]).toEqual(['counted', 20n]);
    expect(books.leg(hold, 0)).toBeUndefined();
  });

  test('the first of a leg caps it, and a second one gives nothing', () => {
    const { books, count, rich } = newBooks();
    const a = rich('A', 100n);
    const hold = a.hold(['B', 60n]);
    count(hold);
    // At the max it gives back nothing, and still it is the one: a second one at 0 would take what the first left to claims.
    expect(count(a.releaseAlone(hold, 60n), true)).toBe('counted');
    expect(count(a.releaseAlone(hold, 0n), true)).toBe('already-released');
    expect(books.available(id('A'))).toBe(40n);
  });

  test('a cap is known before anything is counted', () => {
    const { books, count, rich, writer } = newBooks();
    const a = rich('A', 100n);
    const hold = a.hold(['B', 60n]);
    const release = a.releaseAlone(hold, 20n);
    const claim = writer('B').claim(hold, 60n);
    const cap: Cap = { by: release.id, hold, leg: 0, cumulative: 20n };
    for (const counted of [[] as Entry[], [hold]]) {
      for (const entry of counted) count(entry);
      const capped = books.clone(new Map([[legKey(hold, 0), cap]]));
      for (const entry of [hold, claim, release]) {
        if (!counted.includes(entry)) capped.apply(entry, { certified: true });
      }
      expect([capped.available(id('A')), capped.available(id('B')), sumOf(capped)]).toEqual([80n, 20n, GENESIS]);
    }
    expect(books.leg(hold, 0)?.cap).toBeUndefined();
  });

  test('after it, a release by name gives nothing more', () => {
    const { books, count, rich, writer } = newBooks();
    const a = rich('A', 100n);
    const hold = a.hold(['B', 60n]);
    const last = writer('B').claim(hold, 10n, { last: true });
    for (const entry of [hold, last]) count(entry);
    count(a.releaseAlone(hold, 20n), true);
    expect(count(a.release(hold, last))).toBe('already-released');
    expect(books.available(id('A'))).toBe(80n);
  });

  test('a cap that is in the books stays: no later one takes its place', () => {
    const { books, count, rich } = newBooks();
    const a = rich('A', 100n);
    const hold = a.hold(['B', 60n]);
    count(hold);
    count(a.releaseAlone(hold, 20n), true);
    const second = a.releaseAlone(hold, 5n);
    const capped = books.clone(new Map([[legKey(hold, 0), { by: second.id, hold, leg: 0, cumulative: 5n }]]));
    expect(capped.leg(hold, 0)?.cap).toBe(20n);
    expect(capped.apply(second, { certified: true }).result).toBe('already-released');
  });

  test('gives nothing back twice, even of a leg that was paid above its cap', () => {
    const { books, count, rich, writer } = newBooks();
    const a = rich('A', 100n);
    const hold = a.hold(['B', 60n]);
    count(hold);
    count(writer('B').claim(hold, 50n));
    count(a.releaseAlone(hold, 0n), true);
    expect([books.available(id('A')), books.available(id('B'))]).toEqual([50n, 50n]);
  });
});

describe('the canonical state', () => {
  /** One of everything that can be open. */
  function full() {
    const made = newBooks();
    const { count, founder, rich, writer } = made;
    const [a, b] = [rich('A', 100n), rich('B', 100n)];
    const hold = a.hold(['B', 30n], ['C', 30n], ['D', 30n]);
    count(hold);
    count(founder.transfer('C', 7n));
    count(b.claim(hold, 10n));
    count(writer('C').claim(hold, 5n, { leg: 1, last: true }));
    count(a.releaseAlone(hold, 20n, 2), true);
    return made;
  }

  test('books that were written and read are the same books', () => {
    const { books } = full();
    const bytes = books.encode();
    const read = Books.decode(bytes, mesh);
    expect(read.encode()).toEqual(bytes);
    expect([...read.openLegs()].map(({ leg, paid, cap }) => [leg, paid, cap])).toEqual([
      [0, 10n, undefined],
      [1, 5n, undefined],
      [2, 0n, 20n],
    ]);
    expect(read.tip(id('A'))).toEqual(books.tip(id('A')));
  });

  test('they go on counting as the others do', () => {
    const { books, writer } = full();
    const hold: EntryName = [...books.openLegs()][0]!.hold;
    const d = writer('D').claim(hold, 30n, { leg: 2 });
    const again = Books.decode(books.encode(), mesh);
    expect([again, books].map((each) => each.apply(d, { certified: false }).moved)).toEqual([20n, 20n]);
    expect(again.encode()).toEqual(books.encode());
  });

  test('the order in which entries were counted leaves no trace', () => {
    const grants = ['A', 'B', 'C', 'D', 'E'].map((name) => [name, BigInt(name.charCodeAt(0))] as const);
    const founder = new Writer(mesh, FOUNDER, { signed: false });
    const transfers = grants.map(([name, amount]) => founder.transfer(name, amount));
    const accepts = grants.map(([name], i) => new Writer(mesh, name, { signed: false }).accept(transfers[i]!));
    const bytesOf = (order: readonly Entry[]) => {
      const books = new Books(mesh);
      for (const entry of [...transfers, ...order]) books.apply(entry, { certified: false });
      return books.encode();
    };
    const expected = bytesOf(accepts);
    fc.assert(
      fc.property(fc.shuffledSubarray(accepts, { minLength: accepts.length }), (order) => {
        expect(bytesOf(order)).toEqual(expected);
      }),
      { numRuns: 20 },
    );
  });

  test('a flipped bit is found, or is in an id that only the checkpoint knows', () => {
    const { books } = full();
    const bytes = books.encode();
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(7), (at, bit) => {
        const flipped = bytes.slice();
        flipped[at] = flipped[at]! ^ (1 << bit);
        let read: Books;
        try {
          read = Books.decode(flipped, mesh);
        } catch (error) {
          expect(error).toMatchObject({ code: 'damaged' });
          return;
        }
        expect(sumOf(read)).toBe(GENESIS);
        expect(read.encode()).toEqual(flipped);
      }),
      { numRuns: 2_000 },
    );
  });

  test('a leg that gave back what no release leaves is damaged', () => {
    const leg = { hold: { author: id('A'), sequence: 0, id: 'ab'.repeat(32) }, leg: 0, payee: id('B'), max: 60n };
    const stateWith = (paid: bigint, givenBack: bigint, cap: bigint | undefined) =>
      encodeState({
        accounts: [{ author: id('A'), sequence: 0, id: leg.hold.id, available: 0n }],
        transfers: [],
        legs: [{ ...leg, paid, givenBack, cap, closedBy: undefined, cappedBy: undefined }],
      });
    expect(() => Books.decode(stateWith(0n, 40n, undefined), mesh)).toThrowError(/above its cap/);
    expect(() => Books.decode(stateWith(0n, 10n, 20n), mesh)).toThrowError(/above its cap/);
    expect(() => Books.decode(stateWith(30n, 40n, 20n), mesh)).toThrowError(/nothing left/);
    expect(() => Books.decode(stateWith(30n, 0n, 20n), mesh)).toThrowError(/paid above its cap/);
    expect(() => Books.decode(stateWith(0n, 40n, 20n), mesh)).toThrowError(/sum up to/);
  });

  test('what is cut off, padded, unsorted or makes credits is damaged', () => {
    const { books } = full();
    const bytes = books.encode();
    const richer = meshOf({ genesis: GENESIS + 1n });
    for (const bad of [bytes.subarray(0, -1), Uint8Array.of(...bytes, 0), new Uint8Array(0), Uint8Array.of(0x80)]) {
      expect(() => Books.decode(bad, mesh)).toThrowError(expect.objectContaining({ code: 'damaged' }));
    }
    expect(() => Books.decode(bytes, richer)).toThrowError(/sum up to 1000, not to 1001/);
  });
});
