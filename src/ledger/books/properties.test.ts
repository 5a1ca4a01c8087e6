import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { entriesOf, play } from '../../testing/ledger/histories.ts';
import { plans } from '../../testing/ledger/plans.ts';
import { properties } from '../../testing/ledger/properties.ts';
import { makeLedger } from '../../testing/ledger/real-ledger.ts';

/**
 * Properties 7, 8, 10 and 13 of the ledger stand in the tests of the codec, of vouchers and of the flows. All of these here hold for one
 * set of witnesses: a descriptor that changes them is not among the histories. `npm run ledger:properties` tries as many
 * histories as one likes.
 */
describe('whatever authors and witnesses sign', () => {
  for (const { title, plans: arbitrary, runs, check } of properties) {
    // A failure is shrunk, which takes far longer than finding it.
    test(title, { timeout: 120_000 }, () => {
      fc.assert(
        fc.property(arbitrary, (plan) => check(plan, makeLedger)),
        { numRuns: runs, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: true },
      );
    });
  }
});

test('the histories have in them what the properties are about', () => {
  const seen = new Set<string>();
  for (const plan of fc.sample(plans(), { numRuns: 300, seed: 1 })) {
    const { mesh, items, mostAreHonest, spent } = play(plan);
    seen.add(`${mesh.witnesses.length} witnesses, ${mostAreHonest ? 'most' : 'few'} honest`);
    if (spent.some(({ ofFinal }) => ofFinal)) seen.add('final credits spent');
    const places = new Set<string>();
    for (const { author, sequence, body } of entriesOf(items)) {
      seen.add(body.kind === 'release' && 'alone' in body.rest ? 'release alone' : body.kind);
      if (places.has(`${author}/${sequence}`)) seen.add('fork');
      places.add(`${author}/${sequence}`);
    }
  }
  const sets = [1, 4, 7].flatMap((n) => [`${n} witnesses, most honest`, `${n} witnesses, few honest`]);
  const kinds = ['transfer', 'accept', 'hold', 'claim', 'release', 'release alone', 'fork', 'final credits spent'];
  expect([...seen].toSorted()).toEqual([...sets, ...kinds].toSorted());
});
