/** `npm run chaos:ledger -- [--kills 1000] [--seed N]`: the last line says whether it passed, and so does the exit code. */

import { parseArgs } from 'node:util';
import { CreditMesh } from '../harness/credits.ts';
import { anySeed } from '../harness/setup.ts';
import { playOn } from './ground.ts';
import { ledgerChaos } from './ledger.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(anySeed()) },
    writers: { type: 'string', default: '2' },
  },
});
const startedAt = performance.now();
const seconds = () => ((performance.now() - startedAt) / 1000).toFixed(0).padStart(5);
const options = {
  kills: Number(values.kills),
  seed: Number(values.seed),
  writers: Number(values.writers),
  tell: (line: string) => console.log(`${seconds()} s  ${line}`),
};
console.log(`chaos of the ledger: seed ${options.seed}, ${options.kills} kills, ${options.writers} writers`);

await playOn({ name: 'ledger-chaos', seed: options.seed }, async (ground) => {
  const { kills, acknowledged, entries, unanswered, violations } = await ledgerChaos(
    await CreditMesh.found(ground),
    options,
  );
  console.log(`seed          ${options.seed}, ${seconds().trim()} s`);
  console.log(`kills         ${kills}`);
  console.log(`acknowledged  ${acknowledged} of ${entries} entries; ${unanswered} stand whose answer a kill cut off`);
  return violations;
});
