/**
 * Runs simulated histories of a mesh, with faults, and checks every law after every event; or replays one and prints it.
 *
 *     npm run simulate -- [--histories 1000 | --minutes 5] [--seed 1] [--nodes 3..30] [--workers 2]
 *     npm run simulate -- --replay 4711 [--shrink] [--without-jobs 1,2] [--without-faults 0]
 */

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { idOf } from '../src/testing/sim/keys.ts';
import { addSummary, type ManyOptions, type Summary, simulateMany } from '../src/testing/sim/many.ts';
import { type PlanBounds, planOf, without } from '../src/testing/sim/plan.ts';
import { tableOf } from '../src/testing/sim/report.ts';
import { shrink } from '../src/testing/sim/shrink.ts';
import { simulate } from '../src/testing/sim/simulate.ts';

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

const bounds: PlanBounds = { nodes: rangeOf(values.nodes) };

if (process.send !== undefined) await work();
else if (values.replay !== undefined) await replay(wholeNumber('replay', values.replay));
else await many();

/** Shares the seeds among processes, and adds up what they say. */
async function many(): Promise<void> {
  const seed =
    values.seed === undefined ? (crypto.getRandomValues(new Uint32Array(1))[0] ?? 1) : wholeNumber('seed', values.seed);
  const workers = wholeNumber('workers', values.workers);
  const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
  const histories =
    values.histories === undefined ? (minutes === undefined ? 1_000 : 1e9) : wholeNumber('histories', values.histories);
  const startedAt = performance.now();
  console.log(`seeds from ${seed}, ${workers} processes`);
  const total: Summary = { histories: 0, events: 0, virtualMs: 0, failures: [], tally: {} };
  const share = Math.ceil(histories / workers);
  const shares = Array.from({ length: workers }, (_, index) =>
    inChild({ seed: seed + index, step: workers, histories: share, maxMs: (minutes ?? 1e6) * 60_000, bounds }),
  );
  for (const summary of await Promise.all(shares)) addSummary(total, summary);
  report(total, performance.now() - startedAt);
  if (total.failures.length > 0) process.exitCode = 1;
}

function inChild(options: ManyOptions): Promise<Summary> {
  const child = fork(fileURLToPath(import.meta.url), process.argv.slice(2));
  return new Promise((resolve, reject) => {
    child.on('message', (message) => {
      resolve(message as Summary);
      child.disconnect();
    });
    child.on('exit', (code) => reject(new Error(`a worker ended with ${code}`)));
    child.send(options);
  });
}

async function work(): Promise<void> {
  const options = await new Promise<ManyOptions>((resolve) =>
    process.once('message', (message) => resolve(message as ManyOptions)),
  );
  process.send?.(await simulateMany(options));
}

function report({ histories, events, virtualMs, failures, tally }: Summary, ms: number): void {
  const perHour = Math.round((histories * 3_600_000) / ms);
  console.log(`${histories} histories in ${(ms / 1000).toFixed(1)} s: ${perHour} an hour`);
  console.log(`${events} events, ${(virtualMs / 3_600_000).toFixed(1)} hours of virtual time`);
  for (const [what, times] of Object.entries(tally).toSorted()) console.log(`  ${String(times).padStart(9)}  ${what}`);
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

function indexes(text: string): Set<number> {
  return new Set(text.split(',').filter(Boolean).map(Number));
}

function rangeOf(text: string | undefined): readonly [number, number] | undefined {
  if (text === undefined) return undefined;
  const [from, to] = /^(\d+)(?:\.\.(\d+))?$/.exec(text)?.slice(1) ?? [];
  if (from === undefined) throw new Error(`--nodes ${text}: a number, or a range such as 3..30`);
  return [Number(from), Number(to ?? from)];
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} ${text}: not a whole number`);
  return value;
}
