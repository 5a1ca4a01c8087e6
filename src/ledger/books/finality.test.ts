import { describe, expect, test } from 'vitest';
import { account, attest, certify, FOUNDER, meshOf, nameOf, Writer } from '../../testing/ledger/authors.ts';
import type { Entry } from '../entries/entry.ts';
import { Ledger } from './ledger.ts';

const mesh = meshOf({ witnesses: 4, genesis: 1_000n });
const id = (name: string) => account(name).id;
const writer = (name: string) => new Writer(mesh, name, { signed: false });

function take(ledger: Ledger, ...entries: readonly Entry[]): void {
  for (const entry of entries) expect(ledger.add(entry)).toEqual({ result: 'taken' });
}

function certifyAt(ledger: Ledger, ...entries: readonly Entry[]): void {
  for (const entry of entries) {
    for (const attestation of certify(mesh, entry, { signed: false })) ledger.attest(attestation);
  }
}

function certifyLate(ledger: Ledger, entry: Entry): void {
  for (const attestation of certify(mesh, entry, { late: true, signed: false })) ledger.attest(attestation);
}

/** A holds 60 for B, all of it final. */
function held() {
  const [f, a, b] = [writer(FOUNDER), writer('A'), writer('B')];
  const grant = f.transfer('A', 100n);
  const start = a.accept(grant);
  const hold = a.hold(['B', 60n]);
  const ledger = new Ledger(mesh);
  take(ledger, grant, start, hold);
  certifyAt(ledger, grant, hold);
  expect(ledger.finalTip(id('A'))).toEqual(nameOf(hold));
  return { ledger, f, a, b, hold };
}

const finalOf = (ledger: Ledger, name: string) => ledger.finalTip(id(name))?.sequence;

describe('an entry is final', () => {
  test('when it is certified and all it names is final, in whatever order that comes', () => {
    const [f, a] = [writer(FOUNDER), writer('A')];
    const grant = f.transfer('A', 100n);
    const accept = a.accept(grant);
    const ledger = new Ledger(mesh);
    take(ledger, grant, accept);
    certifyAt(ledger, accept);
    expect([finalOf(ledger, 'A'), ledger.available(id('A'))]).toEqual([undefined, { available: 100n, final: 0n }]);
    certifyAt(ledger, grant);
    expect([finalOf(ledger, 'A'), ledger.available(id('A'))]).toEqual([0, { available: 100n, final: 100n }]);
  });

  test('a certificate covers all before it', () => {
    const [f, a] = [writer(FOUNDER), writer('A')];
    const grants = [f.transfer('A', 1n), f.transfer('A', 2n), f.transfer('A', 3n)];
    const accepts = grants.map((grant) => a.accept(grant));
    const ledger = new Ledger(mesh);
    take(ledger, ...grants, ...accepts);
    certifyAt(ledger, grants[1]!, accepts[2]!);
    expect([finalOf(ledger, FOUNDER), finalOf(ledger, 'A')]).toEqual([1, 1]);
    certifyAt(ledger, grants[2]!);
    expect([finalOf(ledger, FOUNDER), finalOf(ledger, 'A')]).toEqual([2, 2]);
  });

  test('also when what it names is certified away: then it is worth nothing for ever', () => {
    const [f, a, b] = [writer(FOUNDER), writer('A'), writer('B')];
    const [grant, first] = [f.transfer('A', 100n), f.transfer('B', 1n)];
    const [start, begin] = [a.accept(grant), b.accept(first)];
    const [shown, real] = [a.transfer('B', 100n), a.behind(start).transfer('C', 100n)];
    const accept = b.accept(shown);
    const ledger = new Ledger(mesh);
    take(ledger, grant, first, start, begin, shown, accept);
    certifyAt(ledger, first, accept);
    expect(ledger.available(id('B'))).toEqual({ available: 101n, final: 1n });
    take(ledger, real);
    expect(finalOf(ledger, 'B')).toBe(0);
    certifyAt(ledger, real);
    expect(finalOf(ledger, 'B')).toBe(1);
    expect(ledger.available(id('B'))).toEqual({ available: 1n, final: 1n });
  });

  test('also when it is certified away by a second certificate, which cuts the chain', () => {
    const [f, a, b] = [writer(FOUNDER), writer('A'), writer('B')];
    const [first, grant] = [f.transfer('B', 1n), f.transfer('A', 100n)];
    const [start, begin] = [a.accept(grant), b.accept(first)];
    const other = a.behind(start);
    const [before, one] = [a.transfer('B', 1n), a.transfer('B', 99n)];
    const two = other.transfer('C', 100n);
    const accept = b.accept(one);
    const ledger = new Ledger(mesh);
    take(ledger, first, grant, start, begin, before, one, accept);
    certifyAt(ledger, first, one, accept);
    expect([finalOf(ledger, 'A'), finalOf(ledger, 'B')]).toEqual([undefined, 0]);
    take(ledger, two);
    certifyAt(ledger, two);
    expect([finalOf(ledger, 'A'), finalOf(ledger, 'B')]).toEqual([undefined, 1]);
    expect(ledger.available(id('B'))).toEqual({ available: 1n, final: 1n });
  });

  test('a whole web of them at once, however long each waits for the other', () => {
    const ledger = new Ledger(mesh);
    const names = Array.from({ length: 500 }, (_, i) => `N${i}`);
    const writers = names.map(writer);
    let grant = writer(FOUNDER).transfer(names[0]!, 1_000n);
    const first = grant;
    take(ledger, grant);
    for (const [i, own] of writers.entries()) {
      const accept = own.accept(grant);
      grant = own.transfer(names[i + 1] ?? FOUNDER, 1_000n);
      take(ledger, accept, grant);
      certifyAt(ledger, grant);
    }
    expect(ledger.finalGeneration).toBe(0);
    certifyAt(ledger, first);
    expect([ledger.finalGeneration, [...ledger.tail()].length]).toEqual([1, 0]);
    expect([...ledger.finalBooks().openTransfers()].map(({ name }) => nameOf(name))).toEqual([nameOf(grant)]);
  });
});

