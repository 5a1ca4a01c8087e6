/**
 * Tries the properties of the ledger (src/testing/ledger/properties.ts) on random histories, for as long as one likes.
 *
 *     npm run ledger:properties -- [--minutes 5] [--seed 1] [--only P5]
 *
 * A failure prints the history in words, and the seed that brings it back with `--seed`.
 */

import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { type LedgerProperty, properties } from '../src/testing/ledger/properties.ts';
import { makeLedger } from '../src/testing/ledger/real-ledger.ts';

/** Histories of one property before the next has its turn. */
const TURN = 200;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string' },
    only: { type: 'string', default: '' },
  },
});

const endsAt = performance.now() + Number(values.minutes) * 60_000;
const chosen = properties.filter(({ title }) => title.startsWith(values.only));
if (chosen.length === 0 || Number.isNaN(endsAt)) throw new Error('usage: [--minutes 5] [--seed 1] [--only P5]');

const histories = new Map<string, number>();
const broken = new Map<string, string>();
const firstSeed = Number(values.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]) | 0;

for (let seed = firstSeed; performance.now() < endsAt && broken.size < chosen.length; seed = (seed + 1) | 0) {
  for (const property of chosen) if (!broken.has(property.title)) tryOut(property, seed);
}

for (const { title } of chosen) console.log(`${String(histories.get(title) ?? 0).padStart(9)}  ${title}`);
for (const [title, text] of broken) console.log(`\nVIOLATED ${title}\n${text}`);
console.log(broken.size === 0 ? 'every property held' : `\n${broken.size} properties were violated`);
if (broken.size > 0) process.exitCode = 1;

function tryOut({ title, plans, check }: LedgerProperty, seed: number): void {
  const outcome = fc.check(
    fc.property(plans, (plan) => check(plan, makeLedger)),
    { seed, numRuns: TURN },
  );
  histories.set(title, (histories.get(title) ?? 0) + outcome.numRuns);
  if (!outcome.failed) return;
  const { errorInstance, counterexample, counterexamplePath } = outcome;
  const reason = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
  const again = `npm run ledger:properties -- --only "${title}" --seed ${seed}`;
  broken.set(title, `${reason}\n${JSON.stringify(counterexample)}\npath ${counterexamplePath}\n${again}`);
}
