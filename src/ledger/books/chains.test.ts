import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { account, certify, FOUNDER, meshOf, nameOf, Writer } from '../../testing/ledger/authors.ts';
import type { Entry } from '../entries/entry.ts';
import { Ledger } from './ledger.ts';

const mesh = meshOf({ witnesses: 4, genesis: 1_000n });
const founder = account(FOUNDER).id;
const writer = (name = FOUNDER) => new Writer(mesh, name, { signed: false });

/** A ledger that keeps all, so that a second certificate of a place can be seen at work. */
function ledgerOf(...entries: readonly Entry[]) {
  const ledger = new Ledger(mesh, { finalise: false });
  for (const entry of entries) expect(ledger.add(entry).result).toBe('taken');
  return ledger;
}

function certifyAt(ledger: Ledger, ...entries: readonly Entry[]): void {
  for (const entry of entries) {
    for (const attestation of certify(mesh, entry, { signed: false })) ledger.attest(attestation);
  }
}

/** A chain of five and, from its third place on, another branch of three. */
function forked() {
  const f = writer();
  const trunk = [f.transfer('A', 1n), f.transfer('A', 2n)];
  const other = f.behind(trunk[1]);
  const left = [f.transfer('A', 3n), f.transfer('A', 4n), f.transfer('A', 5n)];
  const right = [other.transfer('B', 3n), other.transfer('B', 4n), other.transfer('B', 5n)];
  return { trunk, left, right };
}

const tipOf = (ledger: Ledger) => ledger.tip(founder);
const statuses = (ledger: Ledger, entries: readonly Entry[]) => entries.map((entry) => ledger.status(entry));

describe('who stands', () => {
  test('the only entry that follows is next', () => {
    const { trunk, left } = forked();
    const ledger = ledgerOf(...trunk, ...left);
    expect(tipOf(ledger)).toEqual(nameOf(left[2]!));
    expect(ledger.forks()).toEqual([]);
  });

  test('at a fork the chain is cut: neither branch is worth anything, and nothing before it changes', () => {
    const { trunk, left, right } = forked();
    const ledger = ledgerOf(...trunk, ...left);
    const before = [...ledger.books().openTransfers()].slice(0, 2);
    ledger.add(right[0]!);
    expect(tipOf(ledger)).toEqual(nameOf(trunk[1]!));
    expect(statuses(ledger, [...trunk, ...left, right[0]!])).toEqual([
      ...['stands', 'stands'],
      ...['fallen', 'fallen', 'fallen', 'fallen'],
    ]);
    expect([...ledger.books().openTransfers()]).toEqual(before);
    expect(ledger.available(founder).available).toBe(997n);
    const ids = [left[0]!.id, right[0]!.id].toSorted();
    expect(ledger.forks()).toEqual([{ author: founder, sequence: 2, ids, resolved: undefined }]);
  });

  test('what comes behind a cut does not stand either', () => {
    const { trunk, left, right } = forked();
    const ledger = ledgerOf(...trunk, left[0]!, right[0]!, right[1]!, left[1]!, left[2]!);
    expect(tipOf(ledger)).toEqual(nameOf(trunk[1]!));
    expect(ledger.counts()).toEqual({ entries: 2, authors: 1 });
  });

  test('a certificate picks a branch, with all that follows on it', () => {
    const { trunk, left, right } = forked();
    const ledger = ledgerOf(...trunk, ...left, ...right);
    certifyAt(ledger, right[0]!);
    expect(tipOf(ledger)).toEqual(nameOf(right[2]!));
    expect(statuses(ledger, [left[0]!, ...right])).toEqual(['fallen', 'certified', 'stands', 'stands']);
    expect(ledger.forks()[0]?.resolved).toBe(right[0]!.id);
    expect(ledger.available(founder).available).toBe(985n);
  });

  test('a certificate far up its branch covers the fork below', () => {
    const { trunk, left, right } = forked();
    const ledger = ledgerOf(...trunk, ...left, ...right);
    certifyAt(ledger, left[2]!);
    expect(statuses(ledger, left)).toEqual(['certified', 'certified', 'certified']);
  });

  test('a fork behind a certificate does not touch it', () => {
    const { trunk, left, right } = forked();
    const ledger = ledgerOf(...trunk, ...left);
    certifyAt(ledger, left[1]!);
    for (const entry of right) expect(ledger.add(entry).result).toBe('taken');
    expect(tipOf(ledger)).toEqual(nameOf(left[2]!));
    expect(statuses(ledger, right)).toEqual(['fallen', 'fallen', 'fallen']);
  });

  test('two certificates at one fork cut it for ever: then more witnesses lied than may', () => {
    const { trunk, left, right } = forked();
    const ledger = ledgerOf(...trunk, ...left, ...right);
    certifyAt(ledger, left[2]!, right[0]!);
    expect(tipOf(ledger)).toEqual(nameOf(trunk[1]!));
    expect(statuses(ledger, [...left, ...right])).toEqual(new Array(6).fill('fallen'));
    certifyAt(ledger, left[0]!, right[2]!);
    expect(tipOf(ledger)).toEqual(nameOf(trunk[1]!));
  });

  test('of three branches a certificate picks one, and a fork upon a fork waits for its own', () => {
    const { trunk, left, right } = forked();
    const third = writer().behind(trunk[1]).transfer('C', 3n);
    const upon = writer().behind(right[0]).transfer('C', 9n);
    const ledger = ledgerOf(...trunk, ...left, ...right, third, upon);
    certifyAt(ledger, right[0]!);
    expect(tipOf(ledger)).toEqual(nameOf(right[0]!));
    certifyAt(ledger, upon);
    expect(tipOf(ledger)).toEqual(nameOf(upon));
  });

  test('a fork at the very beginning leaves nothing', () => {
    const [one, two] = [writer().transfer('A', 1n), writer().transfer('A', 2n)];
    const ledger = ledgerOf(one, two);
    expect([tipOf(ledger), ledger.counts()]).toEqual([undefined, { entries: 0, authors: 0 }]);
    expect(ledger.digest()).toBe(new Ledger(mesh).digest());
    certifyAt(ledger, two);
    expect(tipOf(ledger)).toEqual(nameOf(two));
  });
});

