/** `npm run chaos -- [--strikes 1000] [--seed N]`: the last line says whether it passed, and so does the exit code. */

import { parseArgs } from 'node:util';
import { anySeed } from '../harness/setup.ts';
import { CHAOS_SETTINGS, chaos, chaosMembers } from './chaos.ts';
import { playOn } from './ground.ts';

const { values } = parseArgs({
  options: {
    strikes: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(anySeed()) },
    requesters: { type: 'string', default: '3' },
    providers: { type: 'string', default: '6' },
  },
});
const startedAt = performance.now();
const seconds = () => ((performance.now() - startedAt) / 1000).toFixed(0).padStart(5);
const options = {
  strikes: Number(values.strikes),
  seed: Number(values.seed),
  requesters: Number(values.requesters),
  providers: Number(values.providers),
  clientsPerWay: 1,
  tell: (line: string) => console.log(`${seconds()} s  ${line}`),
};
const shape = `${options.providers} providers, ${options.requesters} requesters with a client of each kind`;
console.log(`chaos: seed ${options.seed}, ${options.strikes} strikes, ${shape}`);

await playOn({ name: 'chaos', seed: options.seed }, async (ground) => {
  const mesh = await ground.mesh(chaosMembers(options), CHAOS_SETTINGS);
  const figures = await chaos(mesh, options);
  console.log([`seed        ${options.seed}, ${seconds().trim()} s`, ...figures.lines()].join('\n'));
  return figures.violations;
});
