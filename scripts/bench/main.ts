/** `npm run bench -- [name …] [--scale 0.1]`: runs benchmarks, prints their tables, keeps their results. */

import { existsSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { clone } from './clone.ts';
import { fairness } from './fairness.ts';
import { gateway } from './gateway.ts';
import { gossip } from './gossip.ts';
import { handover } from './handover.ts';
import { hop } from './hop.ts';
import { idle } from './idle.ts';
import { join } from './join.ts';
import { ledger } from './ledger.ts';
import { overload } from './overload.ts';
import { endWithParent, inOwnNetwork, runInOwnNetwork } from './own-network.ts';
import { leaveNothing, ROOT } from './processes.ts';
import { type Benchmark, keep, type RunOptions, show } from './report.ts';
import { saturated } from './saturated.ts';
import { streams } from './streams.ts';

const ALL: readonly Benchmark[] = [
  gateway,
  hop,
  streams,
  saturated,
  handover,
  join,
  ledger,
  gossip,
  idle,
  fairness,
  clone,
  overload,
];
/** Above it other processes take the time that is measured. */
const QUIET_LOAD = 0.2 * availableParallelism();

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    scale: { type: 'string', default: '1' },
    program: { type: 'string', default: path.join(ROOT, 'dist/gogrid.js') },
    beside: { type: 'string' },
  },
});
const names = positionals.length > 0 ? positionals : ALL.map(({ name }) => name);
const options: RunOptions = { scale: Number(values.scale), program: values.program, beside: values.beside };

const problem = whyNot();
if (problem === undefined) {
  process.on('exit', leaveNothing);
  if (inOwnNetwork()) endWithParent();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130));
  for (const benchmark of ALL.filter(({ name }) => names.includes(name))) await runOne(benchmark);
} else {
  console.error(problem);
  process.exitCode = 2;
}

function whyNot(): string | undefined {
  const unknown = names.find((name) => !ALL.some((benchmark) => benchmark.name === name));
  if (unknown !== undefined || !(options.scale > 0)) {
    const list = ALL.map(({ name }) => name).join(' | ');
    return `usage: npm run bench -- [${list}] … [--scale 0.1] [--program gogrid.js] [--beside gogrid.js]`;
  }
  const missing = [options.program, options.beside].find((file) => file !== undefined && !existsSync(file));
  return missing === undefined ? undefined : `${missing} is missing: run \`npm run build\` first`;
}

async function runOne(benchmark: Benchmark): Promise<void> {
  if (benchmark.countsTraffic === true && !inOwnNetwork() && (await runInOwnNetwork(benchmark.name, options))) return;
  const loadBefore = loadavg()[0] ?? 0;
  console.log(`\n${benchmark.title}\n`);
  if (loadBefore > QUIET_LOAD) {
    console.log(`Other processes are busy (load average ${loadBefore.toFixed(2)}): times and p99 will be too high.\n`);
  }
  try {
    const outcome = await benchmark.run(options);
    console.log(show(outcome));
    // A short run is for looking, not for quoting.
    if (options.scale === 1) keep(benchmark, outcome, loadBefore);
  } finally {
    leaveNothing();
  }
}
