import { describe, expect, test } from 'vitest';
import { LEDGER } from '../../limits/ledger.ts';
import { encode } from '../../protocol/cbor.ts';
import { sha256Hex } from '../../protocol/hash.ts';
import { ledgerLine } from '../../protocol/ledger.ts';
import { account, bytes, certify, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import type { Entry } from '../entries/entry.ts';
import { Ledger } from './ledger.ts';
import { bucketOf } from './lines.ts';

const mesh = meshOf({ genesis: 1_000n });
const id = (name: string) => account(name).id;
const writer = (name: string) => new Writer(mesh, name, { signed: false });

function ledgerOf(...entries: readonly Entry[]): Ledger {
  const ledger = new Ledger(mesh);
  for (const entry of entries) expect(ledger.add(entry).result).toBe('taken');
  return ledger;
}

function certifyAt(ledger: Ledger, ...entries: readonly Entry[]): void {
  for (const entry of entries) for (const attestation of certify(mesh, entry)) ledger.attest(attestation);
}

function lineOf(ledger: Ledger, name: string) {
  const author = id(name);
  return ledger.lines(bucketOf(author)).find(([key]) => Buffer.from(key).toString('hex') === author);
}

describe('the digest', () => {
  test('is over the tips of all who have an entry that stands', () => {
    const [f, a] = [writer(FOUNDER), writer('A')];
    const grant = f.transfer('A', 10n);
    const accept = a.accept(grant);
    const ledger = ledgerOf(grant, accept);
    const tips = [grant, accept]
      .toSorted((one, other) => (one.author < other.author ? -1 : 1))
      .map(({ author, sequence, id }) => [bytes(author), sequence, bytes(id)]);
    expect(ledger.digest()).toBe(sha256Hex(encode(tips)));
    expect(new Ledger(mesh).digest()).toBe(sha256Hex(encode([])));
  });

  test('does not see what does not stand, or what is certified', () => {
    const grant = writer(FOUNDER).transfer('A', 10n);
    const [one, two] = [ledgerOf(grant), ledgerOf(grant)];
    certifyAt(two, grant);
    expect(one.digest()).toBe(two.digest());
    const fork = writer(FOUNDER).behind(grant);
    const [left, right] = [fork.transfer('A', 1n), fork.behind(grant).transfer('A', 2n)];
    two.add(left);
    expect(one.digest()).not.toBe(two.digest());
    two.add(right);
    expect(one.digest()).toBe(two.digest());
  });
});

describe('lines', () => {
  test('say what is known of an account', () => {
    const [f, a] = [writer(FOUNDER), writer('A')];
    const grant = f.transfer('A', 10n);
    const [start, next] = [a.accept(grant), a.transfer('B', 1n)];
    const ledger = ledgerOf(grant, start, next);
    const none = new Uint8Array(0);
    expect(lineOf(ledger, 'A')).toEqual([bytes(id('A')), 1, bytes(next.id), 0, 0, none]);
    certifyAt(ledger, start);
    expect(lineOf(ledger, 'A')).toEqual([bytes(id('A')), 1, bytes(next.id), 1, 0, none]);
    certifyAt(ledger, grant);
    expect(lineOf(ledger, 'A')).toEqual([bytes(id('A')), 1, bytes(next.id), 1, 1, none]);
    expect(lineOf(ledger, 'B')).toBeUndefined();
    for (let bucket = 0; bucket < LEDGER.buckets; bucket++) {
      for (const line of ledger.lines(bucket)) expect(ledgerLine.parse(line)).toEqual(line);
    }
  });

  test('of an author of whom nothing stands begin at the mesh', () => {
    const ledger = ledgerOf(writer(FOUNDER).transfer('A', 1n), writer(FOUNDER).transfer('A', 2n));
    expect(lineOf(ledger, FOUNDER)?.slice(0, 5)).toEqual([bytes(mesh.founder), 0, mesh.networkId, 0, 0]);
    expect(lineOf(ledger, FOUNDER)?.[5]).toHaveLength(32);
  });

  test('agree when the same is known, also of forks, and whatever pair of it', () => {
    const f = writer(FOUNDER);
    const first = f.transfer('A', 1n);
    const branches = [2n, 3n, 4n].map((amount) => f.behind(first).transfer('A', amount));
    const [one, two] = [ledgerOf(first, branches[0]!, branches[1]!), ledgerOf(first, branches[2]!, branches[1]!)];
    expect(one.root()).toEqual(two.root());
    expect(one.root()).not.toEqual(ledgerOf(first).root());
  });

  test('tell the fork that cuts a chain, behind an older one that is settled', () => {
    const f = writer(FOUNDER);
    const [first, other] = [f.transfer('A', 1n), f.behind(undefined).transfer('A', 2n)];
    const [one, two] = [f.transfer('A', 3n), f.behind(first).transfer('A', 4n)];
    const [cut, uncut] = [ledgerOf(first, other), ledgerOf(first, other)];
    for (const ledger of [cut, uncut]) certifyAt(ledger, first);
    expect(cut.root()).toEqual(uncut.root());
    for (const entry of [one, two]) cut.add(entry);
    expect(lineOf(cut, FOUNDER)?.slice(0, 5)).toEqual(lineOf(uncut, FOUNDER)?.slice(0, 5));
    expect(cut.root()).not.toEqual(uncut.root());
    expect(cut.forks().map(({ sequence, resolved }) => [sequence, resolved])).toEqual([
      [0, first.id],
      [1, undefined],
    ]);
  });

  test('agree whether a fork was known before a place was final, or found late', () => {
    const f = writer(FOUNDER);
    const first = f.transfer('A', 1n);
    const [stands, other] = [f.transfer('A', 2n), f.behind(first).transfer('A', 3n)];
    const [early, late] = [ledgerOf(first, other, stands), ledgerOf(first, stands)];
    certifyAt(early, stands);
    certifyAt(late, stands);
    expect(early.root()).not.toEqual(late.root());
    expect(late.noteFork(stands, other)).toBe(true);
    expect(early.root()).toEqual(late.root());
    expect(early.forks()).toEqual(late.forks());
  });

  test('change the hash of their group, and of the whole, and no other', () => {
    const grant = writer(FOUNDER).transfer('A', 10n);
    const ledger = ledgerOf(grant);
    const [root, hashes] = [ledger.root(), ledger.bucketHashes()];
    ledger.add(writer('A').accept(grant));
    const changed = ledger.bucketHashes().flatMap((hash, i) => (Buffer.compare(hash, hashes[i]!) === 0 ? [] : [i]));
    expect(changed).toEqual([bucketOf(id('A'))]);
    expect(ledger.root()).not.toEqual(root);
    expect(hashes).toHaveLength(LEDGER.buckets);
    expect(hashes.filter((hash) => hash.length > 0)).toHaveLength(1);
  });
});
