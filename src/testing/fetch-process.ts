/** Fetches one model and says how it goes, a line of JSON each: a process of its own, for tests that kill it. */

import { mkdir } from 'node:fs/promises';
import { systemClock } from '../clock.ts';
import type { CatalogueEntry } from '../inference/store/catalogue.ts';
import { ModelStore, type StoreOptions } from '../inference/store/store.ts';
import { silentLogger } from '../telemetry/logger.ts';

const { folder, entry, ...more } = JSON.parse(process.argv[2] ?? '') as {
  folder: string;
  entry: CatalogueEntry;
} & Partial<StoreOptions>;
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
const store = new ModelStore(
  { catalogue: [entry], cacheFolder: folder, modelsFolder: folder, ollamaFolders: [], env: {}, ...more },
  {
    clock: systemClock,
    log: silentLogger,
    makeFolder: async (name) => void (await mkdir(name, { recursive: true })),
  },
);
const stopped = new AbortController();
// A waiting timer of ours keeps no process alive, and a process that waits for a lock has nothing else.
const alive = setInterval(() => {}, 60_000);
const { source } = await store.fetch(entry, say, stopped.signal);
say({ state: 'there', source });
clearInterval(alive);
