/** A slice of `npm run overload`. */

import { expect } from 'vitest';
import { overload, overloadLines, overloadMembers } from '../chaos/overload.ts';
import { thisRun } from '../harness/run.ts';
import { scenario } from '../harness/stage.ts';

scenario('ten times more jobs than can be done, for five seconds', { within: 90_000 }, async (stage) => {
  const options = { secs: 5, seed: thisRun().seed, requesters: 2, providers: 2 };
  // Some wait too long, too.
  const mesh = await stage.mesh(overloadMembers(options), { env: { GOGRID_WORKER_MAX_WAIT_SECS: '5' } });
  const report = await overload(mesh, options);
  process.stdout.write(`${overloadLines(report).join('\n')}\n`);
  expect(report.violations).toEqual([]);
});