describe('the order of arrival', () => {
  test('leaves no trace, whatever is certified', () => {
    const { trunk, left, right } = forked();
    const third = writer().behind(left[0]).transfer('C', 9n);
    const entries = [...trunk, ...left, ...right, third];
    const things = [...entries.map((entry) => ({ entry })), ...entries.map((entry) => ({ certifies: entry }))];
    const play = (order: typeof things) => {
      const ledger = new Ledger(mesh, { finalise: false });
      // What is too early is told again, until nothing of it is new.
      for (let left = order, before = -1; left.length !== before; ) {
        before = left.length;
        left = left.filter((thing) => {
          if ('entry' in thing) return ledger.add(thing.entry).result === 'waits';
          const said = certify(mesh, thing.certifies, { signed: false }).map((each) => ledger.attest(each).result);
          return said.includes('waits');
        });
        // Some read in between, and some do not: a reader must not change what comes out.
        if (before % 2 === 0) ledger.books();
      }
      return ledger;
    };
    fc.assert(
      fc.property(
        fc
          .subarray(things)
          .chain((some) =>
            fc.tuple(
              fc.shuffledSubarray(some, { minLength: some.length }),
              fc.shuffledSubarray(some, { minLength: some.length }),
            ),
          ),
        ([one, two]) => {
          const [a, b] = [play(one), play(two)];
          expect(a.digest()).toBe(b.digest());
          expect(a.root()).toEqual(b.root());
          expect(a.books().encode()).toEqual(b.books().encode());
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('long histories', () => {
  test('a branch of 50,000 entries falls, rises and becomes final without recursion', () => {
    const f = writer();
    const template = f.transfer('A', 1n);
    let previous = template;
    const rest = Array.from({ length: 50_000 }, (_, i): Entry => {
      previous = { ...template, sequence: i + 1, previous: previous.id, id: i.toString(16).padStart(64, '0') };
      return previous;
    });
    const ledger = new Ledger(mesh);
    for (const entry of [template, ...rest]) ledger.add(entry);
    ledger.add(f.behind(template).transfer('B', 1n));
    expect(tipOf(ledger)).toEqual(nameOf(template));
    certifyAt(ledger, rest.at(-1)!);
    expect(ledger.finalTip(founder)).toEqual(nameOf(rest.at(-1)!));
    expect([...ledger.tail()]).toEqual([]);
    // 1,000 transfers were covered; those behind are void, and final all the same.
    expect(ledger.finalBooks().available(founder)).toBe(0n);
  });
});
