import { describe, expect, test } from 'vitest';
import { LEDGER } from '../../limits/ledger.ts';
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
    for (const attestation of certify(mesh, entry, { signed: false })) {
      expect(ledger.attest(attestation)).toEqual({ result: 'taken' });
    }
  }
}

describe('taking in', () => {
  test('an entry waits until the one before it and all it names are here', () => {
    const [f, a] = [writer(FOUNDER), writer('A')];
    const [first, second] = [f.transfer('A', 10n), f.transfer('A', 20n)];
    const start = a.accept(first);
    const accept = a.accept(second);
    const ledger = new Ledger(mesh);
    expect(ledger.add(accept)).toEqual({ result: 'waits', missing: [nameOf(start), nameOf(second)] });
    expect(ledger.add(second)).toEqual({ result: 'waits', missing: [nameOf(first)] });
    take(ledger, first, start, second, accept);
    expect(ledger.add(accept)).toEqual({ result: 'known' });
    expect(ledger.available(id('A')).available).toBe(30n);
  });

  test('a log begins with credits that are meant for it', () => {
    const ledger = new Ledger(mesh);
    const f = writer(FOUNDER);
    const [grant, hold] = [f.transfer('A', 10n), f.hold(['B', 10n])];
    take(ledger, grant, hold);
    const forged = { ...nameOf(grant), sequence: 7 };
    expect(ledger.add(writer('C').transfer('A', 1n))).toMatchObject({ result: 'refused' });
    expect(ledger.add(writer('C').accept(grant))).toMatchObject({ result: 'refused' });
    expect(ledger.add(writer('C').claim(hold, 1n))).toMatchObject({ result: 'refused' });
    expect(ledger.add(writer('B').claim(hold, 1n, { leg: 1 }))).toMatchObject({ result: 'refused' });
    expect(ledger.add(writer('B').accept(hold))).toMatchObject({ result: 'refused' });
    expect(ledger.add(writer('A').accept(forged))).toEqual({ result: 'waits', missing: [forged] });
    take(ledger, writer('A').accept(grant), writer('B').claim(hold, 0n));
  });

  test('what can never fit is refused', () => {
    const ledger = new Ledger(mesh);
    const f = writer(FOUNDER);
    const grant = f.transfer('A', 10n);
    take(ledger, grant);
    expect(ledger.add({ ...f.transfer('A', 1n), sequence: 2 })).toMatchObject({ result: 'refused' });
    expect(ledger.add({ ...f.transfer('A', 1n), sequence: 0, id: 'f'.repeat(64) })).toMatchObject({
      result: 'refused',
    });
    expect(ledger.add({ ...writer('A').accept(grant), sequence: 1, previous: grant.id })).toMatchObject({
      result: 'refused',
    });
  });

  test('nothing has to wait for what is missing at a place that is covered: it is worth nothing', () => {
    const [f, a] = [writer(FOUNDER), writer('A')];
    const grant = f.transfer('A', 100n);
    const start = a.accept(grant);
    const stands = a.transfer('B', 100n);
    const hidden = a.behind(start).transfer('B', 100n, 'the other');
    const b = writer('B');
    const first = f.transfer('B', 1n);
    const [begin, accept] = [b.accept(first), b.accept(hidden)];
    const ledger = new Ledger(mesh);
    take(ledger, grant, start, stands, first, begin);
    expect(ledger.add(accept)).toEqual({ result: 'waits', missing: [nameOf(hidden)] });
    certifyAt(ledger, grant, stands);
    take(ledger, accept);
    expect(ledger.available(id('B')).available).toBe(1n);
    expect(ledger.add(hidden).result).toBe('old');
    expect(ledger.available(id('B')).available).toBe(1n);
  });
});

