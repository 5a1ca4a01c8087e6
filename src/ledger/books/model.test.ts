import { describe, test } from 'vitest';
import { attest, certify, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { Driver } from '../../testing/ledger/driver.ts';
import type { Item } from '../../testing/ledger/histories.ts';
import { expectModel } from '../../testing/ledger/model.ts';
import { makeLedger } from '../../testing/ledger/real-ledger.ts';
import type { Attestation, Entry, EntryName, LedgerMesh } from '../entries/entry.ts';

const entry = (value: Entry): Item => ({ type: 'entry', entry: value });
const attestation = (value: Attestation): Item => ({ type: 'attestation', attestation: value });
const certificate = (mesh: LedgerMesh, name: EntryName, late = false) => certify(mesh, name, { late }).map(attestation);

/** Holds the ledger against the naive fold after each item. */
function follow(mesh: LedgerMesh, items: readonly Item[]): void {
  const driver = new Driver(makeLedger, mesh);
  for (const item of items) {
    driver.give(item);
    expectModel(driver);
  }
}

/** Histories in which the ledger once was another than the naive fold, or could easily be. */
describe('the ledger is the naive fold', () => {
  const mesh = meshOf();
  const four = meshOf({ witnesses: 4 });

  test('where a release names the closing claim at a wrong place, after it left memory', () => {
    const [founder, a] = [new Writer(mesh, FOUNDER), new Writer(mesh, 'A')];
    const hold = founder.hold(['A', 40n]);
    const claim = a.claim(hold, 10n, { last: true });
    const second = a.transfer('B', 1n);
    const release = founder.release(hold, { ...claim, sequence: 1 });
    const certified = certificate(mesh, second);
    follow(mesh, [entry(hold), ...certificate(mesh, hold), entry(claim), entry(second), ...certified, entry(release)]);
  });

  test('where an honest log rests on a fork of a place that left memory', () => {
    const founder = new Writer(mesh, FOUNDER);
    const chain = [founder.transfer('A', 10n), founder.transfer('A', 20n), founder.transfer('A', 30n)];
    const fork = founder.behind(chain[0]);
    const late = [fork.transfer('B', 1n), fork.transfer('B', 2n), fork.transfer('B', 3n)];
    const b = new Writer(mesh, 'B');
    const booked = [b.accept(chain[0]!), b.accept(late[2]!), b.transfer('A', 1n)];
    const certified = certificate(mesh, chain[2]!);
    follow(mesh, [...chain.map(entry), ...certified, ...[...late, ...booked].map(entry)]);
  });

  test('where witnesses vouch for a branch before and after it left memory', () => {
    const founder = new Writer(four, FOUNDER);
    const [one, other] = [founder.transfer('A', 1n), founder.behind(undefined).transfer('A', 2n)];
    const early = ['W2', 'W4'].map((name) => attestation(attest(four, name, other)));
    const after = attestation(attest(four, 'W1', other));
    follow(four, [entry(one), entry(other), ...early, ...certificate(four, one), after]);
  });

  test('where a certificate of an entry comes before the entry, and the other at its place is final', () => {
    const founder = new Writer(mesh, FOUNDER);
    const [one, other] = [founder.transfer('A', 1n), founder.behind(undefined).transfer('A', 2n)];
    follow(mesh, [...certificate(mesh, other), ...certificate(mesh, one), entry(one), entry(other)]);
  });

  test('where a leg is released alone twice, the first time of nothing', () => {
    const [founder, b] = [new Writer(mesh, FOUNDER), new Writer(mesh, 'B')];
    const hold = founder.hold(['B', 100n]);
    const releases = [founder.releaseAlone(hold, 100n), founder.releaseAlone(hold, 0n)];
    const claim = entry(b.claim(hold, 100n));
    const released = [...releases.map(entry), ...certificate(mesh, releases[1]!)];
    follow(mesh, [entry(hold), claim, ...released]);
    follow(mesh, [entry(hold), ...released, claim]);
  });

  test('where a timely claim is above a release alone that is certified and not final', () => {
    const [founder, a, b] = [new Writer(mesh, FOUNDER), new Writer(mesh, 'A'), new Writer(mesh, 'B')];
    const [hold, grant] = [founder.hold(['B', 100n]), founder.transfer('A', 10n)];
    const given = [a.accept(grant), a.transfer(FOUNDER, 5n)];
    const rest = [founder.accept(given[1]!), founder.releaseAlone(hold, 10n)];
    const claim = b.claim(hold, 70n);
    const entries = [hold, grant, ...given, ...rest, claim].map(entry);
    const certified = [grant, rest[1]!, claim, given[1]!].flatMap((name) => certificate(mesh, name));
    follow(mesh, [...entries, ...certified]);
  });
});
