/**
 * Runs simulated histories of a mesh's ledgers, with faults and cheating accounts, and checks every law after every event; or
 * replays one and prints it.
 *
 *     npm run simulate:ledger -- [--histories 100 | --minutes 5 | --double-spends 10000] [--seed 1] [--nodes 3..30] [--workers 2]
 *     npm run simulate:ledger -- --replay 4711 [--without-moves 1,2] [--without-cheats 3] [--without-faults 0]
 */

import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  addSummary,
  type ManyOptions,
  newSummary,
  percentile,
  type Summary,
  simulateMany,
} from '../src/testing/ledger-sim/many.ts';
import { type PlanBounds, planOf, without } from '../src/testing/ledger-sim/plan.ts';
import { tableOf } from '../src/testing/ledger-sim/report.ts';
import { simulate } from '../src/testing/ledger-sim/simulate.ts';
import { asChild, inChild, indexes, printTotals, rangeOf, realTimeOf, seedOf, wholeNumber } from './histories.ts';

const TRIED = 'double spends tried';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    histories: { type: 'string' },
    minutes: { type: 'string' },
    'double-spends': { type: 'string' },
    nodes: { type: 'string' },
    workers: { type: 'string', default: '2' },
    replay: { type: 'string' },
    'without-moves': { type: 'string', default: '' },
    'without-cheats': { type: 'string', default: '' },
    'without-faults': { type: 'string', default: '' },
  },
});

const program = fileURLToPath(import.meta.url);
const bounds: PlanBounds = { nodes: rangeOf(values.nodes) };

if (process.send !== undefined) {
  await asChild((job: Job) => simulateMany(job, ({ tally }) => (tally[TRIED] ?? 0) < job.doubleSpends));
} else if (values.replay !== undefined) await replay(wholeNumber('replay', values.replay));
else await many();

interface Job extends ManyOptions {
  /** It ends when so many double spends were tried. */
  readonly doubleSpends: number;
}

/** Shares the seeds among processes, and adds up what they say. */
async function many(): Promise<void> {
  const seed = seedOf(values.seed);
  const workers = wholeNumber('workers', values.workers);
  const spends = values['double-spends'];
  const endless = values.minutes !== undefined || spends !== undefined;
  const histories = values.histories === undefined ? (endless ? 1e9 : 100) : wholeNumber('histories', values.histories);
  const doubleSpends = spends === undefined ? 1e12 : Math.ceil(wholeNumber('double-spends', spends) / workers);
  const startedAt = performance.now();
  console.log(`seeds from ${seed}, ${workers} processes`);
  const total = newSummary();
  const shares = Array.from({ length: workers }, (_, index) =>
    inChild<Job, Summary>(program, {
      seed: seed + index,
      step: workers,
      histories: Math.ceil(histories / workers),
      maxMs: realTimeOf(values.minutes),
      bounds,
      doubleSpends,
    }),
  );
  for (const summary of await Promise.all(shares)) addSummary(total, summary);
  report(total, performance.now() - startedAt);
  if (total.failures.length > 0) process.exitCode = 1;
}

function report(summary: Summary, ms: number): void {
  const { failures, times } = summary;
  printTotals(summary, ms);
  console.log(`double spends by accounts against which nobody had a proof before: ${times.first.length}`);
  console.log(`  to the first proof:     ${shares(times.first)}`);
  console.log(`  to a proof at all nodes: ${shares(times.everywhere)}`);
  for (const { seed, plan, law, text, after } of failures) {
    const nodes = values.nodes === undefined ? '' : ` --nodes ${values.nodes}`;
    console.log(
      `\nVIOLATED ${law} after ${after} histories: ${text}\n  ${plan}\n  npm run simulate:ledger -- --replay ${seed}${nodes}`,
    );
  }
  console.log(failures.length === 0 ? 'every law held' : `\n${failures.length} histories violated a law`);
}

function shares(times: readonly number[]): string {
  const ms = (share: number) => `${Math.round(percentile(times, share) ?? 0)} ms`;
  return `p50 ${ms(0.5)}, p99 ${ms(0.99)} of virtual time`;
}

/** Prints one history as a table. */
async function replay(seed: number): Promise<void> {
  const plan = without(planOf(seed, bounds), {
    moves: indexes(values['without-moves']),
    cheats: indexes(values['without-cheats']),
    faults: indexes(values['without-faults']),
  });
  const result = await simulate(plan, true);
  console.log(tableOf(result));
  if (result.violation !== undefined) process.exitCode = 1;
}
