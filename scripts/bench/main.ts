/** `npm run bench -- [name …] [--scale 0.1]`: runs benchmarks, prints their tables, keeps their results. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { gateway } from './gateway.ts';
import { hop } from './hop.ts';
import { keep, show } from './report.ts';

const ALL = [gateway, hop];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { scale: { type: 'string', default: '1' } },
});
const scale = Number(values.scale);
const names = positionals.length > 0 ? positionals : ALL.map(({ name }) => name);
const unknown = names.find((name) => !ALL.some((benchmark) => benchmark.name === name));

if (unknown !== undefined || !(scale > 0)) {
  console.error(`usage: npm run bench -- [${ALL.map(({ name }) => name).join('] [')}] [--scale 0.1]`);
  process.exitCode = 2;
} else if (!existsSync(path.resolve(import.meta.dirname, '../../dist/gogrid.js'))) {
  console.error('dist/gogrid.js is missing: run `npm run build` first');
  process.exitCode = 2;
} else {
  for (const benchmark of ALL.filter(({ name }) => names.includes(name))) {
    console.log(`\n${benchmark.title}\n`);
    const outcome = await benchmark.run(scale);
    console.log(show(outcome));
    // A short run is for looking, not for quoting.
    if (scale === 1) keep(benchmark, outcome);
  }
}