describe('reading', () => {
  test('says of every entry how it stands', () => {
    const [f, a] = [writer(FOUNDER), writer('A')];
    const grant = f.transfer('A', 100n);
    const start = a.accept(grant);
    const paid = a.transfer('B', 40n);
    const fork = a.behind(paid);
    const [left, right] = [a.transfer('B', 1n), fork.transfer('B', 2n)];
    const ledger = new Ledger(mesh);
    take(ledger, grant, start, paid, left, right);
    certifyAt(ledger, start);
    expect([grant, start, paid, left].map((entry) => ledger.status(entry))).toEqual([
      'stands',
      'certified',
      'stands',
      'fallen',
    ]);
    expect(ledger.status({ ...left, id: '0'.repeat(64) })).toBe('unknown');
    certifyAt(ledger, grant);
    expect([grant, start].map((entry) => ledger.status(entry))).toEqual(['final', 'final']);
    expect(ledger.finalTip(id('A'))).toEqual(nameOf(start));
    expect(ledger.tip(id('A'))).toEqual(nameOf(paid));
    expect(ledger.heads(id('A')).map((name) => name.id)).toEqual(expect.arrayContaining([left.id, right.id]));
    expect(ledger.children(id('A')).map((entry) => entry.id)).toEqual([paid.id]);
    expect(ledger.children(id('A'), paid.id)).toHaveLength(2);
    expect([...ledger.standing(id('A'))].map((entry) => entry.id)).toEqual([paid.id]);
    expect(ledger.find(start.id)).toBeUndefined();
    expect(ledger.counts()).toEqual({ entries: 3, authors: 2 });
  });

  test('says what each entry moved, and tells of every one that becomes final', () => {
    const final: [string, bigint][] = [];
    const ledger = new Ledger(mesh, { onFinal: (entry, moved) => final.push([entry.id, moved]) });
    const [f, a] = [writer(FOUNDER), writer('A')];
    const grant = f.transfer('A', 100n);
    const [start, over] = [a.accept(grant), a.transfer('B', 101n)];
    take(ledger, grant, start, over);
    expect([grant, start, over].map((entry) => ledger.moved(entry.id))).toEqual([-100n, 100n, 0n]);
    certifyAt(ledger, over, grant);
    expect(final).toEqual([
      [grant.id, -100n],
      [start.id, 100n],
      [over.id, 0n],
    ]);
    expect([...ledger.tail()]).toEqual([]);
  });

  test('the final part of what is available is what was final, less all that went out since', () => {
    const [f, a] = [writer(FOUNDER), writer('A')];
    const [first, second] = [f.transfer('A', 100n), f.transfer('A', 50n)];
    const start = a.accept(first);
    const ledger = new Ledger(mesh);
    take(ledger, first, start);
    certifyAt(ledger, first, start);
    take(ledger, second, a.accept(second), a.transfer('B', 30n));
    expect(ledger.available(id('A'))).toEqual({ available: 120n, final: 70n });
    take(ledger, a.hold(['B', 90n]), a.transfer('B', 1_000n));
    expect(ledger.available(id('A'))).toEqual({ available: 30n, final: 0n });
  });

  test('finds what is open by both of its sides', () => {
    const f = writer(FOUNDER);
    const [grant, hold] = [f.transfer('A', 10n), f.hold(['B', 10n], ['C', 20n])];
    const ledger = new Ledger(mesh);
    take(ledger, grant, hold);
    expect(ledger.openTransfersTo(id('A'))).toEqual([{ name: nameOf(grant), to: id('A'), amount: 10n }]);
    expect(ledger.openTransfersOf(mesh.founder)).toHaveLength(1);
    expect(ledger.openLegsOf(mesh.founder)).toHaveLength(2);
    expect(ledger.openLegsTo(id('C'))).toMatchObject([{ hold: nameOf(hold), leg: 1, max: 20n, paid: 0n }]);
  });

  test('generations tell whether anything changed', () => {
    const f = writer(FOUNDER);
    const grant = f.transfer('A', 10n);
    const ledger = new Ledger(mesh);
    const at = () => [ledger.generation, ledger.finalGeneration];
    take(ledger, grant);
    const [one, none] = at();
    ledger.add(grant);
    expect(at()).toEqual([one, none]);
    certifyAt(ledger, grant);
    expect(ledger.finalGeneration).toBe((none ?? 0) + 1);
    take(ledger, f.transfer('A', 10n));
    expect(ledger.generation).toBeGreaterThan(one ?? 0);
  });
});

