import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { randomOf } from '../sim/random.ts';
import { account, certify, FOUNDER, hex, meshOf, Writer } from './authors.ts';
import { readState } from './driver.ts';
import { attestationsOf, entriesOf, play } from './histories.ts';
import { foldNaively } from './naive.ts';
import { plans } from './plans.ts';

const id = (name: string) => account(name).id;

describe('the specification itself', () => {
  test('gives one state whatever is counted first', () => {
    fc.assert(
      fc.property(plans(), (plan) => {
        const { mesh, items } = play(plan);
        const random = randomOf(plan.orders[0].seed, 'choice');
        const [entries, attestations] = [entriesOf(items), attestationsOf(items)];
        const one = foldNaively(mesh, entries, attestations);
        const other = foldNaively(mesh, entries.toReversed(), attestations.toReversed(), (ready) => random.pick(ready));
        expect([hex(other.state), other.digest, other.total]).toEqual([hex(one.state), one.digest, mesh.genesis]);
      }),
      { numRuns: 100 },
    );
  });

  test('counts a channel that both sides close', () => {
    const mesh = meshOf();
    const [founder, b] = [new Writer(mesh, FOUNDER), new Writer(mesh, 'B')];
    const hold = founder.hold(['B', 100n], ['C', 50n]);
    const claims = [b.claim(hold, 30n), b.claim(hold, 70n, { last: true })];
    const release = founder.release(hold, claims[1]!);
    const { available, legs, effects, final } = foldNaively(mesh, [hold, ...claims, release], []);
    expect([available.get(id(FOUNDER)), available.get(id('B'))]).toEqual([880n, 70n]);
    expect([hold, ...claims, release].map((entry) => effects.get(entry.id))).toEqual([-150n, 30n, 40n, 30n]);
    expect(legs.map(({ leg, payee }) => [leg, payee])).toEqual([[1, id('C')]]);
    expect(final.size).toBe(0);
  });

  test('caps what is claimed at a release alone, before and after it', () => {
    const mesh = meshOf();
    const founder = new Writer(mesh, FOUNDER);
    const hold = founder.hold(['B', 100n]);
    const claim = new Writer(mesh, 'B').claim(hold, 70n);
    const release = founder.releaseAlone(hold, 40n);
    const uncertified = foldNaively(mesh, [hold, claim, release], []);
    expect([uncertified.available.get(id(FOUNDER)), uncertified.available.get(id('B'))]).toEqual([900n, 70n]);
    const certified = foldNaively(mesh, [hold, claim, release], certify(mesh, release));
    expect([certified.available.get(id(FOUNDER)), certified.available.get(id('B'))]).toEqual([960n, 40n]);
  });

  test('cuts a fork until a certificate picks a branch', () => {
    const mesh = meshOf({ witnesses: 4 });
    const founder = new Writer(mesh, FOUNDER);
    const grant = founder.transfer('A', 100n);
    const [left, right] = [founder.behind(grant).transfer('A', 1n), founder.behind(grant).transfer('A', 2n)];
    const cut = foldNaively(mesh, [grant, left, right], []);
    expect(cut.tips.get(id(FOUNDER))?.id).toBe(grant.id);
    const picked = foldNaively(mesh, [grant, left, right], certify(mesh, right));
    expect(picked.tips.get(id(FOUNDER))?.id).toBe(right.id);
    expect([...picked.final]).toEqual([grant.id, right.id]);
    expect(readState(picked.state).transfers.map(({ amount }) => amount)).toEqual([100n, 2n]);
  });

  test('does not take in the log of a key that nobody sent credits to', () => {
    const mesh = meshOf();
    const grant = new Writer(mesh, FOUNDER).transfer('A', 100n);
    const strangers = [new Writer(mesh, 'B').transfer('A', 1n), new Writer(mesh, 'B').accept(grant)];
    expect(foldNaively(mesh, [grant, ...strangers], []).taken.size).toBe(1);
  });
});