describe('what leaves memory', () => {
  test('leaves the fork behind it as it was, for a certificate to pick', () => {
    const [f] = [writer(FOUNDER)];
    const first = f.transfer('A', 1n);
    const [one, two] = [f.transfer('A', 2n), f.behind(first).transfer('A', 3n)];
    const ledger = new Ledger(mesh);
    take(ledger, first, one, two);
    certifyAt(ledger, first);
    expect([finalOf(ledger, FOUNDER), ledger.tip(mesh.founder)]).toEqual([0, nameOf(first)]);
    certifyAt(ledger, two);
    expect([finalOf(ledger, FOUNDER), ledger.available(mesh.founder)]).toEqual([1, { available: 996n, final: 996n }]);
  });

  test('takes the branches with it that it excludes, as far as it reaches', () => {
    const f = writer(FOUNDER);
    const first = f.transfer('A', 1n);
    const other = f.behind(first);
    const fallen = [other.transfer('B', 1n), other.transfer('B', 2n), other.transfer('B', 3n)];
    const [one, two, three] = [f.transfer('A', 2n), f.transfer('A', 3n), f.transfer('A', 4n)];
    const ledger = new Ledger(mesh);
    take(ledger, first, ...fallen, one, two, three);
    const ids = () => [...ledger.tail()].map((entry) => entry.id);
    certifyAt(ledger, one);
    expect(ids()).toEqual([fallen[1]!.id, fallen[2]!.id, two.id, three.id]);
    certifyAt(ledger, three);
    expect(ids()).toEqual([]);
    expect(ledger.heads(mesh.founder)).toEqual([nameOf(three)]);
  });
});

