/** `npm run overload -- [--secs 60]`: the last line says whether it passed, and so does the exit code. */

import { parseArgs } from 'node:util';
import { anySeed } from '../harness/setup.ts';
import { playOn } from './ground.ts';
import { overload, overloadLines, overloadMembers } from './overload.ts';

const { values } = parseArgs({
  options: {
    secs: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(anySeed()) },
  },
});
const options = { secs: Number(values.secs), seed: Number(values.seed), requesters: 2, providers: 2 };
console.log(`overload: ${options.secs} s, seed ${options.seed}`);

await playOn({ name: 'overload', seed: options.seed }, async (ground) => {
  const mesh = await ground.mesh(overloadMembers(options), {});
  const report = await overload(mesh, options);
  console.log(overloadLines(report).join('\n'));
  return report.violations;
});
