/** A slice of `npm run chaos`, with fresh dice every time. */

import { expect } from 'vitest';
import { CHAOS_SETTINGS, chaos, chaosMembers } from '../chaos/chaos.ts';
import { thisRun } from '../harness/run.ts';
import { scenario } from '../harness/stage.ts';

scenario('a dozen strikes cost no client a word (N1)', { within: 90_000 }, async (stage) => {
  const tell = (line: string) => void process.stdout.write(`${line}\n`);
  const options = { strikes: 12, seed: thisRun().seed, requesters: 2, providers: 4, clientsPerWay: 1, tell };
  const mesh = await stage.mesh(chaosMembers(options), { env: CHAOS_SETTINGS });
  const figures = await chaos(mesh, options);
  for (const line of figures.lines()) tell(line);
  expect(figures.violations).toEqual([]);
  expect(figures.strikesInAll).toBe(12);
  expect(figures.answers.get('exact')).toBeGreaterThan(12);
});