describe('witnesses', () => {
  test('only those of the mesh count, and each once', () => {
    const grant = writer(FOUNDER).transfer('A', 10n);
    const ledger = new Ledger(mesh);
    take(ledger, grant);
    expect(ledger.attest(attest(mesh, 'X', grant)).result).toBe('refused');
    expect(ledger.attest(attest(mesh, 'W1', grant)).result).toBe('taken');
    expect(ledger.attest(attest(mesh, 'W1', grant)).result).toBe('known');
    // The same witness a second time, now saying late: it is still one.
    expect(ledger.attest(attest(mesh, 'W1', grant, true)).result).toBe('taken');
    expect(ledger.attest(attest(mesh, 'W2', grant)).result).toBe('taken');
    expect(ledger.status(grant)).toBe('stands');
    expect(ledger.attest(attest(mesh, 'W3', grant)).result).toBe('taken');
    expect(ledger.status(grant)).toBe('final');
    expect(ledger.attest(attest(mesh, 'W4', grant)).result).toBe('old');
  });

  test('an attestation waits for its entry, and the entry is wanted once it has a certificate', () => {
    const grant = writer(FOUNDER).transfer('A', 10n);
    const ledger = new Ledger(mesh);
    const attestations = certify(mesh, grant);
    for (const attestation of attestations) {
      expect(ledger.wantedNames()).toEqual([]);
      expect(ledger.attest(attestation)).toEqual({ result: 'waits', missing: nameOf(grant) });
    }
    expect(ledger.wantedNames()).toEqual([nameOf(grant)]);
    take(ledger, grant);
    expect(ledger.wantedNames()).toEqual([]);
    certifyAt(ledger, grant);
    expect(ledger.status(grant)).toBe('final');
  });

  test('an attestation of a wrong place is refused', () => {
    const grant = writer(FOUNDER).transfer('A', 10n);
    const ledger = new Ledger(mesh);
    take(ledger, grant);
    expect(ledger.attest(attest(mesh, 'W1', { ...grant, sequence: 1 })).result).toBe('refused');
  });

  test('hands on what makes certificates: of claims all, else the newest', () => {
    const [f, b] = [writer(FOUNDER), writer('B')];
    const hold = f.hold(['B', 10n]);
    const claims = [b.claim(hold, 1n), b.claim(hold, 2n)];
    const grants = [f.transfer('B', 1n), f.transfer('B', 1n)];
    const ledger = new Ledger(mesh, { finalise: false });
    take(ledger, hold, ...claims, ...grants, b.accept(grants[0]!), b.accept(grants[1]!));
    certifyAt(ledger, hold, ...claims, ...grants);
    const handed = (name: string, from: number) =>
      ledger.attestationsOf(id(name), from).map(({ sequence }) => sequence);
    expect(handed('B', 0)).toEqual([0, 0, 0, 1, 1, 1]);
    expect(handed('B', 1)).toEqual([1, 1, 1]);
    expect(handed(FOUNDER, 0)).toEqual([2, 2, 2]);
  });
});

describe('bounds', () => {
  test('entries that do not stand are kept up to a number, and those that are needed beyond it', () => {
    const [f, a] = [writer(FOUNDER), writer('A')];
    const grant = f.transfer('A', 10n);
    const start = a.accept(grant);
    const ledger = new Ledger(mesh);
    take(ledger, grant, start);
    const branches = Array.from({ length: LEDGER.maxFallenPerAuthor + 1 }, (_, i) =>
      a.behind(start).transfer('B', 1n, `${i}`),
    );
    const [extra, ...kept] = branches;
    take(ledger, ...kept);
    expect(ledger.add(extra!)).toEqual({ result: 'ignored' });
    // A certificate names it.
    for (const attestation of certify(mesh, extra!)) ledger.attest(attestation);
    take(ledger, extra!);
    certifyAt(ledger, extra!);
    expect(ledger.tip(id('A'))).toEqual(nameOf(extra!));
    // An entry that waits names it.
    const another = a.behind(start).transfer('B', 1n, 'another');
    expect(ledger.add(another)).toEqual({ result: 'ignored' });
    expect(ledger.add(another, [], true)).toEqual({ result: 'taken' });
  });

  test('the bound never hides a fork', () => {
    const [f, a] = [writer(FOUNDER), writer('A')];
    const grant = f.transfer('A', 10n);
    const start = a.accept(grant);
    const ledger = new Ledger(mesh);
    take(ledger, grant, start);
    for (let i = 0; i <= LEDGER.maxFallenPerAuthor; i++) ledger.add(a.behind(start).transfer('B', 1n, `${i}`));
    const [one, two] = [f.transfer('C', 1n), f.behind(grant).transfer('C', 2n)];
    take(ledger, one, two);
    expect(ledger.forks().map(({ author, sequence }) => [author, sequence])).toEqual([
      [mesh.founder, 1],
      [id('A'), 1],
    ]);
    // Even of an author who has as many as are kept: his first entry at a place and the second one cut his chain.
    take(ledger, a.behind(undefined).write({ kind: 'accept', transfer: nameOf(grant) }, 1));
    expect(ledger.tip(id('A'))).toBeUndefined();
  });
});