describe('a claim is final', () => {
  test('when it is timely by a certificate of its own place, not by one behind it', () => {
    const { ledger, b, hold } = held();
    const [first, second] = [b.claim(hold, 10n), b.claim(hold, 20n)];
    take(ledger, first, second);
    certifyAt(ledger, second);
    expect([ledger.status(first), finalOf(ledger, 'B')]).toEqual(['certified', undefined]);
    certifyAt(ledger, first);
    expect([finalOf(ledger, 'B'), ledger.available(id('B')).final]).toEqual([1, 20n]);
  });

  test('when a quorum says that it is not late, whatever others say', () => {
    const { ledger, b, hold } = held();
    const claim = b.claim(hold, 10n);
    take(ledger, claim);
    ledger.attest(attest(mesh, 'W1', claim, true));
    ledger.attest(attest(mesh, 'W2', claim));
    ledger.attest(attest(mesh, 'W3', claim));
    expect(ledger.status(claim)).toBe('certified');
    ledger.attest(attest(mesh, 'W4', claim));
    expect(ledger.status(claim)).toBe('final');
  });

  test('when it is late: only once the release that it came after is final', () => {
    const { ledger, a, b, hold } = held();
    const release = a.releaseAlone(hold, 20n);
    const claim = b.claim(hold, 60n);
    take(ledger, claim);
    certifyLate(ledger, claim);
    expect(ledger.available(id('B'))).toEqual({ available: 60n, final: 0n });
    take(ledger, release);
    certifyAt(ledger, release);
    expect(ledger.available(id('B'))).toEqual({ available: 20n, final: 20n });
    expect(ledger.available(id('A'))).toEqual({ available: 80n, final: 80n });
  });

  test('also when it is late for a leg that is gone: nothing can come of it', () => {
    const { ledger, a, b, hold } = held();
    const release = a.releaseAlone(hold, 0n);
    take(ledger, release);
    certifyAt(ledger, release);
    expect(ledger.books().leg(hold, 0)).toBeUndefined();
    const claim = b.claim(hold, 60n);
    // The hold left memory with its leg, so the one who began his log with it brings it along, from the disk.
    expect(ledger.add(claim)).toEqual({ result: 'waits', missing: [nameOf(hold)] });
    expect(ledger.add(claim, [hold])).toEqual({ result: 'taken' });
    certifyLate(ledger, claim);
    expect([ledger.status(claim), ledger.available(id('B'))]).toEqual(['final', { available: 0n, final: 0n }]);
  });

  test('not while a certified release alone below it may still take from it', () => {
    const { ledger, f, a, b, hold } = held();
    const unsure = f.transfer('A', 1n);
    const claim = b.claim(hold, 60n);
    take(ledger, unsure, a.accept(unsure), a.releaseAlone(hold, 20n), claim);
    // No honest witness signs both; where enough lie, nobody has a final credit that another has not.
    certifyAt(ledger, a.tip!, claim);
    expect(finalOf(ledger, 'B')).toBeUndefined();
    expect(ledger.available(id('B'))).toEqual({ available: 20n, final: 0n });
    certifyAt(ledger, unsure);
    expect(ledger.available(id('B'))).toEqual({ available: 20n, final: 20n });
  });
});

describe('a release alone', () => {
  test('caps a leg as soon as it is certified, and not before', () => {
    const { ledger, a, b, hold } = held();
    const [claim, release] = [b.claim(hold, 60n), a.releaseAlone(hold, 20n)];
    take(ledger, claim, release);
    expect([id('A'), id('B')].map((account) => ledger.available(account).available)).toEqual([40n, 60n]);
    certifyAt(ledger, release);
    expect([id('A'), id('B')].map((account) => ledger.available(account).available)).toEqual([80n, 20n]);
  });

  test('caps also what was claimed before it came, while it is not final itself, and only the first one does', () => {
    const { ledger, f, a, b, hold } = held();
    const [claim, unsure] = [b.claim(hold, 60n), f.transfer('A', 1n)];
    take(ledger, claim, unsure, a.accept(unsure), a.releaseAlone(hold, 20n), a.releaseAlone(hold, 0n));
    certifyAt(ledger, a.tip!);
    expect(ledger.status(a.tip!)).toBe('certified');
    expect([id('A'), id('B')].map((account) => ledger.available(account).available)).toEqual([81n, 20n]);
  });

  test('caps nothing without a certificate, whenever it is counted anew', () => {
    const { ledger, f, a, b, hold } = held();
    const other = f.behind(f.tip);
    const [one, two] = [f.transfer('C', 1n), other.transfer('C', 2n)];
    take(ledger, a.releaseAlone(hold, 20n), b.claim(hold, 60n), one, two);
    expect(ledger.available(id('B')).available).toBe(60n);
  });

  test('is no contradiction when it comes behind one that is final', () => {
    const { ledger, a, b, hold } = held();
    const [claim, first, second] = [b.claim(hold, 30n), a.releaseAlone(hold, 50n), a.releaseAlone(hold, 0n)];
    take(ledger, claim, first);
    certifyAt(ledger, claim, first);
    take(ledger, second);
    certifyAt(ledger, second);
    expect(ledger.status(second)).toBe('final');
    expect([id('A'), id('B')].map((account) => ledger.available(account).final)).toEqual([50n, 30n]);
  });

  test('makes what its payer wrote behind it good, when it is certified later', () => {
    const { ledger, a, hold } = held();
    const [release, spends] = [a.releaseAlone(hold, 0n), a.transfer('C', 100n)];
    take(ledger, release, spends);
    expect(ledger.moved(spends.id)).toBe(0n);
    certifyAt(ledger, release);
    expect(ledger.moved(spends.id)).toBe(-100n);
  });
});

