/**
 * Runs simulated histories of a mesh's ledgers, with faults and cheating accounts, and checks every law after every event; or
 * replays one and prints it.
 *
 *     npm run simulate:ledger -- [--histories 100 | --minutes 5 | --double-spends 10000] [--seed 1] [--nodes 3..30] [--workers 2]
 *     npm run simulate:ledger -- --replay 4711 [--without-moves 1,2] [--without-cheats 3] [--without-faults 0]
 */

import { fork } from 'node:child_process';
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

const bounds: PlanBounds = { nodes: rangeOf(values.nodes) };

if (process.send !== undefined) await work();
else if (values.replay !== undefined) await replay(wholeNumber('replay', values.replay));
else await many();

interface Job extends ManyOptions {
  /** It ends when so many double spends were tried. */
  readonly doubleSpends: number;
}

/** Shares the seeds among processes, and adds up what they say. */
async function many(): Promise<void> {
  const seed =
    values.seed === undefined ? (crypto.getRandomValues(new Uint32Array(1))[0] ?? 1) : wholeNumber('seed', values.seed);
  const workers = wholeNumber('workers', values.workers);
  const spends = values['double-spends'];
  const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
  const endless = minutes !== undefined || spends !== undefined;
  const histories = values.histories === undefined ? (endless ? 1e9 : 100) : wholeNumber('histories', values.histories);
  const doubleSpends = spends === undefined ? 1e12 : Math.ceil(wholeNumber('double-spends', spends) / workers);
  const startedAt = performance.now();
  console.log(`seeds from ${seed}, ${workers} processes`);
  const total = newSummary();
  const shares = Array.from({ length: workers }, (_, index) =>
    inChild({
      seed: seed + index,
      step: workers,
      histories: Math.ceil(histories / workers),
      maxMs: (minutes ?? 1e6) * 60_000,
      bounds,
      doubleSpends,
    }),
  );
  for (const summary of await Promise.all(shares)) addSummary(total, summary);
  report(total, performance.now() - startedAt);
  if (total.failures.length > 0) process.exitCode = 1;
}

function inChild(job: Job): Promise<Summary> {
  const child = fork(fileURLToPath(import.meta.url), process.argv.slice(2));
  return new Promise((resolve, reject) => {
    child.on('message', (message) => {
      resolve(message as Summary);
      child.disconnect();
    });
    child.on('exit', (code) => reject(new Error(`a worker ended with ${code}`)));
    child.send(job);
  });
}

async function work(): Promise<void> {
  const job = await new Promise<Job>((resolve) => process.once('message', (message) => resolve(message as Job)));
  process.send?.(await simulateMany(job, ({ tally }) => (tally[TRIED] ?? 0) < job.doubleSpends));
}

function report({ histories, events, virtualMs, failures, tally, times }: Summary, ms: number): void {
  const perHour = Math.round((histories * 3_600_000) / ms);
  console.log(`${histories} histories in ${(ms / 1000).toFixed(1)} s: ${perHour} an hour`);
  console.log(`${events} events, ${(virtualMs / 3_600_000).toFixed(1)} hours of virtual time`);
  for (const [what, often] of Object.entries(tally).toSorted()) console.log(`  ${String(often).padStart(9)}  ${what}`);
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
