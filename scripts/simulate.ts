/**
 * Runs simulated histories of a mesh, with faults, and checks every law after every event; or replays one and prints it.
 *
 *     npm run simulate -- [--histories 1000 | --minutes 5] [--seed 1] [--nodes 3..30] [--workers 2]
 *     npm run simulate -- --replay 4711 [--shrink] [--without-jobs 1,2] [--without-faults 0]
 */

import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { idOf } from '../src/testing/sim/keys.ts';
import { addSummary, type ManyOptions, type Summary, simulateMany } from '../src/testing/sim/many.ts';
import { type PlanBounds, planOf, without } from '../src/testing/sim/plan.ts';
import { tableOf } from '../src/testing/sim/report.ts';
import { shrink } from '../src/testing/sim/shrink.ts';
import { simulate } from '../src/testing/sim/simulate.ts';
import { asChild, inChild, indexes, printTotals, rangeOf, realTimeOf, seedOf, wholeNumber } from './histories.ts';

const SHRINK_MS = 60_000;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    histories: { type: 'string' },
    minutes: { type: 'string' },
    nodes: { type: 'string' },
    workers: { type: 'string', default: '2' },
    replay: { type: 'string' },
    shrink: { type: 'boolean', default: false },
    'without-jobs': { type: 'string', default: '' },
    'without-faults': { type: 'string', default: '' },
  },
});

const program = fileURLToPath(import.meta.url);
const bounds: PlanBounds = { nodes: rangeOf(values.nodes) };

if (process.send !== undefined) await asChild((options: ManyOptions) => simulateMany(options));
else if (values.replay !== undefined) await replay(wholeNumber('replay', values.replay));
else await many();

/** Shares the seeds among processes, and adds up what they say. */
async function many(): Promise<void> {
  const seed = seedOf(values.seed);
  const workers = wholeNumber('workers', values.workers);
  const histories =
    values.histories === undefined
      ? values.minutes === undefined
        ? 1_000
        : 1e9
      : wholeNumber('histories', values.histories);
  const startedAt = performance.now();
  console.log(`seeds from ${seed}, ${workers} processes`);
  const total: Summary = { histories: 0, events: 0, virtualMs: 0, failures: [], tally: {} };
  const share = Math.ceil(histories / workers);
  const shares = Array.from({ length: workers }, (_, index) =>
    inChild<ManyOptions, Summary>(program, {
      seed: seed + index,
      step: workers,
      histories: share,
      maxMs: realTimeOf(values.minutes),
      bounds,
    }),
  );
  for (const summary of await Promise.all(shares)) addSummary(total, summary);
  report(total, performance.now() - startedAt);
  if (total.failures.length > 0) process.exitCode = 1;
}

function report(summary: Summary, ms: number): void {
  const { failures } = summary;
  printTotals(summary, ms);
  for (const { seed, plan, law, text } of failures) {
    console.log(
      `\nVIOLATED ${law}: ${text}\n  ${plan}\n  npm run simulate -- --replay ${seed}${values.nodes === undefined ? '' : ` --nodes ${values.nodes}`}`,
    );
  }
  console.log(failures.length === 0 ? 'every law held' : `\n${failures.length} histories violated a law`);
}

/** Prints one history as a table. */
async function replay(seed: number): Promise<void> {
  const plan = without(planOf(seed, bounds), indexes(values['without-jobs']), indexes(values['without-faults']));
  const ids = plan.nodes.map((_, index) => idOf(index));
  let shown = plan;
  if (values.shrink) {
    const failing = await simulate(plan);
    const { cut } = await shrink(plan, failing, performance.now() + SHRINK_MS);
    shown = without(plan, cut.jobs, cut.faults);
    console.log(`shrunk: --without-jobs ${[...cut.jobs].join(',')} --without-faults ${[...cut.faults].join(',')}`);
  }
  const result = await simulate(shown, true);
  console.log(tableOf(result, ids));
  if (result.violation !== undefined) process.exitCode = 1;
}