describe('what contradicts the final part', () => {
  /** A's first transfer is final; there is another for its place. */
  function contradicted() {
    const [f, a] = [writer(FOUNDER), writer('A')];
    const grant = f.transfer('A', 100n);
    const start = a.accept(grant);
    const [one, two] = [a.transfer('B', 100n), a.behind(start).transfer('C', 100n)];
    const behind = a.behind(two).transfer('C', 1n);
    const ledger = new Ledger(mesh);
    take(ledger, grant, start, one);
    return { ledger, a, grant, one, two, behind };
  }

  test('is a certificate for the other entry of a place, when the fork was known before', () => {
    const { ledger, grant, one, two } = contradicted();
    take(ledger, two);
    certifyAt(ledger, grant, one);
    expect(ledger.status(two)).toBe('fallen');
    const said = certify(mesh, two).map((attestation) => ledger.attest(attestation).result);
    expect(said).toEqual(['old', 'old', 'contradiction']);
  });

  test('or was found late', () => {
    const { ledger, grant, one, two } = contradicted();
    certifyAt(ledger, grant, one);
    expect(ledger.add(two)).toEqual({ result: 'old' });
    expect([ledger.noteFork(one, two), ledger.noteFork(one, two)]).toEqual([true, false]);
    expect(ledger.forks()).toMatchObject([{ author: id('A'), sequence: 1, resolved: one.id }]);
    const said = certify(mesh, two).map((attestation) => ledger.attest(attestation));
    expect(said.at(-1)).toMatchObject({ result: 'contradiction', name: nameOf(two) });
  });

  test('also when witnesses spoke of it before it was found', () => {
    const { ledger, grant, one, two } = contradicted();
    for (const attestation of certify(mesh, two)) expect(ledger.attest(attestation).result).toBe('waits');
    certifyAt(ledger, grant, one);
    expect(ledger.add(two)).toEqual({ result: 'old' });
    expect(ledger.attest(certify(mesh, two)[0]!).result).toBe('contradiction');
  });

  test('or a certificate far up the other branch', () => {
    const { ledger, grant, one, two, behind } = contradicted();
    certifyAt(ledger, grant, one);
    expect(ledger.add(behind)).toEqual({ result: 'waits', missing: [nameOf(two)] });
    expect(ledger.add(behind, [two])).toEqual({ result: 'taken' });
    expect(ledger.status(behind)).toBe('fallen');
    const said = certify(mesh, behind).map((attestation) => ledger.attest(attestation).result);
    expect(said.at(-1)).toBe('contradiction');
  });

  test('or a release alone below what was finally paid', () => {
    const { ledger, a, b, hold } = held();
    const [claim, release] = [b.claim(hold, 50n), a.releaseAlone(hold, 0n)];
    take(ledger, claim);
    certifyAt(ledger, claim);
    expect(ledger.available(id('B')).final).toBe(50n);
    take(ledger, release);
    const said = certify(mesh, release).map((attestation) => ledger.attest(attestation).result);
    expect(said.at(-1)).toBe('contradiction');
    expect(ledger.available(id('B')).available + ledger.available(id('A')).available).toBeLessThanOrEqual(100n);
  });

  test('after which nothing more is final here, and a ledger that keeps all cuts the chain', () => {
    const { ledger, a, grant, one, two } = contradicted();
    take(ledger, two);
    certifyAt(ledger, grant, one, two);
    const more = a.behind(one).transfer('D', 1n);
    take(ledger, more);
    certifyAt(ledger, more);
    expect(ledger.status(more)).toBe('certified');

    const all = new Ledger(mesh, { finalise: false });
    take(all, grant, writer('A').accept(grant), one, two, more);
    certifyAt(all, grant, one, two, more);
    expect(all.tip(id('A'))?.sequence).toBe(0);
    expect(all.available(id('A')).available).toBe(100n);
  });
});
